//! Tests of the store on real files, and on files whose disk fails.

use std::io;
use std::sync::atomic::AtomicU64;

use proptest::prelude::*;
use redb::backends::FileBackend;
use redb::{Builder, StorageBackend};

use super::*;
use crate::core::blob::Blob;
use crate::core::storage::{BlockStore, MemoryStore};

fn id(seed: u64) -> BlockId {
    let mut id = [0; 32];
    let spread = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    id[..8].copy_from_slice(&spread.to_be_bytes());
    id[8..16].copy_from_slice(&seed.to_be_bytes());
    BlockId(id)
}

fn record(seed: u64, length: usize) -> StoreRecord {
    StoreRecord { tag: seed as u8 % 2, bytes: Blob::from(vec![seed as u8; length]) }
}

fn write(seed: u64, length: usize) -> StoreOp {
    let note = Blob::from(vec![seed as u8; 120]);
    StoreOp::Write { id: id(seed), record: record(seed, length), note }
}

/// A disk with so much room.
#[derive(Debug)]
struct SmallDisk {
    file: FileBackend,
    room: Arc<AtomicU64>,
}

impl SmallDisk {
    fn check(&self, end: u64) -> io::Result<()> {
        let fits = end <= self.room.load(Ordering::SeqCst);
        fits.then_some(()).ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))
    }
}

impl StorageBackend for SmallDisk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check(offset + data.len() as u64)?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

fn on_small_disk(folder: &Path, room: &Arc<AtomicU64>) -> DiskStore {
    let room = room.clone();
    let opener = move |path: &Path| {
        let file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let file = FileBackend::new(file)?;
        Builder::new().create_with_backend(SmallDisk { file, room: room.clone() })
    };
    DiskStore::open_with(folder, Box::new(opener)).unwrap().0
}

#[test]
fn reopened_store_has_what_was_written_and_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, contents, aside) = DiskStore::open(folder.path()).unwrap();
    assert!(contents.blocks.is_empty() && contents.state.is_none() && aside.is_none());
    store.execute(write(1, 4_096)).unwrap();
    store.execute(write(2, 0)).unwrap();
    store.execute(write(3, 10)).unwrap();
    store.execute(StoreOp::Delete { id: id(3) }).unwrap();
    let note = Blob::from(vec![9; 5]);
    store.execute(StoreOp::Annotate { id: id(2), note: note.clone() }).unwrap();
    store.execute(StoreOp::KeepState { state: Blob::from(vec![8; 7]) }).unwrap();
    drop(store);
    let (mut store, contents, _) = DiskStore::open(folder.path()).unwrap();
    assert_eq!(contents.state, Some(Blob::from(vec![8; 7])));
    let mut listed: Vec<_> = contents.blocks.iter().map(|block| (block.id, block.len)).collect();
    listed.sort_by_key(|(_, len)| *len);
    assert_eq!(listed, [(id(2), 0), (id(1), 4_096)]);
    assert_eq!(contents.blocks.iter().find(|block| block.id == id(2)).unwrap().note, note);
    assert_eq!(store.read(id(1)).unwrap(), Some(record(1, 4_096)));
    assert_eq!(store.read(id(3)).unwrap(), None);
}

#[test]
fn full_disk_refuses_writes_and_serves_reads_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let room = Arc::new(AtomicU64::new(u64::MAX));
    let mut store = on_small_disk(folder.path(), &room);
    for seed in 0..50 {
        store.execute(write(seed, 4_096)).unwrap();
    }
    let used = std::fs::metadata(folder.path().join(disk::FILE)).unwrap().len();
    room.store(used, Ordering::SeqCst);
    let mut last = 50;
    let error = loop {
        match store.execute(write(last, 4_096)) {
            Ok(_) => last += 1,
            Err(error) => break error,
        }
        assert!(last < 10_000, "the disk is never full");
    };
    assert_eq!(error.fault, StoreFault::DiskFull, "{error}");
    for seed in 0..last {
        assert_eq!(store.read(id(seed)).unwrap(), Some(record(seed, 4_096)), "{seed} of {last}");
    }
    assert_eq!(store.read(id(last)).unwrap(), None, "what was refused has no effect");
    room.store(u64::MAX, Ordering::SeqCst);
    // It is opened again after a pause.
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = store.execute(write(last, 4_096)) {
        assert!(Instant::now() < deadline, "{error}");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(store);
    let (_, contents, aside) = DiskStore::open(folder.path()).unwrap();
    assert_eq!((contents.blocks.len() as u64, aside.is_none()), (last + 1, true));
}

