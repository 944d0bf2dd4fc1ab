//! Where labs are found: a folder for each, which only its user may enter.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::LabError;
use crate::backend::docker::label::{Owner, OwnerState};
use crate::topology::diagnostics::suggestion;

/// Longest name of a lab: the path of its socket has 107 bytes at most (unix(7)).
const NAME_MAX: usize = 32;
/// The mode of folders.
const PRIVATE: u32 = 0o700;

/// The folder of one lab. It may have gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabDirectory {
    name: String,
    path: PathBuf,
}

/// What is known of a lab without asking its keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LabState {
    /// `docker` or `netns`.
    pub(crate) backend: String,
    /// Name of its topology.
    pub(crate) topology: String,
    /// Its keeper, as [`Owner`] writes it.
    pub(crate) keeper: String,
    /// Whether it was deployed.
    pub(crate) up: bool,
}

impl LabState {
    /// Of a lab that this process is about to deploy.
    pub(crate) fn begun(backend: &str, topology: &str) -> Self {
        let keeper = Owner::this().map_or_else(String::new, |owner| owner.to_string());
        LabState { backend: backend.to_owned(), topology: topology.to_owned(), keeper, up: false }
    }

    /// Whether its keeper is known to have gone.
    pub(crate) fn is_dead(&self) -> bool {
        Owner::parse(&self.keeper).is_none_or(|owner| owner.living() == OwnerState::No)
    }

    /// The process number of its keeper.
    pub(crate) fn keeper_pid(&self) -> Option<i32> {
        self.keeper.split('/').next()?.parse().ok()
    }
}

impl LabDirectory {
    /// Makes the folder of a new lab.
    ///
    /// # Errors
    /// If a lab has this name, or the folder cannot be made.
    pub(crate) fn create(name: &str) -> Result<Self, LabError> {
        let directory = Self::named(name)?;
        match DirBuilder::new().mode(PRIVATE).create(&directory.path) {
            Ok(()) => Ok(directory),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(LabError::Exists(name.to_owned())),
            Err(source) => Err(LabError::Io { path: directory.path, source }),
        }
    }

    /// The folder of this name, whether or not it exists.
    ///
    /// # Errors
    /// If no lab can have this name, or the folder of labs is not safe.
    pub(crate) fn named(name: &str) -> Result<Self, LabError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(plain) {
            return Err(LabError::Name(name.to_owned()));
        }
        Ok(LabDirectory { name: name.to_owned(), path: root()?.join(name) })
    }

    /// At this path, as the keeper has it from the process that made it.
    pub(crate) fn at(path: PathBuf) -> Self {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        LabDirectory { name, path }
    }

    /// Every lab of this user, by name.
    ///
    /// # Errors
    /// If the folder of labs is not safe or cannot be read.
    pub(crate) fn all() -> Result<Vec<Self>, LabError> {
        let root = root()?;
        let entries = fs::read_dir(&root).map_err(|source| LabError::Io { path: root.clone(), source })?;
        let mut labs: Vec<Self> = entries
            .filter_map(Result::ok)
            .map(|entry| Self::at(entry.path()))
            .filter(|lab| lab.path.is_dir())
            .collect();
        labs.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(labs)
    }

    /// The lab of this name; without one, the only lab.
    ///
    /// # Errors
    /// If there is none, or more than one without a name.
    pub(crate) fn find(name: Option<&str>) -> Result<Self, LabError> {
        let mut labs = Self::all()?;
        let Some(name) = name else {
            return match labs.len() {
                0 => Err(LabError::None),
                1 => Ok(labs.remove(0)),
                _ => Err(LabError::Several(labs.into_iter().map(|lab| lab.name).collect())),
            };
        };
        let names: Vec<String> = labs.iter().map(|lab| lab.name.clone()).collect();
        let hint = suggestion(name, names.iter().map(String::as_str), "labs that are up");
        let unknown = || LabError::Unknown { name: name.to_owned(), hint };
        labs.into_iter().find(|lab| lab.name == name).ok_or_else(unknown)
    }

    /// Name of the lab.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The keeper's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join("control")
    }

    /// The folder of the logs of nodes and routers, where the backend writes them.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// What the keeper itself writes.
    pub(crate) fn keeper_log(&self) -> PathBuf {
        self.path.join("keeper.log")
    }

    /// What is known of it; `None` while its keeper has not begun.
    pub(crate) fn state(&self) -> Option<LabState> {
        serde_json::from_str(&fs::read_to_string(self.path.join("state.json")).ok()?).ok()
    }

    /// Notes what is known of it. A reader sees either the old state or the new one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn set_state(&self, state: &LabState) -> Result<(), LabError> {
        let (new, path) = (self.path.join("state.new"), self.path.join("state.json"));
        let text = serde_json::to_string(state).expect("plain data is always JSON");
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, &path));
        written.map_err(|source| LabError::Io { path, source })
    }

    /// Removes the folder, if it is there.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub(crate) fn remove(&self) -> Result<(), LabError> {
        match fs::remove_dir_all(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(LabError::Io { path: self.path.clone(), source })
            }
            _ => Ok(()),
        }
    }
}

/// The folder of all labs of this user: it is made if it does not exist, and must be this user's alone.
fn root() -> Result<PathBuf, LabError> {
    let user = own_user();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let path = match runtime.filter(|path| path.is_dir()) {
        Some(runtime) => runtime.join("butter"),
        None => std::env::temp_dir().join(format!("butter-{user}")),
    };
    match DirBuilder::new().mode(PRIVATE).create(&path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => return Err(LabError::Io { path, source }),
        _ => {}
    }
    let found = fs::symlink_metadata(&path).map_err(|source| LabError::Io { path: path.clone(), source })?;
    let own = found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw() && found.mode() & 0o077 == 0;
    if own { Ok(path) } else { Err(LabError::Unsafe { path }) }
}

/// This user's number outside of a user namespace that this process may have entered (user_namespaces(7)).
fn own_user() -> u32 {
    let here = nix::unistd::geteuid().as_raw();
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let outside = map.lines().find_map(|line| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [inside, outside, count] = numbers[..] else { return None };
        let offset = here.checked_sub(inside).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    });
    outside.unwrap_or(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_name_a_lab() {
        for name in ["", "a/b", "..", "a b", &"x".repeat(NAME_MAX + 1)] {
            assert!(matches!(LabDirectory::named(name), Err(LabError::Name(_))), "{name}");
        }
    }

    #[test]
    fn a_state_is_read_as_it_was_written_and_its_keeper_lives() {
        let folder = tempfile::tempdir().unwrap();
        let lab = LabDirectory::at(folder.path().to_owned());
        assert_eq!(lab.state(), None);
        let state = LabState::begun("netns", "lan");
        lab.set_state(&state).unwrap();
        assert_eq!(lab.state(), Some(state.clone()));
        assert!(!state.is_dead() && state.keeper_pid() == Some(std::process::id() as i32));
        // The same process number, but another beginning.
        let mut parts: Vec<&str> = state.keeper.splitn(3, '/').collect();
        parts[1] = "1";
        assert!(LabState { keeper: parts.join("/"), ..state }.is_dead());
    }
}
