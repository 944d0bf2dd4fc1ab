//! Blocks on a disk, in one file of the embedded database redb.
//!
//! Two tables have the same keys: the contents, and an index with lengths and notes. So a node that starts reads no content. A
//! batch of operations is one transaction: either all of it is durable, or nothing.

use std::any::Any;
use std::fmt;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableError,
};

use crate::core::blob::Blob;
use crate::core::identity::BlockId;
use crate::core::storage::{
    BlockStore, StoreContents, StoreCosts, StoreError, StoreFault, StoreOp, StoreRecord, StoredBlock,
};

/// Name of the database within a node's store.
pub(super) const FILE: &str = "blocks.redb";
/// Name of a database that was found damaged and put aside.
const DAMAGED_FILE: &str = "blocks.damaged";
/// Of the tables below. A store of another version is refused, not changed.
const VERSION: u64 = 4;
/// Memory for pages that were read or written: the file system has a cache as well.
const CACHE_BYTES: usize = 8 << 20;
/// Pause between tries to open a database that an error has closed.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const INDEX: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("index");
const CONTENT: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("content");
const VERSION_KEY: &str = "version";
const STATE_KEY: &str = "state";
/// Bytes of an index entry before the note: the length of the content.
const LENGTH_BYTES: usize = 4;

/// Opens or creates the database at a path.
type Opener = Box<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send>;

/// Blocks in a file.
pub struct DiskStore {
    folder: PathBuf,
    opener: Opener,
    /// `None` after an error, until it can be opened again.
    database: Option<Database>,
    /// When it was last tried to open it.
    tried: Instant,
}

/// Why a store cannot be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum DiskStoreError {
    /// Another version of Butter has written it.
    #[error("the store {path} has version {found}, and this program reads version {VERSION}: use the program that wrote it, or another directory", path = path.display())]
    Version {
        /// The file of the database.
        path: PathBuf,
        /// What is written in it.
        found: u64,
    },
    /// The disk or file system refuses.
    #[error("cannot open the store {path}", path = path.display())]
    Open {
        /// The file of the database.
        path: PathBuf,
        /// The error as redb reports it.
        source: redb::Error,
    },
    /// The damaged database cannot be put aside.
    #[error("the store {path} is damaged and cannot be put aside", path = path.display())]
    Aside {
        /// The file of the database.
        path: PathBuf,
        /// The error of the system call.
        source: io::Error,
    },
}

/// A database that was damaged, and was put aside.
#[derive(Debug)]
pub struct PutAside {
    /// Where it is now.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Why an operation on the database did not succeed.
enum Trouble {
    Redb(redb::Error),
    /// redb panics on pages that it cannot make sense of.
    Panic(String),
}

impl<E: Into<redb::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Trouble::Redb(error.into())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Redb(error) => error.fmt(f),
            Trouble::Panic(message) => write!(f, "the database is damaged: {message}"),
        }
    }
}

impl Trouble {
    fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Trouble::Panic(text.unwrap_or("a page cannot be read").to_owned())
    }

    /// Whether the file is damaged, rather than the disk at fault.
    fn is_damage(&self) -> bool {
        use io::ErrorKind::{InvalidData, UnexpectedEof};
        match self {
            Trouble::Panic(_) => true,
            Trouble::Redb(redb::Error::Io(error)) => matches!(error.kind(), InvalidData | UnexpectedEof),
            Trouble::Redb(error) => matches!(
                error,
                redb::Error::Corrupted(_)
                    | redb::Error::UpgradeRequired(_)
                    | redb::Error::RepairAborted
                    | redb::Error::TableTypeMismatch { .. }
                    | redb::Error::TypeDefinitionChanged { .. }
                    | redb::Error::TableIsMultimap(_)
                    | redb::Error::TableDoesNotExist(_)
            ),
        }
    }

    /// Whether the database cannot be used any more before it is opened again.
    fn ends_session(&self) -> bool {
        match self {
            Trouble::Panic(_) => true,
            Trouble::Redb(error) => matches!(
                error,
                redb::Error::Io(_)
                    | redb::Error::PreviousIo
                    | redb::Error::LockPoisoned(_)
                    | redb::Error::DatabaseClosed
            ),
        }
    }

    fn into_store_error(self) -> StoreError {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let is_full = matches!(&self, Trouble::Redb(redb::Error::Io(error))
            if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge));
        let fault = if is_full { StoreFault::DiskFull } else { StoreFault::Failed };
        StoreError { fault, reason: self.to_string() }
    }
}

