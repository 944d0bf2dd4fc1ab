// What the runs measured: each run as a dot, and the mean with its 95 % interval.

const SERIES = ["1", "2", "3", "4", "5", "soft"];
const SHAPES = [MARKS.diamond, MARKS.dot, MARKS.triangle, MARKS.square, MARKS.down, MARKS.ring];

view("plots", "Measures", (_, page) => page.set.map((topology) => titled(page, topology, topologyPlots(topology))));

function topologyPlots(topology) {
  const measures = topology.measures.rows.filter((measure) => measure.is_whole && measure.cells.length);
  if (!measures.length) return note("No run was played to its end.");
  const axes = topology.varied.length ? topology.varied.map((_, at) => at) : [null];
  const single = topology.measures.rows.every((measure) => measure.cells.every((cell) => cell.runs < 2));
  return [topology.published ? published(topology) : null, single ? note("There is one run of each kind, so no mean has an interval.") : null, axes.map((axis) => [
    axis === null ? null : el("h3", null, `By ${topology.varied[axis].name}`),
    sameThing(topology, axis),
    el("div", { class: "charts" }, measures.map((measure) => figure(measure.name.charAt(0).toUpperCase() + measure.name.slice(1), measurePlot(topology, measure, axis)))),
  ])];
}

// The other variables divide the runs into series, as long as these can be told apart.
function seriesOf(topology, axis) {
  const others = topology.varied.map((_, at) => at).filter((at) => at !== axis);
  const name = (cell) => others.map((at) => `${topology.varied[at].name}=${topology.varied[at].values[cell[at]]}`).join(", ");
  return { name, names: [...new Set(topology.cells.rows.map(name))] };
}

function sameThing(topology, axis) {
  const { names } = seriesOf(topology, axis);
  if (names.length > SERIES.length) return note(`The other variables have ${names.length} combinations: only the first ${SERIES.length} are drawn. The table has all.`);
  return names.length > 1 ? legend(names.map((name, at) => ({ name, color: SERIES[at], shape: SHAPES[at] }))) : null;
}

function measurePlot(topology, measure, axis) {
  const { name, names } = seriesOf(topology, axis);
  const shown = names.slice(0, SERIES.length);
  const labels = axis === null ? ["all runs"] : topology.varied[axis].values;
  const cells = measure.cells.map((cell) => Object.assign({ at: axis === null ? 0 : topology.cells.rows[cell.cell][axis], series: shown.indexOf(name(topology.cells.rows[cell.cell])) }, cell)).filter((cell) => cell.series >= 0);
  const values = cells.flatMap((cell) => [...cell.points, ...(cell.interval || []), ...(known(cell.published) ? [cell.published] : [])]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = (high - low) * 0.08 || Math.abs(high) * 0.05 || 0.05;
  const min = low >= 0 && low - pad < 0 ? 0 : low - pad;
  const max = measure.unit === "share" ? Math.min(1, high + pad) : high + pad;
  const share = (value, step) => `${trimmed(value * 100, decimals(step * 100))}\u00a0%`;
  const format = { share, seconds: briefSeconds, plain: brief }[measure.unit];
  const out = el("div", { class: "readout-slot" });
  const host = responsive(210, (width, height) => {
    const root = canvas(width, height, `${measure.name} of ${labels.join(", ")}`);
    const area = frame(root, width, height, { min: -0.5, max: labels.length - 0.5, ticks: labels.map((_, at) => at), format: (at) => labels[at] }, { min, max: max > min ? max : min + 1, format });
    const step = (area.right - area.left) / labels.length;
    const apart = Math.min(26, (step * 0.7) / shown.length);
    const x = (cell) => area.xs(cell.at) + (cell.series - (shown.length - 1) / 2) * apart;
    shown.forEach((_, series) => {
      const line = cells.filter((cell) => cell.series === series).sort((a, b) => a.at - b.at);
      if (line.length > 1) area.plot.append(svg("path", { class: `line thin line-${SERIES[series]}`, opacity: 0.4, d: line.map((cell, at) => `${at ? "L" : "M"}${x(cell)} ${area.ys(cell.mean)}`).join("") }));
    });
    cells.forEach((cell) => area.plot.append(cellMark(cell, x(cell), area, apart, measure)));
    out.replaceChildren(reader(root, area, labels.map((_, at) => at), (at) => `${labels[at]}: ${cells.filter((cell) => cell.at === at).map((cell) => `${shown[cell.series] ? `${shown[cell.series]} ` : ""}${cellText(cell, measure)}`).join("; ")}`));
    return root;
  });
  return [host, out];
}

// Where the crosses come from.
function published(topology) {
  return [legend([{ name: "measured here: each run, the mean and its 95 % interval", color: "1", shape: MARKS.diamond }, { name: "as published", color: "bad", shape: MARKS.cross }]), note(`Published: ${topology.published}.`)];
}

function cellText(cell, measure) {
  const interval = cell.interval ? `, 95 % interval ${inUnit(cell.interval[0], measure.unit)} to ${inUnit(cell.interval[1], measure.unit)}` : "";
  return `mean ${inUnit(cell.mean, measure.unit)} of ${plural(cell.runs, "run")}${interval}${known(cell.published) ? `, published ${inUnit(cell.published, measure.unit)}${cell.remark ? ` (${cell.remark})` : ""}` : ""}`;
}

function cellMark(cell, x, area, apart, measure) {
  const color = SERIES[cell.series];
  const group = svg("g", null, svg("title", null, cellText(cell, measure)));
  group.append(MARKS.point.all(cell.points.map((value, at) => [x + (((at * 7) % 5) - 2) * Math.min(2, apart / 8), area.ys(value)]), `ink-${color}`));
  if (cell.interval) {
    const [low, high] = cell.interval.map(area.ys);
    group.append(svg("path", { class: `line line-${color}`, d: `M${x} ${low}V${high}M${x - 4} ${low}h8M${x - 4} ${high}h8` }));
  }
  if (known(cell.published)) group.append(MARKS.cross(x, area.ys(cell.published), "ink-bad"));
  group.append(SHAPES[cell.series](x, area.ys(cell.mean), `ink-${color}`));
  return group;
}