#[test]
fn damaged_files_are_put_aside() {
    for damage in ["zeros", "cut", "text"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(disk::FILE);
        let (mut store, ..) = DiskStore::open(folder.path()).unwrap();
        (0..200).for_each(|seed| _ = store.execute(write(seed, 4_096)).unwrap());
        drop(store);
        let mut bytes = std::fs::read(&path).unwrap();
        match damage {
            "zeros" => bytes[..8_192].fill(0),
            "cut" => bytes.truncate(bytes.len() / 3),
            _ => bytes = b"no database at all".to_vec(),
        }
        std::fs::write(&path, &bytes).unwrap();
        let (mut store, contents, aside) = DiskStore::open(folder.path()).unwrap();
        let aside = aside.unwrap_or_else(|| panic!("{damage}: {} blocks", contents.blocks.len()));
        assert_eq!(std::fs::read(&aside.path).unwrap().len(), bytes.len(), "{damage}");
        assert!(contents.blocks.is_empty());
        store.execute(write(1, 10)).unwrap();
    }
}

#[test]
fn flipped_bytes_never_end_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(disk::FILE);
    let (mut store, ..) = DiskStore::open(folder.path()).unwrap();
    (0..200).for_each(|seed| _ = store.execute(write(seed, 4_096)).unwrap());
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    let mut random = crate::core::random::child(5, 1);
    for _ in 0..40 {
        let mut bytes = whole.clone();
        for _ in 0..64 {
            let at = rand::RngExt::random_range(&mut random, 0..bytes.len());
            bytes[at] ^= 0x55;
        }
        std::fs::write(&path, &bytes).unwrap();
        let (mut store, ..) = DiskStore::open(folder.path()).unwrap();
        for seed in 0..200 {
            // Whatever is read is checked by the overlay.
            _ = store.read(id(seed));
        }
        _ = store.execute(write(201, 4_096));
    }
}

#[test]
fn store_of_another_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(DiskStore::open(folder.path()).unwrap());
    let path = folder.path().join(disk::FILE);
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    transaction.open_table(meta).unwrap().insert("version", &77_u64.to_le_bytes()[..]).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = DiskStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, DiskStoreError::Version { found: 77, .. }), "{error}");
}

#[test]
fn a_block_costs_what_is_counted() {
    for length in [0, 100, 1_000, 2_000, 4_000, 4_096] {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, contents, _) = DiskStore::open(folder.path()).unwrap();
        let count = 4_000_u64;
        for first in (0..count).step_by(500) {
            let ops: Vec<StoreOp> = (first..first + 500).map(|seed| write(seed, length)).collect();
            store.execute_all(&ops).unwrap();
        }
        drop(store);
        let used =
            std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(folder.path().join(disk::FILE)).unwrap()) * 512;
        let counted = count * contents.costs.of(length as u64);
        // What redb frees it uses again: some of the file is empty.
        println!("{length} bytes: {} of disk, {} counted", used / count, counted / count);
        assert!(used <= counted + (4 << 20), "{length} bytes: {} of disk, {} counted", used / count, counted / count);
        assert!(2 * used >= counted, "{length} bytes: {} of disk, {} counted", used / count, counted / count);
    }
}

