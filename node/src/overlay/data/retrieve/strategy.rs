//! Search strategies: one file each, one table.
//!
//! A strategy decides how a get looks for blocks that none of its sources has. It either visits peers itself
//! ([`super::visits`]) or sends queries that peers forward ([`super::flooding`]). To add one, write a file beside the others
//! and name it in [`STRATEGIES`].

use std::fmt;
use std::sync::LazyLock;

use rand::RngExt;

use super::super::persist::Persist;
use super::super::{DataCx, SearchTally, waits};
use super::flooding::{FloodEnd, FloodQuery, Floods};
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

mod auto;
mod bfs;
mod flood;
pub(super) mod rbfs;
mod ring;

/// Every strategy, the default first. Values, help and parser of the setting `retrieval` come from here.
const STRATEGIES: &[StrategyEntry] = &[auto::ENTRY, bfs::ENTRY, flood::ENTRY, rbfs::ENTRY, ring::ENTRY];

/// A search under way.
pub(super) trait SearchStrategy: fmt::Debug + Send {
    /// The blocks that it looks for.
    fn wanted(&self) -> &[BlockId];

    /// What to do now. Called after every event of the search, and again after every visit, until it returns
    /// [`SearchStep::Wait`] or [`SearchStep::Exhausted`].
    fn next(&mut self, scope: &mut SearchScope<'_, '_, '_>) -> SearchStep;

    /// A visited peer, `hops` away, has answered with its neighbours.
    fn visited(&mut self, cx: &DataCx<'_, '_>, peer: NodeId, hops: u32, neighbours: Vec<Contact>) {
        _ = (cx, peer, hops, neighbours);
    }

    /// A visited peer did not answer.
    fn visit_failed(&mut self, peer: NodeId) {
        _ = peer;
    }

    /// A flooded query has come to its end.
    fn flood_ended(&mut self, ended: FloodEnd) {
        _ = ended;
    }

    /// When [`SearchStrategy::next`] is to be called again without an event.
    fn due(&self) -> Time {
        Time::NEVER
    }

    /// What its last flooded queries have come to. Visits are counted by the get itself.
    fn flooded(&self) -> SearchTally {
        SearchTally::default()
    }
}

/// The next step of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SearchStep {
    /// Ask a peer, that many hops away, for the wanted blocks and its neighbours.
    Visit { peer: NodeId, hops: u32 },
    /// Answers are awaited, or the next round.
    Wait,
    /// Every peer that should be asked has answered.
    Exhausted,
}

/// What a strategy can see and do.
pub(super) struct SearchScope<'s, 'a, 'n> {
    pub(super) cx: &'s mut DataCx<'a, 'n>,
    pub(super) persist: &'s Persist,
    pub(super) floods: &'s mut Floods,
    /// Number of the get that the search is for.
    pub(super) get: u64,
    /// Visits that are slow, so that others may be made beside them.
    pub(super) slow: usize,
    /// Deadline of the get.
    pub(super) until: Time,
}

impl SearchScope<'_, '_, '_> {
    /// Floods a query for a block over `ttl` hops: to all neighbours, or to a random share. Returns its number and how many
    /// neighbours it was sent to, or `None` if there was none.
    pub(super) fn flood(&mut self, id: BlockId, ttl: u8, random: bool) -> Option<(u64, u32)> {
        let query = self.cx.random.random();
        let budget = self.until.since(self.cx.now);
        let sent = self.floods.send_own(self.cx, self.get, FloodQuery { query, id, ttl, hops: 0, random, budget });
        (sent > 0).then_some((query, sent))
    }

    /// Whether a flood over `ttl` hops that begins now may be acknowledged before the get ends.
    pub(super) fn has_time_for_flood(&self, ttl: u8) -> bool {
        waits::flood(self.cx, ttl) < self.until.since(self.cx.now)
    }
}

/// A strategy in the table.
#[derive(Debug)]
struct StrategyEntry {
    name: &'static str,
    /// A few words for the help of the setting.
    summary: &'static str,
    begin: fn(&mut SearchScope<'_, '_, '_>, Vec<BlockId>) -> Box<dyn SearchStrategy>,
}

/// The choice of a search strategy: the value of the setting `retrieval`.
#[derive(Clone, Copy)]
pub struct Retrieval(&'static StrategyEntry);

impl Retrieval {
    /// The strategy with this name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        Retrieval::all().find(|strategy| strategy.name() == name)
    }

    /// Every strategy, the default first.
    pub fn all() -> impl Iterator<Item = Self> {
        STRATEGIES.iter().map(Retrieval)
    }

    /// The name, as the setting takes it.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// The names of all strategies, for error messages.
    pub fn names() -> &'static str {
        static NAMES: LazyLock<String> = LazyLock::new(|| {
            let names: Vec<&str> = STRATEGIES.iter().map(|strategy| strategy.name).collect();
            let (last, others) = names.split_last().expect("there are strategies");
            format!("{} or {last}", others.join(", "))
        });
        &NAMES
    }

    /// Names and summaries of all strategies, for the help of the setting.
    pub fn help() -> &'static str {
        static HELP: LazyLock<String> = LazyLock::new(|| {
            let each = STRATEGIES.iter().map(|strategy| format!("{} ({})", strategy.name, strategy.summary));
            format!("search strategy: {}", each.collect::<Vec<_>>().join(", "))
        });
        &HELP
    }

    pub(super) fn begin(self, scope: &mut SearchScope<'_, '_, '_>, wanted: Vec<BlockId>) -> Box<dyn SearchStrategy> {
        (self.0.begin)(scope, wanted)
    }
}

impl Default for Retrieval {
    fn default() -> Self {
        Retrieval(&STRATEGIES[0])
    }
}

impl PartialEq for Retrieval {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Retrieval {}

impl fmt::Debug for Retrieval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
