// What failed, and why.

view("stories", "What failed, and why", (data, page) => {
  if (!data) return page.goesOn ? note("What failed is explained once the run has ended.") : null;
  if (data.unreadable) return note(`The record cannot be explained: ${data.unreadable}`);
  if (!data.lists.length) return el("p", null, "Nothing: no item was lost, and no put, query or link failed.");
  return data.lists.map((list) => el("div", { class: "stories" },
    el("h3", null, list.title.charAt(0).toUpperCase() + list.title.slice(1), el("span", { class: "times" }, ` ${count(list.of)}`)),
    el("ul", null, list.cases.map(storyCase)),
    list.of > list.cases.length ? note(`${count(list.of - list.cases.length)} more are listed by harness explain.`) : null));
});

function storyCase(one) {
  const id = one.subject ? `story-${one.subject.replace(" ", "-")}` : null;
  if (one.story) return el("li", { id }, el("details", null, el("summary", null, one.line), el("pre", { tabindex: 0 }, one.story)));
  return el("li", { id }, one.line, one.subject ? el("small", null, `harness explain DIR ${one.subject}`) : null);
}
