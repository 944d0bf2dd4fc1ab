// What nodes sent, by purpose as far as their metrics divide it.

view("traffic", "Messages and bytes", (data, page) => {
  if (!data) return null;
  const messages = [
    { name: "heartbeats, repair, payload", color: "1", value: (row) => row.other },
    { name: "inventories", color: "2", value: (row) => row.inventories },
    { name: "queries", color: "3", value: (row) => row.queries },
  ];
  const sent = [
    { name: "all but inventories", color: "1", value: (row) => row.other_bytes },
    { name: "inventories", color: "2", value: (row) => row.inventory_bytes },
    ...(data.relayed_bytes ? [{ name: "carried as a relay", color: "4", value: (row) => row.relayed_bytes }] : []),
  ];
  const over = { stretches: data.stretches, end: page.end, faults: page.faults };
  const name = (row) => `${row.node}, up ${seconds(row.up_s)}: `;
  return [
    el("div", { class: "charts" },
      figure("Messages per node and second", stackChart(Object.assign({ label: "Messages over time", layers: messages, format: brief }, over))),
      figure("Bytes per node and second", stackChart(Object.assign({ label: "Bytes over time", layers: sent, format: bytes }, over))),
      figure("Messages per second of each node", columnChart({ label: "Messages by node", entries: data.nodes.rows, layers: messages, format: brief, describe: (row) => name(row) + messages.map((layer) => `${layer.name} ${brief(layer.value(row))}`).join(", ") + " per second" })),
      figure("Bytes per second of each node", columnChart({ label: "Bytes by node", entries: data.nodes.rows, layers: sent, format: bytes, describe: (row) => name(row) + sent.map((layer) => `${layer.name} ${bytes(layer.value(row))}`).join(", ") + " per second" }))),
    thinned(data.nodes, "nodes", "those that sent most bytes"),
    el("p", { class: "figures" }, `In all ${count(data.messages)} messages and ${bytes(data.bytes)} before encryption, ${count(data.repairs)} repairs, and ${count(data.moved)} blocks handed to nodes with fewer. Metrics do not divide the rest into upkeep, repair and payload.`),
  ];
});
