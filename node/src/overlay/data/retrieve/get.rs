//! One get: the blocks that it has and lacks, and what it wants to do next.

use std::collections::{BTreeMap, BTreeSet};

use super::super::block::{Block, BlockKind, Manifest, children, join};
use super::super::message::BLOCKS_MAX;
use super::super::store::Store;
use super::super::{Ctx, Found};
use super::visits::Visits;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::io::CommandId;
use crate::core::time::Time;

/// Requests for parts under way at one source.
const REQUESTS_PER_SOURCE: usize = 4;
/// Peers that are asked for parts.
const SOURCES_MAX: usize = 8;

/// A value on its way in.
#[derive(Debug)]
pub(super) struct Get {
    pub(super) command: CommandId,
    pub(super) began: Time,
    pub(super) until: Time,
    root: BlockId,
    /// Checked against their ids.
    blocks: BTreeMap<BlockId, Block>,
    /// What is wanted, with what each must be: level of the manifest that lists it, and its bytes of the value.
    missing: BTreeMap<BlockId, Option<(u8, u64)>>,
    /// Asked of a source and not answered.
    asked: BTreeSet<BlockId>,
    sources: Vec<Source>,
    search: Option<Search>,
    hops: u32,
    messages: u64,
    /// The blocks make no value.
    malformed: bool,
}

/// A peer that had a block of the value.
#[derive(Debug)]
struct Source {
    peer: NodeId,
    lacks: BTreeSet<BlockId>,
    requests: usize,
}

/// A search for blocks that no source has.
#[derive(Debug)]
pub(super) enum Search {
    /// The asker visits peer after peer.
    Visits(Visits),
    /// Peers pass the query on.
    Floods {
        /// Queries that are under way.
        open: BTreeSet<u64>,
        /// What is looked for.
        wanted: Vec<BlockId>,
    },
}

/// What a get wants to do next.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing: answers are awaited.
    Wait,
    /// Ask a source for parts.
    Ask { peer: NodeId, ids: Vec<BlockId> },
    /// Visit a peer.
    Visit { peer: NodeId, ids: Vec<BlockId>, hops: u32 },
    /// Begin a search.
    Search(Vec<BlockId>),
    /// It is complete.
    Found(Found),
    /// All were asked.
    NotFound,
}

impl Get {
    /// Wants the value named by `root`; takes what is in the store.
    pub(super) fn new(command: CommandId, root: BlockId, began: Time, until: Time, store: &Store) -> Self {
        let mut get = Get {
            command,
            began,
            until,
            root,
            blocks: BTreeMap::new(),
            missing: BTreeMap::new(),
            asked: BTreeSet::new(),
            sources: Vec::new(),
            search: None,
            hops: 0,
            messages: 0,
            malformed: false,
        };
        get.want(root, None, store);
        get
    }

    /// Depth of the recursion is bounded by the manifests' levels.
    fn want(&mut self, id: BlockId, shape: Option<(u8, u64)>, store: &Store) {
        if self.blocks.contains_key(&id) || self.missing.contains_key(&id) {
            return;
        }
        match store.get(id) {
            Some(block) => self.keep(id, block.clone(), shape, store),
            None => {
                self.missing.insert(id, shape);
            }
        }
    }

    /// Takes a block that matches its id. Whether it was wanted.
    pub(super) fn take(&mut self, id: BlockId, block: Block, hops: u32, store: &Store) -> bool {
        let Some(shape) = self.missing.remove(&id) else { return false };
        if id == self.root {
            self.hops = hops;
        }
        self.asked.remove(&id);
        self.keep(id, block, shape, store);
        true
    }

    fn keep(&mut self, id: BlockId, block: Block, shape: Option<(u8, u64)>, store: &Store) {
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
                    self.want(part, Some((manifest.level, manifest.length_of(index))), store);
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

    /// A source has answered: what it was asked for and is still missing, it lacks.
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

    /// Goes looking.
    pub(super) fn search(&mut self, search: Search) {
        self.search = Some(search);
    }

    /// A visited peer has answered.
    pub(super) fn visited(&mut self, ctx: &Ctx<'_>, peer: NodeId, hops: u32, hosts: Vec<Contact>) {
        if let Some(Search::Visits(visits)) = &mut self.search {
            visits.answered(ctx, peer, hops, hosts);
        }
    }

    /// A visited peer does not answer.
    pub(super) fn visit_failed(&mut self, peer: NodeId) {
        if let Some(Search::Visits(visits)) = &mut self.search {
            visits.failed(peer);
        }
    }

    /// A flood has been echoed by all.
    pub(super) fn flood_ended(&mut self, query: u64, messages: u64) {
        self.messages += messages;
        if let Some(Search::Floods { open, .. }) = &mut self.search {
            open.remove(&query);
        }
    }

    /// What to do now. `slow` visits are under way that no longer count.
    pub(super) fn next(&mut self, ctx: &mut Ctx<'_>, slow: usize) -> Next {
        if self.malformed {
            return Next::NotFound;
        }
        if self.missing.is_empty() {
            return match join(self.root, |id| self.blocks.get(&id)) {
                Ok(value) => Next::Found(Found { value, hops: self.hops, messages: self.messages }),
                // A part that stands in two places cannot fit both.
                Err(_) => Next::NotFound,
            };
        }
        if let Some(next) = self.ask_source() {
            return next;
        }
        if !self.asked.is_empty() {
            return Next::Wait;
        }
        self.go_on_searching(ctx, slow)
    }

    fn ask_source(&mut self) -> Option<Next> {
        for source in self.sources.iter_mut().filter(|source| source.requests < REQUESTS_PER_SOURCE) {
            let wanted = self.missing.keys().filter(|id| !self.asked.contains(id) && !source.lacks.contains(id));
            let ids: Vec<BlockId> = wanted.copied().take(BLOCKS_MAX).collect();
            if !ids.is_empty() {
                source.requests += 1;
                self.messages += 1;
                self.asked.extend(ids.iter().copied());
                return Some(Next::Ask { peer: source.peer, ids });
            }
        }
        None
    }

    fn go_on_searching(&mut self, ctx: &mut Ctx<'_>, slow: usize) -> Next {
        let missing = &self.missing;
        let pointless = match &self.search {
            None => true,
            Some(Search::Visits(visits)) => visits.wanted().iter().all(|id| !missing.contains_key(id)),
            Some(Search::Floods { wanted, .. }) => wanted.iter().all(|id| !missing.contains_key(id)),
        };
        if pointless {
            return Next::Search(missing.keys().copied().take(BLOCKS_MAX).collect());
        }
        match self.search.as_mut().expect("a search is under way") {
            Search::Visits(visits) => {
                if let Some((peer, hops)) = visits.next(ctx, slow) {
                    let ids = visits.wanted().iter().copied().filter(|id| missing.contains_key(id)).collect();
                    self.messages += 1;
                    return Next::Visit { peer, ids, hops };
                }
                if visits.is_over() { Next::NotFound } else { Next::Wait }
            }
            Search::Floods { open, .. } => {
                if open.is_empty() {
                    Next::NotFound
                } else {
                    Next::Wait
                }
            }
        }
    }
}
