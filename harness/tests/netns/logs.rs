//! Promise: nodes and routers log as much as the topology asks for, and the record has it.

use std::fs;

use crate::support::{Desk, Player};

const LOUD: &str = "\
name: loud
networks:
  internet: {}
  home: {behind: internet, nat: port-restricted, log: debug}
  quiet: {behind: internet, nat: full-cone}
nodes:
  hub: {on: internet, ambassador: true}
  h: {on: home, config: {log: debug}}
  q: {on: quiet}
steps:
  - join: {within: 30s}
  - rebind: [home, quiet]
  - settle: {for: 5s}
checks:
  - metric max(butter_known_hosts) <= 64
";

#[test]
fn a_router_and_a_node_log_what_the_topology_asks_for_and_the_others_do_not() {
    let Some(desk) = Desk::of(Player::Own) else { return };
    fs::write(desk.path("t.yaml"), LOUD).unwrap();
    let output = desk.command(&["run", "t.yaml", "--backend", "netns", "--out", "out"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let log = |name: &str| fs::read_to_string(desk.path("out/logs").join(name)).unwrap_or_default();
    let (home, quiet) = (log("router-home.log"), log("router-quiet.log"));
    assert!(home.contains("the NAT forgets every mapping"), "{home}");
    assert!(!quiet.contains("the NAT forgets"), "{quiet}");
    let (loud_node, quiet_node) = (log("h.log"), log("q.log"));
    assert!(loud_node.contains("DEBUG") && !quiet_node.contains("DEBUG"), "{loud_node}\n---\n{quiet_node}");
}
