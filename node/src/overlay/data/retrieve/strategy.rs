//! Search strategies: one file each, one table.
//!
//! A strategy decides how a get looks for blocks that none of its sources has. It either visits peers itself
//! ([`super::visits`]) or sends queries that peers forward ([`super::flooding`]). To add one, write a file beside the others
//! and name it in [`STRATEGIES`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use rand::RngExt;

use super::super::inventory::Inventories;
use super::super::message::FloodChoice;
use super::super::persist::Persist;
use super::super::{DataCx, SearchTally, waits};
use super::experience::Experience;
use super::flooding::{FloodEnd, FloodQuery, Floods};
use super::{FindQuery, asked_of};
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

mod auto;
mod bfs;
mod bubble;
mod flood;
mod index;
pub(super) mod ism;
pub(super) mod rbfs;
mod ring;
mod walk;

/// Every strategy, the default first. Values, help and parser of the setting `retrieval` come from here.
const STRATEGIES: &[StrategyEntry] = &[
    auto::ENTRY,
    bfs::ENTRY,
    bubble::ENTRY,
    flood::ENTRY,
    index::ONE_HOP,
    index::TWO_HOPS,
    ism::SIMILAR,
    ism::MOST_RESULTS,
    rbfs::ENTRY,
    ring::ENTRY,
    walk::ENTRY,
];

/// A search under way.
pub(super) trait SearchStrategy: fmt::Debug + Send {
    /// The blocks that it looks for.
    fn wanted(&self) -> &[BlockId];

    /// What to do now. Called after every event of the search, and again after every visit, until it returns
    /// [`SearchStep::Wait`] or [`SearchStep::Exhausted`].
    fn next(&mut self, scope: &mut SearchScope<'_, '_, '_>) -> SearchStep;

    /// A visited peer has answered.
    fn visited(&mut self, cx: &DataCx<'_, '_>, peer: NodeId, answer: VisitAnswer) {
        _ = (cx, peer, answer);
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
    /// Ask a peer for the wanted blocks and for peers to ask next.
    Visit { peer: NodeId, visit: PlannedVisit },
    /// Answers are awaited, or the next round.
    Wait,
    /// Every peer that should be asked has answered.
    Exhausted,
    /// So many peers and inventories were asked that a block which is there would have been found.
    Covered,
}

/// What is to be asked of a visited peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlannedVisit {
    /// Hops to the peer.
    pub(super) hops: u32,
    /// Hops from their owners of the inventories in which it looks; 0 for none.
    pub(super) reach: u8,
    /// Whether it is said to have a block.
    pub(super) hinted: bool,
}

/// What a visited peer has answered that had none of the blocks.
#[derive(Debug, Default)]
pub(super) struct VisitAnswer {
    /// Hops to the peer.
    pub(super) hops: u32,
    /// Its neighbours.
    pub(super) hosts: Vec<Contact>,
    /// Peers whose inventories contain one of the blocks.
    pub(super) holders: Vec<Contact>,
    /// Number of inventories in which it has looked.
    pub(super) inventories: u16,
}

/// What a strategy can see and do.
pub(super) struct SearchScope<'s, 'a, 'n> {
    pub(super) cx: &'s mut DataCx<'a, 'n>,
    pub(super) persist: &'s Persist,
    pub(super) inventories: &'s Inventories,
    pub(super) floods: &'s mut Floods,
    pub(super) experience: &'s Experience,
    /// Questions of all gets that are not answered.
    pub(super) open: &'s BTreeMap<u64, FindQuery>,
    /// Number of the get that the search is for.
    pub(super) get: u64,
    /// Visits that are slow, so that others may be made beside them.
    pub(super) slow: usize,
    /// Deadline of the get.
    pub(super) until: Time,
    /// Whether every peer is to be asked before the search ends without success.
    pub(super) exhaustive: bool,
}

impl SearchScope<'_, '_, '_> {
    /// Floods a query for a block over `ttl` hops, to the neighbours of this `choice`. Returns its number and how many
    /// neighbours it was sent to, or `None` if there was none.
    pub(super) fn flood(&mut self, id: BlockId, ttl: u8, choice: FloodChoice) -> Option<(u64, u32)> {
        let query = self.cx.random.random();
        let budget = self.until.since(self.cx.now);
        let sent = self.floods.send_own(self.cx, self.get, FloodQuery { query, id, ttl, hops: 0, choice, budget });
        (sent > 0).then_some((query, sent))
    }

    /// When `peer` would answer a question that is asked now: after all that it was asked before. Never, if there is no link yet.
    pub(super) fn answer_time(&self, peer: NodeId) -> Duration {
        let asked = asked_of(self.open, peer);
        self.cx.path(peer).map_or(Duration::MAX, |path| path.rtt() + path.transfer_time(asked))
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
    /// Whether it sends queries that peers forward.
    floods: bool,
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

    /// Whether it sends queries that peers forward.
    pub fn floods(self) -> bool {
        self.0.floods
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
