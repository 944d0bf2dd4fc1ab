//! The default overlay: stores blocks in Peer Content Groups and finds them again.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`block`] | values, blocks, manifests and their ids |
//! | [`message`] | messages between peers, and their bounds |
//! | [`view`] | the members of a block's group, and which of two views wins |
//! | [`config`] | settings |
//! | [`stats`] | instruments |
//! | [`tally`] | how many peers a search has asked, and what came of it |
//! | [`shortage`] | what a put lacks, and why |
//! | [`keywords`] | keywords of values |
//! | [`query`] | queries for keywords, their parser and what they match |
//! | [`search`] | searches under way, and what holders answer |
//! | `waits` | when an answer is late, and pauses before a question is asked again |
//! | `note` | what is noted beside a stored block, for a restart |
//! | `store` | index of the stored blocks, limits, and where their payloads are |
//! | `persist` | group maintenance: heartbeats, probes, repair, trimming, handover |
//! | `inventory` | what nodes hold, as far as this one knows, and how many nodes there are |
//! | `entry` | what the core calls: the trait of overlays |
//! | `put` | puts under way |
//! | `retrieve` | gets under way, and the search strategies |

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use super::{OverlayContext, OverlayInput};
use crate::core::blob::Blob;
use crate::core::identity::{BlockId, NodeId};
use crate::core::io::CommandId;
use crate::core::storage::{StoreCompletion, StoreContents, StoreFault};
use crate::core::time::Deadline;

pub mod block;
pub mod config;
mod entry;
mod inventory;
pub mod keywords;
pub mod message;
mod note;
mod persist;
mod put;
pub mod query;
mod retrieve;
pub mod search;
pub mod seeded_fault;
pub mod shortage;
pub mod stats;
mod store;
pub mod tally;
pub mod view;
mod waits;

pub use config::DataConfig;
pub use inventory::census::CensusMark;
pub use inventory::filter::InventoryFilter;
pub use inventory::notice::{InventoryChange, InventoryNews, InventoryNotice, InventoryRequest, OwnerKey};
pub use keywords::{KeywordError, Keywords};
pub use message::{DataMessage, FloodChoice, InviteRefusal};
pub use persist::{FailedRepair, RepairFailure};
pub use query::{QueryError, SearchQuery};
pub use retrieve::Retrieval;
pub use retrieve::trace::{AskedPeer, PeerAnswer};
pub use search::{FinishedSearch, KeywordHit, SearchRefusal, SearchStop};
pub use shortage::CopyShortage;
pub use stats::DataStats;
pub use tally::SearchTally;

use inventory::Inventories;
use persist::Persist;
use put::Puts;
use retrieve::{Knowledge, Retrieve};
use search::{SearchBounds, Searches};
use store::{CompletedOp, ReadPurpose, Store, WritePurpose};

/// What the parts of the data overlay share while it handles an input. Dereferences to the node's [`OverlayContext`].
struct DataCx<'a, 'n> {
    node: &'a mut OverlayContext<'n, DataMessage, DataOutcome>,
    settings: &'a DataConfig,
    stats: &'a mut DataStats,
    store: &'a mut Store,
}

impl<'n> Deref for DataCx<'_, 'n> {
    type Target = OverlayContext<'n, DataMessage, DataOutcome>;

    fn deref(&self) -> &Self::Target {
        self.node
    }
}

impl DerefMut for DataCx<'_, '_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.node
    }
}

/// A command of the data overlay.
#[derive(Clone, Debug)]
pub enum DataCommand {
    /// Store a value. Acknowledged once every block has `replicas` copies.
    Put {
        /// The value, at most [`VALUE_MAX`] bytes.
        value: Blob,
        /// Words by which the value is found.
        keywords: Keywords,
    },
    /// Find the value with an id.
    Get {
        /// The id that a put returned: [`StoredValue::id`].
        id: BlockId,
        /// Whether every peer is asked before the search ends without success.
        exhaustive: bool,
    },
    /// Find values by their keywords. Each hit is a [`DataOutcome::Hit`] before the end.
    Search {
        /// What the keywords must match.
        query: SearchQuery,
        /// Most hits, up to [`search::SEARCH_LIMIT_MAX`].
        limit: usize,
        /// Longest time, up to [`search::SEARCH_TIME_MAX`].
        deadline: Duration,
    },
}

