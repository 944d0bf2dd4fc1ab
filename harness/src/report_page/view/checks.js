// Checks, each with its bound and its value.

const COMPARISONS = { at_least: "≥", above: ">", at_most: "≤", below: "<", equal: "=" };

// Bound and value on one scale: the side of the bound that is allowed is shaded.
function gauge(check) {
  if (!known(check.value)) return null;
  const [width, height] = [120, 14];
  const top = check.unit === "share" ? 1 : Math.max(check.value, check.bound) * 1.25 || 1;
  const xs = linear(0, top, 2, width - 2);
  const allowed = { at_least: [check.bound, top], above: [check.bound, top], at_most: [0, check.bound], below: [0, check.bound] }[check.comparison];
  const root = svg("svg", { class: "gauge", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  root.append(svg("rect", { class: "gauge-track", x: 2, y: 5, width: width - 4, height: 4, rx: 2 }));
  if (allowed) root.append(svg("rect", { class: "gauge-allowed", x: xs(allowed[0]), y: 5, width: Math.max(1, xs(allowed[1]) - xs(allowed[0])), height: 4, rx: 2 }));
  root.append(svg("line", { class: "gauge-bound", x1: xs(check.bound), x2: xs(check.bound), y1: 1, y2: 13 }));
  root.append(svg("circle", { class: check.passed ? "ink-good" : "ink-bad", cx: xs(check.value), cy: 7, r: 4 }));
  return root;
}

function evidence(check) {
  const failures = check.failures;
  if (!failures) return check.reason && !check.passed ? el("small", null, check.reason) : null;
  const shown = failures.first.slice(0, 12);
  const links = shown.map((number, at) => [at ? ", " : "", el("a", { href: `#story-${failures.subject}-${number}` }, String(number))]);
  const more = failures.total > shown.length ? ` and ${count(failures.total - shown.length)} more` : "";
  const noun = failures.subject === "query" ? (failures.total === 1 ? "query" : "queries") : failures.subject + (failures.total === 1 ? "" : "s");
  return el("small", null, `${noun} `, links, more);
}

function outcome(check, page) {
  if (page.goesOn) return el("span", { class: "outcome" }, check.passed ? "holds so far" : known(check.value) ? "not yet" : "not measured yet");
  const verdict = VERDICTS[check.passed ? "passed" : check.exercised && known(check.value) ? "failed" : "inconclusive"];
  return el("span", { class: `outcome ${verdict.tone}` }, el("span", { "aria-hidden": "true" }, verdict.sign), ` ${verdict.word.toLowerCase()}`);
}

view("checks", "Checks", (_, page) => {
  const checks = page.result.checks;
  if (!checks.length) return note("The topology has no checks, so nothing says what must hold.");
  const row = (check) => el("tr", { class: check.passed || page.goesOn ? null : "failing" },
    el("td", null, el("code", null, check.text), known(check.step) ? el("small", null, `in step ${check.step + 1}`) : null, evidence(check)),
    number(`${COMPARISONS[check.comparison] || ""} ${inUnit(check.bound, check.unit)}`, { class: "number bound" }),
    number(known(check.value) ? inUnit(check.value, check.unit) : "not measured"),
    el("td", { class: "gauge-cell" }, gauge(check)),
    el("td", null, outcome(check, page)));
  const failing = checks.filter((check) => !check.passed);
  const body = table(["Check", el("th", { class: "number bound" }, "Bound"), el("th", { class: "number" }, "Measured"), el("th", { class: "gauge-cell" }, ""), "Verdict"], checks.map(row), { class: "checks", label: "checks" });
  if (page.goesOn || !failing.length || failing.length === checks.length) return body;
  const only = el("input", { type: "checkbox", onchange: () => body.classList.toggle("only-failing", only.checked) });
  return [el("label", { class: "filter" }, only, ` Only the ${plural(failing.length, "check")} that did not pass`), body];
});
