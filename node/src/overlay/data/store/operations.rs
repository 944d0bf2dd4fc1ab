//! Operations on the payloads: at once if the overlay owns the store, later if the driver executes them.

use super::super::DataCx;
use super::super::block::{Block, BlockKind};
use super::super::note::BlockNote;
use super::super::view::GroupView;
use super::{Payloads, PendingOp, PendingRead, ReadPurpose, WritePurpose};
use crate::core::blob::Blob;
use crate::core::identity::BlockId;
use crate::core::storage::{StoreError, StoreOp, StoreRecord, StoreRequest, StoreRequestId};

impl DataCx<'_, '_> {
    /// Writes a block whose room is reserved, of a group with this view. Returns whether it is written; `None` if a
    /// [`CompletedOp::Written`] follows.
    pub(in super::super) fn write_block(
        &mut self,
        id: BlockId,
        block: Block,
        view: &GroupView,
        purpose: impl FnOnce() -> WritePurpose,
    ) -> Option<bool> {
        let record = record_of(block);
        let note = self.note_of(id, view);
        match self.submit(StoreOp::Write { id, record, note }, || PendingOp::Write { id, purpose: purpose() }) {
            Some(Ok(_)) => Some(true),
            Some(Err(_)) => Some(false),
            None => None,
        }
    }

    /// Reads those of `ids` that are stored. Returns them in order; `None` if a [`CompletedOp::Read`] follows.
    pub(in super::super) fn read_blocks(
        &mut self,
        ids: &[BlockId],
        purpose: ReadPurpose,
    ) -> Option<Vec<(BlockId, Block)>> {
        let stored: Vec<BlockId> = ids.iter().copied().filter(|&id| self.store.contains(id)).collect();
        self.store.last_read += 1;
        let (read, mut blocks, mut waiting) = (self.store.last_read, Vec::with_capacity(stored.len()), 0);
        for id in stored {
            match self.submit(StoreOp::Read { id }, || PendingOp::Read { id, read }) {
                Some(result) => blocks.extend(result.ok().flatten().and_then(block_of).map(|block| (id, block))),
                None => waiting += 1,
            }
        }
        if waiting == 0 {
            return Some(blocks);
        }
        let (lost, unread) = (Vec::new(), Vec::new());
        self.store.reads.insert(read, PendingRead { purpose, waiting, blocks, lost, unread });
        None
    }

    /// Deletes a block.
    pub(in super::super) fn delete_block(&mut self, id: BlockId) {
        if self.store.release(id) {
            // A block that cannot be deleted wastes room in the store and does no other harm.
            _ = self.submit(StoreOp::Delete { id }, || PendingOp::Unawaited);
        }
    }

    /// Notes the view of a block's group, for a restart.
    pub(in super::super) fn note_view(&mut self, id: BlockId, view: &GroupView) {
        if self.store.is_lasting() && self.store.contains(id) {
            let note = self.note_of(id, view);
            // A restart with an older view costs some messages and does no other harm.
            _ = self.submit(StoreOp::Annotate { id, note }, || PendingOp::Unawaited);
        }
    }

    /// Keeps what this overlay wants to know after a restart, beside what is noted of each block.
    pub(in super::super) fn keep_state(&mut self, state: Blob) {
        if self.store.is_lasting() {
            _ = self.submit(StoreOp::KeepState { state }, || PendingOp::Unawaited);
        }
    }

    /// The note of a block; empty where nothing lasts.
    fn note_of(&self, id: BlockId, view: &GroupView) -> Blob {
        if !self.store.is_lasting() {
            return Blob::default();
        }
        BlockNote::encode(self.store.bringer(id), view, self.store.described.of(id))
    }

    fn submit(
        &mut self,
        op: StoreOp,
        pending: impl FnOnce() -> PendingOp,
    ) -> Option<Result<Option<StoreRecord>, StoreError>> {
        if let Payloads::Inline(store) = &mut self.store.payloads {
            return Some(store.execute(op));
        }
        self.store.last_request += 1;
        let id = StoreRequestId(self.store.last_request);
        self.store.pending.insert(id, pending());
        self.node.submit_to_store(StoreRequest { id, op });
        None
    }
}

const PART_TAG: u8 = 0;
const MANIFEST_TAG: u8 = 1;

fn record_of(block: Block) -> StoreRecord {
    let tag = match block.kind {
        BlockKind::Part => PART_TAG,
        BlockKind::Manifest => MANIFEST_TAG,
    };
    StoreRecord { tag, bytes: block.bytes }
}

pub(super) fn block_of(record: StoreRecord) -> Option<Block> {
    let kind = match record.tag {
        PART_TAG => BlockKind::Part,
        MANIFEST_TAG => BlockKind::Manifest,
        _ => return None,
    };
    Some(Block { kind, bytes: record.bytes })
}
