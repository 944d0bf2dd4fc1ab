// Charts: axes, lines, areas and points over time, with the faults of the run shaded behind.

const MARGIN = { top: 10, right: 12, bottom: 26, left: 52 };

// Charts that are to be drawn as soon as they are in the page.
const UNDRAWN = [];

// Draws at the width that there is, and again when that changes.
function responsive(height, draw) {
  const host = el("div", { class: "chart", style: `min-height: ${height}px` });
  let drawn = 0;
  const redraw = () => {
    const width = Math.max(240, Math.round(host.clientWidth || 640));
    if (Math.abs(width - drawn) < 2) return;
    drawn = width;
    host.replaceChildren(draw(width, height));
  };
  new ResizeObserver(redraw).observe(host);
  UNDRAWN.push(redraw);
  return host;
}

function canvas(width, height, label) {
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
}

// Round steps: 1, 2 or 5 times a power of ten.
function ticks(min, max, wanted) {
  const raw = (max - min) / Math.max(1, wanted) || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw * 0.999);
  const found = [];
  for (let at = Math.ceil(min / step - 1e-9) * step; at <= max + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

function timeTicks(min, max, wanted) {
  if (max - min <= wanted) return ticks(min, max, wanted);
  const step = TIME_STEPS.find((candidate) => (max - min) / candidate <= wanted) || 86400;
  const found = [];
  for (let at = Math.ceil(min / step) * step; at <= max; at += step) found.push(at);
  return found;
}

// Round in units of 1,024.
function byteTicks(max, wanted) {
  const unit = 1024 ** Math.floor(Math.log(Math.max(max, 1)) / Math.log(1024));
  return ticks(0, max / unit, wanted).map((at) => at * unit);
}

function logTicks(min, max) {
  const found = [];
  const factors = Math.log10(max / min) < 2 ? [1, 2, 5] : [1];
  for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power += 1) {
    for (const factor of factors) {
      const at = factor * 10 ** power;
      if (at >= min * 0.999 && at <= max * 1.001) found.push(at);
    }
  }
  return found;
}

function linear(from, to, start, end) {
  const span = to - from || 1;
  return (value) => start + ((value - from) / span) * (end - start);
}

function logarithmic(from, to, start, end) {
  const scale = linear(Math.log10(from), Math.log10(to), start, end);
  return (value) => scale(Math.log10(Math.max(value, from)));
}

// Between marks that are equally far from each other.
function distance(marks, log) {
  return log || marks.length < 2 ? undefined : marks[1] - marks[0];
}

// A frame with both axes. Returns the scales and the group to draw into.
function frame(root, width, height, x, y, margin) {
  const m = Object.assign({}, MARGIN, margin);
  const [left, right, top, bottom] = [m.left, width - m.right, m.top, height - m.bottom];
  const xs = (x.log ? logarithmic : linear)(x.min, x.max, left, right);
  const ys = (y.log ? logarithmic : linear)(y.min, y.max, bottom, top);
  const wide = Math.max(2, Math.floor((right - left) / 64));
  const xTicks = x.ticks || (x.log ? logTicks(x.min, x.max) : x.time ? timeTicks(x.min, x.max, wide) : ticks(x.min, x.max, wide));
  const high = Math.max(2, Math.floor((bottom - top) / 38));
  const yTicks = y.ticks || (y.log ? logTicks(y.min, y.max) : y.format === bytes ? byteTicks(y.max, high) : ticks(y.min, y.max, high));
  const grid = svg("g", { class: "grid" });
  for (const at of yTicks) {
    grid.append(svg("line", { x1: left, x2: right, y1: ys(at), y2: ys(at) }));
    grid.append(svg("text", { x: left - 7, y: ys(at) + 3.5, "text-anchor": "end" }, y.format(at, distance(yTicks, y.log))));
  }
  let free = -Infinity;
  for (const at of xTicks) {
    const text = x.format(at, distance(xTicks, x.log));
    const half = text.length * 3.2;
    grid.append(svg("line", { x1: xs(at), x2: xs(at), y1: bottom, y2: bottom + 4, class: "tick" }));
    const middle = Math.min(Math.max(xs(at), left), width - half);
    if (middle - half < free) continue;
    free = middle + half + 6;
    grid.append(svg("text", { x: middle, y: bottom + 17, "text-anchor": "middle" }, text));
  }
  grid.append(svg("line", { x1: left, x2: right, y1: bottom, y2: bottom, class: "axis" }));
  const plot = svg("g", null);
  root.append(grid, plot);
  return { xs, ys, plot, left, right, top, bottom };
}

