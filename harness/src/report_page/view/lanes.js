// One lane for each node: when it ran, and what befell it.

const LANE = 13;

view("lanes", "Lives of nodes", (data, page) => {
  if (!data) return null;
  const all = data.lanes.rows;
  const eventful = all.filter((lane) => lane.marks.length || lane.isolated.length || lane.lives.length > 1 || lane.is_later || lane.lives.some((life) => life.end));
  const host = el("div", { class: "lanes", tabindex: 0, role: "region", "aria-label": "lives of nodes" });
  const panel = el("div", { class: "lane-panel", "aria-live": "polite" });
  let [shown, chosen] = [all, -1];
  const choose = (at) => {
    chosen = Math.max(0, Math.min(shown.length - 1, at));
    panel.replaceChildren(...lanePanel(shown[chosen], page.base));
    host.querySelectorAll(".lane-row").forEach((row, number) => row.classList.toggle("chosen", number === chosen));
  };
  const show = (lanes) => {
    [shown, chosen] = [lanes, -1];
    panel.replaceChildren(el("p", { class: "note" }, "Choose a node, with the pointer or the arrow keys, to see what befell it and what its log says."));
    host.replaceChildren(responsive(lanes.length * LANE + 34, (width, height) => lanesChart(lanes, width, height, page)));
  };
  host.addEventListener("click", (event) => {
    const row = event.target.closest(".lane-row");
    if (row) choose([...host.querySelectorAll(".lane-row")].indexOf(row));
  });
  host.addEventListener("keydown", (event) => {
    const moves = { ArrowDown: chosen + 1, ArrowUp: chosen - 1, Home: 0, End: shown.length - 1 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    choose(moves[event.key]);
    host.scrollTop = Math.max(0, chosen * LANE - host.clientHeight / 2);
  });
  show(all);
  const only = el("input", { type: "checkbox", onchange: () => show(only.checked ? eventful : all) });
  const ends = [...new Set(all.flatMap((lane) => [...lane.lives.map((life) => life.end), ...lane.marks.map((mark) => mark.kind)]))].filter(Boolean);
  const entries = ends.map((kind) => Object.assign({ name: kind }, eventMark(kind)));
  if (all.some((lane) => lane.isolated.length)) entries.push({ name: "without a neighbour", color: "2", fill: true });
  const lost = all.reduce((sum, lane) => sum + lane.left_out, 0);
  return [
    eventful.length && eventful.length < all.length ? el("label", { class: "filter" }, only, ` Only the ${plural(eventful.length, "node")} to which something happened`) : null,
    legend([{ name: "runs", color: "lane", fill: true }, ...entries, ...faultEntry(page.faults)]),
    host,
    panel,
    eventful.length ? unfolded("The same as text", () => el("ul", null, eventful.map((lane) => el("li", null, laneText(lane))))) : null,
    thinned(data.lanes, "nodes", "those to which most happened"),
    lost ? note(`${count(lost)} later entries of these lanes are not on this page; events.jsonl has all.`) : null,
  ];
});

function lanesChart(lanes, width, height, page) {
  const root = canvas(width, height, "Lives of nodes over time");
  const longest = Math.max(...lanes.map((lane) => lane.node.length));
  const letters = Math.min(longest, width < 500 ? 10 : 18);
  const left = 14 + letters * 6.3;
  const area = frame(root, width, height, { min: 0, max: page.end, time: true, format: briefSeconds }, { min: 0, max: 1, ticks: [], format: String }, { left, top: 4, bottom: 26 });
  shade(area, page.faults);
  const middle = (at) => at * LANE + 4 + LANE / 2;
  lanes.forEach((lane, at) => area.plot.append(laneRow(lane, middle(at), area, letters)));
  const places = {};
  lanes.forEach((lane, at) => {
    const add = (kind, ms) => (places[kind] = places[kind] || []).push([area.xs(ms / 1e3), middle(at)]);
    lane.lives.filter((life) => life.end).forEach((life) => add(life.end, life.to_ms));
    lane.marks.forEach((mark) => add(mark.kind, mark.at_ms));
  });
  for (const [kind, all] of Object.entries(places)) {
    const mark = eventMark(kind);
    area.plot.append(mark.shape.all(all, `through ink-${mark.color}`));
  }
  return root;
}

function laneRow(lane, y, area, letters) {
  const stretch = (from, to) => {
    const [start, end] = [area.xs(from / 1e3), to === null ? area.right : area.xs(to / 1e3)];
    return `M${round(start)} ${y}H${round(Math.max(end, start + 1))}`;
  };
  const name = lane.node.length > letters ? `${lane.node.slice(0, letters - 1)}…` : lane.node;
  const row = svg("g", { class: "lane-row" }, svg("title", null, laneText(lane)), svg("rect", { class: "lane-back", x: 0, y: y - LANE / 2, width: area.right, height: LANE }), svg("text", { class: "lane-name", x: area.left - 7, y: y + 3.5, "text-anchor": "end" }, name));
  row.append(svg("path", { class: "lane", d: lane.lives.map((life) => stretch(life.from_ms, life.to_ms)).join("") }));
  if (lane.isolated.length) row.append(svg("path", { class: "lane isolated", d: lane.isolated.map(([from, to]) => stretch(from, to)).join("") }));
  return row;
}

function laneText(lane) {
  const life = (one) => `ran from ${seconds(one.from_ms / 1e3)} ${one.end ? `until it ${one.end === "suspended" ? "was suspended" : one.end === "killed" ? "was killed" : one.end} at ${seconds(one.to_ms / 1e3)}` : "to the end"}`;
  const place = [lane.group, lane.network].filter(Boolean).join(" on ");
  const others = [...lane.isolated.map(([from, to]) => `had no neighbour from ${seconds(from / 1e3)} to ${to === null ? "the end" : seconds(to / 1e3)}`), ...lane.marks.map((mark) => `${mark.kind} at ${seconds(mark.at_ms / 1e3)}`)];
  return `${lane.node}${place ? ` (${place})` : ""}: ${[...lane.lives.map(life), ...others].join("; ")}`;
}

// What befell a node, and the lines of its log about that.
function lanePanel(lane, base) {
  const log = lane.log;
  const line = (one) => el("li", { class: one.is_warning ? "tone-bad" : null }, el("span", { class: "where" }, `${one.number}${known(one.at_ms) ? ` · ${seconds(one.at_ms / 1e3)}` : ""}`), ` ${one.text}`);
  return [
    el("p", null, el("b", null, lane.node), laneText(lane).slice(lane.node.length)),
    log ? el("p", { class: "note" }, "Log: ", el("a", { href: base + log.file }, log.file), `, ${plural(log.of, "line")}. ${log.lines.length ? "Warnings, and lines near its ends and incidents, with their numbers:" : "None of them warns or is near an end or incident."}`)
      : el("p", { class: "note" }, `Its log is not on this page. Its events: grep '"${lane.node}"' events.jsonl`),
    log && log.lines.length ? el("ol", { class: "log", tabindex: 0 }, log.lines.map(line)) : null,
  ].filter(Boolean);
}
