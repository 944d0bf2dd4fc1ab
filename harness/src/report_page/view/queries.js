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
    absentKeys(page.result.absent),
  ];
});

// The least and the longest time of an axis. What a node has itself takes no time: that is drawn at the edge.
const TIME_LEAST = 1e-4;

function timesWithin(times) {
  if (!times.length) return [1e-3, 1];
  const max = Math.max(...times, TIME_LEAST) * 1.3;
  return [Math.min(Math.max(Math.min(...times) / 1.3, TIME_LEAST), max / 10), max];
}

// Failed queries never come, so a curve ends at the share that succeeded.
function distribution(data) {
  const curves = data.curves.filter((curve) => curve.took_us.length);
  if (!curves.length) return note("No query was answered.");
  const [min, max] = timesWithin(curves.flatMap((curve) => curve.took_us).map((us) => us / 1e6));
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
  const times = rows.filter((row) => row.outcome === found).map((row) => row.took_us / 1e6);
  const [min, max] = timesWithin(times);
  const failed = rows.filter((row) => row.outcome !== found);
  const window = askedWithin(rows, page.end);
  const quantileLine = (key) => data.stretches.flatMap((stretch, at) => {
    const before = data.stretches[at - 1];
    const gap = before && before.to_ms < stretch.from_ms ? [[before.to_ms / 1e3, null]] : [];
    return [...gap, [(stretch.from_ms + stretch.to_ms) / 2e3, known(stretch[key]) ? stretch[key] / 1e6 : null]];
  });
  const host = responsive(230, (width, height) => {
    const root = canvas(width, height, "Query times over the run");
    const top = failed.length ? 26 : 10;
    const area = frame(root, width, height, { min: window[0], max: window[1], time: true, format: briefSeconds }, { min, max, log: true, format: briefSeconds }, { top });
    shade(area, page.faults);
    const places = rows.filter((row) => row.outcome === found).map((row) => [area.xs(row.at_ms / 1e3), area.ys(row.took_us / 1e6)]);
    area.plot.append(MARKS.point.all(places, places.length < 300 ? "few ink-1" : "ink-1"));
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

// The part of the run in which queries ended, if that is short; else all of it.
function askedWithin(rows, end) {
  const times = rows.map((row) => row.at_ms / 1e3);
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const pad = Math.max((last - first) * 0.04, end * 1e-3);
  return last - first < end * 0.5 ? [Math.max(0, first - pad), Math.min(end, last + pad)] : [0, end];
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
    return el("td", { class: `cell heat-${heat(found.success_share)}`, title, "aria-label": title },
      el("span", null, String(Math.floor(found.success_share * 100 + 1e-6))), el("small", null, known(found.latency_s.p50) ? briefSeconds(Number(found.latency_s.p50.toPrecision(2))) : NO_VALUE));
  };
  const rows = from.map((one) => el("tr", null, el("th", { scope: "row" }, one), to.map((other) => cell(one, other))));
  return figure("Found of 100 queries, and their median time, by the network that asked (rows) and the one that stored (columns)",
    matrix(["", ...to.map((name) => el("th", { scope: "col", class: "column" }, name))], rows, "queries between networks"));
}

// Gets of keys that no item has.
function absentKeys(absent) {
  if (!absent) return null;
  return el("p", { class: "figures" }, `${plural(absent.queries, "query for a key", "queries for keys")} that no item has: ${count(absent.absent)} said that it is not there. `,
    known(absent.latency_s.p50) ? `p50 ${seconds(absent.latency_s.p50)}, p95 ${seconds(absent.latency_s.p95)}. ` : "", known(absent.messages_mean) ? `${plain(absent.messages_mean)} messages each.` : "");
}

function ends(total) {
  const names = ["found", "not_found", "incomplete", "timed_out", "wrong_bytes", "unasked"];
  const shown = names.filter((name) => total[name] > 0).map((name) => `${words(name)} ${count(total[name])}`);
  return el("p", { class: "figures" }, `${plural(total.queries, "query", "queries")}: ${shown.join(", ")}. `,
    known(total.latency_s.p50) ? `p50 ${seconds(total.latency_s.p50)}, p95 ${seconds(total.latency_s.p95)}, longest ${seconds(total.latency_s.max)}. ` : "",
    known(total.messages_mean) ? `${plain(total.messages_mean)} messages and ${plain(total.hops_mean)} hops per query found.` : "");
}
