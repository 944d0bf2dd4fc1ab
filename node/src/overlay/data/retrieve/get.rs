//! One get: the blocks that it has and lacks, and its next step.

use std::collections::{BTreeMap, BTreeSet};

use super::super::block::{Block, BlockKind, Manifest, children, join};
use super::super::message::BLOCKS_MAX;
use super::super::store::ReadPurpose;
use super::super::{DataCx, FoundValue};
use super::strategy::{SearchScope, SearchStep, SearchStrategy};
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::io::CommandId;
use crate::core::time::Time;

/// Requests for parts under way at one source.
const REQUESTS_PER_SOURCE: usize = 4;
/// Peers that are asked for parts.
const SOURCES_MAX: usize = 8;

/// A get under way.
#[derive(Debug)]
pub(super) struct Get {
    pub(super) command: CommandId,
    pub(super) began: Time,
    pub(super) until: Time,
    /// Its key among the gets under way.
    number: u64,
    root: BlockId,
    /// Blocks that are being read from the store, with their shapes.
    reading: BTreeMap<BlockId, Option<(u8, u64)>>,
    /// Blocks verified against their ids.
    blocks: BTreeMap<BlockId, Block>,
    /// Blocks still wanted. Each with its shape: level of the manifest that lists it, and its bytes of the value.
    missing: BTreeMap<BlockId, Option<(u8, u64)>>,
    /// Blocks requested from a source without an answer yet.
    asked: BTreeSet<BlockId>,
    sources: Vec<Source>,
    search: Option<Box<dyn SearchStrategy>>,
    hops: u32,
    messages: u64,
    /// The blocks do not form a value.
    malformed: bool,
}

/// A peer that had a block of the value.
#[derive(Debug)]
struct Source {
    peer: NodeId,
    lacks: BTreeSet<BlockId>,
    requests: usize,
}

/// The next step of a get.
#[derive(Debug)]
pub(super) enum GetStep {
    /// Answers are awaited.
    Wait,
    /// Ask a source for parts.
    Ask { peer: NodeId, ids: Vec<BlockId> },
    /// Visit a peer.
    Visit { peer: NodeId, ids: Vec<BlockId>, hops: u32 },
    /// Start a search for these blocks.
    Search(Vec<BlockId>),
    /// The value is complete.
    Found(FoundValue),
    /// Every reachable peer was asked.
    NotFound,
}

impl Get {
    /// Wants the value named by `root`; takes the blocks that are stored here.
    pub(super) fn new(command: CommandId, number: u64, root: BlockId, until: Time, ctx: &mut DataCx<'_, '_>) -> Self {
        let mut get = Get {
            command,
            began: ctx.now,
            until,
            number,
            root,
            reading: BTreeMap::new(),
            blocks: BTreeMap::new(),
            missing: BTreeMap::new(),
            asked: BTreeSet::new(),
            sources: Vec::new(),
            search: None,
            hops: 0,
            messages: 0,
            malformed: false,
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
        self.asked.remove(&id);
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
    pub(super) fn add_source(&mut self, peer: NodeId) {
        if self.sources.len() < SOURCES_MAX && self.sources.iter().all(|source| source.peer != peer) {
            self.sources.push(Source { peer, lacks: BTreeSet::new(), requests: 0 });
        }
    }

    /// A source has answered: it lacks whatever it was asked for and is still missing.
    pub(super) fn parts_answered(&mut self, peer: NodeId, ids: &[BlockId]) {
        let lacking: Vec<BlockId> = ids.iter().copied().filter(|id| self.missing.contains_key(id)).collect();
        ids.iter().for_each(|id| _ = self.asked.remove(id));
        if let Some(source) = self.sources.iter_mut().find(|source| source.peer == peer) {
            source.requests -= 1;
            source.lacks.extend(lacking);
        }
    }

    /// A source does not answer.
    pub(super) fn source_failed(&mut self, peer: NodeId, ids: &[BlockId]) {
        ids.iter().for_each(|id| _ = self.asked.remove(id));
        self.sources.retain(|source| source.peer != peer);
    }

    /// Starts a search.
    pub(super) fn search(&mut self, search: Box<dyn SearchStrategy>) {
        self.search = Some(search);
    }

    /// A visited peer has answered.
    pub(super) fn visited(&mut self, ctx: &DataCx<'_, '_>, peer: NodeId, hops: u32, hosts: Vec<Contact>) {
        if let Some(search) = &mut self.search {
            search.visited(ctx, peer, hops, hosts);
        }
    }

    /// A visited peer did not answer.
    pub(super) fn visit_failed(&mut self, peer: NodeId) {
        if let Some(search) = &mut self.search {
            search.visit_failed(peer);
        }
    }

    /// All peers have acknowledged a flooded query.
    pub(super) fn flood_ended(&mut self, query: u64, messages: u64) {
        self.messages += messages;
        if let Some(search) = &mut self.search {
            search.flood_ended(query);
        }
    }

    /// What to do now.
    pub(super) fn next(&mut self, scope: &mut SearchScope<'_, '_, '_>) -> GetStep {
        if self.malformed {
            return GetStep::NotFound;
        }
        if !self.reading.is_empty() {
            return GetStep::Wait;
        }
        if self.missing.is_empty() {
            return match join(self.root, |id| self.blocks.get(&id)) {
                Ok(value) => GetStep::Found(FoundValue { value, hops: self.hops, messages: self.messages }),
                // A part that stands in two places cannot fit both.
                Err(_) => GetStep::NotFound,
            };
        }
        if let Some(next) = self.ask_source() {
            return next;
        }
        if !self.asked.is_empty() {
            return GetStep::Wait;
        }
        self.continue_search(scope)
    }

    fn ask_source(&mut self) -> Option<GetStep> {
        for source in self.sources.iter_mut().filter(|source| source.requests < REQUESTS_PER_SOURCE) {
            let wanted = self.missing.keys().filter(|id| !self.asked.contains(id) && !source.lacks.contains(id));
            let ids: Vec<BlockId> = wanted.copied().take(BLOCKS_MAX).collect();
            if !ids.is_empty() {
                source.requests += 1;
                self.messages += 1;
                self.asked.extend(ids.iter().copied());
                return Some(GetStep::Ask { peer: source.peer, ids });
            }
        }
        None
    }

    fn continue_search(&mut self, scope: &mut SearchScope<'_, '_, '_>) -> GetStep {
        let missing = &self.missing;
        let useful = |search: &&mut Box<dyn SearchStrategy>| search.wanted().iter().any(|id| missing.contains_key(id));
        let Some(search) = self.search.as_mut().filter(useful) else {
            return GetStep::Search(missing.keys().copied().take(BLOCKS_MAX).collect());
        };
        match search.next(scope) {
            SearchStep::Visit { peer, hops } => {
                let ids = search.wanted().iter().copied().filter(|id| missing.contains_key(id)).collect();
                self.messages += 1;
                GetStep::Visit { peer, ids, hops }
            }
            SearchStep::Wait => GetStep::Wait,
            SearchStep::Exhausted => GetStep::NotFound,
        }
    }
}
