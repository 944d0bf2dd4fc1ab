//! Flooded queries: forwarding, acknowledgements and answers.
//!
//! A node acknowledges a query that it has seen before at once. It acknowledges any other when all peers that it forwarded the
//! query to have done so (the echo algorithm: Chang, IEEE TSE 1982). So the origin knows when every peer was asked, and how many
//! messages that took. A block travels back along the path of the query.
//!
//! Each query carries the time that is left for it. A node waits for its peers until that time is up, less what its own
//! acknowledgement needs. Then it acknowledges the query all the same, and says how many did not.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::block::Block;
use super::super::message::{DataMessage, FloodChoice, FloodCounts};
use super::super::store::ReadPurpose;
use super::super::{DataCx, SearchTally, waits};
use super::history::AnswerHistory;
use super::strategy::{ism, rbfs};
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Most queries remembered, to recognise duplicates.
const SEEN_MAX: usize = 1_024;
/// How long an answered query is remembered.
const SEEN_FOR: Duration = Duration::from_secs(15);
/// Longest time that a query of another node is waited for.
const BUDGET_MAX: Duration = Duration::from_secs(60);
/// Most hops that a query of another node is forwarded.
const TTL_MAX: u8 = 32;

/// Queries that this node has sent or forwarded.
#[derive(Debug, Default)]
pub(super) struct Floods {
    seen: BTreeMap<u64, FloodRecord>,
    /// What neighbours have answered.
    history: AnswerHistory,
}

#[derive(Debug)]
struct FloodRecord {
    id: BlockId,
    from: FloodOrigin,
    /// Peers that have not acknowledged it.
    waiting: Vec<NodeId>,
    /// What became of the query from here on, as acknowledged so far.
    counts: FloodCounts,
    /// Whether it is answered: all peers have acknowledged it, its time is up, or the block was found.
    answered: bool,
    /// Deadline of the answer; after the answer, when the record may be forgotten.
    until: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FloodOrigin {
    /// A get of this node's own.
    Own(u64),
    /// A peer.
    Peer(NodeId),
    /// A get that has ended.
    Abandoned,
}

/// A query as it arrives or is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct FloodQuery {
    pub(super) query: u64,
    pub(super) id: BlockId,
    pub(super) ttl: u8,
    pub(super) hops: u8,
    pub(super) choice: FloodChoice,
    /// Time within which it is acknowledged.
    pub(super) budget: Duration,
}

/// A query of this node's own that has come to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct FloodEnd {
    pub(super) get: u64,
    pub(super) query: u64,
    /// Messages that carried the query, each counted as a peer that was asked.
    pub(super) tally: SearchTally,
}

impl Floods {
    /// Floods a query of this node's own. Returns the number of neighbours that it was sent to.
    pub(super) fn send_own(&mut self, ctx: &mut DataCx<'_, '_>, get: u64, query: FloodQuery) -> u32 {
        self.send_on(ctx, FloodOrigin::Own(get), query)
    }

    /// Handles a query: answers or forwards it.
    pub(super) fn pass_on(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, passed: FloodQuery) {
        let FloodQuery { query, id, hops, .. } = passed;
        let fresh = !self.seen.contains_key(&query);
        if fresh && ctx.store.contains(id) {
            if let Some(blocks) = ctx.read_blocks(&[id], ReadPurpose::Flood { to: from, query, hops }) {
                answer_flood(ctx, from, query, hops, blocks);
            }
            self.remember(ctx.now, query, FloodRecord::over(passed, from, ctx.now));
            return;
        }
        let ttl = passed.ttl.min(TTL_MAX).saturating_sub(1);
        let budget = passed.budget.min(BUDGET_MAX).saturating_sub(waits::answer(ctx, from, 0));
        let left = FloodQuery { ttl, budget, ..passed };
        let out_of_time = fresh && ttl > 0 && budget.is_zero();
        if fresh && ttl > 0 && !budget.is_zero() && self.send_on(ctx, FloodOrigin::Peer(from), left) > 0 {
            return;
        }
        if fresh {
            self.remember(ctx.now, query, FloodRecord::over(passed, from, ctx.now));
        }
        let counts = FloodCounts { timed_out: u32::from(out_of_time), ..FloodCounts::default() };
        ctx.send(from, DataMessage::FloodAck { query, counts });
    }

    /// Forwards a query to neighbours. Returns their number.
    fn send_on(&mut self, ctx: &mut DataCx<'_, '_>, from: FloodOrigin, passed: FloodQuery) -> u32 {
        let others: Vec<NodeId> = ctx.neighbours().filter(|&neighbour| from != FloodOrigin::Peer(neighbour)).collect();
        let waiting = match passed.choice {
            FloodChoice::All => others,
            FloodChoice::Random => rbfs::sample_neighbours(ctx, others),
            FloodChoice::MostResults => ism::best_neighbours(ctx, others, |peer| self.history.results(peer)),
            FloodChoice::Similar => ism::best_neighbours(ctx, others, |peer| self.history.likeness(peer, passed.id)),
        };
        let hops = passed.hops.saturating_add(1);
        let until = ctx.now + passed.budget;
        let messages = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
        let counts = FloodCounts { messages, ..FloodCounts::default() };
        let seen = FloodRecord { id: passed.id, from, waiting: waiting.clone(), counts, answered: false, until };
        if waiting.is_empty() || !self.remember(ctx.now, passed.query, seen) {
            return 0;
        }
        for neighbour in waiting {
            ctx.stats.retrieval_messages += 1;
            let FloodQuery { query, id, ttl, choice, budget, .. } = passed;
            let budget_ms = u32::try_from(budget.as_millis()).unwrap_or(u32::MAX);
            ctx.send(neighbour, DataMessage::Flood { query, id, ttl, hops, choice, budget_ms });
        }
        messages
    }

