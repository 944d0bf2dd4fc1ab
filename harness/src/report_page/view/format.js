// Numbers with their units, as `harness` prints them. A number and its unit stay on one line.

const NO_VALUE = "–";

function known(value) {
  return value !== null && value !== undefined;
}

function trimmed(value, digits) {
  return value.toFixed(digits).replace(/\.?0+$/, (end) => (end.startsWith(".") ? "" : end));
}

// At most two decimals.
function plain(value) {
  if (!known(value)) return NO_VALUE;
  const text = value.toFixed(2);
  return text.endsWith(".00") ? grouped(text.slice(0, -3)) : grouped(text);
}

// 1 234 567, with narrow spaces.
function grouped(text) {
  const [whole, part] = text.split(".");
  const spaced = whole.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
  return part ? `${spaced}.${part}` : spaced;
}

function count(value) {
  return known(value) ? grouped(String(Math.round(value))) : NO_VALUE;
}

// Rounded down: only a whole is shown as 100 %.
function percent(share) {
  return known(share) ? `${plain(Math.floor(share * 10000 + 1e-6) / 100)}\u00a0%` : NO_VALUE;
}

function seconds(value) {
  if (!known(value)) return NO_VALUE;
  if (value < 1e-3 && value > 0) return `${trimmed(value * 1e6, 0)}\u00a0µs`;
  if (value < 1) return `${plain(value * 1e3)}\u00a0ms`;
  if (value < 120) return `${value.toFixed(2)}\u00a0s`;
  const whole = Math.round(value);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return parts.map((part, at) => (part ? `${part}\u00a0${["h", "min", "s"][at]}` : "")).filter(Boolean).join(" ");
}

// Decimals that tell values apart which are `step` from each other.
function decimals(step) {
  return step > 0 && step < 1 ? Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)) : 0;
}

// Short, for axes: with one decimal, or as many as the distance of its marks needs.
function briefSeconds(value, step) {
  if (value === 0) return "0";
  const unit = [[1e-3, 1e-6, "µs"], [1, 1e-3, "ms"], [120, 1, "s"], [7200, 60, "min"], [Infinity, 3600, "h"]].find(([below]) => value < below);
  const [, size, name] = unit;
  return `${trimmed(value / size, step ? decimals(step / size) : 1)}\u00a0${name}`;
}

function bytes(value) {
  if (!known(value)) return NO_VALUE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (value >= 1024 && at + 1 < units.length) {
    value /= 1024;
    at += 1;
  }
  return `${value < 10 && at > 0 ? trimmed(value, 1) : trimmed(value, 0)}\u00a0${units[at]}`;
}

function brief(value, step) {
  const [, size, name] = [[1e6, 1e6, "\u00a0M"], [1e4, 1e3, "\u00a0k"], [0, 1, ""]].find(([from]) => Math.abs(value) >= from);
  return `${trimmed(value / size, step ? decimals(step / size) : Math.abs(value) < 1 ? 2 : 1)}${name}`;
}

function inUnit(value, unit) {
  if (!known(value)) return NO_VALUE;
  if (unit === "share") return percent(value);
  return unit === "seconds" ? seconds(value) : plain(value);
}

function plural(number, noun, several) {
  return `${count(number)} ${number === 1 ? noun : several || `${noun}s`}`;
}

function words(name) {
  return String(name).replace(/_/g, " ");
}
