//! Which peer a search asks next.
//!
//! Peers whose inventories have the keywords come first, then further pages of those that have more, then all others. No peer gives
//! two first pages. Peers that could not be reached are asked again after growing pauses, a few times.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::retrieve::Knowledge;
use super::super::retrieve::coverage::Coverage;
use super::super::retrieve::visits::PAUSE_AT;
use super::super::{DataCx, SearchTally, waits};
use super::{Cursor, SearchPage};
use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::time::Time;

/// Most peers asked in one search.
const PEERS_MAX: usize = 4_096;
/// Most pages that one peer is asked for.
pub(super) const PAGES_MAX: u32 = 64;
/// Concurrent questions, beside those that are late.
const WIDTH: usize = 8;
/// Most concurrent questions, late ones included.
const OPEN_MAX: usize = 64;
/// Wrong hints that a search takes before it weighs them against its questions.
const HINTS_TRUSTED: usize = 3;
/// Rounds in which peers that could not be reached are asked again.
const ROUNDS_MAX: u32 = 3;

/// A page to ask a peer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageStop {
    pub(super) peer: NodeId,
    /// Where the page before ended; `None` for the first one.
    pub(super) after: Cursor,
    /// Pages of this peer, this one included.
    pub(super) pages: u32,
    /// Whether its inventory is said to have the keywords.
    hinted: bool,
}

/// What there is to ask.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FrontierStep {
    Ask(PageStop),
    /// Answers are awaited, or the next round.
    Wait,
    /// Everyone has answered.
    AllAnswered,
    /// The search has seen enough.
    EnoughSeen,
    /// Some could not be reached.
    Unreachable,
}

/// Peers that were asked and that are to be asked.
#[derive(Debug)]
pub(super) struct SearchFrontier {
    coverage: Coverage,
    seen: BTreeSet<NodeId>,
    contacts: BTreeMap<NodeId, Contact>,
    hinted: VecDeque<NodeId>,
    further: VecDeque<PageStop>,
    others: VecDeque<NodeId>,
    failed: Vec<PageStop>,
    answered: BTreeSet<NodeId>,
    /// Peers that were asked, and the number of their open questions.
    open: BTreeMap<NodeId, u32>,
    /// Whether the known hosts that no answer has named were added.
    widened: bool,
    rounds: u32,
    again_at: Option<Time>,
    /// End of the pause for what was stored a moment ago, once it has begun.
    paused_until: Option<Time>,
    /// Whether that pause is over.
    resumed: bool,
    /// Peers that were asked for a first page.
    made: usize,
    /// Those of them that were said to have hits and brought none.
    misled: usize,
}

impl SearchFrontier {
    /// Begins at the peers whose inventories this node keeps, and at its neighbours.
    pub(super) fn new(ctx: &DataCx<'_, '_>, known: Knowledge<'_>, holders: Vec<Contact>) -> Self {
        let mut frontier = SearchFrontier {
            coverage: Coverage::of_here(known.inventories),
            seen: BTreeSet::from([ctx.me.id]),
            contacts: BTreeMap::new(),
            hinted: VecDeque::new(),
            further: VecDeque::new(),
            others: VecDeque::new(),
            failed: Vec::new(),
            answered: BTreeSet::new(),
            open: BTreeMap::new(),
            widened: false,
            rounds: 0,
            again_at: None,
            paused_until: None,
            resumed: false,
            made: 0,
            misled: 0,
        };
        holders.into_iter().for_each(|holder| frontier.add_hint(holder));
        ctx.neighbours().for_each(|neighbour| frontier.add(neighbour, None));
        frontier
    }

    fn add(&mut self, peer: NodeId, contact: Option<Contact>) {
        if self.seen.len() <= PEERS_MAX && self.seen.insert(peer) {
            self.contacts.extend(contact.map(|contact| (peer, contact)));
            self.others.push_back(peer);
        }
    }

    /// Adds a peer that probably has hits, unless it was asked before.
    fn add_hint(&mut self, holder: Contact) {
        let peer = holder.id;
        let is_new = self.seen.len() <= PEERS_MAX && self.seen.insert(peer);
        let queued = self.others.iter().position(|other| !is_new && *other == peer);
        if let Some(at) = queued {
            self.others.remove(at);
        }
        if is_new || queued.is_some() {
            self.contacts.insert(peer, holder);
            self.hinted.push_back(peer);
        }
    }

    /// What to do now. `late` questions do not keep others from being asked.
    pub(super) fn next(&mut self, ctx: &mut DataCx<'_, '_>, known: Knowledge<'_>, late: usize) -> FrontierStep {
        self.resumed = self.paused_until.is_some_and(|until| until <= ctx.now);
        let open: usize = self.open.values().map(|&open| open as usize).sum();
        if open >= (WIDTH + late).min(OPEN_MAX) {
            return FrontierStep::Wait;
        }
        let share = self.coverage.share(known.inventories, ctx.settings.replicas);
        let has_seen_enough = share.is_some_and(|share| share >= 1.0);
        let may_see_more = !has_seen_enough && !self.pauses(ctx, known, share);
        loop {
            if let Some(stop) = self.next_stop(may_see_more) {
                if let Some(contact) = self.contacts.remove(&stop.peer) {
                    ctx.learn(&contact);
                }
                *self.open.entry(stop.peer).or_default() += 1;
                return FrontierStep::Ask(stop);
            }
            if open > 0 {
                return FrontierStep::Wait;
            }
            if self.pauses(ctx, known, share) {
                return FrontierStep::Wait;
            }
            if has_seen_enough {
                // A holder that cannot be reached at once may have what no other has.
                let is_over = self.rounds > 0 || !self.failed.iter().any(|stop| stop.hinted);
                if is_over {
                    return FrontierStep::EnoughSeen;
                }
                if !self.begin_round(ctx, known) {
                    return FrontierStep::Wait;
                }
                continue;
            }
            // Hosts that no answer has named may be gone, so they come last.
            if !std::mem::replace(&mut self.widened, true) {
                self.add_known(ctx, known);
            } else if self.failed.is_empty() && !self.answered.is_empty() {
                return FrontierStep::AllAnswered;
            } else if self.rounds >= ROUNDS_MAX && !self.failed.is_empty() {
                return FrontierStep::Unreachable;
            } else if !self.begin_round(ctx, known) {
                return FrontierStep::Wait;
            }
        }
    }

