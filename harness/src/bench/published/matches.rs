//! How often a search meets an inventory (BubbleStorm, SIGCOMM 2007: 1 - e^(-xy/N) for x nodes that are asked and y that keep it).
//!
//! Nodes on a random regular graph store items and publish inventories, as always. Searches for keys that are not there show which
//! nodes the strategy visits, and in which order. Each of them is then held against every item: has any of the first x nodes an
//! inventory that names a holder, or the item itself? So inventories and the order of visits are the project's own.

use std::collections::BTreeMap;
use std::time::Duration;

use butter::core::identity::{BlockId, NodeId};
use butter::core::random::child;
use rand::RngExt;

use super::{FigureBound, PublishedFigure, PublishedStudy};
use crate::backend::sim::SimBackend;
use crate::bench::{join, play, rest};
use crate::op::{Op, OpResult, OpTarget};
use crate::plan::builder::PlanBuilder;
use crate::plan::{GraphForm, Item, ItemIndex, NodeIndex, Plan, PrescribedGraph};

/// Nodes in the network.
pub const NODES: usize = 1_000;
/// Neighbours of each node.
const DEGREE: usize = 8;
/// Items, each stored by another node.
const ITEMS: usize = 200;
/// Searches that show which nodes are visited.
const SEARCHES: usize = 60;
/// Virtual time in which the items are stored.
const STORE_WITHIN: Duration = Duration::from_secs(20);
/// Virtual time in which inventories spread.
const SPREAD_FOR: Duration = Duration::from_secs(180);
/// Virtual time in which the searches begin.
const SEARCH_WITHIN: Duration = Duration::from_secs(20);
/// Nodes asked, the asking one included, at which rates are compared.
const ASKED: [usize; 5] = [1, 4, 8, 16, 32];
/// Greatest difference between predicted and measured rate.
const TOLERANCE: f64 = 0.1;

/// Match rates in one network.
#[derive(Clone, Debug)]
pub struct MatchRates {
    /// Mean number of nodes that keep an inventory with an item, or the item: y.
    pub kept_at: f64,
    /// For each number of nodes asked: the predicted and the measured share of items that they match.
    pub rates: Vec<(usize, f64, f64)>,
}

/// Compares rates in a network of so many nodes.
pub fn measure(nodes: usize, seed: u64) -> PublishedStudy {
    let MatchRates { kept_at, rates } = rates(nodes, seed);
    let mut figures = Vec::new();
    for (asked, predicted, measured) in rates {
        let bound = FigureBound::Difference(TOLERANCE);
        figures.push(PublishedFigure::new(format!("match rate, {asked} asked"), predicted, measured, bound));
    }
    let title = format!(
        "BubbleStorm 2007: 1 - e^(-xy/N), {nodes} nodes, y = {kept_at:.0} of the inventories of an item's holders"
    );
    PublishedStudy { title, figures }
}

/// Measures how often searches match items.
pub fn rates(nodes: usize, seed: u64) -> MatchRates {
    let plan = plan(nodes, seed);
    let mut sim = SimBackend::new(&plan);
    sim.start_all();
    join(&mut sim);
    let puts = (0..plan.items.len())
        .map(|item| (Op::Put { node: plan.items[item].by, item: ItemIndex(item) }, OpTarget::InPlan));
    let stored = play(&mut sim, puts.collect(), STORE_WITHIN, 0);
    let blocks: Vec<BlockId> = stored
        .iter()
        .filter_map(|(_, result)| match result {
            Some(OpResult::Stored(blocks)) => blocks.first().copied(),
            _ => None,
        })
        .collect();
    rest(&mut sim, SPREAD_FOR);
    let visited = visits(&mut sim, &plan, seed);
    // Whether each node knows a holder of each block.
    let knows: Vec<Vec<bool>> = sim
        .engine()
        .nodes()
        .map(|(_, node)| blocks.iter().map(|&id| node.overlay().knows_holder(id)).collect())
        .collect();
    let kept_at = |block: usize| knows.iter().filter(|known| known[block]).count() as f64;
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
        sum / f64::from(count)
    };
    let rates = ASKED.into_iter().map(|asked| {
        let miss = |block: usize| (-(asked as f64) * kept_at(block) / nodes as f64).exp();
        let predicted = 1.0 - mean(&mut (0..blocks.len()).map(miss));
        let pairs = visited.iter().flat_map(|path| (0..blocks.len()).map(move |block| (path, block)));
        let matches = |(path, block): (&Vec<usize>, usize)| {
            let is_met = path.iter().take(asked).any(|&node| knows[node][block]);
            f64::from(u8::from(is_met))
        };
        (asked, predicted, mean(&mut pairs.map(matches)))
    });
    let rates = rates.collect();
    MatchRates { kept_at: mean(&mut (0..blocks.len()).map(kept_at)), rates }
}

/// For each search the nodes that it asks, in order, the asking one first.
fn visits(sim: &mut SimBackend, plan: &Plan, seed: u64) -> Vec<Vec<usize>> {
    let mut random = child(seed, 1);
    let askers: Vec<usize> = (0..SEARCHES).map(|_| random.random_range(0..plan.nodes.len() as u64) as usize).collect();
    let gets = askers.iter().map(|&node| {
        (
            Op::Get { node: NodeIndex(node), item: ItemIndex(0), exhaustive: false },
            OpTarget::Item(BlockId(random.random())),
        )
    });
    let gets: Vec<(Op, OpTarget)> = gets.collect();
    let ended = play(sim, gets, SEARCH_WITHIN, 1 << 32);
    let places: BTreeMap<NodeId, usize> =
        sim.engine().nodes().map(|(slot, node)| (node.me().id, slot as usize)).collect();
    let mut paths = Vec::new();
    for (asker, (_, result)) in askers.into_iter().zip(&ended) {
        let Some(OpResult::NotFound { asked, .. } | OpResult::Incomplete { asked, .. }) = result else { continue };
        let others = asked.iter().filter_map(|asked| places.get(&asked.peer).copied());
        paths.push(std::iter::once(asker).chain(others).collect());
    }
    paths
}

fn plan(nodes: usize, seed: u64) -> Plan {
    let mut builder = PlanBuilder::new(seed).with("auto_ambassador", "false").with("port_mapping", "false");
    for _ in 0..nodes {
        builder.node(PlanBuilder::INTERNET);
    }
    let mut plan = builder.into_plan();
    let graph = PrescribedGraph::draw(GraphForm::Regular(DEGREE), &vec![0; nodes], seed);
    plan.graph = Some(graph.expect("an even number of ends"));
    let item = |item: usize| {
        let by = NodeIndex(item * nodes / ITEMS);
        Item { size: 256, seed: seed << 32 | item as u64, by, keywords: Vec::new() }
    };
    plan.items = (0..ITEMS).map(item).collect();
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_match_about_as_often_as_predicted() {
        let MatchRates { kept_at, rates } = rates(240, 1);
        assert!(kept_at > 30.0, "{kept_at}");
        assert!(rates.is_sorted_by(|one, other| one.2 <= other.2), "{rates:?}");
        for (asked, predicted, measured) in rates {
            assert!((predicted - measured).abs() < 0.15, "{asked}: {predicted} {measured}");
        }
    }
}
