//! Iterative search: the asking node visits peers. Each answers with the block, with peers that probably have it, or with its
//! neighbours.
//!
//! No peer is visited twice unless it did not answer: nothing is amplified. Peers that could not be reached are visited again
//! after growing pauses, with those that have come up meanwhile. Only when all have answered is the search exhausted. A search by
//! inventories ends before, once it has seen enough of them (see [`super::coverage`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::DataCx;
use super::super::inventory::HOLDERS_MAX;
use super::super::waits;
use super::coverage::Coverage;
use super::strategy::{PlannedVisit, SearchScope, SearchStep, SearchStrategy, VisitAnswer};
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
/// Visits without success after which a search by inventories makes one more at a time.
const PATIENCE_BOUNDED: usize = 6;
/// Wrong hints that a search takes before it weighs them against its visits.
const HINTS_TRUSTED: usize = 3;
/// Most concurrent visits, slow ones included.
const UNDER_WAY_MAX: usize = 64;
/// Shares of what a search should see at the ends of its stages, if it has any (BubbleStorm's stages, each as wide as the search
/// so far).
const STAGES: [f64; 4] = [0.125, 0.25, 0.5, 1.0];
/// Share of what a search should see after which it pauses once, while what was stored a moment ago is published.
pub(in super::super) const PAUSE_AT: f64 = 0.25;

/// How peers are chosen, and when the search ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct VisitRules {
    /// Whether linked peers come first.
    pub(super) linked_first: bool,
    /// Hops from their owners of the inventories in which visited peers look; 0 for none.
    pub(super) reach: u8,
    /// Whether the search ends once it has seen enough inventories.
    pub(super) is_bounded: bool,
    /// Whether it makes all visits of a stage at a time: see [`STAGES`].
    pub(super) is_staged: bool,
}

/// A peer to visit.
#[derive(Clone, Debug)]
struct VisitStop {
    peer: NodeId,
    /// Its contact, if known: a peer that is lost is forgotten elsewhere.
    contact: Option<Contact>,
    hops: u32,
    /// Whether its inventory says that it has a block.
    hinted: bool,
}

/// Visited peers and peers to visit.
#[derive(Debug)]
pub(super) struct Visits {
    wanted: Vec<BlockId>,
    rules: VisitRules,
    coverage: Coverage,
    /// Peers that probably have a block.
    hinted: VecDeque<VisitStop>,
    seen: BTreeSet<NodeId>,
    near: VecDeque<VisitStop>,
    far: VecDeque<VisitStop>,
    under_way: BTreeMap<NodeId, VisitStop>,
    made: usize,
    /// Visits that followed a hint in vain.
    misled: usize,
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
    /// End of the pause for what was stored a moment ago, once it has begun.
    paused_until: Option<Time>,
    /// Whether that pause is over.
    resumed: bool,
}

impl Visits {
    /// A search for `wanted` that begins at this node's neighbours.
    pub(super) fn new(scope: &SearchScope<'_, '_, '_>, wanted: Vec<BlockId>, rules: VisitRules) -> Self {
        let mut visits = Visits {
            wanted,
            rules,
            coverage: Coverage::of_here(scope.inventories),
            hinted: VecDeque::new(),
            seen: BTreeSet::from([scope.cx.me.id]),
            near: VecDeque::new(),
            far: VecDeque::new(),
            under_way: BTreeMap::new(),
            made: 0,
            misled: 0,
            failed: Vec::new(),
            widened: false,
            rounds: 0,
            again_at: None,
            waiting: false,
            paused_until: None,
            resumed: false,
        };
        visits.add_neighbours(scope.cx);
        visits
    }

    /// Visits first who had a block when it was last found, and those whose inventories contain one.
    pub(super) fn with_hints(mut self, scope: &SearchScope<'_, '_, '_>) -> Self {
        let pointers: Vec<NodeId> = self.wanted.iter().filter_map(|&id| scope.experience.pointer(id)).collect();
        pointers.into_iter().for_each(|peer| self.add_hint(peer, None, 1));
        let holders = scope.inventories.holders(&self.wanted, self.rules.reach, scope.cx.me.id);
        holders.into_iter().for_each(|holder| self.add_hint(holder.id, Some(holder), 1));
        self
    }

