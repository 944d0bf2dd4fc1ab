"use strict";
// Elements from data. Text is always set as text: no value of a record is ever read as markup.

const SVG_SPACE = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

function el(name, attributes, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function svg(name, attributes, ...children) {
  return filled(document.createElementNS(SVG_SPACE, name), attributes, children);
}

// Sections of the page, in the order in which their scripts stand.
const VIEWS = [];

// Adds a section. `draw(data, page)` returns its content, or null if the record has nothing to show.
function view(name, title, draw) {
  VIEWS.push({ name, title, draw });
}

function island(id) {
  const element = document.getElementById(id);
  return element ? JSON.parse(element.textContent) : {};
}

function note(...text) {
  return el("p", { class: "note" }, ...text);
}

// Says that a list is not whole, if it is not.
function thinned(list, what, how) {
  if (!list || list.rows.length >= list.of) return null;
  return note(`${count(list.rows.length)} of ${count(list.of)} ${what} are shown${how ? ": " + how : ""}.`);
}

// A table that scrolls sideways by itself where it is too wide.
function table(head, rows, attributes) {
  const cell = (tag) => (content) =>
    content instanceof Node && (content.tagName === "TD" || content.tagName === "TH") ? content : el(tag, null, content);
  return el("div", { class: rows.length > 24 ? "scroll tall" : "scroll", tabindex: 0, role: "region", "aria-label": (attributes || {}).label || "table" },
    el("table", { class: (attributes || {}).class },
      el("thead", null, el("tr", null, head.map((title) => title instanceof Node ? title : el("th", { scope: "col" }, title)))),
      el("tbody", null, rows.map((row) => row instanceof Node ? row : el("tr", null, row.map(cell("td")))))));
}

// A grid of cells with a title each: one stop for the keyboard, within which arrow keys move. What a cell says stands below.
function matrix(head, rows, label) {
  const out = el("p", { class: "readout", "aria-live": "polite" });
  const grid = rows.map((row) => [...row.querySelectorAll(".cell")]);
  grid.flat().forEach((cell, at) => cell.setAttribute("tabindex", at ? -1 : 0));
  const body = table(head, rows, { class: "matrix", label });
  body.removeAttribute("tabindex");
  const show = (event) => {
    const cell = event.target.closest(".cell");
    out.textContent = cell ? cell.title : "";
  };
  body.addEventListener("focusin", show);
  body.addEventListener("pointerover", show);
  body.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    const row = grid.findIndex((cells) => cells.includes(event.target));
    if (!(event.key in moves) || row < 0) return;
    event.preventDefault();
    const [down, right] = moves[event.key];
    const next = (grid[row + down] || [])[grid[row].indexOf(event.target) + right];
    if (!next) return;
    event.target.setAttribute("tabindex", -1);
    next.setAttribute("tabindex", 0);
    next.focus();
  });
  return [body, el("div", { class: "readout-slot" }, out)];
}

// A long list that is made only once somebody opens it.
function unfolded(title, content) {
  const details = el("details", { class: "more", ontoggle: () => details.childElementCount === 1 && details.append(content()) }, el("summary", null, title));
  return details;
}

function number(content, attributes) {
  return el("td", Object.assign({ class: "number" }, attributes), content);
}

function figure(title, ...content) {
  return el("figure", null, el("figcaption", null, title), ...content);
}
