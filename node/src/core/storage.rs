//! Storage of blocks: operations that an overlay submits, and their completions.
//!
//! Storage is I/O like the network. An overlay submits a [`StoreRequest`] by `Output::Store`; whoever runs the node executes it on
//! a [`BlockStore`] and returns the [`StoreCompletion`] as `Input::Stored`. Operations on one id complete in the order of their
//! submission. A store in memory needs no such detour: an overlay may own one and execute its operations at once.

use std::collections::BTreeMap;

use super::blob::Blob;
use super::identity::BlockId;

/// Identifies an operation of one node. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreRequestId(pub u64);

/// The stored form of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRecord {
    /// For the overlay's use: tells kinds of blocks apart.
    pub tag: u8,
    /// Content of the block.
    pub bytes: Blob,
}

/// An operation on a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOp {
    /// Stores a block. Completes once it is as durable as the store makes it.
    Write {
        /// Name of the block.
        id: BlockId,
        /// Content of the block.
        record: StoreRecord,
    },
    /// Reads a block.
    Read {
        /// Name of the block.
        id: BlockId,
    },
    /// Deletes a block. Deleting one that is not there is no error.
    Delete {
        /// Name of the block.
        id: BlockId,
    },
}

/// An operation that an overlay has submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRequest {
    /// Returned in the completion.
    pub id: StoreRequestId,
    /// The operation to execute.
    pub op: StoreOp,
}

/// The end of an operation. Every submitted operation completes exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreCompletion {
    /// As in the request.
    pub id: StoreRequestId,
    /// The record of a read that found one; otherwise nothing.
    pub result: Result<Option<StoreRecord>, StoreError>,
}

/// Why an operation failed. The block may or may not be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the block store failed: {0}")]
pub struct StoreError(pub String);

/// Something that holds blocks: memory or a disk.
pub trait BlockStore: std::fmt::Debug + Send {
    /// Executes an operation and waits for its end. Returns the record of a read that found one.
    ///
    /// # Errors
    /// If the store fails. A read of a block that is not there is no error.
    fn execute(&mut self, op: StoreOp) -> Result<Option<StoreRecord>, StoreError>;
}

/// Blocks in memory. Never fails; its limit is the caller's.
#[derive(Debug, Default)]
pub struct MemoryStore(BTreeMap<BlockId, StoreRecord>);

impl BlockStore for MemoryStore {
    fn execute(&mut self, op: StoreOp) -> Result<Option<StoreRecord>, StoreError> {
        match op {
            StoreOp::Write { id, record } => _ = self.0.insert(id, record),
            StoreOp::Read { id } => return Ok(self.0.get(&id).cloned()),
            StoreOp::Delete { id } => _ = self.0.remove(&id),
        }
        Ok(None)
    }
}
