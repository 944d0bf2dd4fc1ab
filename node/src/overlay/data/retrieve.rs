//! Gets: finding values.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`get`] | one get: the blocks that it has and lacks, and its next step |
//! | [`sources`] | peers that have blocks of a value, and which is asked for what |
//! | [`strategy`] | the search strategies and their table |
//! | [`trace`] | what was asked of each peer, and what came of it |
//! | [`coverage`] | when a search has seen enough |
//! | [`experience`] | what earlier searches have shown: who had a block, and whose inventory was wrong |
//! | [`visits`] | iterative search: the asking node visits peers |
//! | [`flooding`] | forwarded queries: peers pass them on and acknowledge them |
//! | [`history`] | which flooded queries each neighbour has answered |
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
use super::inventory::Inventories;
use super::message::{CONTACTS_MAX, DataMessage};
use super::persist::Persist;
use super::store::{FindPurpose, ReadPurpose};
use super::{DataCx, DataOutcome, FoundValue, GetError, waits};
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::io::CommandId;
use crate::core::time::Time;

pub(super) mod coverage;
mod experience;
mod flooding;
mod get;
mod history;
mod open_floods;
mod sources;
mod strategy;
pub(super) mod trace;
pub(super) mod visits;

use experience::Experience;
use flooding::{FloodEnd, FloodQuery, Floods};
use get::{Get, GetStep};
use sources::SourceRequest;
use strategy::{PlannedVisit, SearchScope, VisitAnswer};
use trace::PeerAnswer;

pub use strategy::Retrieval;

/// Most gets under way.
const GETS_MAX: usize = 256;
/// Most peers noted at a time that have given false bytes.
const LIARS_MAX: usize = 16;
/// Times that one visit is repeated over a link that stays up.
const REPEATS_MAX: u32 = 2;

/// What the rest of the overlay knows of peers.
#[derive(Clone, Copy)]
pub(super) struct Knowledge<'a> {
    pub(super) persist: &'a Persist,
    pub(super) inventories: &'a Inventories,
}

/// Gets under way, and queries passed on for others.
#[derive(Debug, Default)]
pub(super) struct Retrieve {
    gets: BTreeMap<u64, Get>,
    queries: BTreeMap<u64, FindQuery>,
    /// Peers that have given false bytes, since [`Retrieve::take_liars`].
    liars: Vec<NodeId>,
    floods: Floods,
    experience: Experience,
    last_get: u64,
    last_query: u64,
}

/// A [`DataMessage::Find`] that was sent and is not answered.
#[derive(Debug)]
struct FindQuery {
    get: u64,
    peer: NodeId,
    ids: Vec<BlockId>,
    /// The visit that this is; without one, a source is asked for parts.
    visit: Option<PlannedVisit>,
    /// When its answer is late at the latest: others need time, too, before the get ends.
    late_by: Time,
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
    holders: Vec<Contact>,
    inventories: u16,
}

/// The answer to a flooded query of this node's own.
struct FloodFound {
    block: Block,
    hops: u8,
    holder: Box<Contact>,
}

impl Retrieve {
    /// Begins to look for a value.
    pub(super) fn begin(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        known: Knowledge<'_>,
        command: CommandId,
        (id, exhaustive): (BlockId, bool),
    ) {
        if self.gets.len() >= GETS_MAX || known.persist.is_leaving() {
            ctx.stats.retrievals_refused += 1;
            ctx.done(command, DataOutcome::Get(Err(GetError::Busy), Vec::new()));
            return;
        }
        self.last_get += 1;
        let until = ctx.now + ctx.config.deadline;
        let mut get = Get::new(command, self.last_get, id, until, ctx);
        get.exhaustive = exhaustive || ctx.settings.exhaustive;
        self.gets.insert(self.last_get, get);
        self.advance(ctx, known, self.last_get);
    }

    /// When [`Retrieve::wake`] is due, seen from `now`.
    pub(super) fn due(&self, now: Time) -> Time {
        let queries = self.queries.values().map(|query| query.next).min().unwrap_or(Time::NEVER);
        let gets = self.gets.values().map(|get| get.due(now)).min().unwrap_or(Time::NEVER);
        queries.min(gets).min(self.floods.due())
    }

    /// Notices what is late, repeats questions and ends gets whose time is up.
    pub(super) fn wake(&mut self, ctx: &mut DataCx<'_, '_>, known: Knowledge<'_>) {
        let due: Vec<u64> =
            self.queries.iter().filter(|(_, query)| query.next <= ctx.now).map(|(&number, _)| number).collect();
        due.into_iter().for_each(|number| self.late(ctx, number));
        let ended = self.floods.wake(ctx);
        self.floods_ended(&ended);
        let over: Vec<u64> = self
            .gets
            .iter()
            .filter(|(_, get)| get.until <= ctx.now || known.persist.is_leaving())
            .map(|(&number, _)| number)
            .collect();
        for number in over {
            let tally = self.gets[&number].tally(ctx);
            self.end(ctx, number, Err(GetError::Incomplete(tally)));
        }
        self.advance_all(ctx, known);
    }