// Shades the stretches in which something was wrong on purpose, and marks single moments.
function shade(area, faults) {
  if (!faults) return;
  for (const stretch of faults.stretches.rows) {
    const from = Math.max(area.left, area.xs(stretch.from_ms / 1e3));
    const to = Math.min(area.right, stretch.to_ms === null ? area.right : area.xs(stretch.to_ms / 1e3));
    if (to < area.left || from > area.right) continue;
    area.plot.append(svg("rect", { class: "fault", x: from, y: area.top, width: Math.max(1.5, to - from), height: area.bottom - area.top },
      svg("title", null, `${stretch.kind} ${stretch.kind === stretch.label ? "" : stretch.label}`)));
  }
  const moments = faults.moments.rows.filter((moment) => !QUIET_MOMENTS.has(moment.kind));
  // More lines than that would be one grey area.
  for (const moment of moments.length > 60 ? [] : moments) {
    const at = area.xs(moment.at_ms / 1e3);
    if (at < area.left || at > area.right) continue;
    area.plot.append(svg("line", { class: "fault-moment", x1: at, x2: at, y1: area.top, y2: area.bottom }));
  }
}

// Kinds of moments that happen all the time during churn: their stretch is shaded already.
const QUIET_MOMENTS = new Set(["start", "stop", "kill"]);

function path(points, xs, ys, step) {
  let text = "";
  let pen = false;
  let before = null;
  for (const [x, y] of points) {
    if (!known(y)) {
      pen = false;
      continue;
    }
    const [px, py] = [xs(x).toFixed(1), ys(y).toFixed(1)];
    text += pen ? (step ? `H${px}V${py}` : `L${px} ${py}`) : `M${px} ${py}`;
    pen = true;
    before = py;
  }
  return before === null ? "" : text;
}

function legend(entries) {
  return el("ul", { class: "legend" }, entries.map((entry) =>
    el("li", null, swatch(entry), entry.name)));
}

function swatch(entry) {
  const root = svg("svg", { width: 20, height: 12, viewBox: "0 0 20 12", "aria-hidden": "true" });
  if (entry.shape) root.append(entry.shape(10, 6, `ink-${entry.color}`));
  else if (entry.fill) root.append(svg("rect", { x: 2, y: 1, width: 16, height: 10, rx: 2, class: `fill-${entry.color}` }));
  else root.append(svg("line", { x1: 1, x2: 19, y1: 6, y2: 6, class: `line line-${entry.color}`, "stroke-dasharray": entry.dash }));
  return root;
}

// Values of all series at a moment, for pointers and arrow keys.
function reader(root, area, moments, describe) {
  const line = svg("line", { class: "cursor", y1: area.top, y2: area.bottom, x1: 0, x2: 0, visibility: "hidden" });
  root.append(line);
  const out = el("p", { class: "readout", "aria-live": "polite" });
  let at = -1;
  const show = (index) => {
    at = Math.max(0, Math.min(moments.length - 1, index));
    const x = area.xs(moments[at]);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    line.setAttribute("visibility", "visible");
    out.textContent = describe(moments[at]);
  };
  const hide = () => {
    line.setAttribute("visibility", "hidden");
    out.textContent = "";
  };
  root.setAttribute("tabindex", 0);
  root.addEventListener("pointermove", (event) => {
    const box = root.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * root.viewBox.baseVal.width;
    let best = 0;
    moments.forEach((moment, index) => {
      if (Math.abs(area.xs(moment) - x) < Math.abs(area.xs(moments[best]) - x)) best = index;
    });
    show(best);
  });
  root.addEventListener("pointerleave", hide);
  root.addEventListener("blur", hide);
  root.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: moments.length - 1 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    show(moves[event.key]);
  });
  return out;
}

function valueAt(points, moment) {
  let value = null;
  for (const [x, y] of points) {
    if (x > moment + 1e-9) break;
    value = y;
  }
  return value;
}

// Lines over the run's clock. `series`: name, color, points as pairs of seconds and value; `step`, `dash`, `fill` as wanted.
function timeChart({ label, series, end, faults, y, height }) {
  const values = series.flatMap((one) => one.points.map((point) => point[1])).filter(known);
  const max = y.max !== undefined ? y.max : Math.max(...values, y.atLeast || 0) * (y.log ? 1.3 : 1.05) || 1;
  const positive = values.filter((value) => value > 0);
  const min = y.min !== undefined ? y.min : y.log ? Math.min(...positive) / 1.3 : 0;
  const out = el("div", { class: "readout-slot" });
  const moments = [...new Set(series.flatMap((one) => one.points.map((point) => point[0])))].sort((a, b) => a - b);
  const host = responsive(height || 190, (width, tall) => {
    const root = canvas(width, tall, label);
    const area = frame(root, width, tall, { min: 0, max: end || 1, time: true, format: briefSeconds },
      { min, max, log: y.log, format: y.format, ticks: y.ticks });
    shade(area, faults);
    for (const one of series) {
      const points = one.step && one.points.length ? [...one.points, [end, one.points[one.points.length - 1][1]]] : one.points;
      if (one.fill) {
        const whole = points.filter((point) => known(point[1]));
        if (whole.length) {
          const shape = path(whole, area.xs, area.ys, one.step);
          area.plot.append(svg("path", { class: `area-${one.color}`,
            d: `${shape}V${area.bottom}H${area.xs(whole[0][0])}Z` }));
        }
      }
      area.plot.append(svg("path", { class: `line line-${one.color}`, "stroke-dasharray": one.dash, d: path(points, area.xs, area.ys, one.step) }));
      if (one.points.length < 40) {
        for (const [x, v] of one.points.filter((point) => known(point[1]))) {
          area.plot.append(svg("circle", { class: `ink-${one.color}`, cx: area.xs(x), cy: area.ys(v), r: 2 }));
        }
      }
    }
    out.replaceChildren(reader(root, area, moments, (moment) =>
      `${seconds(moment)}: ${series.map((one) => `${one.name} ${known(valueAt(one.points, moment)) ? y.format(valueAt(one.points, moment)) : NO_VALUE}`).join(", ")}`));
    return root;
  });
  return [series.length > 1 || faulted(faults) ? legend([...series, ...faultEntry(faults)]) : null, host, out];
}

