// The page of a run that goes on: its server pushes what has changed, and sections are drawn again.

// How often it looks whether a section that is out of date can be drawn again.
const REDRAW_EVERY_MS = 500;

function follow(address) {
  const state = { data: {}, circumstances: {}, live: null };
  const stale = new Set();
  const line = el("p", { id: "live", class: "live" });
  document.getElementById("page").before(line);
  const say = (tone, ...content) => line.replaceChildren(el("span", { class: `pulse ${tone}`, "aria-hidden": "true" }), ...content);
  say("waiting", "Waiting for the run.");
  let run = null;
  const source = new EventSource(address);
  source.addEventListener("state", (event) => {
    const [number, ...parts] = event.data.split("\n").map((text) => JSON.parse(text));
    if (number !== run) {
      run = number;
      state.data = {};
      state.circumstances = {};
    }
    for (const [group, name, value] of parts) {
      if (group === "page") state[name] = value;
      else if (group === "sections") (state.data.sections = state.data.sections || {})[name] = value;
      else state.data[name] = value;
    }
    standing(state.live, say);
    endedRuns(state.live, state.data.result);
    if (state.data.result) {
      document.title = `${state.data.result.name}: ${words(state.data.result.verdict)}`;
      if (parts.some(([group, name]) => group !== "page" || name !== "live")) VIEWS.forEach((section) => stale.add(section));
    } else {
      clear();
    }
    redraw(state, stale);
  });
  source.onerror = () => {
    const ended = state.live && state.live.state === "ended";
    if (ended && state.live.is_over) {
      source.close();
      say("off", "The program has ended. The page stays as it is.");
    } else {
      say("off", `${ended ? "This run has ended, and there is no" : "No"} connection to the program. Trying again.`);
    }
  };
  setInterval(() => redraw(state, stale), REDRAW_EVERY_MS);
}

// Draws what is out of date: at once what is in sight, and at the end everything. What is pointed at or selected waits.
function redraw(state, stale) {
  if (!stale.size || !state.data.result) return;
  const hasEnded = state.live && state.live.state === "ended";
  const page = pageOf(state);
  for (const section of [...stale]) {
    const element = document.getElementById(section.name);
    if (element && (isUsed(element) || !(hasEnded || isInSight(element)))) continue;
    stale.delete(section);
    const restore = element && remembered(element);
    place(section, page);
    if (restore) restore(document.getElementById(section.name));
  }
  links();
}

function isInSight(element) {
  const box = element.getBoundingClientRect();
  return box.bottom > -200 && box.top < innerHeight + 200;
}

function isUsed(element) {
  const selection = getSelection();
  const isSelected = selection && !selection.isCollapsed && selection.containsNode(element, true);
  return isSelected || element.querySelector("svg:hover, .cell:hover, a:active, button:active") !== null;
}

// What a reader has opened, ticked, scrolled and focused. Returns what does that again in the new elements.
function remembered(element) {
  const all = (root, what) => (root ? [...root.querySelectorAll(what)] : []);
  const open = all(element, "details").map((one) => one.open);
  const ticked = all(element, "input").map((one) => one.checked);
  const scrolled = all(element, ".scroll, .lanes, .drawing, pre").map((one) => [one.scrollLeft, one.scrollTop]);
  const focusable = "a, button, input, summary, [tabindex]";
  const focus = all(element, focusable).indexOf(document.activeElement);
  return (drawn) => {
    all(drawn, "details").forEach((one, at) => open[at] && one.setAttribute("open", ""));
    all(drawn, "input").forEach((one, at) => one.checked !== ticked[at] && ticked[at] !== undefined && one.click());
    all(drawn, ".scroll, .lanes, .drawing, pre").forEach((one, at) => scrolled[at] && one.scrollTo(...scrolled[at]));
    const again = focus < 0 ? null : all(drawn, focusable)[focus];
    if (again) again.focus({ preventScroll: true });
  };
}

// One line above the page: what goes on.
function standing(live, say) {
  if (live.state === "prepares") return say("waiting", `${live.name}: ${live.what}`);
  if (live.state === "ended") return say("off", live.is_over ? "The run has ended." : "This run has ended. The next one follows.");
  const step = known(live.step) ? `step ${live.step + 1} of ${live.steps}: ${live.what}` : "about to begin";
  return say("on", el("b", null, "Live"), ` ${seconds(live.clock_s)} · ${plural(live.nodes, "node")} · ${step}`);
}

// Runs of the same call that have ended, where there are several.
function endedRuns(live, result) {
  const before = document.getElementById("ended");
  if (before) before.remove();
  const others = live.ended.length - (live.state === "ended" && result ? 1 : 0);
  if (others < 1 && !live.sets.length) return;
  const to = (page) => page.split("/").map(encodeURIComponent).join("/");
  const row = (run) => el("li", null, el("a", { href: to(run.page) }, `${run.name}, seed ${run.seed}`), ` ${words(run.verdict)}`);
  document.getElementById("live").after(el("details", { id: "ended", class: "more" }, el("summary", null, plural(live.ended.length, "run has", "runs have") + " ended"),
    el("ul", null, live.sets.map((set) => el("li", null, el("a", { href: to(set.page) }, `all runs in ${set.name}`))), live.ended.slice().reverse().map(row))));
}
