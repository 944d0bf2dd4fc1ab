//! The blocks that this node stores: their index and limits in memory, their payloads in a [`BlockStore`].
//!
//! The index answers at once which blocks there are and how much room is left. Payloads are read and written by operations with
//! completions: at once if this overlay owns the store (in memory), or later if the driver executes them (on a disk). An
//! operation that cannot complete at once is remembered with its purpose, and goes on when its completion arrives.
//!
//! The limit counts what blocks cost where they are, overhead included.

use std::collections::BTreeMap;
use std::time::Duration;

use bincode::{Decode, Encode};

use super::block::Block;
use super::keywords::{DescribedBlocks, Keywords};
use super::note::BlockNote;
use super::persist::{OwnCopy, PossessionRead};
use super::view::GroupView;
use crate::core::identity::{BlockId, NodeId};
use crate::core::storage::{
    BlockStore, MemoryStore, StoreCompletion, StoreContents, StoreCosts, StoreFault, StoreRequestId,
};
use crate::core::time::Time;
use operations::block_of;

mod operations;

/// How long no room is advertised after a write has failed.
const CLOSED_FOR: Duration = Duration::from_secs(10);
/// Shares of the storage are kept: one for this node's own application, one for peers that store little, and one for repairs.
/// Each is 1 / `KEPT_SHARE`.
const KEPT_SHARE: u64 = 64;
/// A peer stores little if it is at most 1 / `LITTLE` of the storage.
const LITTLE: u64 = 256;
/// What a peer stores anew may be this many times as much as what is free afterwards.
const FOUNDED_PER_FREE: u64 = 64;
/// The same for what a peer repairs.
const REPAIRED_PER_FREE: u64 = 2;
/// So many bytes of this node's own application may be stored beyond the limit, for as long as others take them.
const TRANSIT_MAX: u64 = 80 << 20;

/// Who brought a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(super) struct BlockBringer {
    /// The peer that sent it.
    pub(super) peer: NodeId,
    /// Whether that peer's application stored it anew, rather than that a group was repaired.
    pub(super) founded: bool,
}

/// Stored blocks by id, their bytes counted against a limit, in total and for each peer that brought them.
///
/// A peer may use the more the more is free (dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking 1998).
/// So one peer alone may fill nearly all, and what it leaves is for others: it cannot shut them out.
#[derive(Debug)]
pub(super) struct Store {
    blocks: BTreeMap<BlockId, IndexEntry>,
    used: u64,
    limit: u64,
    costs: StoreCosts,
    /// Why the last write failed, if it did.
    fault: Option<StoreFault>,
    /// Until then no room is advertised: a write has failed.
    closed_until: Time,
    /// Bytes stored for each peer. At most as many entries as blocks.
    by_bringer: BTreeMap<BlockBringer, u64>,
    /// Blocks that have come (`true`) and gone since [`Store::take_changes`].
    changes: Vec<(BlockId, bool)>,
    described: DescribedBlocks,
    payloads: Payloads,
    pending: BTreeMap<StoreRequestId, PendingOp>,
    reads: BTreeMap<u64, PendingRead>,
    last_request: u64,
    last_read: u64,
}

#[derive(Clone, Copy, Debug)]
struct IndexEntry {
    /// Length of the block.
    len: u64,
    /// Who brought the block; `None` if this node's own application did.
    bringer: Option<BlockBringer>,
}

/// Where the payloads are.
#[derive(Debug)]
enum Payloads {
    /// In a store that this overlay owns: operations complete at once.
    Inline(Box<dyn BlockStore>),
    /// In a store of the driver: operations complete later.
    Deferred,
}

/// What happens when a write completes.
#[derive(Clone, Debug)]
pub(super) enum WritePurpose {
    /// The application puts the block: its group is created.
    Put {
        /// What becomes of this node's own copy.
        own_copy: OwnCopy,
    },
    /// A peer sent the block: this node joins the group. Names the pending answer to the invitation.
    Invited { answer: u64, view: GroupView },
}

/// What a peer that looks for blocks wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct FindPurpose {
    /// Comes back in the answer.
    pub(super) query: u64,
    /// Number of blocks that it looks for.
    pub(super) wanted: usize,
    /// Whether it wants other peers to ask, if a block is missing.
    pub(super) hosts: bool,
    /// Hops of the inventories that are looked at for it.
    pub(super) reach: u8,
}

/// What happens when blocks are read.
#[derive(Clone, Debug)]
pub(super) enum ReadPurpose {
    /// They are sent to a recruit. So many bytes are counted as under way to it.
    Invite { to: NodeId, bytes: u64 },
    /// They answer a `Find`, of which `missing` are not stored here.
    Find { to: NodeId, purpose: FindPurpose, missing: Vec<BlockId> },
    /// The block answers a flooded query.
    Flood { to: NodeId, query: u64, hops: u8 },
    /// They are parts of a value that this node gets.
    Get { get: u64 },
    /// They prove possession, or are compared with a proof.
    Possession(PossessionRead),
}

