//! The default overlay: keeps blocks alive in Peer Content Groups and finds them again.

use bincode::{Decode, Encode};

use super::{Context, Overlay, OverlayInput};
use crate::core::blob::Blob;
use crate::core::config::Config;
use crate::core::identity::BlockId;
use crate::core::stats::Stats;
use crate::core::time::Deadline;

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
    /// Query messages that it took, all blocks together.
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
    /// This node's own share of storage is full; nothing was stored.
    #[error("the storage of this node is full")]
    Full,
}

/// Why a value was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GetError {
    /// Everybody who could be reached was asked; nobody has it.
    #[error("not found")]
    NotFound,
    /// The search was still under way at the deadline.
    #[error("no answer within the deadline")]
    TimedOut,
}

/// What peers' data overlays say to each other.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum DataMessage {}

/// The default overlay.
#[derive(Debug)]
pub struct Data {}

impl Data {
    /// An empty one.
    pub fn new(_config: &Config) -> Self {
        Data {}
    }

    /// Every block held, in a stable order.
    pub fn blocks(&self) -> impl Iterator<Item = BlockId> + '_ {
        std::iter::empty()
    }
}

impl Overlay for Data {
    type Message = DataMessage;
    type Command = DataCommand;
    type Outcome = DataOutcome;

    fn handle(
        &mut self,
        _input: OverlayInput<DataMessage, DataCommand>,
        _context: &mut Context<'_, DataMessage, DataOutcome>,
    ) {
    }

    fn deadline(&self) -> Deadline {
        Deadline::NEVER
    }

    fn storage_free(&self) -> u64 {
        0
    }

    fn gauges(&self, _stats: &mut Stats) {}
}