/// Largest value, in bytes.
pub const VALUE_MAX: usize = 64 << 20;

/// The outcome of a command of the data overlay.
#[derive(Clone, Debug, PartialEq)]
pub enum DataOutcome {
    /// The result of a [`DataCommand::Put`].
    Put(Result<StoredValue, PutError>),
    /// The result of a [`DataCommand::Get`], and the questions to peers that it took, at most the first 64.
    Get(Result<FoundValue, GetError>, Vec<AskedPeer>),
    /// A part of the result of a [`DataCommand::Search`]: each value at most once.
    Hit(KeywordHit),
    /// The end of a [`DataCommand::Search`], after its hits.
    Searched(Result<FinishedSearch, SearchRefusal>),
}

/// A value that has `replicas` copies of each block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredValue {
    /// Names the value in [`DataCommand::Get`].
    pub id: BlockId,
    /// Ids of all its blocks, the one named by `id` first.
    pub blocks: Vec<BlockId>,
}

/// A value that was found. Its bytes are verified against the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundValue {
    /// The bytes of the value.
    pub value: Blob,
    /// Hops to the holder of the first block; 0 if this node stores it.
    pub hops: u32,
    /// Query messages sent for all blocks, without answers. A flood counts those acknowledged so far, or sent by this node; the sum of
    /// `butter_retrieval_messages_total` over all nodes counts every one.
    pub messages: u64,
}

/// Why a put failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// The value is too large; nothing was stored.
    #[error("a value holds at most {VALUE_MAX} bytes")]
    TooLarge,
    /// Too few peers accepted a block in time. The copies that were made stay, unacknowledged.
    #[error("value {id}: {shortage}")]
    TooFewCopies {
        /// The id under which the copies that were made can be found.
        id: BlockId,
        /// What is missing, and why.
        shortage: CopyShortage,
    },
    /// Too many puts are under way, or the node is leaving; nothing was stored.
    #[error("too many puts are under way, or the node is leaving")]
    Busy,
    /// A block could not be written to this node's store; copies that were made stay.
    #[error("a block could not be written: {0}")]
    Storage(StoreFault),
    /// This node has too little free storage; nothing was stored.
    #[error("the storage of this node is full: the value needs {wanted} bytes, {free} are free")]
    Full {
        /// Bytes that the new blocks of the value need, overhead included.
        wanted: u64,
        /// Free bytes of this node's storage.
        free: u64,
    },
}

/// Why a get failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GetError {
    /// Every peer that should be asked has answered and none has the value, or its blocks do not form a value.
    #[error("not found")]
    NotFound(SearchTally),
    /// So many peers and inventories were looked at that a value which is there would very probably have been found. An
    /// exhaustive get asks every peer.
    #[error("not found by inventories: {0}")]
    ProbablyAbsent(SearchTally),
    /// Not every peer that should be asked had answered at the deadline: a peer that is silent may have the value.
    #[error("incomplete: {0}")]
    Incomplete(SearchTally),
    /// Too many gets are under way, or the node is leaving; no peer was asked.
    #[error("too many gets are under way, or the node is leaving")]
    Busy,
}

/// The default overlay: stores and finds blocks.
#[derive(Debug)]
pub struct DataOverlay {
    settings: Arc<DataConfig>,
    stats: DataStats,
    store: Store,
    persist: Persist,
    puts: Puts,
    retrieve: Retrieve,
    searches: Searches,
    inventories: Inventories,
    deadline: Deadline,
}

impl DataOverlay {
    /// An overlay that stores nothing yet.
    pub fn new(settings: Arc<DataConfig>) -> Self {
        DataOverlay {
            stats: DataStats::default(),
            store: Store::new(settings.storage),
            persist: Persist::new(&settings),
            puts: Puts::default(),
            retrieve: Retrieve::default(),
            searches: Searches::default(),
            inventories: Inventories::new(),
            deadline: Deadline::NEVER,
            settings,
        }
    }

    /// Whether stored blocks outlive this node.
    pub fn is_lasting(&self) -> bool {
        self.store.is_lasting()
    }

    /// Why the store refuses blocks, if it does.
    pub fn store_fault(&self) -> Option<StoreFault> {
        self.store.fault()
    }

