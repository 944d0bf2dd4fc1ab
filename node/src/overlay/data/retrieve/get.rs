//! One get: the blocks that it has and lacks, and its next step.

use std::collections::BTreeMap;

use super::super::block::{Block, BlockKind, Manifest, children, join};
use super::super::message::BLOCKS_MAX;
use super::super::store::ReadPurpose;
use super::super::{DataCx, FoundValue, SearchTally};
use super::flooding::FloodEnd;
use super::sources::{SourceRequest, Sources};
use super::strategy::{PlannedVisit, SearchScope, SearchStep, SearchStrategy, VisitAnswer};
use super::trace::SearchTrace;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::io::CommandId;
use crate::core::time::Time;

/// A get under way.
#[derive(Debug)]
pub(super) struct Get {
    pub(super) command: CommandId,
    pub(super) began: Time,
    pub(super) until: Time,
    /// Whether every peer is asked before the search ends without success.
    pub(super) exhaustive: bool,
    /// Its key among the gets under way.
    number: u64,
    root: BlockId,
    /// Blocks that are being read from the store, with their shapes.
    reading: BTreeMap<BlockId, Option<(u8, u64)>>,
    /// Blocks verified against their ids.
    blocks: BTreeMap<BlockId, Block>,
    /// Blocks still wanted. Each with its shape: level of the manifest that lists it, and its bytes of the value.
    missing: BTreeMap<BlockId, Option<(u8, u64)>>,
    sources: Sources,
    /// Peers that were visited or asked for parts, and what came of it.
    contacted: BTreeMap<NodeId, ContactState>,
    search: Option<Box<dyn SearchStrategy>>,
    /// Whether the search may go on by itself at the time that it names.
    search_waits: bool,
    hops: u32,
    messages: u64,
    /// The blocks do not form a value.
    malformed: bool,
    /// What was asked of each peer.
    pub(super) trace: SearchTrace,
}

/// What came of asking a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContactState {
    /// It has not answered yet.
    Open,
    Answered,
    /// Its link was lost or could not be made.
    Unreachable,
}

/// The next step of a get.
#[derive(Debug)]
pub(super) enum GetStep {
    /// Answers are awaited.
    Wait,
    /// Ask a source for parts.
    Ask(SourceRequest),
    /// Visit a peer.
    Visit { peer: NodeId, ids: Vec<BlockId>, visit: PlannedVisit },
    /// Start a search for these blocks.
    Search(Vec<BlockId>),
    /// The value is complete.
    Found(FoundValue),
    /// Every peer that should be asked has answered.
    NotFound,
    /// Enough peers have answered that a block which is there would have been found.
    ProbablyAbsent,
}

impl Get {
    /// Wants the value named by `root`; takes the blocks that are stored here.
    pub(super) fn new(command: CommandId, number: u64, root: BlockId, until: Time, ctx: &mut DataCx<'_, '_>) -> Self {
        let mut get = Get {
            command,
            began: ctx.now,
            until,
            exhaustive: false,
            number,
            root,
            reading: BTreeMap::new(),
            blocks: BTreeMap::new(),
            missing: BTreeMap::new(),
            sources: Sources::default(),
            contacted: BTreeMap::new(),
            search: None,
            search_waits: false,
            hops: 0,
            messages: 0,
            malformed: false,
            trace: SearchTrace::default(),
        };
        get.want(ctx, root, None);
        get
    }

    /// Depth of the recursion is bounded by the manifests' levels.
    fn want(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId, shape: Option<(u8, u64)>) {
        if self.blocks.contains_key(&id) || self.missing.contains_key(&id) || self.reading.contains_key(&id) {
            return;
        }
        if !ctx.store.contains(id) {
            self.missing.insert(id, shape);
            return;
        }
        match ctx.read_blocks(&[id], ReadPurpose::Get { get: self.number }) {
            Some(blocks) => self.take_stored(ctx, id, shape, blocks),
            None => _ = self.reading.insert(id, shape),
        }
    }

