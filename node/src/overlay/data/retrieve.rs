//! Gets: finding values.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`get`] | one get: the blocks that it has and lacks, and its sources |
//! | [`strategy`] | the search strategies and their table |
//! | [`visits`] | iterative search: the asking node visits peers |
//! | [`flooding`] | forwarded queries: peers pass them on and acknowledge them |
//!
//! Whichever way the first block is found, its holder becomes a source. The parts of a large value are requested from sources,
//! several requests at a time. Only blocks that no source has are searched for anew.

use std::collections::BTreeMap;
use std::time::Duration;

use super::DataCx;
use super::block::Block;
use super::message::{BLOCKS_MAX, CONTACTS_MAX, DataMessage};
use super::persist::Persist;
use super::store::ReadPurpose;
use super::{DataOutcome, FoundValue, GetError};
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::io::CommandId;
use crate::core::time::Time;

mod flooding;
mod get;
mod strategy;
mod visits;

use flooding::{FloodEnd, FloodQuery, Floods};
use get::{Get, GetStep};
use strategy::SearchScope;

pub use strategy::Retrieval;

/// Most gets under way.
const GETS_MAX: usize = 256;
/// A peer that has not answered after this no longer counts as being asked: others are asked beside it.
const SLOW: Duration = Duration::from_millis(250);
/// Time for an answer over a link that is up, and over one that has to be made.
const ANSWER_LINKED: Duration = Duration::from_secs(1);
const ANSWER_UNLINKED: Duration = Duration::from_millis(2_500);
/// Time for an answer with parts.
const ANSWER_PARTS: Duration = Duration::from_secs(3);

/// Gets under way, and queries passed on for others.
#[derive(Debug, Default)]
pub(super) struct Retrieve {
    gets: BTreeMap<u64, Get>,
    queries: BTreeMap<u64, FindQuery>,
    floods: Floods,
    last_get: u64,
    last_query: u64,
}

/// A [`DataMessage::Find`] that was sent and is not answered.
#[derive(Debug)]
struct FindQuery {
    get: u64,
    peer: NodeId,
    ids: Vec<BlockId>,
    /// Hops to the peer if this is a visit; otherwise it is asked for parts.
    visit: Option<u32>,
    slow_at: Time,
    until: Time,
}

/// The answer to a [`DataMessage::Find`].
struct FindReply {
    query: u64,
    blocks: Vec<Block>,
    hosts: Vec<Contact>,
}

/// The answer to a flooded query of this node's own.
struct FloodFound {
    block: Block,
    hops: u8,
    holder: Box<Contact>,
}

impl FindQuery {
    fn due(&self, now: Time) -> Time {
        if self.visit.is_some() && self.slow_at > now { self.slow_at } else { self.until }
    }
}

impl Retrieve {
    /// Begins to look for a value.
    pub(super) fn begin(&mut self, ctx: &mut DataCx<'_, '_>, persist: &Persist, command: CommandId, id: BlockId) {
        if self.gets.len() >= GETS_MAX || persist.is_leaving() {
            ctx.stats.retrievals_timed_out += 1;
            ctx.done(command, DataOutcome::Get(Err(GetError::Busy)));
            return;
        }
        self.last_get += 1;
        let until = ctx.now + ctx.config.deadline;
        let get = Get::new(command, self.last_get, id, until, ctx);
        self.gets.insert(self.last_get, get);
        self.advance(ctx, persist, self.last_get);
    }

    /// When [`Retrieve::wake`] is due, seen from `now`.
    pub(super) fn due(&self, now: Time) -> Time {
        let queries = self.queries.values().map(|query| query.due(now)).min().unwrap_or(Time::NEVER);
        let gets = self.gets.values().map(|get| get.until).min().unwrap_or(Time::NEVER);
        queries.min(gets).min(self.floods.due())
    }

    /// Gives up what has taken too long, and goes on without it.
    pub(super) fn wake(&mut self, ctx: &mut DataCx<'_, '_>, persist: &Persist) {
        let expired: Vec<u64> =
            self.queries.iter().filter(|(_, query)| query.until <= ctx.now).map(|(&number, _)| number).collect();
        expired.into_iter().for_each(|number| self.unanswered(number));
        let ended = self.floods.wake(ctx);
        self.floods_ended(&ended);
        let over: Vec<u64> = self
            .gets
            .iter()
            .filter(|(_, get)| get.until <= ctx.now || persist.is_leaving())
            .map(|(&number, _)| number)
            .collect();
        over.into_iter().for_each(|number| self.end(ctx, number, Err(GetError::TimedOut)));
        self.advance_all(ctx, persist);
    }

