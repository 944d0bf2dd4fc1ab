//! One process for one store: two nodes with one identity would take each other's links.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Name of the file that is locked, within a node's store.
const LOCK_FILE: &str = "lock";

/// A store that no other process uses, as long as this is held. The system releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

/// Why a store cannot be taken. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreLockError {
    /// Another process has it.
    #[error("another node uses the store {path}: end it, or give this node a store of its own", path = store.display())]
    InUse {
        /// The store's folder.
        store: PathBuf,
    },
    /// The folder or the lock file cannot be made, or the file system has no locks.
    #[error("cannot lock {path}", path = path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The error of the system call.
        source: io::Error,
    },
}

impl StoreLock {
    /// Takes the folder `store`, which is made if it does not exist.
    ///
    /// # Errors
    /// If another process has it, or it cannot be locked.
    pub fn take(store: &Path) -> Result<Self, StoreLockError> {
        let path = store.join(LOCK_FILE);
        let failed = |source| StoreLockError::Io { path: path.clone(), source };
        fs::create_dir_all(store).map_err(failed)?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(StoreLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreLockError::InUse { store: store.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_taken_once_at_a_time() {
        let scratch = tempfile::tempdir().unwrap();
        let store = scratch.path().join("deep/er");
        let first = StoreLock::take(&store).unwrap();
        let error = StoreLock::take(&store).unwrap_err();
        assert!(matches!(&error, StoreLockError::InUse { .. }), "{error:?}");
        drop(first);
        StoreLock::take(&store).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = StoreLock::take(Path::new("/proc/none")).unwrap_err().to_string();
        assert_eq!(error, "cannot lock /proc/none/lock");
    }
}