/// Runs what may panic on a damaged file.
fn guarded<T>(work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Trouble::of_panic(panic.as_ref())))
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl DiskStore {
    /// Opens the store in `folder`, or makes one there. A damaged one is put aside and named: others have copies of its blocks.
    ///
    /// # Errors
    /// If the disk refuses, or another version has written the store.
    pub fn open(folder: &Path) -> Result<(Self, StoreContents, Option<PutAside>), DiskStoreError> {
        let opener = |path: &Path| Builder::new().set_cache_size(CACHE_BYTES).create(path);
        DiskStore::open_with(folder, Box::new(opener))
    }

    pub(super) fn open_with(
        folder: &Path,
        opener: Opener,
    ) -> Result<(Self, StoreContents, Option<PutAside>), DiskStoreError> {
        let path = folder.join(FILE);
        let failed = |trouble| match trouble {
            Trouble::Redb(source) => DiskStoreError::Open { path: path.clone(), source },
            Trouble::Panic(message) => {
                DiskStoreError::Open { path: path.clone(), source: StorageError::Corrupted(message).into() }
            }
        };
        let (database, contents, aside) = match load(&opener, &path) {
            Ok((database, contents)) => (database, contents, None),
            Err(trouble) if trouble.is_damage() && path.exists() => {
                let aside = PutAside { path: folder.join(DAMAGED_FILE), reason: trouble.to_string() };
                fs::rename(&path, &aside.path)
                    .map_err(|source| DiskStoreError::Aside { path: path.clone(), source })?;
                let (database, contents) = load(&opener, &path).map_err(failed)?;
                (database, contents, Some(aside))
            }
            Err(trouble) => return Err(failed(trouble)),
        };
        let contents = contents.map_err(|found| DiskStoreError::Version { path, found })?;
        let database = Some(database);
        Ok((DiskStore { folder: folder.to_owned(), opener, database, tried: Instant::now() }, contents, aside))
    }

    /// Executes all operations in one transaction, which is durable when this returns.
    ///
    /// # Errors
    /// If the disk refuses or the database is damaged: then none of the operations has an effect.
    pub fn execute_all(&mut self, ops: &[StoreOp]) -> Result<Vec<Option<StoreRecord>>, StoreError> {
        self.with_database(|database| {
            let mut transaction = database.begin_write()?;
            // Otherwise a node would read its whole store after a crash before it starts.
            transaction.set_quick_repair(true);
            let results = {
                let mut index = transaction.open_table(INDEX)?;
                let mut content = transaction.open_table(CONTENT)?;
                let mut results = Vec::with_capacity(ops.len());
                for op in ops {
                    let mut found = None;
                    match op {
                        StoreOp::Write { id, record, note } => {
                            content.insert(&id.0, encode_record(record).as_slice())?;
                            index.insert(&id.0, encode_entry(record.bytes.0.len(), note).as_slice())?;
                        }
                        StoreOp::Read { id } => {
                            found = content.get(&id.0)?.and_then(|bytes| decode_record(bytes.value()));
                        }
                        StoreOp::Delete { id } => {
                            content.remove(&id.0)?;
                            index.remove(&id.0)?;
                        }
                        StoreOp::Annotate { id, note } => {
                            let length = index.get(&id.0)?.and_then(|entry| length_of(entry.value()));
                            if let Some(length) = length {
                                index.insert(&id.0, encode_entry(length as usize, note).as_slice())?;
                            }
                        }
                        StoreOp::KeepState { state } => {
                            transaction.open_table(META)?.insert(STATE_KEY, &state.0[..])?;
                        }
                    }
                    results.push(found);
                }
                results
            };
            transaction.commit()?;
            Ok(results)
        })
    }

    /// Reads a block.
    ///
    /// # Errors
    /// If the disk refuses or the database is damaged.
    pub fn read(&mut self, id: BlockId) -> Result<Option<StoreRecord>, StoreError> {
        self.with_database(|database| {
            let content = database.begin_read()?.open_table(CONTENT)?;
            Ok(content.get(&id.0)?.and_then(|bytes| decode_record(bytes.value())))
        })
    }

    fn with_database<T>(&mut self, work: impl FnOnce(&Database) -> Result<T, Trouble>) -> Result<T, StoreError> {
        if self.database.is_none() {
            self.reopen()?;
        }
        let database = self.database.as_ref().expect("it was just opened");
        guarded(|| work(database)).map_err(|trouble| {
            if trouble.ends_session() {
                self.close();
            }
            trouble.into_store_error()
        })
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        if self.tried.elapsed() < REOPEN_AFTER {
            let reason = "it is opened again after a pause".to_owned();
            return Err(StoreError { fault: StoreFault::Failed, reason });
        }
        self.tried = Instant::now();
        let opened = guarded(|| Ok((self.opener)(&self.folder.join(FILE))?));
        self.database = Some(opened.map_err(Trouble::into_store_error)?);
        Ok(())
    }

    /// Closes a database that has failed. Its end may fail as well.
    fn close(&mut self) {
        let database = self.database.take();
        // What it says does not matter: it has failed before, and that was reported.
        _ = catch_unwind(AssertUnwindSafe(move || drop(database)));
        // The first try to open it again need not wait.
        self.tried = Instant::now().checked_sub(REOPEN_AFTER).unwrap_or(self.tried);
    }
}