    /// Takes a block from the store; one that the store has lost is missing.
    fn take_stored(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        id: BlockId,
        shape: Option<(u8, u64)>,
        blocks: Vec<(BlockId, Block)>,
    ) {
        match blocks.into_iter().next() {
            Some((_, block)) => self.keep(ctx, id, block, shape),
            None => _ = self.missing.insert(id, shape),
        }
    }

    /// The store has read a block, or has lost it.
    pub(super) fn stored_read(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId, blocks: Vec<(BlockId, Block)>) {
        if let Some(shape) = self.reading.remove(&id) {
            self.take_stored(ctx, id, shape, blocks);
        }
    }

    /// Takes a block that matches its id. Returns whether it was wanted.
    pub(super) fn take(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId, block: Block, hops: u32) -> bool {
        let Some(shape) = self.missing.remove(&id) else { return false };
        if id == self.root {
            self.hops = hops;
        }
        self.sources.arrived(id);
        self.keep(ctx, id, block, shape);
        true
    }

    fn keep(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId, block: Block, shape: Option<(u8, u64)>) {
        let listed = match shape {
            Some((level, length)) => children(&block, level, length),
            None if block.kind == BlockKind::Part => Ok(None),
            None => Manifest::decode(block.bytes.as_ref()).map(Some),
        };
        self.blocks.insert(id, block);
        match listed {
            Ok(None) => {}
            Ok(Some(manifest)) => {
                for (index, &part) in manifest.ids.iter().enumerate() {
                    self.want(ctx, part, Some((manifest.level, manifest.length_of(index))));
                }
            }
            Err(_) => self.malformed = true,
        }
    }

    /// `peer` had a block of the value.
    pub(super) fn add_source(&mut self, now: Time, peer: NodeId) {
        self.sources.add(now, peer);
    }

    /// A holder has named other holders.
    pub(super) fn add_hints(&mut self, hints: Vec<Contact>) {
        self.sources.add_hints(hints);
    }

    /// A source has answered: it lacks whatever it was asked for and is still missing.
    pub(super) fn parts_answered(&mut self, peer: NodeId, ids: &[BlockId]) {
        let lacking: Vec<BlockId> = ids.iter().copied().filter(|id| self.missing.contains_key(id)).collect();
        self.sources.answered(peer, ids, lacking);
        self.contacted.insert(peer, ContactState::Answered);
    }

    /// A source is late.
    pub(super) fn source_late(&mut self, peer: NodeId, ids: &[BlockId]) {
        self.sources.is_late(peer, ids);
    }

    /// The link to a source is lost.
    pub(super) fn source_lost(&mut self, now: Time, peer: NodeId, ids: &[BlockId]) {
        self.sources.lost(now, peer, ids);
        self.contacted.insert(peer, ContactState::Unreachable);
    }

    /// Starts a search.
    pub(super) fn search(&mut self, search: Box<dyn SearchStrategy>) {
        self.search = Some(search);
    }

    /// A visited peer has answered.
    pub(super) fn visited(&mut self, ctx: &DataCx<'_, '_>, peer: NodeId, answer: VisitAnswer) {
        self.contacted.insert(peer, ContactState::Answered);
        if let Some(search) = &mut self.search {
            search.visited(ctx, peer, answer);
        }
    }

    /// The link to a visited peer is lost, or could not be made.
    pub(super) fn visit_failed(&mut self, peer: NodeId) {
        self.contacted.insert(peer, ContactState::Unreachable);
        if let Some(search) = &mut self.search {
            search.visit_failed(peer);
        }
    }

    /// A flooded query has come to its end.
    pub(super) fn flood_ended(&mut self, ended: FloodEnd) {
        self.messages += u64::from(ended.tally.asked);
        if let Some(search) = &mut self.search {
            search.flood_ended(ended);
        }
    }

