//! The disk of a simulated node: what is not synced is lost when the node is killed.
//!
//! It follows the node's own store: a write completes with the next sync, and all that waits is synced together. Deletions and
//! notes complete at once and go along.

use std::time::Duration;

use butter::core::blob::Blob;
use butter::core::identity::BlockId;
use butter::core::random::child;
use butter::core::storage::{
    BlockStore, MemoryStore, StoreCompletion, StoreContents, StoreCosts, StoreError, StoreFault, StoreOp, StoreRecord,
    StoreRequest, StoredBlock,
};
use butter::core::time::Time;
use rand::RngExt;

/// Time of a sync: two flushes of a solid-state disk.
const SYNC_TAKES: Duration = Duration::from_millis(4);
/// How long deletions and notes wait for a write, as in the node's store.
const UNHURRIED_FOR: Duration = Duration::from_millis(500);

/// A disk with the blocks of one node.
#[derive(Debug, Default)]
pub(super) struct ModelDisk {
    durable: MemoryStore,
    unsynced: Vec<StoreRequest>,
    sync_at: Option<Time>,
    full: bool,
}

impl ModelDisk {
    /// What a node finds that starts with it.
    pub(super) fn contents(&self) -> StoreContents {
        StoreContents { costs: StoreCosts::DISK, ..self.durable.contents().expect("memory does not fail") }
    }

    /// When [`ModelDisk::sync`] is due.
    pub(super) fn due(&self) -> Time {
        self.sync_at.unwrap_or(Time::NEVER)
    }

    /// Takes an operation. Returns its completion, unless it completes with the next sync.
    pub(super) fn submit(&mut self, now: Time, request: StoreRequest) -> Option<StoreCompletion> {
        let id = request.id;
        let (completes, within) = match &request.op {
            StoreOp::Read { id: block } if !self.is_changing(*block) => {
                return Some(StoreCompletion { id, result: self.durable.execute(request.op) });
            }
            StoreOp::Write { .. } | StoreOp::Read { .. } => (false, SYNC_TAKES),
            StoreOp::Delete { .. } | StoreOp::Annotate { .. } | StoreOp::KeepState { .. } => (true, UNHURRIED_FOR),
        };
        self.sync_at = Some(self.due().min(now + within));
        self.unsynced.push(request);
        completes.then_some(StoreCompletion { id, result: Ok(None) })
    }

    fn is_changing(&self, block: BlockId) -> bool {
        self.unsynced.iter().any(|request| match &request.op {
            StoreOp::Write { id, .. } | StoreOp::Delete { id } => *id == block,
            StoreOp::Read { .. } | StoreOp::Annotate { .. } | StoreOp::KeepState { .. } => false,
        })
    }

    /// Makes everything durable. Returns what completes with it.
    pub(super) fn sync(&mut self) -> Vec<StoreCompletion> {
        self.sync_at = None;
        let mut completions = Vec::new();
        for StoreRequest { id, op } in std::mem::take(&mut self.unsynced) {
            let completes = matches!(op, StoreOp::Write { .. } | StoreOp::Read { .. });
            let adds = matches!(op, StoreOp::Write { .. } | StoreOp::Annotate { .. } | StoreOp::KeepState { .. });
            let result = match self.full && adds {
                true => Err(StoreError { fault: StoreFault::DiskFull, reason: "a disk-full step".to_owned() }),
                false => self.durable.execute(op),
            };
            completions.extend(completes.then_some(StoreCompletion { id, result }));
        }
        completions
    }

    /// Has it be full, or have room again.
    pub(super) fn fill(&mut self, full: bool) {
        self.full = full;
    }

    /// Damages a share of the blocks.
    pub(super) fn corrupt(&mut self, share: f64, seed: u64) {
        let mut random = child(seed, 0);
        for StoredBlock { id, note, .. } in self.contents().blocks {
            if random.random::<f64>() >= share {
                continue;
            }
            let found = self.durable.execute(StoreOp::Read { id }).expect("memory does not fail");
            let Some(StoreRecord { tag, bytes }) = found else { continue };
            let mut damaged = bytes.0.to_vec();
            match damaged.first_mut() {
                Some(byte) => *byte = !*byte,
                None => damaged.push(0),
            }
            let record = StoreRecord { tag, bytes: Blob::from(damaged) };
            self.durable.execute(StoreOp::Write { id, record, note }).expect("memory does not fail");
        }
    }

    /// The node was killed: what is not synced is lost.
    pub(super) fn crash(&mut self) {
        self.unsynced.clear();
        self.sync_at = None;
    }
}

#[cfg(test)]
mod tests {
    use butter::core::storage::StoreRequestId;

    use super::*;

    fn write(seed: u8) -> StoreRequest {
        let record = StoreRecord { tag: 0, bytes: Blob::from(vec![seed; 10]) };
        let op = StoreOp::Write { id: BlockId([seed; 32]), record, note: Blob::default() };
        StoreRequest { id: StoreRequestId(seed.into()), op }
    }

    #[test]
    fn kill_loses_what_is_not_synced_and_nothing_else() {
        let mut disk = ModelDisk::default();
        assert_eq!(disk.submit(Time::ZERO, write(1)), None);
        assert_eq!(disk.due(), Time::ZERO + SYNC_TAKES);
        assert_eq!(disk.sync().len(), 1);
        assert_eq!(disk.submit(Time::ZERO, write(2)), None);
        disk.crash();
        assert_eq!(disk.due(), Time::NEVER);
        let blocks: Vec<BlockId> = disk.contents().blocks.iter().map(|block| block.id).collect();
        assert_eq!(blocks, [BlockId([1; 32])]);
    }

    #[test]
    fn full_disk_refuses_and_a_damaged_one_returns_other_bytes() {
        let mut disk = ModelDisk::default();
        disk.submit(Time::ZERO, write(1));
        disk.sync();
        disk.fill(true);
        disk.submit(Time::ZERO, write(2));
        assert_eq!(disk.sync()[0].result.as_ref().unwrap_err().fault, StoreFault::DiskFull);
        disk.corrupt(1.0, 7);
        let read = StoreRequest { id: StoreRequestId(3), op: StoreOp::Read { id: BlockId([1; 32]) } };
        let found = disk.submit(Time::ZERO, read).unwrap().result.unwrap().unwrap();
        assert_ne!(found.bytes, Blob::from(vec![1; 10]));
        assert_eq!(found.bytes.0.len(), 10);
    }
}
