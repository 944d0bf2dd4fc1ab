//! Gets: finding values.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`get`] | one get: the blocks that it has and lacks, and its next step |
//! | [`sources`] | peers that have blocks of a value, and which is asked for what |
//! | [`strategy`] | the search strategies and their table |
//! | [`trace`] | what was asked of each peer, and what came of it |
//! | [`visits`] | iterative search: the asking node visits peers |
//! | [`flooding`] | forwarded queries: peers pass them on and acknowledge them |
//! | [`open_floods`] | the forwarded queries of one round |
//!
//! Whichever way the first block is found, its holder becomes a source. The parts of a large value are requested from sources,
//! several requests at a time. Only blocks that no source has, or sends in time, are searched for anew.
//!
//! A link is reliable: as long as it is up, the answer may still come. So no peer is given up before its link is lost or the get
//! ends. When an answer is late, others are asked beside it. A get ends as not found only when all have answered.

use std::collections::BTreeMap;
use std::time::Duration;

use super::block::{BLOCK_MAX, Block, BlockKind};
use super::message::{BLOCKS_MAX, CONTACTS_MAX, DataMessage};
use super::persist::Persist;
use super::store::ReadPurpose;
use super::{DataCx, DataOutcome, FoundValue, GetError, waits};
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::io::CommandId;
use crate::core::time::Time;

mod flooding;
mod get;
mod open_floods;
mod sources;
mod strategy;
pub(super) mod trace;
mod visits;

use flooding::{FloodEnd, FloodQuery, Floods};
use get::{Get, GetStep};
use sources::SourceRequest;
use strategy::SearchScope;
use trace::PeerAnswer;

pub use strategy::Retrieval;

/// Most gets under way.
const GETS_MAX: usize = 256;
/// Times that one visit is repeated over a link that stays up.
const REPEATS_MAX: u32 = 2;

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
    asked: Time,
    /// Whether its answer is late.
    late: bool,
    /// Times that it was repeated.
    repeats: u32,
    /// When it is late, or is repeated; never once nothing but the answer can follow.
    next: Time,
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

