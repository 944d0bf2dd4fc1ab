//! The default overlay: keeps blocks alive in Peer Content Groups and finds them again.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`block`] | values, blocks, manifests and their ids |
//! | [`message`] | what peers say to each other, and its bounds |
//! | [`view`] | who belongs to a block's group, and which of two views wins |
//! | `store` | the blocks held, in memory, within limits |
//! | `persist` | keeping the groups alive: beats, probes, repair, trimming, handing over |
//! | `put` | puts under way |
//! | `retrieve` | gets under way, and the strategies of search |

use super::{Context, Overlay, OverlayInput};
use crate::core::blob::Blob;
use crate::core::config::Config;
use crate::core::identity::{BlockId, NodeId};
use crate::core::io::CommandId;
use crate::core::stats::Stats;
use crate::core::time::Deadline;

pub mod block;
pub mod message;
mod persist;
mod put;
mod retrieve;
mod store;
pub mod view;

pub use message::DataMessage;

use persist::Persist;
use put::Puts;
use retrieve::Retrieve;
use store::Store;

/// What the data overlay sees of its node.
type Ctx<'a> = Context<'a, DataMessage, DataOutcome>;

/// What an application may ask of the data overlay.
#[derive(Clone, Debug)]
pub enum DataCommand {
    /// Keep this value. Acknowledged once every block has r copies.
    Put {
        /// The value, at most [`VALUE_MAX`] bytes.
        value: Blob,
    },
    /// Find the value with this id.
    Get {
        /// As [`Stored::id`] told.
        id: BlockId,
    },
}

/// Largest value, in bytes.
pub const VALUE_MAX: usize = 64 << 20;

/// How a command of the data overlay ended.
#[derive(Clone, Debug, PartialEq)]
pub enum DataOutcome {
    /// Of a put.
    Put(Result<Stored, PutError>),
    /// Of a get.
    Got(Result<Found, GetError>),
}

/// A value that has r copies of each block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What to ask for.
    pub id: BlockId,
    /// Every block of it, the one named by `id` first.
    pub blocks: Vec<BlockId>,
}

/// A value that was found: its bytes match the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The value.
    pub value: Blob,
    /// Hops from the asker to whoever had the first block; 0 if this node had it.
    pub hops: u32,
    /// Query messages sent for it by then, all blocks together, answers not counted. For flooding, those that were told back
    /// by then: `butter_retrieval_messages_total` over all nodes has them all.
    pub messages: u64,
}

/// Why a value is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// Nothing was stored.
    #[error("a value holds at most {VALUE_MAX} bytes")]
    TooLarge,
    /// Fewer than r peers could take it in time; the copies that were made stay, unacknowledged.
    #[error("only {copies} of {wanted} copies could be made in time")]
    TooFewCopies {
        /// Copies of the worst block.
        copies: usize,
        /// r.
        wanted: usize,
    },
    /// Too many puts are under way, or the node is leaving; nothing was stored.
    #[error("the node has too much in hand, or is leaving")]
    Busy,
    /// This node's own share of storage is full; nothing was stored.
    #[error("the storage of this node is full")]
    Full,
}

/// Why a value was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GetError {
    /// Everybody who could be reached was asked; nobody has it. Or what is there makes no value.
    #[error("not found")]
    NotFound,
    /// The search was still under way at the deadline.
    #[error("no answer within the deadline")]
    TimedOut,
    /// Too many gets are under way, or the node is leaving; nobody was asked.
    #[error("the node has too much in hand, or is leaving")]
    Busy,
}

/// The default overlay.
#[derive(Debug)]
pub struct Data {
    store: Store,
    persist: Persist,
    puts: Puts,
    retrieve: Retrieve,
    deadline: Deadline,
}

impl Data {
    /// An empty one.
    pub fn new(config: &Config) -> Self {
        Data {
            store: Store::new(config.storage),
            persist: Persist::new(config),
            puts: Puts::default(),
            retrieve: Retrieve::default(),
            deadline: Deadline::NEVER,
        }
    }

    /// Every block held, in a stable order.
    pub fn blocks(&self) -> impl Iterator<Item = BlockId> + '_ {
        self.store.ids()
    }

    fn message(&mut self, ctx: &mut Ctx<'_>, from: NodeId, message: DataMessage) {
        if !message.is_bounded() {
            return;
        }
        self.persist.note_alive(ctx, from);
        if let Some(message) = self.retrieve.handle(ctx, &self.store, &self.persist, from, message) {
            self.persist.handle(ctx, &mut self.store, from, message);
        }
    }

    fn command(&mut self, ctx: &mut Ctx<'_>, id: CommandId, command: DataCommand) {
        match command {
            DataCommand::Put { value } => {
                self.puts.begin(ctx, &mut self.store, &mut self.persist, id, &value);
                self.persist.settle(ctx, &mut self.store);
            }
            DataCommand::Get { id: block } => self.retrieve.begin(ctx, &self.store, &self.persist, id, block),
        }
    }

    fn wake(&mut self, ctx: &mut Ctx<'_>) {
        self.persist.wake(ctx, &mut self.store);
        self.puts.expire(ctx, &self.persist);
        self.retrieve.wake(ctx, &self.persist);
    }
}

impl Overlay for Data {
    type Message = DataMessage;
    type Command = DataCommand;
    type Outcome = DataOutcome;

    fn handle(&mut self, input: OverlayInput<DataMessage, DataCommand>, ctx: &mut Ctx<'_>) {
        self.persist.set_me(ctx.me.id);
        match input {
            OverlayInput::Message { from, message } => self.message(ctx, from, message),
            OverlayInput::LinkUp { peer } => self.persist.note_alive(ctx, peer),
            OverlayInput::LinkDown { peer } => {
                self.persist.link_lost(ctx, peer, false);
                self.retrieve.lost(ctx, &self.persist, peer);
            }
            OverlayInput::Unreachable { peer } => {
                self.persist.link_lost(ctx, peer, true);
                self.retrieve.lost(ctx, &self.persist, peer);
            }
            OverlayInput::Command { id, command } => self.command(ctx, id, command),
            OverlayInput::Leave => {
                self.persist.leave(ctx);
                self.wake(ctx);
            }
            OverlayInput::Wake => self.wake(ctx),
        }
        self.puts.trimmed(&self.persist.take_trimmed());
        let changed = self.persist.take_changed();
        self.puts.changed(ctx, &self.persist, &changed);
        self.deadline = Deadline { at: self.persist.due(), why: "keeping groups" }
            .or(Deadline { at: self.puts.due(), why: "giving up a put" })
            .or(Deadline { at: self.retrieve.due(ctx.now), why: "a retrieval" });
    }

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn storage_free(&self) -> u64 {
        self.store.free()
    }

    fn gauges(&self, stats: &mut Stats) {
        stats.blocks = self.store.len() as u64;
        stats.stored_bytes = self.store.used();
        stats.storage_limit_bytes = self.store.limit();
        self.persist.gauges(stats);
    }
}
