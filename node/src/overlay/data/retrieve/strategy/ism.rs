//! Intelligent search (Kalogeraki, Gunopulos, Zeinalipour-Yazti: CIKM 2002): each peer passes a query on to the neighbours that
//! have answered the queries most like it, and to a random one. `most-results` takes those that have answered most (Yang and
//! Garcia-Molina, ICDCS 2002).

use super::super::super::DataCx;
use super::super::super::message::FloodChoice;
use super::StrategyEntry;
use super::flood::FloodSearch;
use crate::core::identity::NodeId;
use crate::core::random::sample;

pub(super) const SIMILAR: StrategyEntry = StrategyEntry {
    name: "ism",
    summary: "forward to neighbours that answered such queries",
    floods: true,
    begin: |_, wanted| Box::new(FloodSearch::new(wanted, FloodChoice::Similar)),
};

pub(super) const MOST_RESULTS: StrategyEntry = StrategyEntry {
    name: "most-results",
    summary: "forward to neighbours that answered most",
    floods: true,
    begin: |_, wanted| Box::new(FloodSearch::new(wanted, FloodChoice::MostResults)),
};

/// The share of `neighbours` with the greatest scores, and a random one of the others, of which this node would never learn else.
pub(in super::super) fn best_neighbours(
    cx: &mut DataCx<'_, '_>,
    neighbours: Vec<NodeId>,
    score: impl Fn(NodeId) -> usize,
) -> Vec<NodeId> {
    let count = ((neighbours.len() as f64 * cx.settings.fraction).ceil() as usize).max(1);
    let all = neighbours.len();
    // In random order first, so that equal ones take turns.
    let mut ranked = sample(cx.random, neighbours, all);
    ranked.sort_by_key(|&peer| std::cmp::Reverse(score(peer)));
    let others = ranked.split_off(count.min(ranked.len()));
    ranked.extend(sample(cx.random, others, 1));
    ranked
}
