//! An overlay from outside the crate runs in the simulator: the counter of `node/examples/gossip_counter.rs`.

use std::time::Duration;

use butter::config::NodeConfig;
use butter::core::identity::NodeId;
use butter::core::io::{Command, CommandId, Outcome};
use butter::core::stats::InstrumentValue;
use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::NatConfig;
use butter_harness::plan::Plan;
use butter_harness::plan::builder::PlanBuilder;
use butter_harness::sim::engine::{SimEngine, SpawnSpec};
use butter_harness::sim::network::NodeSlot;

#[path = "../../node/examples/gossip_counter/overlay.rs"]
mod overlay;

use overlay::{CounterCommand, GossipCounter};

const LANS: usize = 3;
const NODES_PER_LAN: usize = 8;

/// Nodes in LANs behind NATs, with an ambassador between them.
fn plan() -> Plan {
    let mut builder = PlanBuilder::new(1);
    builder.ambassador();
    let link = LinkConfig { latency: Duration::from_millis(20), ..LinkConfig::default() };
    for _ in 0..LANS {
        let lan = builder.network(PlanBuilder::INTERNET, Some(NatConfig::port_restricted()), link.clone());
        (0..NODES_PER_LAN).for_each(|_| _ = builder.node(lan));
    }
    builder.into_plan()
}

fn started(plan: &Plan) -> SimEngine<GossipCounter> {
    let mut engine = SimEngine::new(plan);
    for (slot, node) in plan.nodes.iter().enumerate() {
        let NodeConfig { core: config, .. } = plan.node_config(node);
        let id = NodeId([slot as u8 + 1; 32]);
        let spec = SpawnSpec { id, config, seed: slot as u64, overlay: GossipCounter::default(), neighbours: None };
        engine.start(slot as NodeSlot, spec);
    }
    engine
}

fn run(engine: &mut SimEngine<GossipCounter>, time: Duration) {
    let until = engine.now() + time;
    while engine.next(until).is_some() {}
}

fn values(engine: &SimEngine<GossipCounter>) -> Vec<u64> {
    engine.nodes().map(|(_, node)| node.overlay().value()).collect()
}

#[test]
fn counters_of_all_nodes_converge_on_the_sum_of_all_increments() {
    let plan = plan();
    let mut engine = started(&plan);
    run(&mut engine, Duration::from_secs(10));
    let nodes = plan.nodes.len() as u64;
    assert_eq!(nodes, 25);
    for slot in 0..nodes {
        engine.command(slot as NodeSlot, CommandId(slot), Command::Overlay(CounterCommand::Increment(slot)));
    }
    assert!(values(&engine).iter().any(|&value| value != nodes * (nodes - 1) / 2), "gossip takes time");
    run(&mut engine, Duration::from_secs(30));
    assert_eq!(values(&engine), vec![nodes * (nodes - 1) / 2; nodes as usize]);
}

#[test]
fn command_of_an_outside_overlay_completes_with_its_own_outcome_and_metrics_include_its_own() {
    let plan = plan();
    let mut engine = started(&plan);
    engine.command(3, CommandId(7), Command::Overlay(CounterCommand::Increment(5)));
    engine.command(3, CommandId(8), Command::Overlay(CounterCommand::Read));
    for id in [7, 8] {
        let completed = engine.next(engine.now()).expect("the command completes at once");
        assert_eq!((completed.slot, completed.id), (3, CommandId(id)));
        assert!(matches!(completed.outcome, Outcome::Overlay(5)));
    }
    let mut metrics = Vec::new();
    engine.node(3).unwrap().metrics(|instrument, _, value| {
        if let InstrumentValue::Number(value) = value {
            metrics.push((instrument.name, value));
        }
    });
    assert!(metrics.contains(&("gossip_counter_value", 5.0)));
    assert!(metrics.iter().any(|(name, _)| *name == "butter_known_hosts"));
}
