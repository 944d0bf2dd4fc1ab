// Small shapes, which differ in form and not only in colour.

const MARKS = {
  cross: (x, y, tone) => svg("path", { class: `mark ${tone}`, d: `M${x - 3.5} ${y - 3.5}l7 7m0 -7l-7 7` }),
  dot: (x, y, tone) => svg("circle", { class: `solid ${tone}`, cx: x, cy: y, r: 3 }),
  ring: (x, y, tone) => svg("circle", { class: `mark ${tone}`, cx: x, cy: y, r: 3 }),
  diamond: (x, y, tone) => svg("path", { class: `solid ${tone}`, d: `M${x} ${y - 4}l4 4l-4 4l-4 -4Z` }),
  triangle: (x, y, tone) => svg("path", { class: `solid ${tone}`, d: `M${x} ${y - 4}l4 7h-8Z` }),
  down: (x, y, tone) => svg("path", { class: `solid ${tone}`, d: `M${x} ${y + 4}l4 -7h-8Z` }),
  arrow: (x, y, tone) => svg("path", { class: `mark ${tone}`, d: `M${x - 3} ${y - 3.5}l4 3.5l-4 3.5` }),
  bars: (x, y, tone) => svg("path", { class: `mark ${tone}`, d: `M${x - 2} ${y - 3.5}v7m4 -7v7` }),
  square: (x, y, tone) => svg("rect", { class: `solid ${tone}`, x: x - 3, y: y - 3, width: 6, height: 6 }),
  bang: (x, y, tone) => svg("path", { class: `mark ${tone}`, d: `M${x} ${y - 4.5}v5.5m0 2.5v1` }),
};

// Shape and colour of what happens to nodes and networks.
const EVENT_MARKS = {
  kill: { shape: MARKS.cross, color: "bad" },
  killed: { shape: MARKS.cross, color: "bad" },
  stop: { shape: MARKS.arrow, color: "soft" },
  left: { shape: MARKS.arrow, color: "soft" },
  start: { shape: MARKS.dot, color: "1" },
  suspended: { shape: MARKS.bars, color: "2" },
  died: { shape: MARKS.bang, color: "bad" },
  "node died": { shape: MARKS.bang, color: "bad" },
  "router died": { shape: MARKS.bang, color: "bad" },
  rebind: { shape: MARKS.diamond, color: "2" },
  "link change": { shape: MARKS.triangle, color: "4" },
  "network change": { shape: MARKS.triangle, color: "4" },
  disk: { shape: MARKS.square, color: "4" },
  incident: { shape: MARKS.down, color: "bad" },
};

function eventMark(kind) {
  return EVENT_MARKS[kind] || { shape: MARKS.ring, color: "soft" };
}