impl BlockStore for DiskStore {
    fn execute(&mut self, op: StoreOp) -> Result<Option<StoreRecord>, StoreError> {
        if let StoreOp::Read { id } = op {
            return self.read(id);
        }
        self.execute_all(&[op]).map(|mut results| results.pop().flatten())
    }

    fn contents(&self) -> Result<StoreContents, StoreError> {
        let Some(database) = &self.database else {
            return Err(StoreError { fault: StoreFault::Failed, reason: "it is closed after an error".to_owned() });
        };
        guarded(|| list(database)).map_err(Trouble::into_store_error)
    }
}

/// A database with its contents, or with the version that it has instead of this one's.
type Loaded = (Database, Result<StoreContents, u64>);

/// Opens a database and lists its contents, after it has got its tables if it is new.
fn load(opener: &Opener, path: &Path) -> Result<Loaded, Trouble> {
    guarded(|| {
        let database = opener(path)?;
        let found = version(&database)?;
        if found.is_none() {
            create_tables(&database)?;
        }
        let contents = match found {
            Some(other) if other != VERSION => Err(other),
            _ => Ok(list(&database)?),
        };
        Ok((database, contents))
    })
}

/// The version of a database; `None` if it is new.
fn version(database: &Database) -> Result<Option<u64>, Trouble> {
    let meta = match database.begin_read()?.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        meta => meta?,
    };
    let version = meta.get(VERSION_KEY)?.and_then(|bytes| bytes.value().try_into().ok().map(u64::from_le_bytes));
    version.map(Some).ok_or_else(|| StorageError::Corrupted("it has no version".to_owned()).into())
}

fn create_tables(database: &Database) -> Result<(), Trouble> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    transaction.open_table(META)?.insert(VERSION_KEY, &VERSION.to_le_bytes()[..])?;
    transaction.open_table(INDEX)?;
    transaction.open_table(CONTENT)?;
    Ok(transaction.commit()?)
}

fn list(database: &Database) -> Result<StoreContents, Trouble> {
    let transaction = database.begin_read()?;
    let mut blocks = Vec::new();
    for entry in transaction.open_table(INDEX)?.iter()? {
        let (id, entry) = entry?;
        let entry = entry.value();
        let Some(len) = length_of(entry) else {
            return Err(StorageError::Corrupted("an entry of the index is cut".to_owned()).into());
        };
        let note = Blob::from(entry[LENGTH_BYTES..].to_vec());
        blocks.push(StoredBlock { id: BlockId(*id.value()), len, note });
    }
    let state = transaction.open_table(META)?.get(STATE_KEY)?.map(|bytes| Blob::from(bytes.value().to_vec()));
    Ok(StoreContents { blocks, state, costs: StoreCosts::DISK })
}

fn encode_entry(length: usize, note: &Blob) -> Vec<u8> {
    let length = u32::try_from(length).expect("a block is short");
    [&length.to_le_bytes(), note.as_ref()].concat()
}

fn length_of(entry: &[u8]) -> Option<u32> {
    entry.first_chunk().map(|length| u32::from_le_bytes(*length))
}

fn encode_record(record: &StoreRecord) -> Vec<u8> {
    [&[record.tag], record.bytes.as_ref()].concat()
}

fn decode_record(bytes: &[u8]) -> Option<StoreRecord> {
    let (&tag, bytes) = bytes.split_first()?;
    Some(StoreRecord { tag, bytes: Blob::from(bytes.to_vec()) })
}