    /// Whether the search pauses: once, when it has seen a share of the network, while what was just stored is published.
    fn pauses(&mut self, ctx: &DataCx<'_, '_>, known: Knowledge<'_>, share: Option<f64>) -> bool {
        let is_due = share.is_some_and(|share| share >= PAUSE_AT);
        is_due && *self.paused_until.get_or_insert_with(|| ctx.now + known.inventories.publication_time(ctx)) > ctx.now
    }

    fn next_stop(&mut self, may_see_more: bool) -> Option<PageStop> {
        // Hints come last once most of them were wrong: a liar names as many as it likes.
        let stop = if self.misled <= self.made / 2 + HINTS_TRUSTED {
            self.next_hinted().or_else(|| self.further.pop_front()).or_else(|| self.next_other(may_see_more))
        } else {
            self.next_other(may_see_more).or_else(|| self.further.pop_front()).or_else(|| self.next_hinted())
        }?;
        self.made += usize::from(stop.after.is_none());
        Some(stop)
    }

    fn next_hinted(&mut self) -> Option<PageStop> {
        self.hinted.pop_front().map(|peer| PageStop { peer, after: None, pages: 1, hinted: true })
    }

    fn next_other(&mut self, may_see_more: bool) -> Option<PageStop> {
        let peer = if may_see_more { self.others.pop_front() } else { None };
        peer.map(|peer| PageStop { peer, after: None, pages: 1, hinted: false })
    }

    fn add_known(&mut self, ctx: &DataCx<'_, '_>, known: Knowledge<'_>) {
        ctx.neighbours().for_each(|neighbour| self.add(neighbour, None));
        ctx.known_hosts().for_each(|host| self.add(host.id, Some(host.clone())));
        known.persist.live_peers().for_each(|peer| self.add(peer, None));
    }

    /// Asks those again that could not be reached, and peers that have come up. Whether the pause before that is over.
    fn begin_round(&mut self, ctx: &DataCx<'_, '_>, known: Knowledge<'_>) -> bool {
        let again_at = *self.again_at.get_or_insert_with(|| ctx.now + waits::round_pause(self.rounds));
        if again_at > ctx.now {
            return false;
        }
        self.rounds += 1;
        self.again_at = None;
        self.further.extend(self.failed.drain(..));
        self.add_known(ctx, known);
        true
    }

    /// When the next round begins, or the pause is over, if the search waits for that.
    pub(super) fn due(&self) -> Time {
        let round = self.again_at.filter(|_| self.open.is_empty()).unwrap_or(Time::NEVER);
        // A round that is due meanwhile waits for the end of the pause.
        self.paused_until.filter(|_| !self.resumed).unwrap_or(round)
    }

    /// A peer has answered. Takes the peers that it names, and its next page.
    pub(super) fn answered(&mut self, stop: PageStop, (next, has_hits): (Cursor, bool), page: SearchPage) {
        self.closed(stop.peer);
        self.misled += usize::from(stop.hinted && stop.after.is_none() && !has_hits);
        if stop.after.is_none() && self.answered.insert(stop.peer) {
            self.coverage.add(page.inventories);
        }
        if next.is_some() && stop.pages < PAGES_MAX {
            self.further.push_back(PageStop { after: next, pages: stop.pages + 1, ..stop });
        }
        page.holders.into_iter().for_each(|holder| self.add_hint(holder));
        page.hosts.into_iter().for_each(|host| self.add(host.id, Some(host)));
    }

    /// A peer could not be reached.
    pub(super) fn failed(&mut self, stop: PageStop) {
        self.closed(stop.peer);
        self.misled += usize::from(stop.hinted && stop.after.is_none());
        self.failed.push(stop);
    }

    fn closed(&mut self, peer: NodeId) {
        if let Some(open) = self.open.get_mut(&peer) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&peer);
            }
        }
    }

    /// Who was asked so far, and what came of it. A peer that is being linked at the moment is unreachable.
    pub(super) fn tally(&self, ctx: &DataCx<'_, '_>) -> SearchTally {
        let mut tally = SearchTally { answered: self.answered.len() as u32, ..SearchTally::default() };
        let open = self.open.keys().filter(|peer| !self.answered.contains(peer));
        for peer in open {
            *if ctx.is_linked(*peer) { &mut tally.timed_out } else { &mut tally.unreachable } += 1;
        }
        let failed: BTreeSet<NodeId> = self.failed.iter().map(|stop| stop.peer).collect();
        tally.unreachable += failed.difference(&self.answered).count() as u32;
        tally.asked = tally.answered + tally.timed_out + tally.unreachable;
        tally
    }
}
