//! The graph of neighbours (HyParView, DSN 2007: 10,000 nodes with active views of 5 and passive views of 30), and what is left of
//! it when most nodes fail at once.
//!
//! Nodes run the project's own membership, with an overlay that does nothing. They join through ambassadors, one for some
//! hundreds of nodes, as in any of the project's networks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bincode::{Decode, Encode};
use butter::config::NodeConfig;
use butter::core::identity::NodeId;
use butter::core::random::{child, sample};
use butter::core::time::{Deadline, Time};
use butter::overlay::{Overlay, OverlayContext, OverlayInput};
use rand::Rng;

use super::{FigureBound, PublishedFigure, PublishedStudy};
use crate::plan::Plan;
use crate::plan::builder::PlanBuilder;
use crate::sim::engine::{SimEngine, SpawnSpec};
use crate::sim::network::NodeSlot;

/// Nodes of the published simulation.
pub const NODES: usize = 10_000;
/// Neighbours of a node.
const ACTIVE: &str = "5";
/// Other known hosts of a node.
const PASSIVE: &str = "30";
/// Pause between exchanges of known hosts: a round.
const ROUND: Duration = Duration::from_secs(10);
/// Rounds before anything is measured, as published.
const ROUNDS: u32 = 50;
/// Rounds after the failures.
const ROUNDS_AFTER: [u32; 3] = [1, 2, 4];
/// Share of the nodes that fail at once.
const KILLED: f64 = 0.95;
/// Nodes that join in a second.
const JOINS_PER_SECOND: usize = 200;
/// Nodes for each ambassador.
const NODES_PER_AMBASSADOR: usize = 250;
/// Ambassadors that a node is configured with.
const AMBASSADORS_TOLD: usize = 3;
/// Nodes from which paths are measured.
const SOURCES: usize = 100;

/// An overlay that does nothing: the membership alone is measured.
#[derive(Debug, Default)]
struct NoOverlay;

/// No message is ever sent.
#[derive(Clone, Debug, Encode, Decode)]
struct NoMessage;

impl Overlay for NoOverlay {
    type Message = NoMessage;
    type Command = ();
    type Outcome = ();

    fn handle(&mut self, input: OverlayInput<NoMessage, ()>, context: &mut OverlayContext<'_, NoMessage, ()>) {
        if matches!(input, OverlayInput::Leave) {
            context.left();
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::NEVER
    }
}

/// What the graph of neighbours is like.
#[derive(Clone, Copy, Debug)]
pub struct NeighbourGraph {
    /// Number of live nodes in it.
    pub nodes: usize,
    /// Mean over nodes of the share of their pairs of neighbours that are neighbours themselves.
    pub clustering: f64,
    /// Mean length of the shortest paths between nodes that reach each other, in hops.
    pub mean_path: f64,
    /// Mean number of neighbours.
    pub mean_degree: f64,
    /// Share of the nodes in the largest component.
    pub largest: f64,
}

/// Measures the graph of so many nodes, before and after most of them fail.
pub fn measure(nodes: usize, seed: u64) -> PublishedStudy {
    let mut network = MembershipNetwork::joined(nodes, seed);
    network.run(ROUND * ROUNDS);
    let whole = network.graph(seed);
    network.kill(seed);
    let at_once = network.graph(seed).largest;
    let mut figures = vec![
        PublishedFigure::new("clustering", 0.00092, whole.clustering, FigureBound::Part(0.5))
            .because("small numbers: each of the 10,000 nodes has at most 10 pairs of neighbours"),
        PublishedFigure::new("mean path, in hops", 6.385, whole.mean_path, FigureBound::Part(0.1)),
        PublishedFigure::new("mean number of neighbours", 5.0, whole.mean_degree, FigureBound::Part(0.1)),
        PublishedFigure::new("share in one component", 1.0, whole.largest, FigureBound::AtLeast),
        PublishedFigure::new("95 % killed: survivors in one component", 0.9, at_once, FigureBound::Shown)
            .because("at once: links to the dead are still taken for links"),
    ];
    let mut passed = 0;
    for rounds in ROUNDS_AFTER {
        network.run(ROUND * (rounds - passed));
        passed = rounds;
        let name = format!("after {rounds} round{}", if rounds == 1 { "" } else { "s" });
        let last = rounds == ROUNDS_AFTER[ROUNDS_AFTER.len() - 1];
        let bound = if last { FigureBound::AtLeast } else { FigureBound::Shown };
        figures.push(PublishedFigure::new(name, 0.9, network.graph(seed).largest, bound));
    }
    let title = format!("HyParView 2007: {nodes} nodes, active view {ACTIVE}, passive view {PASSIVE}, {ROUNDS} rounds");
    PublishedStudy { title, figures }
}

/// A simulated network.
struct MembershipNetwork {
    engine: SimEngine<NoOverlay>,
    plan: Plan,
}

impl MembershipNetwork {
    /// All nodes have started, one after the other.
    fn joined(nodes: usize, seed: u64) -> Self {
        let settings = [
            ("active", ACTIVE),
            ("passive", PASSIVE),
            ("auto_ambassador", "false"),
            ("port_mapping", "false"),
            ("discover", "false"),
        ];
        let builder =
            settings.into_iter().fold(PlanBuilder::new(seed), |builder, (key, value)| builder.with(key, value));
        let mut builder = builder.with("refresh", &format!("{}s", ROUND.as_secs()));
        let ambassadors: Vec<_> = (0..nodes.div_ceil(NODES_PER_AMBASSADOR)).map(|_| builder.ambassador()).collect();
        for node in ambassadors.len()..nodes {
            let configured =
                ambassadors.iter().copied().cycle().skip(node).take(AMBASSADORS_TOLD.min(ambassadors.len()));
            builder.node_joining(PlanBuilder::INTERNET, configured.collect());
        }
        let plan = builder.into_plan();
        let mut network = MembershipNetwork { engine: SimEngine::new(&plan), plan };
        let mut configs: BTreeMap<(bool, Vec<usize>), NodeConfig> = BTreeMap::new();
        for (slot, node) in network.plan.nodes.iter().enumerate() {
            let key = (node.ambassador, node.join.iter().map(|ambassador| ambassador.0).collect());
            let config = configs.entry(key).or_insert_with(|| network.plan.node_config(node));
            let mut random = child(seed, slot as u64);
            let mut id = NodeId([0; 32]);
            random.fill_bytes(&mut id.0);
            let spawn = SpawnSpec {
                id,
                config: Arc::clone(&config.core),
                seed: random.next_u64(),
                overlay: NoOverlay,
                neighbours: None,
            };
            let until = Time::from_micros(slot as u64 * 1_000_000 / JOINS_PER_SECOND as u64);
            while network.engine.next(until).is_some() {}
            network.engine.start(slot as NodeSlot, spawn);
        }
        network
    }

