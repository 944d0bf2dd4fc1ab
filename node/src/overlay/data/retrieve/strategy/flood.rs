//! Flooding (Gnutella): every peer forwards the query to all its neighbours, up to a number of hops.
//!
//! A flood that not all peers have acknowledged is repeated after a pause: its answer may be the one that was lost.

use super::super::super::message::FloodChoice;
use super::super::super::{SearchTally, waits};
use super::super::flooding::FloodEnd;
use super::super::open_floods::OpenFloods;
use super::{SearchScope, SearchStep, SearchStrategy, StrategyEntry};
use crate::core::identity::BlockId;
use crate::core::time::Time;

/// Most blocks searched for at a time, each by its own query.
pub(super) const QUERIES_MAX: usize = 4;

pub(super) const ENTRY: StrategyEntry = StrategyEntry {
    name: "flood",
    summary: "forward to all neighbours",
    floods: true,
    begin: |_, wanted| Box::new(FloodSearch::new(wanted, FloodChoice::All)),
};

/// Rounds of one flooded query for each wanted block.
#[derive(Debug)]
pub(super) struct FloodSearch {
    wanted: Vec<BlockId>,
    /// The neighbours to which each peer forwards the queries.
    choice: FloodChoice,
    /// Number of rounds so far.
    rounds: u32,
    open: OpenFloods,
    next_round: Time,
    /// Whether the time that is left is too short for another round.
    is_over: bool,
}

impl FloodSearch {
    /// Floods nothing yet. Each peer will forward queries to the neighbours of this `choice`.
    pub(super) fn new(mut wanted: Vec<BlockId>, choice: FloodChoice) -> Self {
        wanted.truncate(QUERIES_MAX);
        FloodSearch { wanted, choice, rounds: 0, open: OpenFloods::default(), next_round: Time::ZERO, is_over: false }
    }
}

impl SearchStrategy for FloodSearch {
    fn wanted(&self) -> &[BlockId] {
        &self.wanted
    }

    fn next(&mut self, scope: &mut SearchScope<'_, '_, '_>) -> SearchStep {
        if self.open.has_ended_completely() {
            return SearchStep::Exhausted;
        }
        self.is_over = self.rounds > 0 && !scope.has_time_for_flood(scope.cx.settings.ttl);
        if self.open.is_empty() && self.next_round <= scope.cx.now && !self.is_over {
            self.open.begin_round();
            for &id in &self.wanted {
                self.open.sent(scope.flood(id, scope.cx.settings.ttl, self.choice));
            }
            self.next_round = scope.cx.now + waits::round_pause(self.rounds);
            self.rounds += 1;
        }
        SearchStep::Wait
    }

    fn flood_ended(&mut self, ended: FloodEnd) {
        self.open.ended(ended);
    }

    fn due(&self) -> Time {
        if self.open.is_empty() && !self.is_over { self.next_round } else { Time::NEVER }
    }

    fn flooded(&self) -> SearchTally {
        self.open.tally()
    }
}
