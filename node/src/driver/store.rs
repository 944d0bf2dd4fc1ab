//! The block store of a node: a thread of its own, so that the node never waits for the disk.
//!
//! Operations that wait while a transaction is being made durable go into the next one together (group commit). A write
//! completes once it is durable. Deletions and notes complete at once and become durable with the next write, or after a pause.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::store_lock::{StoreLock, StoreLockError};
use crate::core::identity::BlockId;
use crate::core::storage::{
    StoreCompletion, StoreContents, StoreError, StoreFault, StoreOp, StoreRecord, StoreRequest, StoreRequestId,
};
pub use disk::{DiskStore, DiskStoreError, PutAside};

mod disk;
#[cfg(test)]
mod tests;

/// "File size limit exceeded", on Linux.
const SIGXFSZ: i32 = 25;
/// Operations that may wait for the disk. What is beyond is refused.
const WAITING_OPS_MAX: usize = 1 << 16;
/// Bytes of operations that may wait for the disk: the blocks of the longest value, and half of that for peers.
const WAITING_BYTES_MAX: usize = 96 << 20;
/// Operations of one transaction.
const BATCH_OPS_MAX: usize = 4_096;
/// Bytes of one transaction.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// How long deletions and notes wait for a write that takes them along.
const UNHURRIED_FOR: Duration = Duration::from_millis(500);

/// Why a store cannot be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// The folder is in use or cannot be locked.
    #[error(transparent)]
    Lock(#[from] StoreLockError),
    /// The blocks cannot be opened.
    #[error(transparent)]
    Disk(#[from] DiskStoreError),
}

/// A store that is open and not yet served.
#[derive(Debug)]
pub struct OpenedStore {
    folder: PathBuf,
    store: DiskStore,
    contents: StoreContents,
    lock: StoreLock,
}

impl OpenedStore {
    /// Opens the blocks in the folder that `lock` holds.
    ///
    /// # Errors
    /// If they cannot be opened.
    pub fn open(folder: &Path, lock: StoreLock) -> Result<Self, OpenStoreError> {
        let (store, contents, aside) = DiskStore::open(folder)?;
        if let Some(PutAside { path, reason }) = aside {
            let path = path.display();
            tracing::error!(%path, reason, "the store is damaged: it was put aside, and this node starts without blocks");
        }
        Ok(OpenedStore { folder: folder.to_owned(), store, contents, lock })
    }
}

/// What waits for the disk.
#[derive(Debug, Default)]
struct Waiting {
    ops: AtomicUsize,
    bytes: AtomicUsize,
}

/// The store as the driver uses it.
#[derive(Debug)]
pub(super) struct StoreThread {
    folder: PathBuf,
    /// `None` once it is closed.
    requests: Option<Sender<StoreRequest>>,
    completed: UnboundedSender<StoreCompletion>,
    completions: UnboundedReceiver<StoreCompletion>,
    waiting: Arc<Waiting>,
    thread: Option<JoinHandle<()>>,
}

impl StoreThread {
    /// Starts to serve a store. Returns what it holds.
    ///
    /// # Errors
    /// If the system gives no thread, or signals cannot be handled.
    pub(super) fn start(opened: OpenedStore) -> std::io::Result<(Self, StoreContents)> {
        let OpenedStore { folder, store, contents, lock } = opened;
        // A limit on the length of files is an error like a full disk, rather than the end of the program. What is installed
        // here stays.
        drop(signal(SignalKind::from_raw(SIGXFSZ))?);
        let ((requests, incoming), (completed, completions)) = (channel(), unbounded_channel());
        let waiting = Arc::new(Waiting::default());
        let server = StoreServer {
            folder: folder.clone(),
            store,
            completed: completed.clone(),
            waiting: waiting.clone(),
            pending: Vec::new(),
            changing: BTreeSet::new(),
            urgent: false,
            since: Instant::now(),
            fault: None,
        };
        let thread = std::thread::Builder::new().name("block store".to_owned()).spawn(move || {
            // Held until the last transaction has ended.
            let _lock = lock;
            server.serve(&incoming);
        })?;
        let (requests, thread) = (Some(requests), Some(thread));
        Ok((StoreThread { folder, requests, completed, completions, waiting, thread }, contents))
    }

    /// Where the blocks are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Executes an operation some time later. Its end is among [`StoreThread::next`].
    pub(super) fn submit(&mut self, request: StoreRequest) {
        let (id, length) = (request.id, request.op.payload_len());
        let waiting = &self.waiting;
        let is_full = waiting.ops.load(Ordering::Relaxed) >= WAITING_OPS_MAX
            || waiting.bytes.load(Ordering::Relaxed) + length > WAITING_BYTES_MAX;
        let refusal = if is_full {
            StoreError { fault: StoreFault::Busy, reason: "too many operations wait for it".to_owned() }
        } else {
            waiting.ops.fetch_add(1, Ordering::Relaxed);
            waiting.bytes.fetch_add(length, Ordering::Relaxed);
            match self.requests.as_ref().map(|requests| requests.send(request)) {
                Some(Ok(())) => return,
                _ => StoreError { fault: StoreFault::Failed, reason: "its thread has ended".to_owned() },
            }
        };
        // This half of the channel is open as long as the other.
        _ = self.completed.send(StoreCompletion { id, result: Err(refusal) });
    }

    /// The next operation that is complete.
    pub(super) async fn next(&mut self) -> StoreCompletion {
        match self.completions.recv().await {
            Some(completion) => completion,
            // Never: this half of the channel has a sender itself.
            None => std::future::pending().await,
        }
    }

    /// Ends the thread once everything is durable.
    pub(super) async fn close(mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!(store = %self.folder.display(), "the thread of the block store has panicked");
            }
        }
    }
}

