// How the run came out, and how to repeat it.

const VERDICTS = {
  running: { word: "Running", sign: "▸", tone: "unsure" },
  passed: { word: "Passed", sign: "✓", tone: "good" },
  failed: { word: "Failed", sign: "✕", tone: "bad" },
  inconclusive: { word: "Inconclusive", sign: "?", tone: "unsure" },
  environment_failed: { word: "Environment failed", sign: "!", tone: "unsure" },
  interrupted: { word: "Interrupted", sign: "!", tone: "unsure" },
  time_limit: { word: "Stopped by the time limit", sign: "!", tone: "unsure" },
  not_played: { word: "Not played", sign: "!", tone: "unsure" },
};

function badge(verdict) {
  const known = VERDICTS[String(verdict).replace(/ /g, "_")] || { word: words(verdict), sign: "?", tone: "unsure" };
  return el("span", { class: `badge ${known.tone}` }, el("span", { "aria-hidden": "true" }, known.sign), ` ${known.word}`);
}

function command(text) {
  const done = el("span", { role: "status", class: "copied" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      done.textContent = "copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      done.textContent = "selected";
    }
  };
  const code = el("code", { tabindex: 0 }, text);
  return el("div", { class: "command" }, el("span", { "aria-hidden": "true", class: "prompt" }, "$"), code,
    el("button", { type: "button", onclick: copy }, "Copy"), done);
}

function fact(name, value, more) {
  return el("div", null, el("dt", null, name), el("dd", null, value, more ? el("small", null, more) : null));
}

function reasons(title, lines) {
  if (!lines || !lines.length) return null;
  return el("div", { class: "reasons" }, el("p", null, title), el("ul", null, lines.map((line) => el("li", null, line))));
}

view("verdict", null, (_, page) => {
  const result = page.result;
  const { items, queries, nodes } = result;
  const passed = result.checks.filter((check) => check.passed).length;
  const later = nodes.started ? `${count(nodes.started)} started later` : null;
  return [
    el("p", { class: "kind" }, "harness run"),
    el("div", { class: "headline" }, el("h1", null, result.name), badge(result.verdict)),
    result.description ? el("p", { class: "description" }, result.description) : null,
    reasons("What did not go as planned", result.errors),
    reasons("Why the environment was not the declared one", result.environment_faults),
    el("dl", { class: "facts" },
      fact("Checks", result.checks.length ? `${passed} of ${result.checks.length}` : "none", page.goesOn ? "hold so far" : "passed"),
      fact("Seed", String(result.seed)),
      fact("Backend", result.backend, result.fidelity ? `fidelity ${result.fidelity}` : null),
      fact("Duration", seconds(result.run_s), result.backend === "sim" ? "of simulated time" : null),
      fact("Nodes", count(nodes.initial), later),
      items.acknowledged ? fact("Items held", known(items.persistent) ? `${count(items.persistent)} of ${count(items.acknowledged)}` : NO_VALUE, known(items.copies_mean) ? `${plain(items.copies_mean)} copies` : null) : null,
      queries.total.queries ? fact("Queries found", `${count(queries.total.found)} of ${count(queries.total.queries)}`, known(queries.total.latency_s.p50) ? `p50 ${seconds(queries.total.latency_s.p50)}` : null) : null),
    page.circumstances.command ? command(page.circumstances.command) : null,
    page.notes.map((text) => note(text)),
    page.cuts.map((cut) => note(`${words(cut.list)}: ${cut.kept} of ${count(cut.of)} entries are on this page; result.json has all.`)),
  ];
});
