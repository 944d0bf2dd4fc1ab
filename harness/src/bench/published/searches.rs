//! Searches on a random graph (Lv et al., ICS 2002, the table for a random graph and 1 % replication).
//!
//! Nodes run the project's node with the strategies `flood`, `ring` and `walk` on a prescribed graph. Copies of each item lie on
//! random nodes: each of these stores the item itself, with `replicas: 1`, and what nodes say of groups and inventories is
//! withheld from their peers. So nothing but searches travels, and copies stay where they are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use butter::core::interposer::Interposer;
use butter::core::io::{Input, Output, Sink};
use butter::core::message::Message;
use butter::core::random::{child, sample};
use butter::core::time::Time;
use butter::overlay::data::{DataCommand, DataMessage, DataOutcome};
use rand::RngExt;

use super::{FigureBound, PublishedFigure, PublishedStudy};
use crate::backend::sim::SimBackend;
use crate::bench::{play, rest};
use crate::op::{Op, OpResult, OpTarget};
use crate::plan::builder::PlanBuilder;
use crate::plan::{GraphForm, Item, ItemIndex, NodeIndex, Plan, PrescribedGraph};
use crate::sim::network::NodeSlot;
use crate::statistics::ratio;

/// Nodes of the published graph.
pub const NODES: usize = 9_836;
/// Links of the published graph.
pub const LINKS: usize = 20_099;
/// Share of the nodes that hold a copy of an item.
const REPLICATION: f64 = 0.01;
/// Items, each looked for equally often.
const ITEMS: usize = 20;
/// Length of an item, in bytes.
const ITEM_BYTES: usize = 64;
/// Hops of a flood.
const TTL: u8 = 8;
/// Virtual time in which all nodes link to their neighbours.
const LINK_WITHIN: Duration = Duration::from_secs(60);
/// Virtual time in which copies are stored.
const STORE_WITHIN: Duration = Duration::from_secs(10);
/// Virtual time that a search and what is left of its flood may take.
const QUERY_WITHIN: Duration = Duration::from_secs(4);

/// A strategy as it was published.
struct PublishedSearch {
    strategy: &'static str,
    title: &'static str,
    hops: (f64, FigureBound),
    visited: (f64, FigureBound),
    messages_per_node: (f64, FigureBound),
    remark: &'static str,
}

const SEARCHES: [PublishedSearch; 3] = [
    PublishedSearch {
        strategy: "flood",
        title: "flood, TTL 8",
        hops: (3.40, FigureBound::Part(0.05)),
        visited: (9_220.0, FigureBound::Part(0.05)),
        messages_per_node: (2.5, FigureBound::Part(0.25)),
        remark: "",
    },
    PublishedSearch {
        strategy: "ring",
        title: "expanding ring",
        hops: (5.77, FigureBound::Part(0.1)),
        visited: (536.0, FigureBound::Part(0.25)),
        messages_per_node: (0.064, FigureBound::Part(0.25)),
        remark: "",
    },
    PublishedSearch {
        strategy: "walk",
        title: "32 walkers with state",
        hops: (7.00, FigureBound::AtMost),
        visited: (163.0, FigureBound::AtMost),
        messages_per_node: (0.027, FigureBound::AtMost),
        remark: "walkers ask back after each step here, after each fourth there",
    },
];

/// What searches with one strategy came to.
#[derive(Clone, Copy, Debug)]
pub struct SearchCost {
    /// Share that found its item.
    pub found: f64,
    /// Mean hops of those that did. Rings count the hops of those before, which had to end first.
    pub hops: f64,
    /// Mean number of nodes that a search has reached, the asking one not counted.
    pub visited: f64,
    /// Mean number of query messages, over the nodes of the network.
    pub messages_per_node: f64,
}

/// Measures all strategies on the published graph, each with so many queries.
pub fn measure(queries: usize, seed: u64) -> PublishedStudy {
    let mut figures = Vec::new();
    for PublishedSearch { strategy, title, hops, visited, messages_per_node, remark } in &SEARCHES {
        let cost = cost(strategy, (NODES, LINKS), queries, seed);
        let mut add = |what: &str, (published, bound): (f64, FigureBound), measured| {
            figures.push(PublishedFigure::new(format!("{title}: {what}"), published, measured, bound).because(remark));
        };
        add("found", (0.95, FigureBound::AtLeast), cost.found);
        add("hops", *hops, cost.hops);
        add("nodes visited", *visited, cost.visited);
        add("messages per node", *messages_per_node, cost.messages_per_node);
    }
    let title = format!(
        "Lv et al. 2002: random graph of {NODES} nodes and {LINKS} links, 1 % replication, {queries} queries each"
    );
    PublishedStudy { title, figures }
}

