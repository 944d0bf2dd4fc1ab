//! Nodes that move to another network, firewalls and MTUs, on the simulator in both fidelities.

use std::net::IpAddr;
use std::path::Path;

use butter_harness::backend::Backend;
use butter_harness::backend::sim::SimBackend;
use butter_harness::events::{EventKind, Retrieved};
use butter_harness::op::{Op, OpId, OpTarget};
use butter_harness::plan::{Fidelity, NodeIndex, Plan};
use butter_harness::planner;
use butter_harness::run::{RunEnd, RunRecord, StopSignal, run_plan};
use butter_harness::sim::network::NodeSlot;
use butter_harness::topology::Overrides;

#[path = "support/silent.rs"]
mod silent;
use silent::SilentObserver;

const FIDELITIES: [Fidelity; 2] = [Fidelity::Message, Fidelity::Packet];

const NETWORKS: &str = "\
networks:
  internet: {}
  alpha: {behind: internet, nat: full-cone, link: {latency: 5ms}}
  beta: {behind: internet, nat: port-restricted, link: {latency: 15ms}}
nodes:
  hub: {on: internet, ambassador: true}
  a: {on: alpha, count: 3}
  b: {on: beta, count: 3}
config: {heartbeat: 500ms}
steps:
";

fn plan(text: &str, seed: u64, fidelity: Fidelity) -> Plan {
    let overrides = Overrides { seed: Some(seed), ..Overrides::default() };
    let plan = planner::read("moves.yaml", text, &overrides).unwrap_or_else(|wrong| panic!("{wrong}"));
    Plan { fidelity: fidelity.into(), ..plan }
}

/// Plays a plan whose steps all end as planned.
fn played(plan: &Plan) -> RunRecord {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let record = runtime.block_on(async {
        let mut sim = SimBackend::new(plan);
        sim.up(&mut SilentObserver).await.expect("nothing of the simulator can fail to start");
        run_plan(plan, &mut sim, &mut SilentObserver, &StopSignal::default()).await
    });
    assert_eq!(record.ended, RunEnd::Finished);
    for event in &record.events {
        if let EventKind::StepEnded { problem: Some(problem), step } = &event.kind {
            panic!("step {step} with seed {} and {:?}: {problem}", plan.seed, plan.sim_fidelity());
        }
    }
    record
}

fn play(steps: &str) {
    for fidelity in FIDELITIES {
        for seed in 1..4 {
            played(&plan(&format!("{NETWORKS}{steps}"), seed, fidelity));
        }
    }
}

#[test]
fn the_shipped_topology_finds_every_item_in_both_fidelities() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies/move.yaml");
    for fidelity in FIDELITIES {
        for seed in 1..4 {
            let overrides = Overrides { seed: Some(seed), ..Overrides::default() };
            let plan = planner::load(&path, &overrides).expect("it is valid");
            let record = played(&Plan { fidelity: fidelity.into(), ..plan });
            let moves = record.events.iter().filter(|event| matches!(event.kind, EventKind::Moved { .. })).count();
            assert_eq!(moves, 4);
            for event in &record.events {
                if let EventKind::Retrieved { result, .. } = &event.kind {
                    assert!(matches!(result, Retrieved::Found { .. }), "{seed}, {fidelity:?}: {event:?}");
                }
            }
        }
    }
}