    /// Adds a record. Returns whether there was room.
    fn remember(&mut self, now: Time, query: u64, seen: FloodRecord) -> bool {
        if self.seen.len() >= SEEN_MAX {
            self.seen.retain(|_, seen| !seen.answered || seen.until > now);
        }
        let room = self.seen.len() < SEEN_MAX;
        if room {
            self.seen.insert(query, seen);
        }
        room
    }

    /// A block arrives: forwards it towards the origin. Returns the own get that wants it.
    pub(super) fn answered(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        query: u64,
        block: &Block,
        hops: u8,
        holder: &Contact,
    ) -> Option<u64> {
        let seen = self.seen.get_mut(&query).filter(|seen| seen.waiting.contains(&from))?;
        seen.waiting.retain(|waiting| *waiting != from);
        if seen.answered || !block.is(seen.id) {
            return None;
        }
        seen.close(ctx.now);
        self.history.answered(from, seen.id);
        match seen.from {
            FloodOrigin::Own(get) => return Some(get),
            FloodOrigin::Peer(peer) => {
                ctx.send(
                    peer,
                    DataMessage::FloodReply { query, block: block.clone(), hops, holder: Box::new(holder.clone()) },
                );
            }
            FloodOrigin::Abandoned => {}
        }
        None
    }

    /// A neighbour and all peers behind it have acknowledged the query. Returns the own query that has ended with it.
    pub(super) fn acknowledged(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        query: u64,
        counts: FloodCounts,
    ) -> Option<FloodEnd> {
        let seen = self.seen.get_mut(&query).filter(|seen| seen.waiting.contains(&from))?;
        seen.waiting.retain(|waiting| *waiting != from);
        seen.counts += counts;
        if seen.waiting.is_empty() { seen.answer(ctx, query) } else { None }
    }

    /// A peer is unreachable: it will not answer.
    pub(super) fn lost(&mut self, ctx: &mut DataCx<'_, '_>, peer: NodeId) -> Vec<FloodEnd> {
        let mut ended = Vec::new();
        self.history.lost(peer);
        for (&query, seen) in self.seen.iter_mut().filter(|(_, seen)| seen.waiting.contains(&peer)) {
            seen.waiting.retain(|waiting| *waiting != peer);
            seen.counts.unreachable = seen.counts.unreachable.saturating_add(1);
            if seen.waiting.is_empty() {
                ended.extend(seen.answer(ctx, query));
            }
        }
        ended
    }

    /// Ends overdue queries and forgets old ones.
    pub(super) fn wake(&mut self, ctx: &mut DataCx<'_, '_>) -> Vec<FloodEnd> {
        let now = ctx.now;
        self.seen.retain(|_, seen| !seen.answered || seen.until > now);
        let mut ended = Vec::new();
        for (&query, seen) in self.seen.iter_mut().filter(|(_, seen)| seen.until <= now) {
            ended.extend(seen.answer(ctx, query));
        }
        ended
    }

    /// When [`Floods::wake`] is due.
    pub(super) fn due(&self) -> Time {
        self.seen.values().map(|seen| seen.until).min().unwrap_or(Time::NEVER)
    }

    /// A get has ended.
    pub(super) fn abandon(&mut self, get: u64) {
        for seen in self.seen.values_mut().filter(|seen| seen.from == FloodOrigin::Own(get)) {
            seen.from = FloodOrigin::Abandoned;
        }
    }
}

/// Answers a flooded query with the block that was read, or acknowledges the query if the store has lost it.
pub(super) fn answer_flood(ctx: &mut DataCx<'_, '_>, to: NodeId, query: u64, hops: u8, blocks: Vec<(BlockId, Block)>) {
    match blocks.into_iter().next() {
        Some((_, block)) => {
            let holder = Box::new(ctx.me.clone());
            ctx.send(to, DataMessage::FloodReply { query, block, hops, holder });
        }
        None => ctx.send(to, DataMessage::FloodAck { query, counts: FloodCounts::default() }),
    }
}

impl FloodRecord {
    /// A query that was answered on arrival.
    fn over(passed: FloodQuery, from: NodeId, now: Time) -> Self {
        let until = now + SEEN_FOR;
        FloodRecord {
            id: passed.id,
            from: FloodOrigin::Peer(from),
            waiting: Vec::new(),
            counts: FloodCounts::default(),
            answered: true,
            until,
        }
    }

    fn close(&mut self, now: Time) {
        self.answered = true;
        self.until = now + SEEN_FOR;
    }

    /// Acknowledges the query to its origin, once.
    fn answer(&mut self, ctx: &mut DataCx<'_, '_>, query: u64) -> Option<FloodEnd> {
        if self.answered {
            return None;
        }
        self.close(ctx.now);
        let silent = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        self.counts.timed_out = self.counts.timed_out.saturating_add(silent);
        match self.from {
            FloodOrigin::Own(get) => return Some(FloodEnd { get, query, tally: self.counts.into() }),
            FloodOrigin::Peer(peer) => ctx.send(peer, DataMessage::FloodAck { query, counts: self.counts }),
            FloodOrigin::Abandoned => {}
        }
        None
    }
}
