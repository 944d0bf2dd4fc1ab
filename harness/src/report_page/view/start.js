// Draws every section from the data in the page.

function start() {
  const data = island("data");
  const circumstances = island("circumstances");
  const sections = data.sections || {};
  const page = {
    data,
    circumstances,
    result: data.result,
    set: data.set,
    notes: data.notes || [],
    cuts: data.cuts || [],
    end: data.result ? Math.max(data.result.run_s, 1e-3) : 0,
    faults: sections.timeline,
  };
  const drawn = VIEWS.map(({ name, title, draw }) => ({ name, title, content: draw(sections[name], page) })).filter((section) => section.content);
  const links = drawn.filter((section) => section.title);
  const nav = el("nav", { "aria-label": "sections" }, links.map(({ name, title }) => el("a", { href: `#${name}` }, title)));
  const host = document.getElementById("page");
  for (const { name, title, content } of drawn) {
    if (title) host.append(el("section", { id: name }, el("h2", null, title), [content].flat(Infinity)));
    else host.append(el("header", { id: name }, [content].flat(Infinity)), nav);
  }
  UNDRAWN.splice(0).forEach((draw) => draw());
  openTarget();
  addEventListener("hashchange", openTarget);
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll(".stories details:not([open])")];
    opened.forEach((details) => details.setAttribute("open", ""));
  });
  addEventListener("afterprint", () => opened.forEach((details) => details.removeAttribute("open")));
}

// Shows what a link leads to, and opens it if it is a story.
function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target) target.scrollIntoView();
  const details = target && target.querySelector("details");
  if (details) details.setAttribute("open", "");
}

start();