/// What a moved node says of itself, and what others see of it, so many seconds after.
#[test]
fn a_node_notices_that_it_has_moved_and_is_met_where_it_is() {
    let text = format!("{NETWORKS}  - join: {{within: 30s}}\n  - move: {{nodes: a-1, to: beta}}\n");
    for fidelity in FIDELITIES {
        let plan = plan(&text, 7, fidelity);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut sim = SimBackend::new(&plan);
            sim.up(&mut SilentObserver).await.unwrap();
            sim.advance(sim.now().plus(std::time::Duration::from_secs(20)));
            let Op::Move { node, network, address, .. } = &plan.steps[1].ops[0].op else { panic!("{:?}", plan.steps) };
            let slot = node.0 as NodeSlot;
            let before = sim.engine().node(slot).unwrap().me().clone();
            sim.submit(OpId(1), plan.steps[1].ops[0].op.clone(), OpTarget::InPlan);
            sim.advance(sim.now().plus(std::time::Duration::from_secs(60)));
            sim.advance(sim.now().plus(std::time::Duration::from_secs(60)));
            let node = sim.engine().node(slot).unwrap();
            assert_eq!(node.me().id, before.id);
            let local: Vec<IpAddr> = node.me().local.iter().map(|address| address.ip()).collect();
            assert_eq!(local, [IpAddr::V4(*address)], "{fidelity:?}");
            let outside = plan.network(*network).behind.as_ref().unwrap().address;
            assert_eq!(node.me().external_address.map(|seen| seen.ip()), Some(outside.into()), "{fidelity:?}");
            assert!(node.neighbours().count() > 0, "{fidelity:?}");
            // Whoever is on its new network meets it there, and none at its old address.
            let old = plan.node(NodeIndex(slot as usize)).address;
            let remotes = |of: NodeSlot| {
                let links = sim.engine().node(of).unwrap().linked();
                links.filter(|(peer, _)| *peer == before.id).filter_map(|(_, remote)| remote).collect::<Vec<_>>()
            };
            let all: Vec<_> = (0..plan.nodes.len() as NodeSlot).filter(|of| *of != slot).flat_map(remotes).collect();
            assert!(all.iter().any(|remote| remote.ip() == IpAddr::V4(*address)), "{fidelity:?}: {all:?}");
            assert!(all.iter().all(|remote| remote.ip() != IpAddr::V4(old)), "{fidelity:?}: {all:?}");
        });
    }
}

#[test]
fn a_network_without_udp_is_alone_until_its_firewall_opens() {
    play(
        "  - join: {within: 30s}\n  - firewall: {networks: [beta], policy: udp-blocked}\n  - settle: {for: 40s}\n  \
         - connect: {among: [a], pairs: 2}\n  - check: [metric sum(butter_links) >= 1]\n  \
         - firewall: {networks: [beta], policy: open}\n  - join: {within: 60s}\n  \
         - store: {items: 5}\n  - retrieve: {from: b}\n  - check: [retrieval == 100%]\n",
    );
}

/// Live nodes know each other in one component only once the portal lets beta in.
#[test]
fn a_portal_lets_a_network_in_after_its_time() {
    let text = NETWORKS.replace("nat: port-restricted,", "nat: port-restricted, firewall: {captive: 20s},");
    for fidelity in FIDELITIES {
        let text = format!("{text}  - settle: {{for: 15s}}\n  - join: {{within: 60s}}\n");
        let record = played(&plan(&text, 3, fidelity));
        let joined = record.events.iter().find_map(|event| match event.kind {
            EventKind::Inspected { components: 1, .. } => Some(event.at.as_secs_f64()),
            _ => None,
        });
        assert!(joined.is_some_and(|at| at > 19.0), "{fidelity:?}: {joined:?}");
    }
}

#[test]
fn nodes_find_a_small_mtu_and_a_black_hole_by_themselves() {
    play(
        "  - link: {networks: [alpha], mtu: 1280}\n  - link: {networks: [beta], mtu: {bytes: 1300, black-hole: true}}\n  \
         - join: {within: 60s}\n  - store: {items: 10, size: 64KiB}\n  - retrieve: {from: [alpha, beta]}\n  \
         - check: [stored == 100%, retrieval == 100%]\n",
    );
}

/// Of three nodes that keep three copies one moves: a put waits until it can be asked again.
#[test]
fn values_stored_right_after_a_move_get_their_copies_from_who_has_moved() {
    let text = "\
networks:
  internet: {}
  home: {behind: internet, link: {latency: 5ms}}
  cafe: {behind: internet, link: {latency: 5ms}}
nodes:
  hub: {on: internet, ambassador: true}
  n: {on: home, count: 1}
  m: {on: cafe, count: 1}
config: {heartbeat: 1s}
steps:
- join: {within: 30s}
- settle: {for: 5s}
- move: {nodes: n, to: cafe}
- store: {items: 4, from: all}
";
    for fidelity in FIDELITIES {
        for seed in 1..9 {
            let record = played(&plan(text, seed, fidelity));
            for event in &record.events {
                if let EventKind::Stored { result: Err(problem), took_us, .. } = &event.kind {
                    panic!("{fidelity:?}, seed {seed}: {problem} after {took_us} µs");
                }
            }
        }
    }
}
