//! Iterative search: the asking node visits peers. Each answers with the block or with its neighbours.
//!
//! No peer is visited twice unless it did not answer: nothing is amplified. Peers that could not be reached are visited again
//! after growing pauses, with those that have come up meanwhile. Only when all have answered is the search exhausted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::DataCx;
use super::super::waits;
use super::strategy::{SearchScope, SearchStep, SearchStrategy};
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Most peers visited in one search.
const VISITS_MAX: usize = 4_096;
/// Concurrent visits at the start.
const WIDTH: usize = 3;
/// Most concurrent visits, after many without success.
const WIDTH_MAX: usize = 24;
/// Visits without success after which the width doubles.
const PATIENCE: usize = 8;
/// Most concurrent visits, slow ones included.
const UNDER_WAY_MAX: usize = 64;

/// A peer to visit.
#[derive(Clone, Debug)]
struct VisitStop {
    peer: NodeId,
    /// Its contact, if known: a peer that is lost is forgotten elsewhere.
    contact: Option<Contact>,
    hops: u32,
}

/// Visited peers and peers to visit.
#[derive(Debug)]
pub(super) struct Visits {
    wanted: Vec<BlockId>,
    /// Whether linked peers come first.
    linked_first: bool,
    seen: BTreeSet<NodeId>,
    near: VecDeque<VisitStop>,
    far: VecDeque<VisitStop>,
    under_way: BTreeMap<NodeId, VisitStop>,
    made: usize,
    /// Peers that could not be reached.
    failed: Vec<VisitStop>,
    /// Whether the known hosts that no answer has named were added.
    widened: bool,
    /// Rounds in which the failed visits were repeated.
    rounds: u32,
    /// When the next such round begins, once one is due.
    again_at: Option<Time>,
    /// Whether the search can do nothing but wait for that round.
    waiting: bool,
}

impl Visits {
    /// A search for `wanted` that begins at this node's neighbours.
    pub(super) fn new(ctx: &DataCx<'_, '_>, wanted: Vec<BlockId>, linked_first: bool) -> Self {
        let mut visits = Visits {
            wanted,
            linked_first,
            seen: BTreeSet::from([ctx.me.id]),
            near: VecDeque::new(),
            far: VecDeque::new(),
            under_way: BTreeMap::new(),
            made: 0,
            failed: Vec::new(),
            widened: false,
            rounds: 0,
            again_at: None,
            waiting: false,
        };
        visits.add_neighbours(ctx);
        visits
    }

    fn add_neighbours(&mut self, ctx: &DataCx<'_, '_>) {
        ctx.neighbours().for_each(|neighbour| self.add(ctx, neighbour, None, 1));
    }

    /// Adds a peer to visit, unless it was added before.
    pub(super) fn add(&mut self, ctx: &DataCx<'_, '_>, peer: NodeId, contact: Option<Contact>, hops: u32) {
        if self.seen.len() <= VISITS_MAX && self.seen.insert(peer) {
            self.queue(ctx, VisitStop { peer, contact, hops });
        }
    }

    fn queue(&mut self, ctx: &DataCx<'_, '_>, stop: VisitStop) {
        let near = self.linked_first && ctx.is_linked(stop.peer);
        let queue = if near { &mut self.near } else { &mut self.far };
        queue.push_back(stop);
    }

    /// The next peer to visit, if it is time for one.
    fn next_stop(&mut self, ctx: &DataCx<'_, '_>, slow: usize) -> Option<VisitStop> {
        let width = (WIDTH << (self.made / PATIENCE).min(3)).min(WIDTH_MAX);
        if self.under_way.len() >= (width + slow).min(UNDER_WAY_MAX) {
            return None;
        }
        let mut stop = self.near.pop_front().or_else(|| self.far.pop_front())?;
        if stop.contact.is_none() {
            stop.contact = ctx.contact(stop.peer).cloned();
        }
        self.under_way.insert(stop.peer, stop.clone());
        self.made += 1;
        Some(stop)
    }

    /// Whether no peer is left to visit; those under way may still answer.
    fn is_idle(&self) -> bool {
        self.near.is_empty() && self.far.is_empty()
    }

    /// Every peer that answers has been visited: repeats failed visits after a pause, and adds peers that have come up.
    /// Returns whether there is one to visit now.
    fn begin_round(&mut self, scope: &SearchScope<'_, '_, '_>) -> bool {
        let now = scope.cx.now;
        let again_at = *self.again_at.get_or_insert_with(|| now + waits::round_pause(self.rounds));
        if again_at > now {
            return false;
        }
        self.rounds += 1;
        self.again_at = None;
        for stop in std::mem::take(&mut self.failed) {
            self.queue(scope.cx, stop);
        }
        self.add_neighbours(scope.cx);
        self.add_known_hosts(scope.cx);
        scope.persist.live_peers().for_each(|peer| self.add(scope.cx, peer, None, 1));
        if self.is_idle() {
            self.again_at = Some(now + waits::round_pause(self.rounds));
        }
        !self.is_idle()
    }

    fn add_known_hosts(&mut self, cx: &DataCx<'_, '_>) {
        let known: Vec<Contact> = cx.known_hosts().filter(|host| !self.seen.contains(&host.id)).cloned().collect();
        known.into_iter().for_each(|host| self.add(cx, host.id, Some(host), 1));
    }
}

impl SearchStrategy for Visits {
    fn wanted(&self) -> &[BlockId] {
        &self.wanted
    }

    fn next(&mut self, scope: &mut SearchScope<'_, '_, '_>) -> SearchStep {
        self.waiting = false;
        loop {
            if let Some(VisitStop { peer, contact, hops }) = self.next_stop(scope.cx, scope.slow) {
                if let Some(contact) = &contact {
                    scope.cx.learn(contact);
                }
                return SearchStep::Visit { peer, hops };
            }
            if !self.is_idle() || self.under_way.len() > scope.slow {
                return SearchStep::Wait;
            }
            // Hosts that no answer has named may be gone, so they come last.
            if !std::mem::replace(&mut self.widened, true) {
                self.add_known_hosts(scope.cx);
                continue;
            }
            let all_answered = self.failed.is_empty() && self.under_way.is_empty() && self.made > 0;
            if all_answered {
                return SearchStep::Exhausted;
            }
            if !self.begin_round(scope) {
                self.waiting = true;
                return SearchStep::Wait;
            }
        }
    }

    fn due(&self) -> Time {
        self.again_at.filter(|_| self.waiting).unwrap_or(Time::NEVER)
    }

    fn visited(&mut self, cx: &DataCx<'_, '_>, peer: NodeId, hops: u32, neighbours: Vec<Contact>) {
        self.under_way.remove(&peer);
        for contact in neighbours {
            self.add(cx, contact.id, Some(contact), hops + 1);
        }
    }

    fn visit_failed(&mut self, peer: NodeId) {
        self.failed.extend(self.under_way.remove(&peer));
    }
}
