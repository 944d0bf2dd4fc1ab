//! Random breadth-first search: each peer forwards the query to a random share of its neighbours (Kalogeraki et al., CIKM 2002).

use super::super::super::DataCx;
use super::super::super::message::FloodChoice;
use super::StrategyEntry;
use super::flood::FloodSearch;
use crate::core::identity::NodeId;
use crate::core::random::sample;

pub(super) const ENTRY: StrategyEntry = StrategyEntry {
    name: "rbfs",
    summary: "forward to a random share of the neighbours",
    floods: true,
    begin: |_, wanted| Box::new(FloodSearch::new(wanted, FloodChoice::Random)),
};

/// A share of `neighbours`, at least one of them.
pub(in super::super) fn sample_neighbours(cx: &mut DataCx<'_, '_>, neighbours: Vec<NodeId>) -> Vec<NodeId> {
    let count = (neighbours.len() as f64 * cx.settings.fraction).ceil() as usize;
    sample(cx.random, neighbours, count.max(1))
}
