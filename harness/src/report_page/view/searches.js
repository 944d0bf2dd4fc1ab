// Searches for keywords: how long they took, and what they missed.

view("searches", "Keyword searches", (data, page) => {
  if (!data) return null;
  const sums = page.result.searches || {};
  return [
    el("dl", { class: "facts" },
      fact("Searches", count(sums.searches), sums.ended < sums.searches ? `${count(sums.ended)} ended` : null),
      fact("Recall", percent(sums.recall), `${count(sums.found)} of ${count(sums.expected)} values`),
      fact("Precision", percent(sums.precision), plural(sums.wrong || 0, "wrong hit")),
      fact("Questions", plain(sums.messages_mean), "per search"),
      fact("Time", seconds((sums.latency_s || {}).p50), known((sums.latency_s || {}).p95) ? `p95 ${seconds(sums.latency_s.p95)}` : null)),
    el("div", { class: "charts" },
      figure("Share of all searches complete within a time", distribution(data)),
      figure("Time of each search, by the moment of its end", scatter(data, page))),
    thinned(data.points, "searches", "of each stretch the one that failed, or took longest"),
    searchesMissed(data.incomplete),
  ];
});

function searchesMissed(list) {
  if (!list.rows.length) return el("p", { class: "figures" }, "Every search brought all that is there, and nothing else.");
  const right = (title) => el("th", { class: "number", scope: "col" }, title);
  const row = (search) => [el("td", null, el("code", null, search.query), el("small", null, `search ${search.search} of ${search.node}: ${words(search.outcome)}`)),
    number(seconds(search.at_ms / 1e3)), number(known(search.found) ? `${count(search.found)} of ${count(search.expected)}` : NO_VALUE), number(count(search.wrong)), number(count(search.messages)), number(seconds(search.took_us / 1e6))];
  return [
    el("h3", null, "Searches that missed values or brought wrong ones"),
    table(["Query", right("Ended at"), right("Found"), right("Wrong"), right("Questions"), right("Took")], list.rows.map(row), { class: "wide", label: "searches that were not complete" }),
    thinned(list, "searches", "those that found least"),
  ];
}