    /// Ids of all stored blocks, in a stable order.
    pub fn blocks(&self) -> impl Iterator<Item = BlockId> + '_ {
        self.store.ids()
    }

    /// This node's view of the group of a stored block.
    pub fn view_of(&self, block: BlockId) -> Option<&view::GroupView> {
        self.persist.view_of(block)
    }

    /// The keywords of a stored block, if it has any.
    pub fn keywords_of(&self, block: BlockId) -> Option<&Keywords> {
        self.store.described().of(block)
    }

    /// Nodes whose inventories this node keeps, in a stable order.
    pub fn inventory_owners(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.inventories.owners()
    }

    /// Whether this node can say who has a block: it has it, or keeps an inventory of a node that probably has.
    pub fn knows_holder(&self, block: BlockId) -> bool {
        self.store.contains(block) || !self.inventories.holders(&[block], u8::MAX, NodeId([0; 32])).is_empty()
    }

    /// Repairs of under-replicated groups that brought no copy: the last ones, oldest first.
    pub fn failed_repairs(&self) -> impl Iterator<Item = &FailedRepair> {
        self.persist.failed_repairs()
    }

    /// Counters, and gauges as of now.
    pub fn stats(&self) -> DataStats {
        let mut stats = self.stats.clone();
        stats.blocks = self.store.len() as u64;
        stats.stored_bytes = self.store.used();
        stats.storage_limit_bytes = self.store.limit();
        stats.store_failing = u64::from(self.store.fault().is_some());
        self.persist.gauges(&mut stats);
        self.inventories.gauges(&mut stats);
        stats
    }
}

/// The parts that handle an input, apart from what [`DataCx`] shares.
struct Parts<'a> {
    persist: &'a mut Persist,
    puts: &'a mut Puts,
    retrieve: &'a mut Retrieve,
    searches: &'a mut Searches,
    inventories: &'a mut Inventories,
}

