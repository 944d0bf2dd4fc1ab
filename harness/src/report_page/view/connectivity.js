// Which groups of nodes could link to which, and over which paths.

const PATHS = [
  { key: "lan", name: "LAN", color: "5" },
  { key: "direct", name: "direct", color: "1" },
  { key: "mapped", name: "mapped port", color: "3" },
  { key: "punched", name: "punched", color: "2" },
  { key: "predicted", name: "punched to predicted ports", color: "4" },
  { key: "relayed", name: "relayed", color: "soft" },
];

view("connectivity", "Connectivity", (_, page) => {
  const pairs = page.result.connectivity;
  if (!pairs.length) return null;
  const names = [...new Set(pairs.flatMap((pair) => [pair.from, pair.to]))];
  const find = (one, other) => pairs.find((pair) => (pair.from === one && pair.to === other) || (pair.from === other && pair.to === one));
  const nats = natsOfGroups((page.data.sections || {}).topology);
  const rows = names.map((one) => el("tr", null, el("th", { scope: "row", title: nats[one] }, one, nats[one] ? el("small", null, nats[one]) : null), names.map((other) => linkCell(find(one, other)))));
  const used = PATHS.filter((path) => pairs.some((pair) => pair.paths[path.key]));
  const rest = pairs.some((pair) => pair.connected < pair.pairs) ? [{ name: "not connected", color: "bad", fill: true }] : [];
  return [
    el("p", null, "Percent of the tested pairs of nodes that were linked without a relay, whichever side asked. The bar below each number divides the pairs by the path of their link."),
    matrix(["", ...names.map((name) => el("th", { scope: "col", class: "column" }, name))], rows, "links between groups of nodes"),
    legend([...used.map((path) => ({ name: path.name, color: path.color, fill: true })), ...rest]),
  ];
});

// What the nodes of each group are behind, the nearest router first.
function natsOfGroups(topology) {
  const nats = {};
  const networks = topology ? topology.networks.rows : [];
  const behind = (at) => {
    const found = [];
    for (; at !== null && networks[at]; at = networks[at].behind) if (networks[at].nat) found.push(networks[at].nat.replace(" NAT", ""));
    return found.join(" behind ");
  };
  networks.forEach((network, at) => network.groups.rows.forEach((group) => {
    if (!(group.name in nats)) nats[group.name] = behind(at);
  }));
  return nats;
}

function linkCell(pair) {
  if (!pair || !pair.pairs) return el("td", { class: "empty" }, "");
  const share = pair.direct_share;
  const texts = PATHS.filter((path) => pair.paths[path.key]).map((path) => `${path.name} ${pair.paths[path.key]}`);
  const interval = pair.direct_interval ? `, 95 % interval ${percent(pair.direct_interval[0])} to ${percent(pair.direct_interval[1])}` : "";
  const title = `${pair.from} and ${pair.to}: ${pair.connected} of ${pair.pairs} connected, ${pair.direct} direct (${percent(share)}${interval}); ${texts.join(", ")}; connected p50 ${seconds(pair.connected_s.p50)}, direct p50 ${seconds(pair.direct_s.p50)}`;
  return el("td", { class: `cell heat-${heat(share)}`, title, "aria-label": title },
    el("span", null, known(share) ? String(Math.floor(share * 100 + 1e-6)) : NO_VALUE), pathBar(pair));
}

function pathBar(pair) {
  const root = svg("svg", { class: "path-bar", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" });
  let at = 0;
  const add = (share, color) => {
    if (share > 0) root.append(svg("rect", { class: `fill-${color}`, x: at, y: 0, width: share, height: 6 }));
    at += share;
  };
  PATHS.forEach((path) => add(((pair.paths[path.key] || 0) / pair.pairs) * 100, path.color));
  add(((pair.pairs - pair.connected) / pair.pairs) * 100, "bad");
  return root;
}

// Six steps of one colour, from none to all.
function heat(share) {
  return known(share) ? Math.min(5, Math.floor(share * 5 + 1e-9)) : 0;
}