    /// A peer cannot be reached.
    pub(super) fn lost(&mut self, ctx: &mut DataCx<'_, '_>, persist: &Persist, peer: NodeId) {
        let lost: Vec<u64> =
            self.queries.iter().filter(|(_, query)| query.peer == peer).map(|(&number, _)| number).collect();
        let ended = self.floods.lost(ctx, peer);
        if !lost.is_empty() || !ended.is_empty() {
            lost.into_iter().for_each(|number| self.unanswered(number));
            self.floods_ended(&ended);
            self.advance_all(ctx, persist);
        }
    }

    /// Takes one of retrieval's messages; others are handed back.
    pub(super) fn handle(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        persist: &Persist,
        from: NodeId,
        message: DataMessage,
    ) -> Option<DataMessage> {
        match message {
            DataMessage::Find { query, ids, hosts } => serve(ctx, from, query, &ids, hosts),
            DataMessage::FindReply { query, blocks, hosts } => {
                self.answered(ctx, persist, from, FindReply { query, blocks, hosts });
            }
            DataMessage::Flood { query, id, ttl, hops, random } => {
                self.floods.pass_on(ctx, from, FloodQuery { query, id, ttl, hops, random });
            }
            DataMessage::FloodReply { query, block, hops, holder } => {
                if let Some(get) = self.floods.answered(ctx, from, query, &block, hops, &holder) {
                    self.flood_found(ctx, persist, get, FloodFound { block, hops, holder });
                }
            }
            DataMessage::FloodAck { query, messages } => {
                let ended = self.floods.acknowledged(ctx, from, query, messages);
                self.floods_ended(ended.as_slice());
                ended.iter().for_each(|ended| self.advance(ctx, persist, ended.get));
            }
            other => return Some(other),
        }
        None
    }

    /// Blocks for a peer or for a get of this node have been read. `lost` are those that the store does not have any more.
    pub(super) fn blocks_read(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        persist: &Persist,
        purpose: ReadPurpose,
        blocks: Vec<(BlockId, Block)>,
        lost: &[BlockId],
    ) {
        match purpose {
            ReadPurpose::Find { to, query, wanted, hosts } => answer_find(ctx, to, query, (wanted, hosts), blocks),
            ReadPurpose::Flood { to, query, hops } => flooding::answer_flood(ctx, to, query, hops, blocks),
            ReadPurpose::Get { get: number } => {
                let Some(get) = self.gets.get_mut(&number) else { return };
                lost.iter().for_each(|&id| get.stored_read(ctx, id, Vec::new()));
                blocks.into_iter().for_each(|(id, block)| get.stored_read(ctx, id, vec![(id, block)]));
                self.advance(ctx, persist, number);
            }
            ReadPurpose::Invite { .. } => {}
        }
    }

    /// Handles the answer to a [`DataMessage::Find`].
    fn answered(&mut self, ctx: &mut DataCx<'_, '_>, persist: &Persist, from: NodeId, reply: FindReply) {
        let FindReply { query: number, blocks, hosts } = reply;
        // Only an answer of the peer that was asked counts.
        if self.queries.get(&number).is_none_or(|query| query.peer != from) {
            return;
        }
        let query = self.queries.remove(&number).expect("it was just there");
        let Some(get) = self.gets.get_mut(&query.get) else { return };
        let hops = query.visit.unwrap_or(1);
        let mut brought = false;
        for block in blocks {
            let id = block.id();
            if query.ids.contains(&id) {
                brought |= get.take(ctx, id, block, hops);
            }
        }
        if query.visit.is_some() {
            get.visited(ctx, from, hops, hosts);
        } else {
            get.parts_answered(from, &query.ids);
        }
        if brought {
            get.add_source(from);
        }
        self.advance(ctx, persist, query.get);
    }

    /// A flooded query of this node's own has found its block.
    fn flood_found(&mut self, ctx: &mut DataCx<'_, '_>, persist: &Persist, number: u64, found: FloodFound) {
        let FloodFound { block, hops, holder } = found;
        let Some(get) = self.gets.get_mut(&number) else { return };
        let id = block.id();
        if get.take(ctx, id, block, u32::from(hops)) && holder.id != ctx.me.id {
            ctx.learn(&holder);
            get.add_source(holder.id);
        }
        self.advance(ctx, persist, number);
    }

    fn floods_ended(&mut self, ended: &[FloodEnd]) {
        for flood in ended {
            if let Some(get) = self.gets.get_mut(&flood.get) {
                get.flood_ended(flood.query, flood.messages);
            }
        }
    }

