//! Packets get through as many networks behind each other as a topology may have.

use std::fmt::Write;
use std::net::SocketAddrV4;

use butter::core::time::Time;
use butter_harness::net::nat::{Flow, Protocol};
use butter_harness::plan::{NODE_PORT, Plan};
use butter_harness::planner;
use butter_harness::sim::network::{Networks, PacketFate};
use butter_harness::topology::{self, Overrides};

/// Two branches of as many networks behind each other as the topology allows.
fn deep() -> Plan {
    let mut text = "networks:\n  internet: {}\n".to_owned();
    for branch in ["a", "b"] {
        for depth in 1..=topology::NESTED_MAX {
            let behind = if depth == 1 { "internet".to_owned() } else { format!("{branch}{}", depth - 1) };
            writeln!(text, "  {branch}{depth}: {{behind: {behind}, nat: none}}").unwrap();
        }
    }
    let end = topology::NESTED_MAX;
    writeln!(text, "nodes:\n  ambassador: {{on: internet, ambassador: true}}").unwrap();
    writeln!(text, "  a: {{on: a{end}}}\n  b: {{on: b{end}}}\nsteps:\n  - join: {{within: 30s}}").unwrap();
    planner::read("deep.yaml", &text, &Overrides::default()).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
}

#[test]
fn the_deepest_networks_reach_each_other() {
    let plan = deep();
    let mut networks = Networks::new(&plan);
    let at = |slot: usize| SocketAddrV4::new(plan.nodes[slot].address, NODE_PORT);
    let flow = Flow { protocol: Protocol::Udp, source: at(1), destination: at(2) };
    let from = plan.nodes[1].network.0;
    let mut packet = networks.launch(from, flow, 100).unwrap();
    let mut now = Time::ZERO;
    loop {
        match networks.pass(now, &mut packet) {
            PacketFate::At(then) => now = then,
            PacketFate::Delivered(slot) => break assert_eq!(slot, 2),
            PacketFate::Dropped => panic!("dropped after {} routers", packet.hops.len()),
        }
    }
    assert_eq!(packet.hops.len(), 2 * topology::NESTED_MAX);
    assert_eq!(networks.resolve(now, from, flow), Some((2, flow)));
}
