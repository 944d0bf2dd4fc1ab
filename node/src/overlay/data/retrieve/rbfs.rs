//! Random breadth-first search: a query is passed to a random share of the neighbours (Kalogeraki et al., CIKM 2002).

use super::super::Ctx;
use crate::core::identity::NodeId;
use crate::core::random::sample;

/// A share of `neighbours`, at least one of them.
pub(super) fn some_of(ctx: &mut Ctx<'_>, neighbours: Vec<NodeId>) -> Vec<NodeId> {
    let count = (neighbours.len() as f64 * ctx.config.fraction).ceil() as usize;
    sample(ctx.random, neighbours, count.max(1))
}