    fn add_neighbours(&mut self, ctx: &DataCx<'_, '_>) {
        ctx.neighbours().for_each(|neighbour| self.add(ctx, neighbour, None, 1));
    }

    /// Adds a peer to visit, unless it was added before.
    pub(super) fn add(&mut self, ctx: &DataCx<'_, '_>, peer: NodeId, contact: Option<Contact>, hops: u32) {
        if self.seen.len() <= VISITS_MAX && self.seen.insert(peer) {
            self.queue(ctx, VisitStop { peer, contact, hops, hinted: false });
        }
    }

    /// Adds a peer that probably has a block, unless it was visited before. It comes before all others.
    pub(super) fn add_hint(&mut self, peer: NodeId, contact: Option<Contact>, hops: u32) {
        let is_new = self.seen.len() <= VISITS_MAX && self.seen.insert(peer);
        let queued = [&mut self.near, &mut self.far].into_iter().find_map(|queue| {
            let at = queue.iter().position(|stop| !is_new && stop.peer == peer)?;
            queue.remove(at)
        });
        if is_new || queued.is_some() {
            let contact = contact.or(queued.and_then(|stop| stop.contact));
            self.hinted.push_back(VisitStop { peer, contact, hops, hinted: true });
        }
    }

    fn queue(&mut self, ctx: &DataCx<'_, '_>, stop: VisitStop) {
        let near = self.rules.linked_first && ctx.is_linked(stop.peer);
        let queue = if near { &mut self.near } else { &mut self.far };
        queue.push_back(stop);
    }

    /// The next peer to visit, if it is time for one.
    fn next_stop(&mut self, scope: &SearchScope<'_, '_, '_>) -> Option<VisitStop> {
        if self.under_way.len() >= (self.width(scope) + scope.slow).min(UNDER_WAY_MAX) {
            return None;
        }
        let mut stop = if self.trusts_hints() {
            // A hint is right more often than not: others wait for it.
            let is_awaited = self.hints_under_way() > scope.slow;
            self.next_hint(scope).or_else(|| if is_awaited { None } else { self.next_unhinted(scope) })
        } else {
            self.next_unhinted(scope).or_else(|| self.next_hint(scope))
        }?;
        if stop.contact.is_none() {
            stop.contact = scope.cx.contact(stop.peer).cloned();
        }
        self.under_way.insert(stop.peer, stop.clone());
        self.made += 1;
        Some(stop)
    }

    /// Whether hints come first: not once most visits have followed wrong ones.
    fn trusts_hints(&self) -> bool {
        self.misled <= self.made / 2 + HINTS_TRUSTED
    }

    /// The next peer of which nothing is known, if more is to be seen.
    fn next_unhinted(&mut self, scope: &SearchScope<'_, '_, '_>) -> Option<VisitStop> {
        if !self.has_more_to_see(scope) {
            return None;
        }
        self.near.pop_front().or_else(|| self.far.pop_front())
    }

    /// The next peer that probably has a block, the one that is likely to answer first: a link that is to be made costs several round
    /// trips, and a slow one that all questions went to would starve them. Those of which earlier hints were wrong are visited
    /// like any other.
    fn next_hint(&mut self, scope: &SearchScope<'_, '_, '_>) -> Option<VisitStop> {
        while self.hints_under_way() <= scope.slow
            && let Some(at) = (0..self.hinted.len()).min_by_key(|&at| scope.answer_time(self.hinted[at].peer))
            && let Some(stop) = self.hinted.remove(at)
        {
            if !scope.experience.is_doubted(stop.peer) {
                return Some(stop);
            }
            self.far.push_back(VisitStop { hinted: false, ..stop });
        }
        None
    }

    fn hints_under_way(&self) -> usize {
        self.under_way.values().filter(|stop| stop.hinted).count()
    }

