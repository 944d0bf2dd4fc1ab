//! The promise of joining: nodes on LANs behind NATs find each other through one ambassador, and by multicast without any.

use std::time::Duration;

use butter::config::NodeConfig;
use butter::core::config::Config;
use butter::core::identity::NodeId;
use butter::overlay::data::DataOverlay;
use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::NatConfig;
use butter_harness::plan::Plan;
use butter_harness::plan::builder::PlanBuilder;
use butter_harness::sim::engine::{SimEngine, SpawnSpec};
use butter_harness::sim::invariants::{self, Violation};
use butter_harness::sim::network::NodeSlot;

fn start_all(plan: &Plan) -> SimEngine<DataOverlay> {
    let mut engine = SimEngine::new(plan);
    for (slot, node) in plan.nodes.iter().enumerate() {
        let NodeConfig { core: config, data, .. } = plan.node_config(node);
        let mut id = [slot as u8; 32];
        id[31] = plan.seed as u8;
        let overlay = DataOverlay::new(data);
        engine.start(
            slot as NodeSlot,
            SpawnSpec { id: NodeId(id), config, seed: plan.seed * 1_000 + slot as u64, overlay, neighbours: None },
        );
    }
    engine
}

fn run(engine: &mut SimEngine<DataOverlay>, seconds: u64) {
    let until = engine.now() + Duration::from_secs(seconds);
    assert!(engine.next(until).is_none(), "no command was given");
    assert_eq!(engine.now(), until);
}

fn link(ms: u64) -> LinkConfig {
    LinkConfig { latency: Duration::from_millis(ms), ..LinkConfig::default() }
}

#[test]
fn two_nodes_of_a_lan_find_each_other() {
    let mut builder = PlanBuilder::new(1);
    let lan = builder.network(PlanBuilder::INTERNET, None, LinkConfig::default());
    builder.node(lan);
    builder.node(lan);
    let mut engine = start_all(&builder.into_plan());
    run(&mut engine, 5);
    for (slot, node) in engine.nodes() {
        assert_eq!(node.neighbours().count(), 1, "node {slot}");
    }
}

#[test]
fn three_lans_behind_nats_become_one() {
    for seed in 1..=5 {
        let mut builder = PlanBuilder::new(seed);
        builder.ambassador();
        let nats = [NatConfig::full_cone(), NatConfig::port_restricted(), NatConfig::symmetric()];
        for (nat, ms) in nats.into_iter().zip([10, 40, 80]) {
            let lan = builder.network(PlanBuilder::INTERNET, Some(nat), link(ms));
            for _ in 0..5 {
                builder.node(lan);
            }
        }
        let mut engine = start_all(&builder.into_plan());
        for _ in 0..20 {
            run(&mut engine, 1);
            assert_eq!(invariants::views(&engine, &Config::default()), []);
        }
        assert_eq!(invariants::joined(&engine), [], "seed {seed}");
    }
}

#[test]
fn the_invariants_themselves_can_fail() {
    let mut builder = PlanBuilder::new(1);
    let lans = [(); 2].map(|()| builder.network(PlanBuilder::INTERNET, None, LinkConfig::default()));
    for lan in lans {
        for _ in 0..3 {
            builder.node(lan);
        }
    }
    let mut engine = start_all(&builder.into_plan());
    run(&mut engine, 5);
    let narrow = Config { active: 1, passive: 0, ..Config::default() };
    let slots = |violations: Vec<Violation>| violations.len();
    assert_eq!(slots(invariants::views(&engine, &narrow)), 12, "each node has two neighbours: too many of both");
    assert_eq!(invariants::joined(&engine), [Violation::Apart { components: 2 }], "nothing joins two LANs");
}