    /// A peer cannot be reached.
    pub(super) fn lost(&mut self, ctx: &mut DataCx<'_, '_>, known: Knowledge<'_>, peer: NodeId) {
        let lost: Vec<u64> =
            self.queries.iter().filter(|(_, query)| query.peer == peer).map(|(&number, _)| number).collect();
        let ended = self.floods.lost(ctx, peer);
        self.experience.lost(peer);
        if !lost.is_empty() || !ended.is_empty() {
            lost.into_iter().for_each(|number| self.unreachable(ctx.now, number));
            self.floods_ended(&ended);
            self.advance_all(ctx, known);
        }
    }

    /// Takes one of retrieval's messages; others are handed back.
    pub(super) fn handle(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        known: Knowledge<'_>,
        from: NodeId,
        message: DataMessage,
    ) -> Option<DataMessage> {
        match message {
            DataMessage::Find { query, ids, hosts, reach } => {
                serve(ctx, known, from, &ids, FindPurpose { query, wanted: ids.len(), hosts, reach });
            }
            DataMessage::FindReply { query, blocks, hosts, holders, inventories } => {
                self.answered(ctx, known, from, FindReply { query, blocks, hosts, holders, inventories });
            }
            DataMessage::Flood { query, id, ttl, hops, choice, budget_ms } => {
                let budget = Duration::from_millis(budget_ms.into());
                self.floods.pass_on(ctx, from, FloodQuery { query, id, ttl, hops, choice, budget });
            }
            DataMessage::FloodReply { query, block, hops, holder } => {
                if let Some(get) = self.floods.answered(ctx, from, query, &block, hops, &holder) {
                    self.flood_found(ctx, known, get, FloodFound { block, hops, holder });
                }
            }
            DataMessage::FloodAck { query, counts } => {
                let ended = self.floods.acknowledged(ctx, from, query, counts);
                self.floods_ended(ended.as_slice());
                ended.iter().for_each(|ended| self.advance(ctx, known, ended.get));
            }
            other => return Some(other),
        }
        None
    }

    /// Blocks for a peer or for a get of this node have been read. `lost` are those that the store does not have any more.
    pub(super) fn blocks_read(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        known: Knowledge<'_>,
        purpose: ReadPurpose,
        blocks: Vec<(BlockId, Block)>,
        lost: &[BlockId],
    ) {
        match purpose {
            ReadPurpose::Find { to, purpose, missing } => {
                answer_find(ctx, known, to, &purpose, (blocks, missing));
            }
            ReadPurpose::Flood { to, query, hops } => flooding::answer_flood(ctx, to, query, hops, blocks),
            ReadPurpose::Get { get: number } => {
                let Some(get) = self.gets.get_mut(&number) else { return };
                lost.iter().for_each(|&id| get.stored_read(ctx, id, Vec::new()));
                blocks.into_iter().for_each(|(id, block)| get.stored_read(ctx, id, vec![(id, block)]));
                self.advance(ctx, known, number);
            }
            ReadPurpose::Invite { .. } | ReadPurpose::Possession(_) => {}
        }
    }

