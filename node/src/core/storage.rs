//! Storage of blocks: operations that an overlay submits, and their completions.
//!
//! Storage is I/O like the network. An overlay submits a [`StoreRequest`] by `Output::Store`; whoever runs the node executes it on
//! a [`BlockStore`] and returns the [`StoreCompletion`] as `Input::Stored`. Operations on one id complete in the order of their
//! submission. A store in memory needs no such detour: an overlay may own one and execute its operations at once.
//!
//! A store that outlives the node is announced by `Input::StoreOpened`, with what it holds, before any other input. An overlay
//! notes beside each block what it must know of it after a restart, and keeps some bytes for itself.

use std::collections::BTreeMap;

use bytes::Bytes;

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
        /// What the overlay wants to know of the block after a restart.
        note: Blob,
    },
    /// Reads a block with its content.
    Read {
        /// Name of the block.
        id: BlockId,
    },
    /// Deletes a block. Deleting one that is not there is no error. After a crash the block may be there again.
    Delete {
        /// Name of the block.
        id: BlockId,
    },
    /// Replaces the note beside a block. Nothing happens if the block is not there. After a crash the note may be an older one.
    Annotate {
        /// Name of the block.
        id: BlockId,
        /// What the overlay wants to know of the block after a restart.
        note: Blob,
    },
    /// Replaces what the overlay keeps for itself. After a crash it may be an older state.
    KeepState {
        /// The bytes that [`StoreContents::state`] returns after a restart.
        state: Blob,
    },
}

impl StoreOp {
    /// Bytes that the operation brings.
    pub fn payload_len(&self) -> usize {
        match self {
            StoreOp::Write { record, note, .. } => record.bytes.0.len() + note.0.len(),
            StoreOp::Annotate { note, .. } => note.0.len(),
            StoreOp::KeepState { state } => state.0.len(),
            StoreOp::Read { .. } | StoreOp::Delete { .. } => 0,
        }
    }
}

/// A block that a store holds, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// Name of the block.
    pub id: BlockId,
    /// Length of its content, in bytes.
    pub len: u32,
    /// What the overlay noted last.
    pub note: Blob,
}

/// What a store holds when a node starts with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreContents {
    /// All blocks, in ascending order of their ids.
    pub blocks: Vec<StoredBlock>,
    /// What [`StoreOp::KeepState`] kept last.
    pub state: Option<Blob>,
    /// What blocks cost there.
    pub costs: StoreCosts,
}

/// What a block costs in a store, beside its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreCosts {
    /// Bytes of each block's entries in indices, its note included.
    pub entry: u64,
    /// A content is kept in 2ⁿ pages of this many bytes, or shares one that is two thirds full; 0 if it takes its own length.
    pub page: u64,
    /// Bytes that a content needs within its page beside itself.
    pub page_header: u64,
}

impl Default for StoreCosts {
    /// The costs of a block in memory.
    fn default() -> Self {
        StoreCosts { entry: MEMORY_ENTRY, page: 0, page_header: 0 }
    }
}

impl StoreCosts {
    /// The costs of a block in the driver's store on a disk, as measured there.
    pub const DISK: StoreCosts = StoreCosts { entry: 512, page: 4_096, page_header: 48 };

    /// Bytes that a block of `len` bytes costs.
    pub fn of(&self, len: u64) -> u64 {
        let content = match self.page {
            0 => len,
            page if len + self.page_header <= page / 2 => (len + self.page_header) * 3 / 2,
            page => (len + self.page_header).div_ceil(page).next_power_of_two() * page,
        };
        self.entry + content
    }
}

/// Bytes that a block costs in memory beside its content: entries of the index, of the group with three members and of the
/// content in trees that are two thirds full, and the heads of allocations.
const MEMORY_ENTRY: u64 = 512;

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
#[error("{fault}: {reason}")]
pub struct StoreError {
    /// What kind of failure it is.
    pub fault: StoreFault,
    /// What the system says.
    pub reason: String,
}

/// The kind of a store's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum StoreFault {
    /// No space is left on the disk.
    #[error("no space is left on the disk of the block store")]
    DiskFull,
    /// The disk or the file system reports an error, or the store is damaged.
    #[error("the block store failed")]
    Failed,
    /// More operations wait than the disk keeps up with.
    #[error("the disk of the block store is too slow for what is asked of it")]
    Busy,
}

/// Something that holds blocks: memory or a disk.
pub trait BlockStore: std::fmt::Debug + Send {
    /// Executes an operation and waits for its end. Returns the record of a read that found one.
    ///
    /// # Errors
    /// If the store fails. A read of a block that is not there is no error.
    fn execute(&mut self, op: StoreOp) -> Result<Option<StoreRecord>, StoreError>;

    /// All that the store holds.
    ///
    /// # Errors
    /// If the store fails.
    fn contents(&self) -> Result<StoreContents, StoreError>;
}

/// Blocks in memory. Never fails; its limit is the caller's.
#[derive(Debug, Default)]
pub struct MemoryStore {
    blocks: BTreeMap<BlockId, (StoreRecord, Blob)>,
    state: Option<Blob>,
}

impl BlockStore for MemoryStore {
    fn execute(&mut self, op: StoreOp) -> Result<Option<StoreRecord>, StoreError> {
        match op {
            StoreOp::Write { id, record: StoreRecord { tag, bytes }, note } => {
                // A copy: what arrives is often a slice that keeps a whole message or value in memory.
                let bytes = Blob(Bytes::copy_from_slice(&bytes.0));
                self.blocks.insert(id, (StoreRecord { tag, bytes }, note));
            }
            StoreOp::Read { id } => return Ok(self.blocks.get(&id).map(|(record, _)| record.clone())),
            StoreOp::Delete { id } => _ = self.blocks.remove(&id),
            StoreOp::Annotate { id, note } => {
                if let Some((_, old)) = self.blocks.get_mut(&id) {
                    *old = note;
                }
            }
            StoreOp::KeepState { state } => self.state = Some(state),
        }
        Ok(None)
    }

    fn contents(&self) -> Result<StoreContents, StoreError> {
        let stored = |(&id, (record, note)): (&BlockId, &(StoreRecord, Blob))| StoredBlock {
            id,
            len: u32::try_from(record.bytes.0.len()).expect("a block is short"),
            note: note.clone(),
        };
        let blocks = self.blocks.iter().map(stored).collect();
        Ok(StoreContents { blocks, state: self.state.clone(), costs: StoreCosts::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_contents_cost_whole_pages() {
        let costs = StoreCosts { entry: 100, page: 4_096, page_header: 50 };
        let lengths = [0, 1_998, 1_999, 4_046, 4_047, 8_143];
        assert_eq!(lengths.map(|len| costs.of(len)), [175, 3_172, 4_196, 4_196, 8_292, 16_484]);
        assert_eq!(StoreCosts::default().of(1_000), 1_000 + MEMORY_ENTRY);
    }

    #[test]
    fn kept_block_does_not_keep_what_it_was_cut_from() {
        let mut store = MemoryStore::default();
        let value = Bytes::from(vec![7; 1 << 20]);
        let record = StoreRecord { tag: 0, bytes: Blob(value.slice(..10)) };
        store.execute(StoreOp::Write { id: BlockId([1; 32]), record, note: Blob::default() }).unwrap();
        assert!(value.is_unique(), "the store has a copy of its own");
    }
}
