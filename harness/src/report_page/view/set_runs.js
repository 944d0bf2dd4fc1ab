// Several runs: which there are, and how each came out.

view("runs", null, (_, page) => {
  const names = [...new Set(page.set.map((topology) => topology.name))];
  const runs = page.set.reduce((sum, topology) => sum + topology.runs.of, 0);
  return [
    el("p", { class: "kind" }, "harness runs"),
    el("div", { class: "headline" }, el("h1", null, names.join(", "))),
    el("p", { class: "description" }, plural(runs, "run")),
    el("dl", { class: "facts" }, page.set.map((topology) => fact(`${topology.name} on ${topology.backend}`, verdictCounts(topology.verdicts), plural(topology.runs.of, "run")))),
    page.notes.map((text) => note(text)),
  ];
});

function verdictCounts(verdicts) {
  return Object.entries(verdicts).map(([verdict, number]) => `${count(number)} ${verdict}`).join(", ");
}

function fact(name, value, more) {
  return el("div", null, el("dt", null, name), el("dd", null, value, more ? el("small", null, more) : null));
}

const SIGNS = { passed: ["✓", "good"], failed: ["✕", "bad"] };

function badge(verdict) {
  const [sign, tone] = SIGNS[verdict] || ["?", "unsure"];
  return el("span", { class: `badge ${tone}` }, el("span", { "aria-hidden": "true" }, sign), ` ${verdict}`);
}

// Several topologies have their name in front of what is theirs.
function titled(page, topology, content) {
  return page.set.length > 1 ? [el("h3", null, `${topology.name} on ${topology.backend}`), content] : content;
}
