// The run from its first step to its last, with what was done to nodes and networks.

view("timeline", "Timeline", (data, page) => {
  const steps = page.result.steps;
  if (!steps.length) return null;
  const end = page.end;
  const { stretches, moments } = data;
  const tracks = tracksOf(stretches.rows, end);
  const kinds = [...new Set(moments.rows.map((moment) => moment.kind))];
  const tall = 68 + tracks.length * 24 + (kinds.length ? 10 + kinds.length * 13 : 0);
  const chart = responsive(tall, (width, height) => {
    const root = canvas(width, height, "Steps and faults over the run's clock");
    const area = frame(root, width, height, { min: 0, max: end, time: true, format: briefSeconds }, { min: 0, max: 1, ticks: [], format: String }, { left: 12, top: 6 });
    steps.forEach((step, at) => area.plot.append(stepBox(step, at, area, end)));
    tracks.forEach((track, line) => track.forEach((stretch) => area.plot.append(stretchBox(stretch, area, 46 + line * 24))));
    const low = 46 + tracks.length * 24 + 10;
    for (const moment of moments.rows) {
      const mark = eventMark(moment.kind);
      const line = low + kinds.indexOf(moment.kind) * 13;
      area.plot.append(svg("g", null, svg("title", null, momentText(moment)), mark.shape(area.xs(moment.at_ms / 1e3), line, `ink-${mark.color}`)));
    }
    return root;
  });
  const row = (step, at) => [number(String(at + 1)), el("td", null, step.summary, step.error ? el("small", { class: "tone-bad" }, step.error) : null), number(seconds(step.began_s)), number(known(step.took_s) ? seconds(step.took_s) : page.goesOn ? "goes on" : "did not end")];
  return [
    chart,
    kinds.length ? legend(kinds.map((kind) => Object.assign({ name: kind }, eventMark(kind)))) : null,
    thinned(stretches, "faults", "those that lasted longest"),
    table([el("th", { class: "number" }, "#"), "Step", el("th", { class: "number" }, "Began"), el("th", { class: "number" }, "Took")], steps.map(row), { label: "steps" }),
    stretches.rows.length + moments.rows.length ? unfolded("Everything that was done to nodes and networks", () => el("ul", null,
      [...stretches.rows.map((stretch) => [stretch.from_ms, stretchText(stretch)]), ...moments.rows.map((moment) => [moment.at_ms, momentText(moment)])]
        .sort((one, other) => one[0] - other[0]).map(([, text]) => el("li", null, text)))) : null,
  ];
});

function momentText(moment) {
  const more = moment.count > 1 ? ` and ${count(moment.count - 1)} more soon after` : "";
  return `${moment.kind} at ${seconds(moment.at_ms / 1e3)}: ${moment.label}${more}`;
}

function stepBox(step, at, area, end) {
  const from = area.xs(step.began_s);
  const to = area.xs(known(step.took_s) ? step.began_s + step.took_s : end);
  const width = Math.max(2, to - from);
  const tone = step.error ? "step failing" : at % 2 ? "step odd" : "step";
  const box = svg("g", null, svg("title", null, `${at + 1}. ${step.summary}: ${known(step.took_s) ? seconds(step.took_s) : "did not end"}`),
    svg("rect", { class: tone, x: from, y: 10, width, height: 26, rx: 3 }));
  const room = Math.floor((width - 8) / 6.4);
  const text = `${at + 1} ${step.verb}`;
  if (room >= text.length) box.append(svg("text", { class: "step-text", x: from + 6, y: 27 }, text));
  else if (room >= String(at + 1).length) box.append(svg("text", { class: "step-text", x: from + width / 2, y: 27, "text-anchor": "middle" }, String(at + 1)));
  return box;
}

function stretchBox(stretch, area, top) {
  const from = area.xs(stretch.from_ms / 1e3);
  const to = stretch.to_ms === null ? area.right : area.xs(stretch.to_ms / 1e3);
  const width = Math.max(2, to - from);
  const text = stretchName(stretch);
  const box = svg("g", null, svg("title", null, stretchText(stretch)),
    svg("rect", { class: "fault strong", x: from, y: top, width, height: 18, rx: 3 }));
  const room = Math.floor((width - 8) / 6.2);
  if (room >= 4) box.append(svg("text", { class: "fault-text", x: from + 6, y: top + 13 }, text.length > room ? text.slice(0, room - 1) + "…" : text));
  return box;
}

function stretchName(stretch) {
  const nodes = stretch.nodes ? ` (${plural(stretch.nodes, "node")})` : "";
  return (stretch.kind === stretch.label ? stretch.label : `${stretch.kind}: ${stretch.label}`) + nodes;
}

function stretchText(stretch) {
  return `${stretchName(stretch)} from ${seconds(stretch.from_ms / 1e3)} to ${stretch.to_ms === null ? "the end" : seconds(stretch.to_ms / 1e3)}`;
}

// Stretches that overlap are in tracks of their own; there are at most eight.
function tracksOf(stretches, end) {
  const tracks = [];
  for (const stretch of stretches) {
    const free = tracks.find((track) => {
      const last = track[track.length - 1];
      return last.to_ms !== null && last.to_ms <= stretch.from_ms;
    });
    if (free) free.push(stretch);
    else if (tracks.length < 8) tracks.push([stretch]);
  }
  return tracks;
}
