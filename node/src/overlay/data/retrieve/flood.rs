//! Flooding (Gnutella): each peer passes the query to its neighbours, up to a number of hops.
//!
//! A node that sees a query again answers at once and does nothing. Every node answers whoever passed it the query when all
//! to whom it passed it on have answered (the echo algorithm: Chang, IEEE TSE 1982): so the asker knows when all were asked,
//! and how many messages that took. A block goes back along the way that the query came.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt;

use super::super::Ctx;
use super::super::block::Block;
use super::super::message::DataMessage;
use super::super::store::Store;
use super::get::Search;
use super::rbfs;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Queries remembered, to know them again.
const SEEN_MAX: usize = 1_024;
/// How long.
const SEEN_FOR: Duration = Duration::from_secs(15);
/// Time for the answers of those a query was passed to, for each hop that it has left.
const PER_HOP: Duration = Duration::from_millis(300);
/// Most hops that a query of another node is passed on.
const TTL_MAX: u8 = 32;
/// Blocks looked for at a time, each by its own query.
const AT_ONCE: usize = 4;

/// Queries that this node has sent or passed on.
#[derive(Debug, Default)]
pub(super) struct Floods {
    seen: BTreeMap<u64, Seen>,
}

#[derive(Debug)]
struct Seen {
    id: BlockId,
    from: Origin,
    /// Who has not answered.
    waiting: Vec<NodeId>,
    /// Messages that carried the query from here on, as far as is known.
    messages: u64,
    /// Whether the answer has been given: all have answered, time was up, or the block has come.
    answered: bool,
    /// Until answered, when the answer is given at the latest; then, when it may be forgotten.
    until: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A get of this node's own.
    Own(u64),
    /// A peer.
    Peer(NodeId),
    /// A get that has ended.
    Nobody,
}

/// A query that came from a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    pub(super) query: u64,
    pub(super) id: BlockId,
    pub(super) ttl: u8,
    pub(super) hops: u8,
    pub(super) random: bool,
}

/// An own query to which all have answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) get: u64,
    pub(super) query: u64,
    pub(super) messages: u64,
}

impl Floods {
    /// Sends a query for each of some blocks.
    pub(super) fn begin(&mut self, ctx: &mut Ctx<'_>, get: u64, wanted: Vec<BlockId>, random: bool) -> Search {
        let wanted: Vec<BlockId> = wanted.into_iter().take(AT_ONCE).collect();
        let mut open = BTreeSet::new();
        for &id in &wanted {
            let query = ctx.random.random();
            let passed = Passed { query, id, ttl: ctx.config.ttl, hops: 0, random };
            if self.send_on(ctx, Origin::Own(get), passed) {
                open.insert(query);
            }
        }
        Search::Floods { open, wanted }
    }

    /// Takes a query: answers it, or passes it on.
    pub(super) fn pass_on(&mut self, ctx: &mut Ctx<'_>, store: &Store, from: NodeId, passed: Passed) {
        let Passed { query, id, hops, .. } = passed;
        let fresh = !self.seen.contains_key(&query);
        if fresh && let Some(block) = store.get(id) {
            let holder = Box::new(ctx.me.clone());
            ctx.send(from, DataMessage::FloodReply { query, block: block.clone(), hops, holder });
            self.remember(ctx.now, query, Seen::over(passed, from, ctx.now));
            return;
        }
        let left = Passed { ttl: passed.ttl.min(TTL_MAX).saturating_sub(1), ..passed };
        if fresh && left.ttl > 0 && self.send_on(ctx, Origin::Peer(from), left) {
            return;
        }
        if fresh {
            self.remember(ctx.now, query, Seen::over(passed, from, ctx.now));
        }
        ctx.send(from, DataMessage::FloodAck { query, messages: 0 });
    }

