// Draws every section from the data in the page, or follows the run that the page's server plays.

function start() {
  const source = document.getElementById("live");
  if (source) {
    const { events } = island("live");
    source.remove();
    follow(events);
  } else {
    const page = pageOf({ data: island("data"), circumstances: island("circumstances"), live: null });
    VIEWS.forEach((section) => place(section, page));
    links();
    openTarget();
  }
  addEventListener("hashchange", openTarget);
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll(".stories details:not([open])")];
    opened.forEach((details) => details.setAttribute("open", ""));
  });
  addEventListener("afterprint", () => opened.forEach((details) => details.removeAttribute("open")));
}

// What every view sees.
function pageOf({ data, circumstances, live }) {
  return {
    data,
    circumstances,
    result: data.result,
    set: data.set,
    notes: data.notes || [],
    cuts: data.cuts || [],
    end: data.result ? Math.max(data.result.run_s, 1e-3) : 0,
    faults: (data.sections || {}).timeline,
    base: live && live.base ? live.base : "",
    goesOn: data.result ? data.result.verdict === "running" : false,
  };
}

// Draws a section where it belongs, instead of what it was; without content it goes.
function place(section, page) {
  const host = document.getElementById("page");
  const { name, title, draw } = section;
  const content = draw((page.data.sections || {})[name], page);
  const before = document.getElementById(name);
  if (!content) {
    if (before) before.remove();
    return;
  }
  const element = title ? el("section", { id: name }, el("h2", null, title)) : el("header", { id: name });
  element.append(...[content].flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  if (before) {
    before.replaceWith(element);
  } else {
    const later = VIEWS.slice(VIEWS.indexOf(section) + 1).map((other) => document.getElementById(other.name)).find((other) => other);
    host.insertBefore(element, later || null);
  }
  UNDRAWN.splice(0).forEach((chart) => chart());
}

// Links to all sections that there are, below what has no title.
function links() {
  const shown = VIEWS.filter(({ name, title }) => title && document.getElementById(name));
  const names = shown.map(({ name }) => name).join(" ");
  const before = document.querySelector("#page > nav");
  if (before && before.dataset.names === names) return;
  if (before) before.remove();
  const nav = el("nav", { "aria-label": "sections", "data-names": names }, shown.map(({ name, title }) => el("a", { href: `#${name}` }, title)));
  document.querySelector("#page > header").after(nav);
}

function clear() {
  document.getElementById("page").replaceChildren();
}

// Shows what a link leads to, and opens it if it is a story.
function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target) target.scrollIntoView();
  const details = target && target.querySelector("details");
  if (details) details.setAttribute("open", "");
}

start();
