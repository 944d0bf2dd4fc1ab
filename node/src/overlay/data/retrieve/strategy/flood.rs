//! Flooding (Gnutella): every peer forwards the query to all its neighbours, up to a number of hops.

use std::collections::BTreeSet;

use super::{SearchScope, SearchStep, SearchStrategy, StrategyEntry};
use crate::core::identity::BlockId;

/// Most blocks searched for at a time, each by its own query.
pub(super) const QUERIES_MAX: usize = 4;

pub(super) const ENTRY: StrategyEntry = StrategyEntry {
    name: "flood",
    summary: "forward to all neighbours",
    begin: |scope, wanted| Box::new(FloodSearch::begin(scope, wanted, false)),
};

/// One flooded query for each wanted block.
#[derive(Debug)]
pub(super) struct FloodSearch {
    wanted: Vec<BlockId>,
    /// Queries without all acknowledgements.
    open: BTreeSet<u64>,
}

impl FloodSearch {
    /// Sends the queries. If `random`, each peer forwards them to a random share of its neighbours.
    pub(super) fn begin(scope: &mut SearchScope<'_, '_, '_>, mut wanted: Vec<BlockId>, random: bool) -> Self {
        wanted.truncate(QUERIES_MAX);
        let ttl = scope.cx.settings.ttl;
        let open = wanted.iter().filter_map(|&id| scope.flood(id, ttl, random)).collect();
        FloodSearch { wanted, open }
    }
}

impl SearchStrategy for FloodSearch {
    fn wanted(&self) -> &[BlockId] {
        &self.wanted
    }

    fn next(&mut self, _: &mut SearchScope<'_, '_, '_>) -> SearchStep {
        if self.open.is_empty() { SearchStep::Exhausted } else { SearchStep::Wait }
    }

    fn flood_ended(&mut self, query: u64) {
        self.open.remove(&query);
    }
}