    /// A peer will not answer.
    fn unanswered(&mut self, number: u64) {
        let Some(query) = self.queries.remove(&number) else { return };
        if let Some(get) = self.gets.get_mut(&query.get) {
            match query.visit {
                Some(_) => get.visit_failed(query.peer),
                None => get.source_failed(query.peer, &query.ids),
            }
        }
    }

    fn advance_all(&mut self, ctx: &mut DataCx<'_, '_>, persist: &Persist) {
        let all: Vec<u64> = self.gets.keys().copied().collect();
        all.into_iter().for_each(|number| self.advance(ctx, persist, number));
    }

    /// Sends whatever a get wants next, or ends it.
    fn advance(&mut self, ctx: &mut DataCx<'_, '_>, persist: &Persist, number: u64) {
        loop {
            let slow = |query: &&FindQuery| query.get == number && query.visit.is_some() && query.slow_at <= ctx.now;
            let slow = self.queries.values().filter(slow).count();
            let Some(get) = self.gets.get_mut(&number) else { return };
            let mut scope = SearchScope { cx: &mut *ctx, persist, floods: &mut self.floods, get: number, slow };
            match get.next(&mut scope) {
                GetStep::Wait => return,
                GetStep::Ask { peer, ids } => self.find(ctx, number, peer, ids, None),
                GetStep::Visit { peer, ids, hops } => self.find(ctx, number, peer, ids, Some(hops)),
                GetStep::Search(ids) => {
                    let retrieval = scope.cx.settings.retrieval;
                    get.search(retrieval.begin(&mut scope, ids));
                }
                GetStep::Found(found) => {
                    let took = ctx.now.since(get.began);
                    ctx.stats.retrieval_seconds.record(took);
                    return self.end(ctx, number, Ok(found));
                }
                GetStep::NotFound => return self.end(ctx, number, Err(GetError::NotFound)),
            }
        }
    }

    fn find(&mut self, ctx: &mut DataCx<'_, '_>, get: u64, peer: NodeId, ids: Vec<BlockId>, visit: Option<u32>) {
        self.last_query += 1;
        let within = match (visit.is_some(), ctx.is_linked(peer)) {
            (false, _) => ANSWER_PARTS,
            (true, true) => ANSWER_LINKED,
            (true, false) => ANSWER_UNLINKED,
        };
        let query = FindQuery { get, peer, ids: ids.clone(), visit, slow_at: ctx.now + SLOW, until: ctx.now + within };
        self.queries.insert(self.last_query, query);
        ctx.stats.retrieval_messages += 1;
        ctx.send(peer, DataMessage::Find { query: self.last_query, ids, hosts: visit.is_some() });
    }

    fn end(&mut self, ctx: &mut DataCx<'_, '_>, number: u64, result: Result<FoundValue, GetError>) {
        let Some(get) = self.gets.remove(&number) else { return };
        self.queries.retain(|_, query| query.get != number);
        self.floods.abandon(number);
        *match result {
            Ok(_) => &mut ctx.stats.retrievals_found,
            Err(GetError::NotFound) => &mut ctx.stats.retrievals_not_found,
            Err(_) => &mut ctx.stats.retrievals_timed_out,
        } += 1;
        ctx.done(get.command, DataOutcome::Get(result));
    }
}

/// Answers a peer that looks for blocks.
fn serve(ctx: &mut DataCx<'_, '_>, to: NodeId, query: u64, ids: &[BlockId], hosts: bool) {
    let ids = &ids[..ids.len().min(BLOCKS_MAX)];
    let wanted = ids.len();
    if let Some(blocks) = ctx.read_blocks(ids, ReadPurpose::Find { to, query, wanted, hosts }) {
        answer_find(ctx, to, query, (wanted, hosts), blocks);
    }
}

/// Answers a `Find` for `wanted` blocks with those that were read, and with neighbours if `hosts` and one is missing.
fn answer_find(
    ctx: &mut DataCx<'_, '_>,
    to: NodeId,
    query: u64,
    (wanted, hosts): (usize, bool),
    blocks: Vec<(BlockId, Block)>,
) {
    let blocks: Vec<Block> = blocks.into_iter().map(|(_, block)| block).collect();
    let hosts = if hosts && blocks.len() < wanted { neighbours_for(ctx, to) } else { Vec::new() };
    ctx.send(to, DataMessage::FindReply { query, blocks, hosts });
}

/// Contacts of this node's neighbours, for `peer`.
fn neighbours_for(ctx: &DataCx<'_, '_>, peer: NodeId) -> Vec<Contact> {
    let others = ctx.neighbours().filter(|&neighbour| neighbour != peer);
    others.filter_map(|neighbour| ctx.contact(neighbour).cloned()).take(CONTACTS_MAX).collect()
}