/// What runs on the thread.
struct StoreServer {
    folder: PathBuf,
    store: DiskStore,
    completed: UnboundedSender<StoreCompletion>,
    waiting: Arc<Waiting>,
    /// Operations of the next transaction, in order. Those with a number complete with it; the others have completed.
    pending: Vec<(Option<StoreRequestId>, StoreOp)>,
    /// Blocks that they write or delete.
    changing: BTreeSet<BlockId>,
    /// Whether an operation waits for the next transaction.
    urgent: bool,
    /// When the first one became pending.
    since: Instant,
    /// Why the last transaction or read failed, if it did.
    fault: Option<StoreFault>,
}

impl StoreServer {
    fn serve(mut self, requests: &Receiver<StoreRequest>) {
        loop {
            let rest = UNHURRIED_FOR.saturating_sub(self.since.elapsed());
            let first = match self.pending.is_empty() {
                true => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => requests.recv_timeout(rest),
            };
            match first {
                Ok(first) => self.gather(first, requests),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.commit(),
            }
            let is_late = !self.pending.is_empty() && self.since.elapsed() >= UNHURRIED_FOR;
            if self.urgent || is_late || self.pending.len() >= BATCH_OPS_MAX {
                self.commit();
            }
        }
    }

    /// Takes what waits, as much as one transaction holds.
    fn gather(&mut self, first: StoreRequest, requests: &Receiver<StoreRequest>) {
        let mut next = Some(first);
        let mut bytes = 0;
        while let Some(StoreRequest { id, op }) = next {
            let length = op.payload_len();
            bytes += length;
            self.waiting.ops.fetch_sub(1, Ordering::Relaxed);
            self.waiting.bytes.fetch_sub(length, Ordering::Relaxed);
            self.take(id, op);
            if self.pending.len() >= BATCH_OPS_MAX || bytes >= BATCH_BYTES_MAX {
                break;
            }
            next = requests.try_recv().ok();
        }
    }

    fn take(&mut self, id: StoreRequestId, op: StoreOp) {
        match op {
            StoreOp::Read { id: block } if !self.changing.contains(&block) => {
                let result = self.store.read(block);
                result.as_ref().err().into_iter().for_each(|error| self.report(error));
                self.complete(id, result);
            }
            StoreOp::Write { .. } | StoreOp::Read { .. } => {
                self.urgent = true;
                self.push(Some(id), op);
            }
            StoreOp::Delete { .. } | StoreOp::Annotate { .. } | StoreOp::KeepState { .. } => {
                self.complete(id, Ok(None));
                self.push(None, op);
            }
        }
    }

    fn push(&mut self, id: Option<StoreRequestId>, op: StoreOp) {
        if self.pending.is_empty() {
            self.since = Instant::now();
        }
        if let StoreOp::Write { id, .. } | StoreOp::Delete { id } = &op {
            self.changing.insert(*id);
        }
        self.pending.push((id, op));
    }

    /// Says so when the store begins to fail.
    fn report(&mut self, error: &StoreError) {
        if self.fault.replace(error.fault) != Some(error.fault) {
            let store = self.folder.display();
            tracing::error!(%store, %error, "blocks cannot be stored or read: this node goes on with what works");
        }
    }

    fn commit(&mut self) {
        self.urgent = false;
        if self.pending.is_empty() {
            return;
        }
        let (ids, ops): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending).into_iter().unzip();
        self.changing.clear();
        match self.store.execute_all(&ops) {
            Ok(results) => {
                if self.fault.take().is_some() {
                    tracing::info!(store = %self.folder.display(), "the block store works again");
                }
                let numbered = ids.into_iter().zip(results).filter_map(|(id, result)| Some((id?, result)));
                numbered.for_each(|(id, result)| self.complete(id, Ok(result)));
            }
            Err(error) => {
                self.report(&error);
                // What is not waited for is tried again with the next transaction: it may be what makes room.
                for (id, op) in ids.into_iter().zip(ops) {
                    match id {
                        Some(id) => self.complete(id, Err(error.clone())),
                        None if self.pending.len() < BATCH_OPS_MAX / 2 => self.push(None, op),
                        None => {}
                    }
                }
            }
        }
    }

    fn complete(&self, id: StoreRequestId, result: Result<Option<StoreRecord>, StoreError>) {
        // A driver that has ended wants no completions.
        _ = self.completed.send(StoreCompletion { id, result });
    }
}
