// Where and with what the run was played, and the data of this page.

view("environment", "Environment", (_, page) => {
  const { run, timing } = page.circumstances;
  const result = page.result;
  const machine = run ? run.machine : {};
  const rows = [
    ["Backend", result.fidelity ? `${result.backend}, fidelity ${result.fidelity}` : result.backend],
    ["Routers", probeText(result.probe)],
    run ? ["Program", `harness ${run.program.version}${run.program.commit ? `, commit ${run.program.commit}` : ""}`] : null,
    run ? ["Began", run.started] : null,
    run ? ["Topology", run.topology] : null,
    run && run.replay_of ? ["Plays again", run.replay_of] : null,
    run ? ["Command line", run.command_line.join(" ")] : null,
    run ? ["Variables", valuesText(run.variables)] : null,
    run ? ["Settings", valuesText(run.settings)] : null,
    ["Hash of the topology", result.topology_hash],
    machine.kernel ? ["Kernel", machine.kernel] : null,
    machine.cores ? ["Processors", String(machine.cores)] : null,
    machine.memory_bytes ? ["Memory", bytes(machine.memory_bytes)] : null,
    machine.engine ? ["Docker engine", machine.engine] : null,
    result.machine ? ["Load of the machine", `timers ${plain(result.machine.timer_late_p99_ms)} ms late (p99), at most ${plain(result.machine.timer_late_max_ms)} ms; stalled ${percent(result.machine.stalled_share)} of the run`] : null,
    timing && known(timing.play_s) ? ["By the wall clock", `${seconds(timing.deploy_s)} to deploy, ${seconds(timing.play_s)} to play, ${seconds(timing.teardown_s)} to remove`] : null,
  ].filter((row) => row && row[1]);
  return [
    el("dl", { class: "list" }, rows.map(([name, value]) => el("div", null, el("dt", null, name), el("dd", null, value)))),
    el("p", { class: "actions" },
      save("result.json", () => page.result), save("page-data.json", () => ({ data: page.data, circumstances: page.circumstances }))),
  ];
});

function valuesText(values) {
  return values.map((value) => `${value.name}=${value.value}${value.from === "file" ? "" : ` (${words(value.from).replace("-", " ")})`}`).join(", ");
}

function probeText(probe) {
  const states = { not_needed: "simulated as declared", skipped: "not probed", not_available: `not probed: ${probe.why}` };
  if (probe.state === "passed") return `${probe.networks.length} of ${probe.routers} probed, all behave as declared`;
  if (probe.state === "refused") return `${probe.network} does not behave as declared: ${probe.observation}`;
  return states[probe.state] || words(probe.state);
}

// Hands out a part of the page's data as a file.
function save(name, data) {
  const give = () => {
    const address = URL.createObjectURL(new Blob([JSON.stringify(data(), null, 2)], { type: "application/json" }));
    el("a", { href: address, download: name }).click();
    URL.revokeObjectURL(address);
  };
  return el("button", { type: "button", onclick: give }, `Save ${name}`);
}
