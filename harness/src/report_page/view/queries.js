// Queries: how long they took, and which were not answered.

const CURVES = [
  { color: "1", dash: null },
  { color: "2", dash: "6 3" },
  { color: "3", dash: "2 3" },
  { color: "4", dash: "8 3 2 3" },
  { color: "5", dash: "4 2" },
  { color: "soft", dash: "1 3" },
  { color: "2", dash: "1 2" },
];

view("queries", "Queries", (data, page) => {
  if (!data) return null;
  return [
    el("div", { class: "charts" },
      figure("Share of all queries found within a time", distribution(data)),
      figure("Time of each query, by the moment of its end", scatter(data, page))),
    thinned(data.points, "queries", "of each stretch the one that failed, or took longest"),
    pairs(page.result.queries.by_pair),
    ends(page.result.queries.total),
  ];
});

// Failed queries never come, so a curve ends at the share that succeeded.
function distribution(data) {
  const curves = data.curves.filter((curve) => curve.took_us.length);
  if (!curves.length) return note("No query was answered.");
  const all = curves.flatMap((curve) => curve.took_us).map((us) => Math.max(us, 1));
  const [min, max] = [Math.min(...all) / 1e6 / 1.2, (Math.max(...all) / 1e6) * 1.2];
  const points = curves.map((curve) => [[min, 0], ...curve.took_us.map((us, at) => [Math.max(us, 1) / 1e6, ((at + 1) / curve.took_us.length) * (curve.found / curve.asked)])]);
  const style = (at) => CURVES[at % CURVES.length];
  const out = el("div", { class: "readout-slot" });
  const host = responsive(230, (width, height) => {
    const root = canvas(width, height, "Distribution of query times");
    const area = frame(root, width, height, { min, max, log: true, format: briefSeconds }, { min: 0, max: 1, format: (share) => `${Math.round(share * 100)} %`, ticks: [0, 0.25, 0.5, 0.75, 1] });
    points.forEach((curve, at) => area.plot.append(svg("path", { class: `line line-${style(at).color}${at ? " thin" : ""}`, "stroke-dasharray": style(at).dash, d: path([...curve, [max, curve[curve.length - 1][1]]], area.xs, area.ys, true) })));
    const moments = [...new Set(points[0].map((point) => point[0]))];
    out.replaceChildren(reader(root, area, moments, (moment) => `within ${seconds(moment)}: ${curves.map((curve, at) => `${curve.name} ${percent(valueAt(points[at], moment))}`).join(", ")}`));
    return root;
  });
  const entries = curves.map((curve, at) => Object.assign({ name: curve.name }, style(at)));
  return [legend(entries), host, out, data.networks > curves.length - 1 && data.networks > 1 ? note(`Only the ${curves.length - 1} networks with most queries have a line.`) : null];
}

function scatter(data, page) {
  const found = data.outcomes.indexOf("found");
  const rows = data.points.rows;
  const times = rows.filter((row) => row.outcome === found).map((row) => Math.max(row.took_us, 1) / 1e6);
  const [min, max] = times.length ? [Math.min(...times) / 1.3, Math.max(...times) * 1.3] : [0.001, 1];
  const failed = rows.filter((row) => row.outcome !== found);
  const quantileLine = (key) => data.stretches.filter((stretch) => known(stretch[key])).map((stretch) => [(stretch.from_ms + stretch.to_ms) / 2e3, Math.max(stretch[key], 1) / 1e6]);
  const host = responsive(230, (width, height) => {
    const root = canvas(width, height, "Query times over the run");
    const top = failed.length ? 26 : 10;
    const area = frame(root, width, height, { min: 0, max: page.end, time: true, format: briefSeconds }, { min, max, log: true, format: briefSeconds }, { top });
    shade(area, page.faults);
    for (const row of rows.filter((row) => row.outcome === found)) {
      area.plot.append(svg("circle", { class: "query", cx: area.xs(row.at_ms / 1e3).toFixed(1), cy: area.ys(Math.max(row.took_us, 1) / 1e6).toFixed(1), r: 1.8 }));
    }
    for (const row of failed) {
      area.plot.append(svg("g", null, svg("title", null, `${words(data.outcomes[row.outcome])} at ${seconds(row.at_ms / 1e3)}, after ${seconds(row.took_us / 1e6)}`), MARKS.cross(area.xs(row.at_ms / 1e3), 13, "ink-bad")));
    }
    if (data.stretches.length > 2) {
      area.plot.append(svg("path", { class: "line line-1", d: path(quantileLine("p50_us"), area.xs, area.ys) }));
      area.plot.append(svg("path", { class: "line line-2", "stroke-dasharray": "5 3", d: path(quantileLine("p95_us"), area.xs, area.ys) }));
    }
    return root;
  });
  const lines = data.stretches.length > 2 ? [{ name: "p50", color: "1" }, { name: "p95", color: "2", dash: "5 3" }] : [];
  const crosses = failed.length ? [{ name: "failed", color: "bad", shape: MARKS.cross }] : [];
  return [legend([{ name: "found", color: "1", shape: MARKS.dot }, ...lines, ...crosses, ...faultEntry(page.faults)]), host, el("div", { class: "readout-slot" })];
}

// From where was asked, and where the item came from.
function pairs(cells) {
  const from = [...new Set(cells.map((cell) => cell.from))];
  const to = [...new Set(cells.map((cell) => cell.to))];
  if (from.length * to.length < 2) return null;
  const cell = (one, other) => {
    const found = cells.find((cell) => cell.from === one && cell.to === other);
    if (!found) return el("td", { class: "empty" }, "");
    const title = `asked in ${one}, stored in ${other}: ${found.found} of ${found.queries} found, p50 ${seconds(found.latency_s.p50)}, p95 ${seconds(found.latency_s.p95)}, ${plain(found.messages_mean)} messages`;
    return el("td", { class: `cell heat-${heat(found.success_share)}`, title, tabindex: 0, "aria-label": title },
      el("span", null, String(Math.floor(found.success_share * 100 + 1e-6))), el("small", null, known(found.latency_s.p50) ? briefSeconds(Number(found.latency_s.p50.toPrecision(2))) : NO_VALUE));
  };
  const rows = from.map((one) => el("tr", null, el("th", { scope: "row" }, one), to.map((other) => cell(one, other))));
  return figure("Found of 100 queries, and their median time, by the network that asked (rows) and the one that stored (columns)",
    table(["", ...to.map((name) => el("th", { scope: "col", class: "column" }, name))], rows, { class: "matrix", label: "queries between networks" }));
}

function ends(total) {
  const names = ["found", "not_found", "incomplete", "timed_out", "wrong_bytes", "unasked"];
  const shown = names.filter((name) => total[name] > 0).map((name) => `${words(name)} ${count(total[name])}`);
  return el("p", { class: "figures" }, `${plural(total.queries, "query").replace("querys", "queries")}: ${shown.join(", ")}. `,
    known(total.latency_s.p50) ? `p50 ${seconds(total.latency_s.p50)}, p95 ${seconds(total.latency_s.p95)}, longest ${seconds(total.latency_s.max)}. ` : "",
    known(total.messages_mean) ? `${plain(total.messages_mean)} messages and ${plain(total.hops_mean)} hops per query found.` : "");
}