#[derive(Debug)]
enum PendingOp {
    Write {
        id: BlockId,
        purpose: WritePurpose,
    },
    /// One block of a read, by the number of the read.
    Read {
        id: BlockId,
        read: u64,
    },
    /// Nothing goes on when it completes.
    Unawaited,
}

#[derive(Debug)]
struct PendingRead {
    purpose: ReadPurpose,
    waiting: usize,
    blocks: Vec<(BlockId, Block)>,
    lost: Vec<BlockId>,
    unread: Vec<BlockId>,
}

/// A deferred operation that is complete.
#[derive(Debug)]
pub(super) enum CompletedOp {
    /// A block was written, or not.
    Written { id: BlockId, purpose: WritePurpose, result: Result<(), StoreFault> },
    /// Blocks were read. Those in `lost` are damaged or not in the store any more; those in `unread` are there, but the store
    /// has no time for them.
    Read { purpose: ReadPurpose, blocks: Vec<(BlockId, Block)>, lost: Vec<BlockId>, unread: Vec<BlockId> },
}

impl Store {
    /// With payloads in memory.
    pub(super) fn new(limit: u64) -> Self {
        let payloads = Payloads::Inline(Box::new(MemoryStore::default()));
        Store {
            blocks: BTreeMap::new(),
            used: 0,
            limit,
            costs: StoreCosts::default(),
            fault: None,
            closed_until: Time::ZERO,
            by_bringer: BTreeMap::new(),
            changes: Vec::new(),
            described: DescribedBlocks::default(),
            payloads,
            pending: BTreeMap::new(),
            reads: BTreeMap::new(),
            last_request: 0,
            last_read: 0,
        }
    }

    /// From now on the driver stores the payloads, and these are there. Returns what is noted of each; nothing if it cannot be
    /// read.
    pub(super) fn open(&mut self, contents: StoreContents) -> Vec<(BlockId, Option<BlockNote>)> {
        (self.payloads, self.costs) = (Payloads::Deferred, contents.costs);
        let mut noted = Vec::with_capacity(contents.blocks.len());
        for stored in contents.blocks {
            let note = BlockNote::decode(&stored.note);
            // Also beyond the limit, which may be lower than before: what is stored is not thrown away.
            self.insert(stored.id, stored.len.into(), note.as_ref().and_then(|note| note.bringer));
            if let Some(note) = &note {
                self.describe(stored.id, &note.keywords);
            }
            noted.push((stored.id, note));
        }
        noted
    }