impl Retrieve {
    /// Begins to look for a value.
    pub(super) fn begin(&mut self, ctx: &mut DataCx<'_, '_>, persist: &Persist, command: CommandId, id: BlockId) {
        if self.gets.len() >= GETS_MAX || persist.is_leaving() {
            ctx.stats.retrievals_refused += 1;
            ctx.done(command, DataOutcome::Get(Err(GetError::Busy), Vec::new()));
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
        let queries = self.queries.values().map(|query| query.next).min().unwrap_or(Time::NEVER);
        let gets = self.gets.values().map(|get| get.due(now)).min().unwrap_or(Time::NEVER);
        queries.min(gets).min(self.floods.due())
    }

    /// Notices what is late, repeats questions and ends gets whose time is up.
    pub(super) fn wake(&mut self, ctx: &mut DataCx<'_, '_>, persist: &Persist) {
        let due: Vec<u64> =
            self.queries.iter().filter(|(_, query)| query.next <= ctx.now).map(|(&number, _)| number).collect();
        due.into_iter().for_each(|number| self.late(ctx, number));
        let ended = self.floods.wake(ctx);
        self.floods_ended(&ended);
        let over: Vec<u64> = self
            .gets
            .iter()
            .filter(|(_, get)| get.until <= ctx.now || persist.is_leaving())
            .map(|(&number, _)| number)
            .collect();
        for number in over {
            let tally = self.gets[&number].tally(ctx);
            self.end(ctx, number, Err(GetError::Incomplete(tally)));
        }
        self.advance_all(ctx, persist);
    }

    /// A peer cannot be reached.
    pub(super) fn lost(&mut self, ctx: &mut DataCx<'_, '_>, persist: &Persist, peer: NodeId) {
        let lost: Vec<u64> =
            self.queries.iter().filter(|(_, query)| query.peer == peer).map(|(&number, _)| number).collect();
        let ended = self.floods.lost(ctx, peer);
        if !lost.is_empty() || !ended.is_empty() {
            lost.into_iter().for_each(|number| self.unreachable(ctx.now, number));
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
            DataMessage::Find { query, ids, hosts } => serve(ctx, persist, from, query, &ids, hosts),
            DataMessage::FindReply { query, blocks, hosts } => {
                self.answered(ctx, persist, from, FindReply { query, blocks, hosts });
            }
            DataMessage::Flood { query, id, ttl, hops, random, budget_ms } => {
                let budget = Duration::from_millis(budget_ms.into());
                self.floods.pass_on(ctx, from, FloodQuery { query, id, ttl, hops, random, budget });
            }
            DataMessage::FloodReply { query, block, hops, holder } => {
                if let Some(get) = self.floods.answered(ctx, from, query, &block, hops, &holder) {
                    self.flood_found(ctx, persist, get, FloodFound { block, hops, holder });
                }
            }
            DataMessage::FloodAck { query, counts } => {
                let ended = self.floods.acknowledged(ctx, from, query, counts);
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
            ReadPurpose::Find { to, query, wanted, hosts } => {
                answer_find(ctx, persist, to, query, (wanted, hosts), blocks);
            }
            ReadPurpose::Flood { to, query, hops } => flooding::answer_flood(ctx, to, query, hops, blocks),
            ReadPurpose::Get { get: number } => {
                let Some(get) = self.gets.get_mut(&number) else { return };
                lost.iter().for_each(|&id| get.stored_read(ctx, id, Vec::new()));
                blocks.into_iter().for_each(|(id, block)| get.stored_read(ctx, id, vec![(id, block)]));
                self.advance(ctx, persist, number);
            }
            ReadPurpose::Invite { .. } | ReadPurpose::Possession(_) => {}
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
        self.go_on_waiting(ctx, from, number);
        let Some(get) = self.gets.get_mut(&query.get) else { return };
        let hops = query.visit.unwrap_or(1);
        let mut brought = false;
        for block in blocks {
            let id = block.id();
            if query.ids.contains(&id) {
                brought |= get.take(ctx, id, block, hops);
            }
        }
        let answer = if brought { PeerAnswer::Had } else { PeerAnswer::Lacked };
        get.trace.ended(ctx.now, get.began, from, answer);
        if brought {
            get.add_source(ctx.now, from);
        }
        match query.visit {
            None => get.parts_answered(from, &query.ids),
            Some(_) if brought => {
                get.visited(ctx, from, hops, Vec::new());
                get.add_hints(hosts);
            }
            Some(_) => get.visited(ctx, from, hops, hosts),
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
            get.add_source(ctx.now, holder.id);
        }
        self.advance(ctx, persist, number);
    }

    fn floods_ended(&mut self, ended: &[FloodEnd]) {
        for flood in ended {
            if let Some(get) = self.gets.get_mut(&flood.get) {
                get.flood_ended(*flood);
            }
        }
    }

    /// `peer` has answered question `number`, so the link carries its answers, one after the other: those to later questions are
    /// given time anew, within the bounds of that wait. Earlier ones are overdue: they may have been lost with an older link.
    fn go_on_waiting(&mut self, ctx: &DataCx<'_, '_>, peer: NodeId, number: u64) {
        let late_at = ctx.now + waits::answer(ctx, peer, self.asked_of(peer));
        let later = self.queries.range_mut(number..).map(|(_, query)| query);
        for query in later.filter(|query| query.peer == peer && !query.late) {
            query.next = query.next.max(late_at.min(query.asked + waits::answer_max()));
        }
    }

    /// Bytes that `peer` has to send at most before it has answered every question.
    fn asked_of(&self, peer: NodeId) -> u64 {
        self.queries.values().filter(|query| query.peer == peer).map(FindQuery::bytes_max).sum()
    }

    /// The answer to a question is late: others are asked beside it. A visit is repeated, in case it was lost with an older link.
    fn late(&mut self, ctx: &mut DataCx<'_, '_>, number: u64) {
        let Some(query) = self.queries.get_mut(&number) else { return };
        let is_first = !std::mem::replace(&mut query.late, true);
        let may_repeat = query.visit.is_some() && query.repeats < REPEATS_MAX;
        if is_first {
            if query.visit.is_none()
                && let Some(get) = self.gets.get_mut(&query.get)
            {
                get.source_late(query.peer, &query.ids);
            }
        } else if may_repeat {
            query.repeats += 1;
            ctx.stats.retrieval_messages += 1;
            ctx.send(query.peer, DataMessage::Find { query: number, ids: query.ids.clone(), hosts: true });
        }
        let pause = waits::repeat(ctx, query.peer, query.repeats);
        query.next = if query.visit.is_some() && query.repeats < REPEATS_MAX { ctx.now + pause } else { Time::NEVER };
    }

    /// The link to a peer is lost, or could not be made: it will not answer.
    fn unreachable(&mut self, now: Time, number: u64) {
        let Some(query) = self.queries.remove(&number) else { return };
        if let Some(get) = self.gets.get_mut(&query.get) {
            get.trace.ended(now, get.began, query.peer, PeerAnswer::Unreachable);
            match query.visit {
                Some(_) => get.visit_failed(query.peer),
                None => get.source_lost(now, query.peer, &query.ids),
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
            let slow = |query: &&FindQuery| query.get == number && query.visit.is_some() && query.late;
            let slow = self.queries.values().filter(slow).count();
            let Some(get) = self.gets.get_mut(&number) else { return };
            let until = get.until;
            let mut scope = SearchScope { cx: &mut *ctx, persist, floods: &mut self.floods, get: number, slow, until };
            match get.next(&mut scope) {
                GetStep::Wait => return,
                GetStep::Ask(SourceRequest { peer, ids }) => self.find(ctx, FindQuery::new(number, peer, ids, None)),
                GetStep::Visit { peer, ids, hops } => {
                    self.find(ctx, FindQuery::new(number, peer, ids, Some(hops)));
                }
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

    fn find(&mut self, ctx: &mut DataCx<'_, '_>, mut query: FindQuery) {
        self.last_query += 1;
        let bytes = self.asked_of(query.peer) + query.bytes_max();
        (query.asked, query.next) = (ctx.now, ctx.now + waits::answer(ctx, query.peer, bytes));
        let (peer, ids, hosts) = (query.peer, query.ids.clone(), query.visit.is_some());
        if let Some(get) = self.gets.get_mut(&query.get) {
            get.trace.asked(ctx, get.began, peer);
        }
        self.queries.insert(self.last_query, query);
        ctx.stats.retrieval_messages += 1;
        ctx.send(peer, DataMessage::Find { query: self.last_query, ids, hosts });
    }

    fn end(&mut self, ctx: &mut DataCx<'_, '_>, number: u64, result: Result<FoundValue, GetError>) {
        let Some(get) = self.gets.remove(&number) else { return };
        self.queries.retain(|_, query| query.get != number);
        self.floods.abandon(number);
        *match result {
            Ok(_) => &mut ctx.stats.retrievals_found,
            Err(GetError::NotFound) => &mut ctx.stats.retrievals_not_found,
            Err(GetError::Incomplete(_)) => &mut ctx.stats.retrievals_incomplete,
            Err(GetError::Busy) => &mut ctx.stats.retrievals_refused,
        } += 1;
        ctx.done(get.command, DataOutcome::Get(result, get.trace.into_asked()));
    }
}

impl FindQuery {
    fn new(get: u64, peer: NodeId, ids: Vec<BlockId>, visit: Option<u32>) -> Self {
        FindQuery { get, peer, ids, visit, asked: Time::NEVER, late: false, repeats: 0, next: Time::NEVER }
    }

    /// Bytes of blocks that the answer brings at most. A source has most of the blocks, and a visited peer hardly more than one.
    fn bytes_max(&self) -> u64 {
        let blocks = if self.visit.is_some() { 1 } else { self.ids.len() };
        (blocks * BLOCK_MAX) as u64
    }
}

/// Answers a peer that looks for blocks.
fn serve(ctx: &mut DataCx<'_, '_>, persist: &Persist, to: NodeId, query: u64, ids: &[BlockId], hosts: bool) {
    let ids = &ids[..ids.len().min(BLOCKS_MAX)];
    let wanted = ids.len();
    if let Some(blocks) = ctx.read_blocks(ids, ReadPurpose::Find { to, query, wanted, hosts }) {
        answer_find(ctx, persist, to, query, (wanted, hosts), blocks);
    }
}

/// Answers a `Find` for `wanted` blocks with those that were read. If `hosts`, names peers to ask next: neighbours if a block is
/// missing, other holders if a large value begins here.
fn answer_find(
    ctx: &mut DataCx<'_, '_>,
    persist: &Persist,
    to: NodeId,
    query: u64,
    (wanted, hosts): (usize, bool),
    blocks: Vec<(BlockId, Block)>,
) {
    let hosts = match blocks.iter().find(|(_, block)| block.kind == BlockKind::Manifest) {
        _ if !hosts => Vec::new(),
        _ if blocks.len() < wanted => neighbours_for(ctx, to),
        Some((id, _)) => persist.other_holders(ctx, *id, to),
        None => Vec::new(),
    };
    let blocks: Vec<Block> = blocks.into_iter().map(|(_, block)| block).collect();
    ctx.send(to, DataMessage::FindReply { query, blocks, hosts });
}

/// Contacts of this node's neighbours, for `peer`.
fn neighbours_for(ctx: &DataCx<'_, '_>, peer: NodeId) -> Vec<Contact> {
    let others = ctx.neighbours().filter(|&neighbour| neighbour != peer);
    others.filter_map(|neighbour| ctx.contact(neighbour).cloned()).take(CONTACTS_MAX).collect()
}