    /// Peers that have given false bytes, since the last call.
    pub(super) fn take_liars(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.liars)
    }

    /// Handles the answer to a [`DataMessage::Find`].
    fn answered(&mut self, ctx: &mut DataCx<'_, '_>, known: Knowledge<'_>, from: NodeId, reply: FindReply) {
        let FindReply { query: number, blocks, hosts, holders, inventories } = reply;
        // Only an answer of the peer that was asked counts.
        if self.queries.get(&number).is_none_or(|query| query.peer != from) {
            return;
        }
        let query = self.queries.remove(&number).expect("it was just there");
        self.go_on_waiting(ctx, from, number);
        let Some(get) = self.gets.get_mut(&query.get) else { return };
        let hops = query.visit.map_or(1, |visit| visit.hops);
        let mut brought = false;
        for block in blocks {
            let id = block.id();
            if !query.ids.contains(&id) && self.liars.len() < LIARS_MAX {
                // An honest peer answers with what was asked for, or with nothing.
                self.liars.push(from);
            }
            if query.ids.contains(&id) && get.take(ctx, id, block, hops) {
                brought = true;
                if query.visit.is_some() {
                    self.experience.found_at(id, from);
                }
            }
        }
        if query.visit.is_some_and(|visit| visit.hinted) {
            self.experience.followed_hint(from, brought);
        }
        let answer = if brought { PeerAnswer::Had } else { PeerAnswer::Lacked };
        get.trace.ended(ctx.now, get.began, from, answer);
        if brought {
            get.add_source(ctx.now, from);
        }
        match query.visit {
            None => get.parts_answered(from, &query.ids),
            Some(_) if brought => {
                get.visited(ctx, from, VisitAnswer { hops, ..VisitAnswer::default() });
                get.add_hints(hosts);
            }
            Some(_) => get.visited(ctx, from, VisitAnswer { hops, hosts, holders, inventories }),
        }
        self.advance(ctx, known, query.get);
    }

    /// A flooded query of this node's own has found its block.
    fn flood_found(&mut self, ctx: &mut DataCx<'_, '_>, known: Knowledge<'_>, number: u64, found: FloodFound) {
        let FloodFound { block, hops, holder } = found;
        let Some(get) = self.gets.get_mut(&number) else { return };
        let id = block.id();
        if get.take(ctx, id, block, u32::from(hops)) && holder.id != ctx.me.id {
            ctx.learn(&holder);
            get.add_source(ctx.now, holder.id);
        }
        self.advance(ctx, known, number);
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
        let late_at = ctx.now + waits::answer(ctx, peer, asked_of(&self.queries, peer));
        let later = self.queries.range_mut(number..).map(|(_, query)| query);
        for query in later.filter(|query| query.peer == peer && !query.late) {
            query.next = query.next.max(late_at.min(query.late_by));
        }
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
            let reach = query.visit.map_or(0, |visit| visit.reach);
            ctx.send(query.peer, DataMessage::Find { query: number, ids: query.ids.clone(), hosts: true, reach });
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

    fn advance_all(&mut self, ctx: &mut DataCx<'_, '_>, known: Knowledge<'_>) {
        let all: Vec<u64> = self.gets.keys().copied().collect();
        all.into_iter().for_each(|number| self.advance(ctx, known, number));
    }

    /// Sends whatever a get wants next, or ends it.
    fn advance(&mut self, ctx: &mut DataCx<'_, '_>, known: Knowledge<'_>, number: u64) {
        loop {
            let Some((get, mut scope)) = self.scope(ctx, known, number) else { return };
            match get.next(&mut scope) {
                GetStep::Wait => return,
                GetStep::Ask(SourceRequest { peer, ids }) => self.find(ctx, FindQuery::new(number, peer, ids, None)),
                GetStep::Visit { peer, ids, visit } => {
                    self.find(ctx, FindQuery::new(number, peer, ids, Some(visit)));
                }
                GetStep::Search(ids) => {
                    let retrieval = scope.cx.settings.retrieval;
                    get.search(retrieval.begin(&mut scope, ids));
                }
                GetStep::Found(found) => {
                    let took = scope.cx.now.since(get.began);
                    scope.cx.stats.retrieval_seconds.record(took);
                    return self.end(ctx, number, Ok(found));
                }
                GetStep::NotFound => {
                    let tally = get.tally(scope.cx);
                    return self.end(ctx, number, Err(GetError::NotFound(tally)));
                }
                GetStep::ProbablyAbsent => {
                    let tally = get.tally(scope.cx);
                    return self.end(ctx, number, Err(GetError::ProbablyAbsent(tally)));
                }
            }
        }
    }

    /// A get with what its search can see and do.
    fn scope<'s, 'a, 'n>(
        &'s mut self,
        ctx: &'s mut DataCx<'a, 'n>,
        known: Knowledge<'s>,
        number: u64,
    ) -> Option<(&'s mut Get, SearchScope<'s, 'a, 'n>)> {
        let slow = |query: &&FindQuery| query.get == number && query.visit.is_some() && query.late;
        let slow = self.queries.values().filter(slow).count();
        let get = self.gets.get_mut(&number)?;
        let (until, exhaustive) = (get.until, get.exhaustive);
        let (floods, experience, open) = (&mut self.floods, &self.experience, &self.queries);
        let Knowledge { persist, inventories } = known;
        let scope = SearchScope {
            cx: ctx,
            persist,
            inventories,
            floods,
            experience,
            open,
            get: number,
            slow,
            until,
            exhaustive,
        };
        Some((get, scope))
    }

    fn find(&mut self, ctx: &mut DataCx<'_, '_>, mut query: FindQuery) {
        self.last_query += 1;
        let bytes = asked_of(&self.queries, query.peer) + query.bytes_max();
        let left = self.gets.get(&query.get).map_or(Duration::ZERO, |get| get.until.since(ctx.now));
        query.late_by = ctx.now + waits::answer_max().min(left / 2);
        query.next = query.late_by.min(ctx.now + waits::answer(ctx, query.peer, bytes));
        let (peer, ids, hosts) = (query.peer, query.ids.clone(), query.visit.is_some());
        let reach = query.visit.map_or(0, |visit| visit.reach);
        if let Some(get) = self.gets.get_mut(&query.get) {
            get.trace.asked(ctx, get.began, peer);
        }
        self.queries.insert(self.last_query, query);
        ctx.stats.retrieval_messages += 1;
        ctx.send(peer, DataMessage::Find { query: self.last_query, ids, hosts, reach });
    }

    fn end(&mut self, ctx: &mut DataCx<'_, '_>, number: u64, result: Result<FoundValue, GetError>) {
        let Some(get) = self.gets.remove(&number) else { return };
        self.queries.retain(|_, query| query.get != number);
        self.floods.abandon(number);
        *match result {
            Ok(_) => &mut ctx.stats.retrievals_found,
            Err(GetError::NotFound(_) | GetError::ProbablyAbsent(_)) => &mut ctx.stats.retrievals_not_found,
            Err(GetError::Incomplete(_)) => &mut ctx.stats.retrievals_incomplete,
            Err(GetError::Busy) => &mut ctx.stats.retrievals_refused,
        } += 1;
        ctx.done(get.command, DataOutcome::Get(result, get.trace.into_asked()));
    }
}

