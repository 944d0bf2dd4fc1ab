// Networks as boxes within each other: what is inside a box reaches the rest through the router on its edge.

view("topology", "Topology", (data, page) => {
  if (!data) return null;
  const networks = data.networks.rows;
  const links = page.result.links || [];
  const children = networks.map(() => []);
  networks.forEach((network, at) => known(network.behind) && children[network.behind] && children[network.behind].push(at));
  const box = (at, depth) => networkBox(networks[at], children[at].map((child) => box(child, depth + 1)), depth, links.find((of) => of.network === networks[at].name));
  const roots = networks.map((_, at) => at).filter((at) => !known(networks[at].behind));
  const groups = networks.flatMap((network) => network.groups.rows);
  const entries = [{ name: "node", color: "1", shape: MARKS.dot }];
  if (groups.some((group) => group.is_ambassador)) entries.push({ name: "ambassador", color: "3", shape: MARKS.diamond });
  if (groups.some((group) => group.behaviours.length)) entries.push({ name: "hostile node", color: "bad", shape: MARKS.triangle });
  if (groups.some((group) => group.later)) entries.push({ name: "started during the run", color: "1", shape: MARKS.ring });
  return [el("div", { class: "drawing", tabindex: 0, role: "region", "aria-label": "networks and nodes" }, roots.map((at) => box(at, 0))), legend([...entries, ...usedPaths(links)]), thinned(data.networks, "networks")];
});

// Paths of links that are up, as the bars of networks show them.
function usedPaths(links) {
  return PATHS.filter((path) => links.some((of) => of[path.key])).map((path) => ({ name: `${path.name} links`, color: path.color, fill: true }));
}

// Links of a network's nodes by path: those that are up in a run that goes on, and those of the last sample in one that has ended.
function linksOf(of) {
  const all = of ? PATHS.reduce((sum, path) => sum + of[path.key], 0) : 0;
  if (!all) return null;
  const text = PATHS.filter((path) => of[path.key]).map((path) => `${path.name} ${count(of[path.key])}`).join(", ");
  return el("div", { class: "links-of", title: `link ends of ${plural(of.nodes, "node")}: ${text}` }, el("small", null, `${plural(all, "link end")}: ${text}`), pathBar({ paths: of, pairs: all, connected: all }));
}

function networkBox(network, inner, depth, links) {
  const facts = [network.subnet, network.has_ipv6 ? "IPv6" : null, network.region].filter(Boolean).join(" · ");
  const door = network.behind === null ? null : el("p", { class: "door" }, el("b", null, network.nat || "plain router"), network.link ? ` ${network.link}` : null);
  return el("div", { class: `network depth-${Math.min(depth, 4)}${network.count > 1 ? " several" : ""}` },
    door,
    el("p", { class: "network-name" }, network.name, network.count > 1 ? el("span", { class: "times" }, ` × ${network.count}`) : null, el("small", null, facts)),
    network.groups.rows.map((group) => nodeGroup(group)),
    thinned(network.groups, "groups"),
    linksOf(links),
    inner.length ? el("div", { class: "inner" }, inner) : null);
}

function nodeGroup(group) {
  const running = group.count - group.later;
  const tone = group.behaviours.length ? ["bad", MARKS.triangle] : group.is_ambassador ? ["3", MARKS.diamond] : ["1", MARKS.dot];
  const dot = (name, at) => {
    const shape = at >= running && !group.behaviours.length && !group.is_ambassador ? MARKS.ring : tone[1];
    return svg("svg", { width: 11, height: 11, viewBox: "0 0 11 11" }, svg("title", null, name), shape(5.5, 5.5, `ink-${tone[0]}`));
  };
  const more = group.names.of - group.names.rows.length;
  return el("div", { class: "group" },
    el("span", { class: "group-name" }, group.name, group.count > 1 ? ` × ${group.count}` : null),
    el("span", { class: "dots" }, group.names.rows.map(dot), more > 0 ? el("small", null, ` and ${count(more)} more`) : null),
    group.behaviours.length ? el("small", { class: "tone-bad" }, `lies: ${group.behaviours.join(", ")}`) : null);
}
