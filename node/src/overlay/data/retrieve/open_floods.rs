//! The flooded queries of one round of a search.

use std::collections::BTreeMap;

use super::super::SearchTally;
use super::flooding::FloodEnd;

/// Queries of the current round that are open, and what the others have come to.
#[derive(Debug, Default)]
pub(super) struct OpenFloods {
    /// Queries without all acknowledgements, each with the number of neighbours that it was sent to.
    open: BTreeMap<u64, u32>,
    ended: SearchTally,
    /// What the last round that has ended before has come to.
    before: SearchTally,
    /// Most peers that could not be reached in one round. A peer that is lost is no neighbour of anyone in the next round, but
    /// it may have the blocks.
    lost: u32,
}

impl OpenFloods {
    /// Forgets the queries of the last round.
    pub(super) fn begin_round(&mut self) {
        let before = if self.ended.asked > 0 { self.ended } else { self.before };
        *self = OpenFloods { before, lost: self.lost, ..OpenFloods::default() };
    }

    /// Adds a query that was sent, with the number of neighbours that it was sent to.
    pub(super) fn sent(&mut self, query: Option<(u64, u32)>) {
        self.open.extend(query);
    }

    /// A query has come to its end.
    pub(super) fn ended(&mut self, ended: FloodEnd) {
        if self.open.remove(&ended.query).is_some() {
            self.ended += ended.tally;
            self.lost = self.lost.max(self.ended.unreachable);
        }
    }

    /// Whether no query is open.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether queries were sent and none is open.
    pub(super) fn has_ended(&self) -> bool {
        self.open.is_empty() && self.ended.asked > 0
    }

    /// Whether queries were sent and every peer that they reached has acknowledged them, in this round and all before.
    pub(super) fn has_ended_completely(&self) -> bool {
        self.has_ended() && self.ended.is_complete() && self.lost == 0
    }

    /// What the search has come to by its last round of which something is known. Whoever has not acknowledged an open query
    /// by now has timed out.
    pub(super) fn tally(&self) -> SearchTally {
        let open = self.open.values().sum();
        let mut tally = if self.ended.asked == 0 && self.before.asked > 0 {
            self.before
        } else {
            let mut tally = self.ended;
            tally += SearchTally { asked: open, timed_out: open, ..SearchTally::default() };
            tally
        };
        let lost = self.lost.saturating_sub(tally.unreachable);
        tally += SearchTally { asked: lost, unreachable: lost, ..SearchTally::default() };
        tally
    }
}