impl FindQuery {
    fn new(get: u64, peer: NodeId, ids: Vec<BlockId>, visit: Option<PlannedVisit>) -> Self {
        FindQuery { get, peer, ids, visit, late_by: Time::NEVER, late: false, repeats: 0, next: Time::NEVER }
    }

    /// Bytes of blocks that the answer brings at most. A source has most of the blocks, and a visited peer hardly more than one.
    fn bytes_max(&self) -> u64 {
        let blocks = if self.visit.is_some() { 1 } else { self.ids.len() };
        (blocks * BLOCK_MAX) as u64
    }
}

/// Bytes that `peer` has to send at most before it has answered every question.
fn asked_of(queries: &BTreeMap<u64, FindQuery>, peer: NodeId) -> u64 {
    queries.values().filter(|query| query.peer == peer).map(FindQuery::bytes_max).sum()
}

/// Answers a peer that looks for blocks.
fn serve(ctx: &mut DataCx<'_, '_>, known: Knowledge<'_>, to: NodeId, ids: &[BlockId], purpose: FindPurpose) {
    let missing: Vec<BlockId> = ids.iter().copied().filter(|&id| !ctx.store.contains(id)).collect();
    if let Some(blocks) = ctx.read_blocks(ids, ReadPurpose::Find { to, purpose, missing: missing.clone() }) {
        answer_find(ctx, known, to, &purpose, (blocks, missing));
    }
}

/// Answers a [`DataMessage::Find`] with the blocks that were read. Names peers to ask next, if they are wanted: probable holders
/// and neighbours if a block is `missing`, other holders if a large value begins here.
fn answer_find(
    ctx: &mut DataCx<'_, '_>,
    known: Knowledge<'_>,
    to: NodeId,
    purpose: &FindPurpose,
    (blocks, missing): (Vec<(BlockId, Block)>, Vec<BlockId>),
) {
    let FindPurpose { query, wanted, hosts, reach } = *purpose;
    let (mut holders, mut inventories) = (Vec::new(), 0);
    let hosts = match blocks.iter().find(|(_, block)| block.kind == BlockKind::Manifest) {
        _ if !hosts => Vec::new(),
        _ if blocks.len() < wanted => {
            if reach > 0 {
                holders = known.inventories.holders(&missing, reach, to);
                inventories = u16::try_from(known.inventories.known(reach)).unwrap_or(u16::MAX);
            }
            neighbours_for(ctx, to, CONTACTS_MAX - holders.len())
        }
        Some((id, _)) => known.persist.other_holders(ctx, *id, to),
        None => Vec::new(),
    };
    let blocks: Vec<Block> = blocks.into_iter().map(|(_, block)| block).collect();
    ctx.send(to, DataMessage::FindReply { query, blocks, hosts, holders, inventories });
}

/// Contacts of this node's neighbours, for `peer`.
pub(super) fn neighbours_for(ctx: &DataCx<'_, '_>, peer: NodeId, most: usize) -> Vec<Contact> {
    let others = ctx.neighbours().filter(|&neighbour| neighbour != peer);
    others.filter_map(|neighbour| ctx.contact(neighbour).cloned()).take(most).collect()
}
