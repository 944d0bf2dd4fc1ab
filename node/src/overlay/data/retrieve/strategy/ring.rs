//! Expanding ring: floods with a growing number of hops until a ring finds the blocks (Lv et al., ICS 2002).
//!
//! A popular block is found nearby, without asking the whole network. A rare one costs a few more messages than one flood. A
//! ring with a slow peer does not hold up the next one. Each ring is a flood of its own from here, so near peers are asked again.

use super::super::super::message::FloodChoice;
use super::super::super::{SearchTally, waits};
use super::super::flooding::FloodEnd;
use super::super::open_floods::OpenFloods;
use super::flood::QUERIES_MAX;
use super::{SearchScope, SearchStep, SearchStrategy, StrategyEntry};
use crate::core::identity::BlockId;
use crate::core::time::Time;

/// Hops by which a ring is wider than the one before (Lv et al.). Among peers with `d` neighbours, a ring so reaches (d - 1)² times
/// as many as the one before. Rings that double in hops would go from 2 to 4 and then to 8, past most of what they look for.
const RING_GROWTH: u8 = 2;

pub(super) const ENTRY: StrategyEntry = StrategyEntry {
    name: "ring",
    summary: "flood over 1, 3, 5, ... hops",
    floods: true,
    begin: |_, mut wanted| {
        wanted.truncate(QUERIES_MAX);
        Box::new(RingSearch { wanted, ttl: 0, rounds: 0, open: OpenFloods::default(), next_round: Time::ZERO })
    },
};

/// Rounds of floods, each over [`RING_GROWTH`] hops more than the one before.
#[derive(Debug)]
struct RingSearch {
    wanted: Vec<BlockId>,
    /// Hops of the current round; 0 before the first one.
    ttl: u8,
    /// Number of rounds over all hops.
    rounds: u32,
    /// Queries of the current round.
    open: OpenFloods,
    /// When the next round begins although this one is open, or was not acknowledged by all.
    next_round: Time,
}

impl RingSearch {
    fn is_widest(&self, ttl_max: u8) -> bool {
        self.ttl >= ttl_max
    }

    fn begin_round(&mut self, scope: &mut SearchScope<'_, '_, '_>, ttl_max: u8) {
        self.ttl = if self.ttl == 0 { 1 } else { self.ttl.saturating_add(RING_GROWTH) }.min(ttl_max);
        self.open.begin_round();
        for &id in &self.wanted {
            self.open.sent(scope.flood(id, self.ttl, FloodChoice::All));
        }
        let widest = self.is_widest(ttl_max);
        let pause = if widest { waits::round_pause(self.rounds) } else { waits::flood(scope.cx, self.ttl) };
        self.next_round = scope.cx.now + pause;
        self.rounds += u32::from(widest);
    }
}

impl SearchStrategy for RingSearch {
    fn wanted(&self) -> &[BlockId] {
        &self.wanted
    }

    fn next(&mut self, scope: &mut SearchScope<'_, '_, '_>) -> SearchStep {
        let ttl_max = scope.cx.settings.ttl;
        // A narrow ring gives way to the next one as soon as it has ended; the widest one is repeated if it must be.
        loop {
            let early = self.next_round > scope.cx.now;
            match self.is_widest(ttl_max) {
                true if self.open.has_ended_completely() => return SearchStep::Exhausted,
                true if early || !self.open.is_empty() => return SearchStep::Wait,
                true if self.rounds > 0 && !scope.has_time_for_flood(ttl_max) => {
                    self.next_round = Time::NEVER;
                    return SearchStep::Wait;
                }
                false if early && !self.open.has_ended() => return SearchStep::Wait,
                _ => self.begin_round(scope, ttl_max),
            }
        }
    }

    fn flood_ended(&mut self, ended: FloodEnd) {
        self.open.ended(ended);
    }

    fn due(&self) -> Time {
        let ttl_is_final = self.rounds > 0;
        if ttl_is_final && !self.open.is_empty() { Time::NEVER } else { self.next_round }
    }

    fn flooded(&self) -> SearchTally {
        self.open.tally()
    }
}
