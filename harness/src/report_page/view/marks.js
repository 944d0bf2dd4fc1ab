// Small shapes, which differ in form and not only in colour.

// A shape draws one mark at a place. Its `all` draws any number of them as one element, for charts with thousands.
function shape(kind, outline) {
  const one = (x, y, tone) => one.all([[x, y]], tone);
  one.all = (places, tone) => svg("path", { class: `${kind} ${tone}`, d: places.map(([x, y]) => outline(round(x), round(y))).join("") });
  return one;
}

function round(value) {
  return Math.round(value * 10) / 10;
}

const circle = (x, y) => `M${x - 3} ${y}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0Z`;

const MARKS = {
  cross: shape("mark", (x, y) => `M${x - 3.5} ${y - 3.5}l7 7m0 -7l-7 7`),
  dot: shape("solid", circle),
  ring: shape("mark", circle),
  diamond: shape("solid", (x, y) => `M${x} ${y - 4}l4 4l-4 4l-4 -4Z`),
  triangle: shape("solid", (x, y) => `M${x} ${y - 4}l4 7h-8Z`),
  down: shape("solid", (x, y) => `M${x} ${y + 4}l4 -7h-8Z`),
  arrow: shape("mark", (x, y) => `M${x - 3} ${y - 3.5}l4 3.5l-4 3.5`),
  bars: shape("mark", (x, y) => `M${x - 2} ${y - 3.5}v7m4 -7v7`),
  square: shape("solid", (x, y) => `M${x - 3} ${y - 3}h6v6h-6Z`),
  bang: shape("mark", (x, y) => `M${x} ${y - 4.5}v5.5m0 2.5v1`),
  point: shape("point", (x, y) => `M${x} ${y}h0`),
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
  move: { shape: MARKS.diamond, color: "1" },
  "link change": { shape: MARKS.triangle, color: "4" },
  "network change": { shape: MARKS.triangle, color: "4" },
  disk: { shape: MARKS.square, color: "4" },
  incident: { shape: MARKS.down, color: "bad" },
};

function eventMark(kind) {
  return EVENT_MARKS[kind] || { shape: MARKS.ring, color: "soft" };
}