    fn width(&self, scope: &SearchScope<'_, '_, '_>) -> usize {
        let width = match self.coverage_share(scope) {
            Some(share) if self.rules.is_staged => {
                let stage = STAGES.into_iter().find(|&end| share < end).unwrap_or(1.0);
                return self.coverage.visits_to(scope.inventories, scope.cx.settings.replicas, stage).max(1);
            }
            // What is under way at the end of a stage would be asked in vain: no more than what is still to be seen.
            Some(share) => {
                let end = if share < PAUSE_AT { PAUSE_AT } else { 1.0 };
                let left = self.coverage.visits_to(scope.inventories, scope.cx.settings.replicas, end);
                (WIDTH + self.made / PATIENCE_BOUNDED).min(left.max(1))
            }
            None => WIDTH << (self.made / PATIENCE).min(3),
        };
        width.min(WIDTH_MAX)
    }

    /// Share of what is to be seen; `None` if every peer is to be visited.
    fn coverage_share(&self, scope: &SearchScope<'_, '_, '_>) -> Option<f64> {
        let share = self.coverage.share(scope.inventories, scope.cx.settings.replicas);
        share.filter(|_| self.rules.is_bounded && !scope.exhaustive)
    }

    /// Whether peers without a hint are to be visited now: not if the search has seen enough, or pauses.
    fn has_more_to_see(&mut self, scope: &SearchScope<'_, '_, '_>) -> bool {
        let Some(share) = self.coverage_share(scope) else { return true };
        let now = scope.cx.now;
        let paused_until = match self.paused_until {
            None if share < PAUSE_AT => return true,
            None => *self.paused_until.insert(now + scope.inventories.publication_time(scope.cx)),
            Some(paused_until) => paused_until,
        };
        paused_until <= now && share < 1.0
    }

    /// Whether the search has seen enough without success. A hint that is slow to answer may still be right.
    fn is_covered(&self, scope: &SearchScope<'_, '_, '_>) -> bool {
        self.resumed
            && self.hinted.is_empty()
            && self.hints_under_way() == 0
            && self.coverage_share(scope).is_some_and(|share| share >= 1.0)
    }

    /// Whether no peer is left to visit; those under way may still answer.
    fn is_idle(&self) -> bool {
        self.hinted.is_empty() && self.near.is_empty() && self.far.is_empty()
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
        self.resumed = self.paused_until.is_some_and(|until| until <= scope.cx.now);
        loop {
            if let Some(VisitStop { peer, contact, hops, hinted }) = self.next_stop(scope) {
                if let Some(contact) = &contact {
                    scope.cx.learn(contact);
                }
                return SearchStep::Visit { peer, visit: PlannedVisit { hops, reach: self.rules.reach, hinted } };
            }
            let is_waiting = self.under_way.len() > scope.slow;
            if !is_waiting && self.is_covered(scope) {
                return SearchStep::Covered;
            }
            if !self.is_idle() || is_waiting {
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
        let round = self.again_at.filter(|_| self.waiting).unwrap_or(Time::NEVER);
        round.min(self.paused_until.filter(|_| !self.resumed).unwrap_or(Time::NEVER))
    }

    fn visited(&mut self, cx: &DataCx<'_, '_>, peer: NodeId, answer: VisitAnswer) {
        let VisitAnswer { hops, hosts, holders, inventories } = answer;
        let was_hinted = self.under_way.remove(&peer).is_some_and(|stop| stop.hinted);
        self.misled += usize::from(was_hinted);
        self.coverage.add(inventories);
        for contact in holders.into_iter().take(HOLDERS_MAX) {
            self.add_hint(contact.id, Some(contact), hops + 1);
        }
        for contact in hosts {
            self.add(cx, contact.id, Some(contact), hops + 1);
        }
    }

    fn visit_failed(&mut self, peer: NodeId) {
        let stop = self.under_way.remove(&peer);
        self.misled += usize::from(stop.as_ref().is_some_and(|stop| stop.hinted));
        self.failed.extend(stop);
    }
}
