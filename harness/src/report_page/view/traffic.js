// What nodes sent, by what it was for.

const PURPOSES = [
  { name: "upkeep", color: "1", help: "keeps links, neighbours, groups and inventories" },
  { name: "repair", color: "2", help: "makes lost copies again, moves blocks to where there is room" },
  { name: "query", color: "3", help: "looks for blocks and values" },
  { name: "payload", color: "5", help: "what applications store, find and ask" },
];

view("traffic", "Messages and bytes by purpose", (data, page) => {
  if (!data) return null;
  const of = (key) => PURPOSES.map((purpose, at) => ({ name: purpose.name, color: purpose.color, value: (row) => row[key][at] }));
  const messages = of("messages");
  const sent = [...of("bytes"), ...(data.relayed_bytes ? [{ name: "carried as a relay", color: "4", value: (row) => row.relayed_bytes }] : [])];
  const over = { stretches: data.stretches, end: page.end, faults: page.faults };
  const describe = (layers, format) => (row) => `${row.node}, up ${seconds(row.up_s)}: ${layers.map((layer) => `${layer.name} ${format(layer.value(row))}`).join(", ")} per second`;
  return [
    purposeTable(data),
    el("div", { class: "charts" },
      figure("Bytes per node and second", stackChart(Object.assign({ label: "Bytes over time", layers: sent, format: bytes }, over))),
      figure("Messages per node and second", stackChart(Object.assign({ label: "Messages over time", layers: messages, format: brief }, over))),
      figure("Bytes per second of each node", columnChart({ label: "Bytes by node", entries: data.nodes.rows, layers: sent, format: bytes, describe: describe(sent, bytes) })),
      figure("Messages per second of each node", columnChart({ label: "Messages by node", entries: data.nodes.rows, layers: messages, format: brief, describe: describe(messages, brief) }))),
    thinned(data.nodes, "nodes", "those that sent most"),
    repairOverhead(page.result.repair),
    el("p", { class: "figures" }, `${count(data.messages)} messages with ${bytes(data.bytes)} between samples; ${plural(data.repairs, "member")} recruited in place of dead ones, ${plural(data.moved, "block")} handed on.`),
  ];
});

// Undefined where nothing was held: then it is a dash, and never 0.
function repairOverhead(repair) {
  if (!repair || !repair.node_ends || !known(repair.bytes)) return null;
  const lives = `nodes held ${bytes(repair.held_bytes_mean)} each, and ${plural(repair.node_ends, "life", "lives")} ended, after ${seconds(repair.lifetime_s_mean)} on average`;
  return el("p", { class: "figures" }, `Repair overhead: ${plain(repair.overhead)} (${bytes(repair.bytes)} sent to repair; ${lives}). The least is 1, the goal at most 1.5.`);
}

function purposeTable(data) {
  const right = (title) => el("th", { class: "number", scope: "col" }, title);
  const perNode = (value) => (data.node_s ? value / data.node_s : null);
  const rows = PURPOSES.map((purpose, at) => [
    el("th", { scope: "row" }, purpose.name, el("small", null, purpose.help)),
    number(bytes(data.bytes_by_purpose[at])),
    number(percent(data.bytes ? data.bytes_by_purpose[at] / data.bytes : null)),
    number(bytes(perNode(data.bytes_by_purpose[at]))),
    number(plain(perNode(data.messages_by_purpose[at]))),
  ]);
  if (data.relayed_bytes) rows.push([el("th", { scope: "row" }, "relay", el("small", null, "packets carried between two others, encrypted")), number(bytes(data.relayed_bytes)), number(NO_VALUE), number(bytes(perNode(data.relayed_bytes))), number(NO_VALUE)]);
  return table(["Purpose", right("Bytes"), right("Share"), right("Bytes per node and second"), right("Messages per node and second")], rows, { label: "bytes by purpose" });
}