impl Parts<'_> {
    fn handle(&mut self, cx: &mut DataCx<'_, '_>, input: OverlayInput<DataMessage, DataCommand>) {
        match input {
            OverlayInput::Message { from, message } => self.message(cx, from, message),
            OverlayInput::LinkUp { peer } => {
                self.persist.note_linked(cx, peer);
                self.persist.link_up(cx, peer);
                self.persist.question_again(peer, &self.puts.unproven_by(peer));
                self.inventories.link_up(cx.now);
            }
            OverlayInput::LinkDown { peer } => self.link_lost(cx, peer, false),
            OverlayInput::Unreachable { peer } => self.link_lost(cx, peer, true),
            OverlayInput::Command { id, command } => self.command(cx, id, command),
            OverlayInput::StoreOpened(contents) => self.store_opened(cx, contents),
            OverlayInput::Stored(completion) => self.stored(cx, completion),
            OverlayInput::Leave => {
                self.persist.leave(cx);
                self.wake(cx);
            }
            OverlayInput::Wake => self.wake(cx),
        }
        for liar in self.retrieve.take_liars() {
            self.persist.distrust(cx, liar);
        }
        self.puts.trimmed(&self.persist.take_trimmed());
        self.puts.held_by(&self.persist.take_proven());
        for claimant in self.persist.take_proven_claimants() {
            self.persist.note_claims(cx.now, claimant, self.inventories.claims_of(claimant), true);
        }
        if self.persist.take_reunion() {
            self.inventories.renew_soon(cx.now);
        }
        let changed = self.persist.take_changed();
        self.puts.changed(cx, self.persist, &changed);
        for (id, known) in self.puts.unproven(&changed) {
            self.persist.question_members(id, &known);
        }
        let full = self.persist.take_without_room();
        if !full.is_empty() {
            self.puts.without_room(cx, self.persist, &full);
        }
        self.persist.ask_queued(cx);
        self.inventories.note_stored(cx);
    }

    fn message(&mut self, cx: &mut DataCx<'_, '_>, from: NodeId, mut message: DataMessage) {
        message.remove_invalid_items();
        if !message.is_bounded() {
            return;
        }
        self.persist.note_alive(cx, from);
        self.persist.lost_peer_heard(cx, from);
        let Some(message) = self.inventories.handle(cx, from, message) else { return self.compare_claims(cx) };
        let (retrieve, known) = self.retrieval();
        let Some(message) = retrieve.handle(cx, known, from, message) else { return };
        let (searches, known) = self.searching();
        if let Some(message) = searches.handle(cx, known, from, message) {
            self.persist.handle(cx, from, message);
        }
    }

    /// Compares inventories that have come with this node's groups.
    fn compare_claims(&mut self, cx: &mut DataCx<'_, '_>) {
        let (now, persist) = (cx.now, &mut *self.persist);
        self.inventories.take_news(|owner, claimed| persist.note_claims(now, owner, claimed, false));
    }

    fn link_lost(&mut self, cx: &mut DataCx<'_, '_>, peer: NodeId, unreachable: bool) {
        self.persist.link_lost(cx, peer, unreachable);
        self.inventories.link_lost(cx, peer, unreachable);
        let (retrieve, known) = self.retrieval();
        retrieve.lost(cx, known, peer);
        let (searches, known) = self.searching();
        searches.lost(cx, known, peer);
    }

    /// Retrieval, and what it may know of peers.
    fn retrieval(&mut self) -> (&mut Retrieve, Knowledge<'_>) {
        (self.retrieve, Knowledge { persist: self.persist, inventories: self.inventories })
    }

    /// Searches, and what they may know of peers.
    fn searching(&mut self) -> (&mut Searches, Knowledge<'_>) {
        (self.searches, Knowledge { persist: self.persist, inventories: self.inventories })
    }

    fn command(&mut self, cx: &mut DataCx<'_, '_>, id: CommandId, command: DataCommand) {
        match command {
            DataCommand::Put { value, keywords } => {
                self.puts.begin(cx, self.persist, id, (&value, &keywords));
                self.persist.settle(cx);
            }
            DataCommand::Get { id: block, exhaustive } => {
                let (retrieve, known) = self.retrieval();
                retrieve.begin(cx, known, id, (block, exhaustive));
            }
            DataCommand::Search { query, limit, deadline } => {
                let (searches, known) = self.searching();
                searches.begin(cx, known, id, (query, SearchBounds { limit, time: deadline }));
            }
        }
    }

    fn store_opened(&mut self, cx: &mut DataCx<'_, '_>, contents: StoreContents) {
        let state = contents.state.clone();
        let noted = cx.store.open(contents);
        self.persist.come_back(cx, noted, state);
        self.persist.settle(cx);
    }

    fn stored(&mut self, cx: &mut DataCx<'_, '_>, completion: StoreCompletion) {
        match cx.store.complete(cx.node.now, completion) {
            None => return,
            Some(CompletedOp::Written { id, purpose, result }) => {
                cx.stats.store_write_errors += u64::from(result.is_err());
                match (purpose, result) {
                    (WritePurpose::Put { own_copy }, Ok(())) => self.persist.found_group(cx, id, own_copy),
                    (WritePurpose::Put { .. }, Err(fault)) => {
                        if !self.persist.holds(id) {
                            cx.delete_block(id);
                        }
                        self.puts.write_failed(cx, id, fault);
                    }
                    (WritePurpose::Invited { answer, view }, result) => {
                        self.persist.invited_block_written(cx, id, (answer, view), result);
                    }
                }
            }
            Some(CompletedOp::Read { purpose, blocks, lost, unread }) => {
                cx.stats.blocks_damaged += lost.len() as u64;
                lost.iter().for_each(|&id| self.persist.block_lost(cx, id));
                match purpose {
                    ReadPurpose::Invite { to, bytes } => self.persist.invite_read(cx, (to, bytes), blocks, &unread),
                    ReadPurpose::Possession(purpose) => self.persist.possession_read(cx, purpose, &blocks),
                    purpose => {
                        let missing = [lost, unread].concat();
                        let (retrieve, known) = self.retrieval();
                        retrieve.blocks_read(cx, known, purpose, blocks, &missing);
                    }
                }
            }
        }
        self.persist.settle(cx);
    }

    fn wake(&mut self, cx: &mut DataCx<'_, '_>) {
        cx.store.reopen(cx.node.now);
        self.persist.recheck_claims(cx, |claimant, print| self.inventories.claimed_by(claimant, print));
        self.persist.wake(cx);
        self.inventories.wake(cx);
        self.puts.expire(cx, self.persist);
        let (retrieve, known) = self.retrieval();
        retrieve.wake(cx, known);
        let (searches, known) = self.searching();
        searches.wake(cx, known);
    }
}