    fn run(&mut self, time: Duration) {
        let until = self.engine.now() + time;
        while self.engine.next(until).is_some() {}
    }

    /// Most nodes fail, at the same moment.
    fn kill(&mut self, seed: u64) {
        let live: Vec<NodeSlot> = self.engine.nodes().map(|(slot, _)| slot).collect();
        let count = (live.len() as f64 * KILLED).round() as usize;
        for slot in sample(&mut child(seed, u64::MAX), live, count) {
            self.engine.kill(slot);
        }
    }

    fn graph(&self, seed: u64) -> NeighbourGraph {
        let places: BTreeMap<NodeId, usize> =
            self.engine.nodes().enumerate().map(|(place, (_, node))| (node.me().id, place)).collect();
        let mut links: Vec<Vec<usize>> = vec![Vec::new(); places.len()];
        for (place, (_, node)) in self.engine.nodes().enumerate() {
            for other in node.neighbours().filter_map(|id| places.get(&id)) {
                links[place].push(*other);
                links[*other].push(place);
            }
        }
        for list in &mut links {
            list.sort_unstable();
            list.dedup();
        }
        graph_of(&links, seed)
    }
}

/// Figures of a graph: for each node its neighbours, in ascending order.
fn graph_of(links: &[Vec<usize>], seed: u64) -> NeighbourGraph {
    let nodes = links.len();
    let clustering = links.iter().map(|list| {
        let pairs = list.len() * list.len().saturating_sub(1) / 2;
        let linked = list
            .iter()
            .enumerate()
            .map(|(at, one)| list[at + 1..].iter().filter(|other| links[*one].binary_search(other).is_ok()).count());
        if pairs == 0 { 0.0 } else { linked.sum::<usize>() as f64 / pairs as f64 }
    });
    let (mut length, mut paths) = (0_u64, 0_u64);
    for source in sample(&mut child(seed, 7), (0..nodes).collect(), SOURCES) {
        let distances = distances(links, source);
        paths += distances.iter().flatten().count() as u64 - 1;
        length += distances.iter().flatten().sum::<u64>();
    }
    let mut largest = 0;
    let mut seen = vec![false; nodes];
    for start in 0..nodes {
        if !seen[start] {
            let reached = distances(links, start);
            reached.iter().enumerate().filter(|(_, at)| at.is_some()).for_each(|(node, _)| seen[node] = true);
            largest = largest.max(reached.iter().flatten().count());
        }
    }
    NeighbourGraph {
        nodes,
        clustering: clustering.sum::<f64>() / nodes as f64,
        mean_path: length as f64 / paths as f64,
        mean_degree: links.iter().map(Vec::len).sum::<usize>() as f64 / nodes as f64,
        largest: largest as f64 / nodes as f64,
    }
}

/// Hops from one node to each other; `None` where there is no path.
fn distances(links: &[Vec<usize>], source: usize) -> Vec<Option<u64>> {
    let mut found = vec![None; links.len()];
    found[source] = Some(0);
    let mut open = VecDeque::from([source]);
    while let Some(node) = open.pop_front() {
        let next = found[node].map(|hops| hops + 1);
        for &other in &links[node] {
            if found[other].is_none() {
                found[other] = next;
                open.push_back(other);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_small_graphs_are_as_counted_by_hand() {
        // A triangle with a tail, and a node apart.
        let links = [vec![1, 2], vec![0, 2], vec![0, 1, 3], vec![2], vec![]].map(|list: Vec<usize>| list);
        let graph = graph_of(&links, 1);
        assert!((graph.clustering - (1.0 + 1.0 + 1.0 / 3.0) / 5.0).abs() < 1e-9, "{graph:?}");
        assert!((graph.mean_path - 16.0 / 12.0).abs() < 1e-9, "{graph:?}");
        assert_eq!((graph.largest, graph.mean_degree), (0.8, 1.6));
    }

    #[test]
    fn a_network_joins_and_most_survivors_find_each_other() {
        let mut network = MembershipNetwork::joined(400, 2);
        network.run(ROUND * 5);
        let graph = network.graph(2);
        assert_eq!((graph.nodes, graph.largest), (400, 1.0));
        assert!((3.0..6.0).contains(&graph.mean_degree), "{graph:?}");
        network.kill(2);
        assert_eq!(network.graph(2).nodes, 20);
    }
}
