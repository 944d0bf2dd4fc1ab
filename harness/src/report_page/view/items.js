// Items that the network still holds, and in how many copies.

view("items", "Items and copies", (data, page) => {
  if (!data) return null;
  const rows = data.snapshots.rows;
  const over = (value) => rows.map((row) => [row.at_ms / 1e3, value(row)]);
  const stored = rows.some((row) => row.acknowledged > 0);
  const nodes = figure("Nodes that run", timeChart({
    label: "Live nodes over time", end: page.end, faults: page.faults, y: { format: brief },
    series: [{ name: "live nodes", color: "1", step: true, fill: true, points: over((row) => row.live) }, ...components(rows)],
  }));
  if (!stored) return [el("div", { class: "charts" }, nodes), thinned(data.snapshots, "looks at all nodes", "the worst of each stretch of time")];
  const held = figure("Items", timeChart({
    label: "Items over time", end: page.end, faults: page.faults, y: { format: brief },
    series: [
      { name: "held by live nodes", color: "1", step: true, fill: true, points: over((row) => row.persistent) },
      { name: "acknowledged", color: "soft", dash: "4 3", step: true, points: over((row) => row.acknowledged) },
    ],
  }));
  const copies = figure("Copies per block", timeChart({
    label: "Copies over time", end: page.end, faults: page.faults, y: { format: plain },
    series: [
      { name: "mean", color: "3", points: over((row) => (row.blocks ? row.copies / row.blocks : null)) },
      { name: "most of one block", color: "soft", dash: "4 3", step: true, points: over((row) => (row.blocks ? row.copies_max : null)) },
    ],
  }));
  return [el("div", { class: "charts" }, held, copies, nodes), thinned(data.snapshots, "looks at all nodes", "the worst of each stretch of time")];
});

// Shown only if the network ever fell apart.
function components(rows) {
  if (!rows.some((row) => row.components > 1)) return [];
  return [{ name: "separate parts (1 is whole)", color: "bad", dash: "2 2", step: true, points: rows.map((row) => [row.at_ms / 1e3, row.components]) }];
}