    /// Passes a query to neighbours. Whether there was anybody to pass it to.
    fn send_on(&mut self, ctx: &mut Ctx<'_>, from: Origin, passed: Passed) -> bool {
        let others: Vec<NodeId> = ctx.neighbours().filter(|&neighbour| from != Origin::Peer(neighbour)).collect();
        let waiting = if passed.random { rbfs::some_of(ctx, others) } else { others };
        let hops = passed.hops.saturating_add(1);
        let until = ctx.now + PER_HOP * u32::from(passed.ttl);
        let messages = waiting.len() as u64;
        let seen = Seen { id: passed.id, from, waiting: waiting.clone(), messages, answered: false, until };
        if waiting.is_empty() || !self.remember(ctx.now, passed.query, seen) {
            return false;
        }
        for neighbour in waiting {
            ctx.stats.retrieval_messages += 1;
            let Passed { query, id, ttl, random, .. } = passed;
            ctx.send(neighbour, DataMessage::Flood { query, id, ttl, hops, random });
        }
        true
    }

    /// Whether there was room.
    fn remember(&mut self, now: Time, query: u64, seen: Seen) -> bool {
        if self.seen.len() >= SEEN_MAX {
            self.seen.retain(|_, seen| !seen.answered || seen.until > now);
        }
        let room = self.seen.len() < SEEN_MAX;
        if room {
            self.seen.insert(query, seen);
        }
        room
    }

    /// A block comes back: passes it on towards the asker. Returns the own get that wants it.
    pub(super) fn answered(
        &mut self,
        ctx: &mut Ctx<'_>,
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
        match seen.from {
            Origin::Own(get) => return Some(get),
            Origin::Peer(peer) => {
                ctx.send(
                    peer,
                    DataMessage::FloodReply { query, block: block.clone(), hops, holder: Box::new(holder.clone()) },
                );
            }
            Origin::Nobody => {}
        }
        None
    }

    /// A neighbour and all behind it have answered. Returns the own query that has ended with it.
    pub(super) fn echoed(&mut self, ctx: &mut Ctx<'_>, from: NodeId, query: u64, messages: u32) -> Option<Ended> {
        let seen = self.seen.get_mut(&query).filter(|seen| seen.waiting.contains(&from))?;
        seen.waiting.retain(|waiting| *waiting != from);
        seen.messages += u64::from(messages);
        if seen.waiting.is_empty() { seen.answer(ctx, query) } else { None }
    }

    /// A peer is out of reach: it will not answer.
    pub(super) fn lost(&mut self, ctx: &mut Ctx<'_>, peer: NodeId) -> Vec<Ended> {
        let mut ended = Vec::new();
        for (&query, seen) in self.seen.iter_mut().filter(|(_, seen)| seen.waiting.contains(&peer)) {
            seen.waiting.retain(|waiting| *waiting != peer);
            if seen.waiting.is_empty() {
                ended.extend(seen.answer(ctx, query));
            }
        }
        ended
    }

    /// Answers for those who do not, forgets what is old.
    pub(super) fn wake(&mut self, ctx: &mut Ctx<'_>) -> Vec<Ended> {
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
        for seen in self.seen.values_mut().filter(|seen| seen.from == Origin::Own(get)) {
            seen.from = Origin::Nobody;
        }
    }
}

impl Seen {
    /// A query that was answered as it came.
    fn over(passed: Passed, from: NodeId, now: Time) -> Self {
        let until = now + SEEN_FOR;
        Seen { id: passed.id, from: Origin::Peer(from), waiting: Vec::new(), messages: 0, answered: true, until }
    }

    fn close(&mut self, now: Time) {
        self.answered = true;
        self.until = now + SEEN_FOR;
    }

    /// Tells where the query came from that all was done. Nothing the second time.
    fn answer(&mut self, ctx: &mut Ctx<'_>, query: u64) -> Option<Ended> {
        if self.answered {
            return None;
        }
        self.close(ctx.now);
        match self.from {
            Origin::Own(get) => return Some(Ended { get, query, messages: self.messages }),
            Origin::Peer(peer) => {
                let messages = u32::try_from(self.messages).unwrap_or(u32::MAX);
                ctx.send(peer, DataMessage::FloodAck { query, messages });
            }
            Origin::Nobody => {}
        }
        None
    }
}
