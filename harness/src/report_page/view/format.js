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

// Short, for axes.
function briefSeconds(value) {
  if (value === 0) return "0";
  if (value < 1e-3) return `${trimmed(value * 1e6, 0)}\u00a0µs`;
  if (value < 1) return `${trimmed(value * 1e3, 1)}\u00a0ms`;
  if (value < 120) return `${trimmed(value, 1)}\u00a0s`;
  if (value < 7200) return `${trimmed(value / 60, 1)}\u00a0min`;
  return `${trimmed(value / 3600, 1)}\u00a0h`;
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

function brief(value) {
  if (Math.abs(value) >= 1e6) return `${trimmed(value / 1e6, 1)}\u00a0M`;
  if (Math.abs(value) >= 1e4) return `${trimmed(value / 1e3, 1)}\u00a0k`;
  return trimmed(value, Math.abs(value) < 1 ? 2 : 1);
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