function faulted(faults) {
  return faults && faults.stretches.rows.length > 0;
}

function faultEntry(faults) {
  return faulted(faults) ? [{ name: "faults", color: "fault", fill: true }] : [];
}

// Areas on top of each other, constant within each stretch of time.
function stackChart({ label, layers, stretches, end, faults, format, height }) {
  const total = (stretch) => layers.reduce((sum, layer) => sum + layer.value(stretch), 0);
  const max = Math.max(...stretches.map(total)) * 1.05 || 1;
  const out = el("div", { class: "readout-slot" });
  const moments = stretches.map((stretch) => (stretch.from_ms + stretch.to_ms) / 2e3);
  const host = responsive(height || 190, (width, tall) => {
    const root = canvas(width, tall, label);
    const area = frame(root, width, tall, { min: 0, max: end || 1, time: true, format: briefSeconds }, { min: 0, max, format });
    shade(area, faults);
    const base = stretches.map(() => 0);
    for (const layer of layers) {
      let top = "";
      let bottom = "";
      stretches.forEach((stretch, at) => {
        const [x0, x1] = [area.xs(stretch.from_ms / 1e3).toFixed(1), area.xs(stretch.to_ms / 1e3).toFixed(1)];
        const low = area.ys(base[at]).toFixed(1);
        base[at] += layer.value(stretch);
        const high = area.ys(base[at]).toFixed(1);
        top += `${at ? "L" : "M"}${x0} ${high}H${x1}`;
        bottom = `L${x1} ${low}H${x0}${bottom}`;
      });
      area.plot.append(svg("path", { class: `fill-${layer.color}`, d: `${top}${bottom}Z` }));
    }
    out.replaceChildren(reader(root, area, moments, (moment) => {
      const stretch = stretches[moments.indexOf(moment)];
      return `${seconds(stretch.from_ms / 1e3)} to ${seconds(stretch.to_ms / 1e3)}: ${layers.map((layer) => `${layer.name} ${format(layer.value(stretch))}`).join(", ")}`;
    }));
    return root;
  });
  const entries = layers.map((layer) => ({ name: layer.name, color: layer.color, fill: true }));
  return [legend([...entries, ...faultEntry(faults)]), host, out];
}

// One column for each entry, of one or more layers.
function columnChart({ label, entries, layers, lines, format, describe, height }) {
  const total = (entry) => layers.reduce((sum, layer) => sum + layer.value(entry), 0);
  const max = Math.max(...entries.map(total), ...(lines || []).map((line) => line.value)) * 1.05 || 1;
  const out = el("div", { class: "readout-slot" });
  const host = responsive(height || 190, (width, tall) => {
    const root = canvas(width, tall, label);
    const area = frame(root, width, tall, { min: 0, max: entries.length, ticks: [], format: String }, { min: 0, max, format }, { bottom: 14 });
    const each = (area.right - area.left) / entries.length;
    const wide = Math.max(0.6, Math.min(each > 4 ? each - Math.min(3, each * 0.2) : each, 36));
    entries.forEach((entry, at) => {
      let base = 0;
      const column = svg("g", null, svg("title", null, describe(entry)));
      for (const layer of layers) {
        const value = layer.value(entry);
        column.append(svg("rect", { class: `fill-${layer.color}`, x: area.left + (at + 0.5) * each - wide / 2, width: wide,
          y: area.ys(base + value), height: Math.max(0, area.ys(base) - area.ys(base + value)) }));
        base += value;
      }
      area.plot.append(column);
    });
    for (const line of lines || []) {
      area.plot.append(svg("line", { class: `line line-${line.color}`, "stroke-dasharray": line.dash, x1: area.left, x2: area.right, y1: area.ys(line.value), y2: area.ys(line.value) }));
    }
    const middles = entries.map((_, at) => at + 0.5);
    out.replaceChildren(reader(root, area, middles, (middle) => describe(entries[middle - 0.5])));
    return root;
  });
  const shown = [...layers.map((layer) => ({ name: layer.name, color: layer.color, fill: true })), ...(lines || [])];
  return [shown.length > 1 ? legend(shown) : null, host, out];
}
