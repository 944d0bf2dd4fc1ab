//! Expanding ring: floods with a growing number of hops until a ring finds the blocks (Lv et al., ICS 2002).
//!
//! A popular block is found nearby, without asking the whole network. A rare one costs a few more messages than one flood.

use std::collections::BTreeSet;

use super::flood::QUERIES_MAX;
use super::{SearchScope, SearchStep, SearchStrategy, StrategyEntry};
use crate::core::identity::BlockId;

pub(super) const ENTRY: StrategyEntry = StrategyEntry {
    name: "ring",
    summary: "flood over 1, 2, 4, ... hops",
    begin: |_, mut wanted| {
        wanted.truncate(QUERIES_MAX);
        Box::new(RingSearch { wanted, ttl: 0, open: BTreeSet::new() })
    },
};

/// Rounds of floods, each over twice the hops of the one before.
#[derive(Debug)]
struct RingSearch {
    wanted: Vec<BlockId>,
    /// Hops of the current round; 0 before the first one.
    ttl: u8,
    /// Queries of the current round without all acknowledgements.
    open: BTreeSet<u64>,
}

impl SearchStrategy for RingSearch {
    fn wanted(&self) -> &[BlockId] {
        &self.wanted
    }

    fn next(&mut self, scope: &mut SearchScope<'_, '_, '_>) -> SearchStep {
        let ttl_max = scope.cx.settings.ttl;
        if self.open.is_empty() && self.ttl < ttl_max {
            self.ttl = (self.ttl * 2).clamp(1, ttl_max);
            self.open = self.wanted.iter().filter_map(|&id| scope.flood(id, self.ttl, false)).collect();
        }
        if self.open.is_empty() { SearchStep::Exhausted } else { SearchStep::Wait }
    }

    fn flood_ended(&mut self, query: u64) {
        self.open.remove(&query);
    }
}