    /// Whether what is stored outlives this node.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(self.payloads, Payloads::Deferred)
    }

    /// Why the last write failed, if it did.
    pub(super) fn fault(&self) -> Option<StoreFault> {
        self.fault
    }

    /// Who brought a block; `None` if this node's own application did, or it is not stored.
    pub(super) fn bringer(&self, id: BlockId) -> Option<BlockBringer> {
        self.blocks.get(&id).and_then(|entry| entry.bringer)
    }

    pub(super) fn contains(&self, id: BlockId) -> bool {
        self.blocks.contains_key(&id)
    }

    /// Length of a stored block.
    pub(super) fn bytes_of(&self, id: BlockId) -> Option<u64> {
        self.blocks.get(&id).map(|entry| entry.len)
    }

    /// Blocks that have come (`true`) and gone since the last call, in order.
    pub(super) fn take_changes(&mut self) -> Vec<(BlockId, bool)> {
        std::mem::take(&mut self.changes)
    }

    /// Prints of keywords that have come (`true`) and gone since the last call, in order.
    pub(super) fn take_term_changes(&mut self) -> Vec<(u32, bool)> {
        self.described.take_changes()
    }

    /// The stored blocks that have keywords.
    pub(super) fn described(&self) -> &DescribedBlocks {
        &self.described
    }

    /// Gives a stored block keywords beside those that it has. Returns whether that changes something.
    pub(super) fn describe(&mut self, id: BlockId, keywords: &Keywords) -> bool {
        if keywords.is_empty() || !self.contains(id) {
            return false;
        }
        let before = self.described.of(id);
        let joined = before.map_or_else(|| keywords.clone(), |known| known.joined(keywords));
        if before == Some(&joined) {
            return false;
        }
        let grown = (joined.bytes() - before.map_or(0, Keywords::bytes)) as u64;
        self.described.set(id, joined);
        self.count(self.bringer(id), grown);
        true
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = BlockId> + '_ {
        self.blocks.keys().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that may still be used; none for some time after a write has failed.
    pub(super) fn free(&self) -> u64 {
        if self.closed_until > Time::ZERO { 0 } else { self.limit.saturating_sub(self.used) }
    }

    /// Lets blocks come again some time after a write has failed: only another write can show that there is room.
    pub(super) fn reopen(&mut self, now: Time) {
        if self.closed_until <= now {
            self.closed_until = Time::ZERO;
        }
    }

    /// What a block of `len` bytes costs.
    pub(super) fn cost(&self, len: usize) -> u64 {
        self.costs.of(len as u64)
    }

    /// Whether blocks of this node's own application that cost so many bytes together may be stored.
    pub(super) fn has_room(&self, cost: u64) -> bool {
        cost <= self.limit.saturating_sub(self.used)
    }

    /// Whether they may be stored beyond the limit, for as long as others take them.
    pub(super) fn has_transit_room(&self, cost: u64) -> bool {
        cost <= (self.limit + TRANSIT_MAX.min(self.limit)).saturating_sub(self.used)
    }

    /// Whether a block that costs so many bytes may be stored for a peer.
    fn has_room_for(&self, cost: u64, bringer: BlockBringer) -> bool {
        let brought = self.by_bringer.get(&bringer).copied().unwrap_or(0) + cost;
        let is_little = bringer.founded && brought <= self.limit / LITTLE;
        let (shares, per_free) = match bringer.founded {
            _ if is_little => (1, u64::MAX),
            true => (3, FOUNDED_PER_FREE),
            false => (2, REPAIRED_PER_FREE),
        };
        let kept = self.limit / KEPT_SHARE * shares;
        let free = self.limit.saturating_sub(self.used).checked_sub(kept + cost);
        free.is_some_and(|free| brought <= free.saturating_mul(per_free))
    }

    /// Counts a block of this node's own application as stored, be it beyond the limit.
    pub(super) fn reserve_own(&mut self, id: BlockId, len: usize) {
        if !self.blocks.contains_key(&id) {
            self.insert(id, len as u64, None);
        }
    }

    /// Counts a block with its keywords as stored. Returns whether there was room; an entry that is there already stays as it is.
    pub(super) fn reserve(&mut self, id: BlockId, (len, keywords): (usize, &Keywords), bringer: BlockBringer) -> bool {
        if self.blocks.contains_key(&id) {
            return true;
        }
        if !self.has_room_for(self.cost(len) + keywords.bytes() as u64, bringer) {
            return false;
        }
        self.insert(id, len as u64, Some(bringer));
        self.describe(id, keywords);
        true
    }

    fn insert(&mut self, id: BlockId, len: u64, bringer: Option<BlockBringer>) {
        self.count(bringer, self.costs.of(len));
        self.blocks.insert(id, IndexEntry { len, bringer });
        self.changes.push((id, true));
    }

    /// Counts bytes as stored for whoever brought them.
    fn count(&mut self, bringer: Option<BlockBringer>, bytes: u64) {
        self.used += bytes;
        if let Some(bringer) = bringer {
            *self.by_bringer.entry(bringer).or_default() += bytes;
        }
    }

    /// Counts a block as not stored. Returns whether it was.
    pub(super) fn release(&mut self, id: BlockId) -> bool {
        let Some(IndexEntry { len, bringer }) = self.blocks.remove(&id) else { return false };
        self.changes.push((id, false));
        let cost = self.costs.of(len) + self.described.of(id).map_or(0, Keywords::bytes) as u64;
        self.described.remove(id);
        self.used -= cost;
        if let Some(bringer) = bringer
            && let Some(stored) = self.by_bringer.get_mut(&bringer)
        {
            *stored -= cost;
            if *stored == 0 {
                self.by_bringer.remove(&bringer);
            }
        }
        true
    }

    /// Takes the completion of a deferred operation. Returns what is complete with it.
    pub(super) fn complete(&mut self, now: Time, completion: StoreCompletion) -> Option<CompletedOp> {
        match self.pending.remove(&completion.id)? {
            PendingOp::Unawaited => None,
            PendingOp::Write { id, purpose } => {
                let result = completion.result.map(|_| ()).map_err(|error| error.fault);
                // A store that is only busy takes other blocks soon.
                self.fault = result.err().filter(|&fault| fault != StoreFault::Busy);
                self.closed_until = self.fault.map_or(Time::ZERO, |_| now + CLOSED_FOR);
                Some(CompletedOp::Written { id, purpose, result })
            }
            PendingOp::Read { id, read } => {
                let pending = self.reads.get_mut(&read)?;
                let is_busy = completion.result.as_ref().is_err_and(|error| error.fault == StoreFault::Busy);
                // What comes from a disk may be damaged: it is checked against its id.
                match completion.result.ok().flatten().and_then(block_of).filter(|block| block.is(id)) {
                    Some(block) => pending.blocks.push((id, block)),
                    None if is_busy => pending.unread.push(id),
                    None => pending.lost.push(id),
                }
                pending.waiting -= 1;
                if pending.waiting > 0 {
                    return None;
                }
                let PendingRead { purpose, blocks, lost, unread, .. } = self.reads.remove(&read)?;
                Some(CompletedOp::Read { purpose, blocks, lost, unread })
            }
        }
    }
}

#[cfg(test)]
mod tests;
