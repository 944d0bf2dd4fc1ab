// All figures, and all runs.

view("figures", "Figures", (_, page) => page.set.map((topology) => titled(page, topology, figureTable(topology))));

function figureTable(topology) {
  const cellName = (cell) => topology.cells.rows[cell].map((value, at) => `${topology.varied[at].name}=${topology.varied[at].values[value]}`).join(", ") || "all";
  const rows = topology.measures.rows.flatMap((measure) => measure.cells.map((cell, at) => el("tr", null,
    el("td", null, at ? "" : measure.name),
    el("td", null, cellName(cell.cell)),
    number(count(cell.runs)), number(inUnit(cell.mean, measure.unit)),
    number(cell.interval ? `${inUnit(cell.interval[0], measure.unit)} – ${inUnit(cell.interval[1], measure.unit)}` : NO_VALUE),
    number(inUnit(cell.min, measure.unit)), number(inUnit(cell.max, measure.unit)),
    topology.published ? number(known(cell.published) ? inUnit(cell.published, measure.unit) : "", { title: cell.remark || null }) : null)));
  const right = (name) => el("th", { class: "number" }, name);
  return [
    table(["Measure", "Of", right("Runs"), right("Mean"), right("95 % interval"), right("Least"), right("Most"), ...(topology.published ? [right("Published")] : [])], rows, { class: "wide", label: "figures over runs" }),
    thinned(topology.measures, "measures"),
    thinned(topology.cells, "combinations"),
  ];
}

view("list", "Runs", (_, page) => page.set.map((topology) => titled(page, topology, runTable(topology))));

function runTable(topology) {
  const right = (name) => el("th", { class: "number" }, name);
  const row = (run) => el("tr", null,
    el("td", null, run.page ? el("a", { href: run.page.split("/").map(encodeURIComponent).join("/") }, run.directory) : run.directory),
    run.values.map((value) => el("td", null, value)),
    number(String(run.seed)), number(`${run.passed} of ${run.checks}`), number(seconds(run.run_s)), el("td", null, badge(run.verdict)));
  return [
    table(["Record", ...topology.varied.map((variable) => variable.name), right("Seed"), right("Checks passed"), right("Duration"), "Verdict"], topology.runs.rows.map(row), { class: "wide", label: "runs" }),
    thinned(topology.runs, "runs", "those that did not pass come first"),
  ];
}
