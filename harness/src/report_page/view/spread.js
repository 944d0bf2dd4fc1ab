// How evenly nodes bear the load of blocks.

view("spread", "Load of nodes", (data, page) => {
  if (!data) return null;
  const spread = page.result.items.spread;
  const over = (key) => data.snapshots.rows.map((row) => [row.at_ms / 1e3, row[key]]);
  const rows = data.nodes.rows;
  return [
    el("div", { class: "charts" },
      figure(`Blocks of each node at ${seconds(data.at_ms / 1e3)}`, columnChart({
        label: "Blocks by node", entries: rows, layers: [{ name: "blocks of a node", color: "1", value: (row) => row.blocks }], format: brief,
        lines: [{ name: "mean", color: "2", dash: "5 3", value: data.mean }], describe: (row) => `${row.node}: ${plural(row.blocks, "block")}` })),
      data.snapshots.rows.length > 1 ? figure("Blocks per node over time", timeChart({
        label: "Spread of blocks over time", end: page.end, faults: page.faults, y: { format: brief },
        series: [
          { name: "mean", color: "2", dash: "5 3", points: over("mean") },
          { name: "median", color: "1", step: true, points: over("p50") },
          { name: "p99", color: "3", dash: "2 3", step: true, points: over("p99") },
          { name: "most", color: "soft", dash: "1 3", step: true, points: over("max") },
        ] })) : null),
    thinned(data.nodes, "nodes", "those with most blocks"),
    thinned(data.snapshots, "looks at all nodes", "the most uneven of each stretch of time"),
    spread ? el("p", { class: "figures" }, `${plural(spread.nodes, "live node")} hold ${plural(spread.blocks, "block")} at the last look: mean ${plain(spread.blocks / Math.max(1, spread.nodes))}, median ${count(spread.p50)}, p99 ${count(spread.p99)}, most ${count(spread.max)}; ${count(spread.empty)} hold none.`) : null,
  ];
});