    /// When [`Get::next`] is to be called again without an event; at the latest when the time is up.
    pub(super) fn due(&self, now: Time) -> Time {
        let search = self.search.as_ref().filter(|_| self.search_waits).map_or(Time::NEVER, |search| search.due());
        self.until.min(search).min(self.sources.due(now))
    }

    /// Who was asked so far, and what came of it. A peer that is being linked at the moment is unreachable.
    pub(super) fn tally(&self, ctx: &DataCx<'_, '_>) -> SearchTally {
        let mut tally = self.search.as_ref().map(|search| search.flooded()).unwrap_or_default();
        // Floods that have not ended are not among the messages yet.
        tally.messages = self.messages.max(tally.messages);
        for (&peer, &state) in &self.contacted {
            tally.asked += 1;
            match state {
                ContactState::Answered => tally.answered += 1,
                ContactState::Open if ctx.is_linked(peer) => tally.timed_out += 1,
                ContactState::Open | ContactState::Unreachable => tally.unreachable += 1,
            }
        }
        tally
    }

    /// Messages of this search. Of a flooded query that has not ended, those that this node sent itself.
    fn messages_so_far(&self) -> u64 {
        let flooded = self.search.as_ref().map_or(0, |search| search.flooded().asked);
        self.messages.max(flooded.into())
    }

    /// What to do now.
    pub(super) fn next(&mut self, scope: &mut SearchScope<'_, '_, '_>) -> GetStep {
        self.search_waits = false;
        if self.malformed {
            return GetStep::NotFound;
        }
        if !self.reading.is_empty() {
            return GetStep::Wait;
        }
        if self.missing.is_empty() {
            return match join(self.root, |id| self.blocks.get(&id)) {
                Ok(value) => GetStep::Found(FoundValue { value, hops: self.hops, messages: self.messages_so_far() }),
                // A part that stands in two places cannot fit both.
                Err(_) => GetStep::NotFound,
            };
        }
        let now = scope.cx.now;
        loop {
            if let Some(request) = self.sources.next_request(now, self.missing.keys()) {
                self.messages += 1;
                self.contacted.insert(request.peer, ContactState::Open);
                return GetStep::Ask(request);
            }
            // A source that is late with one request may still answer another in time.
            if self.sources.has_prompt() || self.missing.keys().all(|&id| self.sources.is_awaited(id)) {
                return GetStep::Wait;
            }
            if !self.sources.take_hint(scope.cx) {
                return self.continue_search(scope);
            }
        }
    }

    fn continue_search(&mut self, scope: &mut SearchScope<'_, '_, '_>) -> GetStep {
        let (missing, sources) = (&self.missing, &self.sources);
        let is_sought = |id: &BlockId| missing.contains_key(id) && !sources.is_awaited(*id);
        let useful = |search: &&mut Box<dyn SearchStrategy>| search.wanted().iter().any(is_sought);
        let Some(search) = self.search.as_mut().filter(useful) else {
            return GetStep::Search(missing.keys().copied().filter(is_sought).take(BLOCKS_MAX).collect());
        };
        match search.next(scope) {
            SearchStep::Visit { peer, visit } => {
                let ids = search.wanted().iter().copied().filter(|id| missing.contains_key(id)).collect();
                self.messages += 1;
                self.contacted.insert(peer, ContactState::Open);
                GetStep::Visit { peer, ids, visit }
            }
            SearchStep::Wait => {
                self.search_waits = true;
                GetStep::Wait
            }
            SearchStep::Covered => GetStep::ProbablyAbsent,
            SearchStep::Exhausted if self.have_all_answered(scope.cx.now) => GetStep::NotFound,
            SearchStep::Exhausted => GetStep::Wait,
        }
    }

    fn have_all_answered(&self, now: Time) -> bool {
        self.sources.is_idle(now) && self.contacted.values().all(|&state| state == ContactState::Answered)
    }
}