/// Measures one strategy on a random graph of so many nodes and links.
pub fn cost(strategy: &str, (nodes, links): (usize, usize), queries: usize, seed: u64) -> SearchCost {
    let plan = plan(strategy, (nodes, links), seed);
    let counter = Arc::new(SearchCounter::default());
    let mut sim = SimBackend::new(&plan);
    for node in 0..nodes {
        let only_searches = OnlySearches { counter: counter.clone(), seen_in: 0 };
        sim.engine_mut().interpose(node as NodeSlot, Box::new(only_searches));
    }
    sim.start_all();
    rest(&mut sim, LINK_WITHIN);
    let puts = (0..plan.items.len())
        .map(|item| (Op::Put { node: plan.items[item].by, item: ItemIndex(item) }, OpTarget::InPlan));
    let stored = play(&mut sim, puts.collect(), STORE_WITHIN, 0);
    let mut random = child(seed, 1);
    let (mut found, mut hops) = (0, 0.0);
    counter.begin();
    let before = counter.totals();
    for query in 0..queries {
        let item = random.random_range(0..ITEMS as u64) as usize;
        let first = item * copies(nodes);
        let Some(OpResult::Stored(blocks)) = &stored[first].1 else { continue };
        let holders: BTreeSet<NodeIndex> =
            plan.items[first..first + copies(nodes)].iter().map(|copy| copy.by).collect();
        let asker = loop {
            let node = NodeIndex(random.random_range(0..nodes as u64) as usize);
            if !holders.contains(&node) {
                break node;
            }
        };
        counter.begin();
        let get = (Op::Get { node: asker, item: ItemIndex(first), exhaustive: false }, OpTarget::Item(blocks[0]));
        let ended = play(&mut sim, vec![get], Duration::ZERO, (1 << 32) + query as u64);
        if let Some(OpResult::Found(value)) = &ended[0].1 {
            found += 1;
            hops += f64::from(value.hops) + narrower_rings(strategy, value.hops);
        }
        rest(&mut sim, QUERY_WITHIN);
    }
    let (visited, messages) = counter.totals();
    let each = |count: u64| count as f64 / queries as f64;
    SearchCost {
        found: ratio(found, queries as u64).unwrap_or(f64::NAN),
        hops: hops / found as f64,
        visited: each(visited - before.0),
        messages_per_node: each(messages - before.1) / nodes as f64,
    }
}

/// Hops of the rings that ended before the one that found something `hops` away: 1, 3, 5, ... as the strategy has them.
fn narrower_rings(strategy: &str, hops: u32) -> f64 {
    let rings = (1..).step_by(2).take_while(|&ttl| strategy == "ring" && ttl < hops);
    rings.sum::<u32>().into()
}

/// Copies of an item.
fn copies(nodes: usize) -> usize {
    ((nodes as f64 * REPLICATION) as usize).max(1)
}

/// The network, and every copy of every item: those of one item follow each other.
fn plan(strategy: &str, (nodes, links): (usize, usize), seed: u64) -> Plan {
    let ttl = TTL.to_string();
    let settings = [
        ("retrieval", strategy),
        ("ttl", ttl.as_str()),
        ("walkers", "32"),
        ("replicas", "1"),
        ("refresh", "10m"),
        ("auto_ambassador", "false"),
        ("port_mapping", "false"),
    ];
    let mut builder =
        settings.into_iter().fold(PlanBuilder::new(seed), |builder, (key, value)| builder.with(key, value));
    for _ in 0..nodes {
        builder.node(PlanBuilder::INTERNET);
    }
    let mut plan = builder.into_plan();
    let graph = PrescribedGraph::draw(GraphForm::Random(links), &vec![0; nodes], seed);
    plan.graph = Some(graph.expect("there are enough links"));
    let mut random = child(seed, 2);
    for item in 0..ITEMS as u64 {
        let holders = sample(&mut random, (0..nodes).collect(), copies(nodes));
        let copy = |node| Item { size: ITEM_BYTES, seed: seed << 32 | item, by: NodeIndex(node), keywords: Vec::new() };
        plan.items.extend(holders.into_iter().map(copy));
    }
    plan
}

/// Counts what searches reach, one search at a time.
#[derive(Debug, Default)]
struct SearchCounter {
    /// Number of the search under way, from 1.
    search: AtomicU64,
    visited: AtomicU64,
    messages: AtomicU64,
}

impl SearchCounter {
    /// Another search begins; of earlier ones nothing is under way.
    fn begin(&self) {
        self.search.fetch_add(1, Ordering::Relaxed);
    }

    /// Nodes that searches have reached, each once for each search, and query messages.
    fn totals(&self) -> (u64, u64) {
        (self.visited.load(Ordering::Relaxed), self.messages.load(Ordering::Relaxed))
    }
}

/// Lets nothing of the overlay out but searches and their answers, and counts them.
#[derive(Debug)]
struct OnlySearches {
    counter: Arc<SearchCounter>,
    /// The last search that has reached this node.
    seen_in: u64,
}

impl Interposer<DataMessage, DataCommand, DataOutcome> for OnlySearches {
    fn receive(&mut self, _: Time, input: &mut Input<DataMessage, DataCommand>) -> bool {
        let asked = matches!(
            input,
            Input::Message { message: Message::Overlay(DataMessage::Flood { .. } | DataMessage::Find { .. }), .. }
        );
        if asked {
            self.counter.messages.fetch_add(1, Ordering::Relaxed);
            let search = self.counter.search.load(Ordering::Relaxed);
            if std::mem::replace(&mut self.seen_in, search) != search {
                self.counter.visited.fetch_add(1, Ordering::Relaxed);
            }
        }
        true
    }

    fn emit(&mut self, _: Time, sink: &mut Sink<DataMessage, DataOutcome>) {
        sink.0.retain(|output| match output {
            Output::Send { message: Message::Overlay(message), .. } => matches!(
                message,
                DataMessage::Flood { .. }
                    | DataMessage::FloodReply { .. }
                    | DataMessage::FloodAck { .. }
                    | DataMessage::Find { .. }
                    | DataMessage::FindReply { .. }
            ),
            _ => true,
        });
    }

    fn due(&self) -> Time {
        Time::NEVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_searched_is_found_near_and_floods_reach_nearly_all() {
        let flood = cost("flood", (600, 1_226), 10, 3);
        assert_eq!(flood.found, 1.0);
        assert!(flood.visited > 400.0 && flood.messages_per_node > 1.5, "{flood:?}");
        let walk = cost("walk", (600, 1_226), 10, 3);
        assert_eq!(walk.found, 1.0);
        assert!(walk.visited < flood.visited / 2.0, "{walk:?}");
    }
}
