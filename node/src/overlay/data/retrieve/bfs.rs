//! Breadth-first: peers are visited in the order in which they were heard of.

use super::super::Ctx;
use super::get::Search;
use super::visits::Visits;
use crate::core::identity::{BlockId, NodeId};

/// Begins at the neighbours, or at any known host where there are none.
pub(super) fn begin(ctx: &Ctx<'_>, wanted: Vec<BlockId>) -> Search {
    let mut visits = Visits::new(ctx, wanted, false);
    if visits.is_over() {
        let known: Vec<NodeId> = ctx.known_hosts().map(|contact| contact.id).collect();
        known.into_iter().for_each(|host| visits.add(ctx, host, None, 1));
    }
    Search::Visits(visits)
}
