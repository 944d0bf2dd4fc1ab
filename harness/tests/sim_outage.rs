//! A network whose link is cut for a while: its nodes say that they are alone, and come back by themselves.

use std::time::Duration;

use butter::config::NodeConfig;
use butter::core::identity::NodeId;
use butter::core::time::Time;
use butter::overlay::data::DataOverlay;
use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::NatConfig;
use butter_harness::plan::builder::PlanBuilder;
use butter_harness::plan::{FidelityChoice, NetworkIndex, NodeIndex, Plan};
use butter_harness::sim::engine::{SimEngine, SpawnSpec};
use butter_harness::sim::network::NodeSlot;

const SEEDS: u64 = 10;
/// How long the link carries nothing: longer than any link lives without it.
const OUTAGE: Duration = Duration::from_secs(30);
/// Time within which the node is to be linked again.
const BACK_WITHIN: Duration = Duration::from_secs(3);

fn id(plan: &Plan, slot: usize) -> NodeId {
    NodeId(std::array::from_fn(|i| (plan.seed as usize * 41 + slot * 103 + i * 11 + 1) as u8))
}

fn link(loss: f64) -> LinkConfig {
    LinkConfig { latency: Duration::from_millis(20), loss, ..LinkConfig::default() }
}

struct Outage {
    engine: SimEngine<DataOverlay>,
    ambassador: NodeSlot,
    home: NetworkIndex,
    /// The node whose network is cut off.
    alone: NodeSlot,
}

impl Outage {
    /// An ambassador and six nodes on the internet, and one node behind a NAT.
    fn new(seed: u64, fidelity: FidelityChoice) -> Self {
        let mut builder = PlanBuilder::new(seed).with("discover", "false");
        let NodeIndex(ambassador) = builder.ambassador();
        for _ in 0..6 {
            builder.node(PlanBuilder::INTERNET);
        }
        let home = builder.network(PlanBuilder::INTERNET, Some(NatConfig::port_restricted()), link(0.0));
        let NodeIndex(alone) = builder.node(home);
        let plan = Plan { fidelity, ..builder.into_plan() };
        let mut engine = SimEngine::new(&plan);
        for (slot, node) in plan.nodes.iter().enumerate() {
            let NodeConfig { core: config, data, .. } = plan.node_config(node);
            let spawn = SpawnSpec {
                id: id(&plan, slot),
                config,
                seed: seed * 1_000 + slot as u64,
                overlay: DataOverlay::new(data),
                neighbours: None,
            };
            engine.start(slot as NodeSlot, spawn);
        }
        let mut outage = Outage { engine, ambassador: ambassador as NodeSlot, home, alone: alone as NodeSlot };
        outage.run(Duration::from_secs(10));
        assert!(outage.neighbours() > 0, "it has joined");
        outage
    }

    fn run(&mut self, time: Duration) {
        let until = self.engine.now() + time;
        while self.engine.next(until).is_some() {}
    }

    fn set_loss(&mut self, loss: f64) {
        let link = link(loss);
        self.engine.transport_mut().set_link(self.home, &link, &link);
    }

    fn neighbours(&self) -> usize {
        self.engine.node(self.alone).expect("it runs").neighbours().count()
    }

    /// When it has a neighbour again, counted from now.
    fn back_after(&mut self) -> Duration {
        let begin: Time = self.engine.now();
        while self.neighbours() == 0 && self.engine.now().since(begin) < OUTAGE {
            self.run(Duration::from_millis(50));
        }
        self.engine.now().since(begin)
    }
}

/// Cuts the node off, kills the ambassador meanwhile if so wanted, and sees to it that the node comes back.
fn node_comes_back(fidelity: FidelityChoice, ambassador_dies: bool) {
    for seed in 1..=SEEDS {
        let mut outage = Outage::new(seed, fidelity);
        outage.set_loss(1.0);
        outage.run(OUTAGE / 2);
        if ambassador_dies {
            outage.engine.kill(outage.ambassador);
        }
        outage.run(OUTAGE / 2);
        assert_eq!(outage.neighbours(), 0, "seed {seed}: nothing gets through");
        let stats = outage.engine.node(outage.alone).expect("it runs").stats();
        assert_eq!(stats.isolated, 1);
        assert!(stats.isolated_longest_s >= 10.0, "seed {seed}: {} s", stats.isolated_longest_s);
        outage.set_loss(0.0);
        let back = outage.back_after();
        assert!(back <= BACK_WITHIN, "{fidelity:?}, seed {seed}: after {back:?}");
    }
}

#[test]
fn node_that_was_cut_off_is_linked_again_within_seconds_of_its_link_s_return() {
    node_comes_back(FidelityChoice::Message, false);
    node_comes_back(FidelityChoice::Packet, false);
}

#[test]
fn node_that_was_cut_off_comes_back_although_its_ambassador_has_died_meanwhile() {
    node_comes_back(FidelityChoice::Message, true);
    node_comes_back(FidelityChoice::Packet, true);
}