fn steps() -> impl Strategy<Value = Vec<StoreOp>> {
    let step = (0u8..6, 0u64..8, 0usize..5_000, any::<u8>()).prop_map(|(kind, seed, length, byte)| {
        let note = Blob::from(vec![byte; usize::from(byte)]);
        match kind {
            0..=2 => StoreOp::Write { id: id(seed), record: record(byte.into(), length), note },
            3 => StoreOp::Delete { id: id(seed) },
            4 => StoreOp::Annotate { id: id(seed), note },
            _ => StoreOp::KeepState { state: note },
        }
    });
    proptest::collection::vec(step, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn disk_and_memory_hold_the_same(steps in steps(), batch in 1usize..9) {
        let folder = tempfile::tempdir().unwrap();
        let (mut disk, mut memory) = (DiskStore::open(folder.path()).unwrap().0, MemoryStore::default());
        for ops in steps.chunks(batch) {
            disk.execute_all(ops).unwrap();
            for op in ops {
                memory.execute(op.clone()).unwrap();
            }
            for seed in 0..8 {
                let read = StoreOp::Read { id: id(seed) };
                prop_assert_eq!(disk.execute(read.clone()), memory.execute(read));
            }
        }
        drop(disk);
        let (_, found, _) = DiskStore::open(folder.path()).unwrap();
        let expected = memory.contents().unwrap();
        prop_assert_eq!((found.blocks, found.state), (expected.blocks, expected.state));
    }
}

fn opened(folder: &Path) -> OpenedStore {
    OpenedStore::open(folder, StoreLock::take(folder).unwrap()).unwrap()
}

#[tokio::test]
async fn operations_on_one_block_complete_in_order_and_are_durable() {
    let folder = tempfile::tempdir().unwrap();
    let (mut thread, _) = StoreThread::start(opened(folder.path())).unwrap();
    let ops = [
        write(1, 100),
        StoreOp::Read { id: id(1) },
        StoreOp::Delete { id: id(1) },
        StoreOp::Read { id: id(1) },
        write(1, 50),
        StoreOp::Read { id: id(1) },
        StoreOp::Read { id: id(2) },
    ];
    let awaited = [None, Some(record(1, 100)), None, None, None, Some(record(1, 50)), None];
    for (number, op) in (0..).zip(ops) {
        thread.submit(StoreRequest { id: StoreRequestId(number), op });
    }
    let mut results = [const { None }; 7];
    for _ in 0..7 {
        let completion = thread.next().await;
        assert!(results[completion.id.0 as usize].replace(completion.result.unwrap()).is_none(), "completes once");
    }
    assert_eq!(results.map(Option::unwrap), awaited);
    thread.close().await;
    let (thread, contents) = StoreThread::start(opened(folder.path())).unwrap();
    assert_eq!(contents.blocks.iter().map(|block| block.len).collect::<Vec<_>>(), [50]);
    thread.close().await;
}

#[tokio::test]
async fn what_is_too_much_for_the_disk_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut thread, _) = StoreThread::start(opened(folder.path())).unwrap();
    thread.waiting.bytes.store(WAITING_BYTES_MAX, Ordering::Relaxed);
    thread.submit(StoreRequest { id: StoreRequestId(1), op: write(1, 10) });
    let refused = thread.next().await;
    assert_eq!((refused.id, refused.result.unwrap_err().fault), (StoreRequestId(1), StoreFault::Busy));
    thread.close().await;
}

#[test]
#[ignore = "takes seconds and a gigabyte: cargo test -p butter --lib --release -- --ignored hundred_thousand --nocapture"]
fn start_with_a_hundred_thousand_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, ..) = DiskStore::open(folder.path()).unwrap();
    let begun = Instant::now();
    for first in (0..100_000).step_by(500) {
        store.execute_all(&(first..first + 500).map(|seed| write(seed, 4_096)).collect::<Vec<_>>()).unwrap();
    }
    let wrote = begun.elapsed();
    // As after a kill: nothing is closed.
    std::mem::forget(store);
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join(disk::FILE), copy.path().join(disk::FILE)).unwrap();
    let begun = Instant::now();
    let (_, contents, _) = DiskStore::open(copy.path()).unwrap();
    let opened = begun.elapsed();
    eprintln!("100,000 blocks: {:.0} blocks/s written, opened in {opened:?}", 1e5 / wrote.as_secs_f64());
    assert_eq!(contents.blocks.len(), 100_000);
    assert!(opened < Duration::from_secs(2), "{opened:?}");
}
