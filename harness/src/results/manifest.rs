//! `run.json`: what a run was made from, so that `harness run DIR` can play it again. Everything that depends on the machine or
//! the wall clock is here or in `timing.json`, never in the result.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::{Fidelity, ResolvedInputs};
use crate::topology::Overrides;

/// Version of the shape of `run.json`. A record of another version is refused.
pub const MANIFEST_VERSION: u32 = 1;
/// Name of the file in a record.
const FILE: &str = "run.json";
/// Name of the topology's text in a record.
pub(crate) const TOPOLOGY_FILE: &str = "topology.yaml";
/// Longest `run.json` that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Why a record cannot be played again. Nothing was created.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The directory is no record, or one of a program that wrote no `run.json`.
    #[error("{0} is no record of a run: it has no {FILE}")]
    Missing(PathBuf),
    /// The record is of a program with another format.
    #[error("{path}: schema version {found} of {FILE} is not supported: expected {MANIFEST_VERSION}")]
    Version {
        /// Directory of the record.
        path: PathBuf,
        /// The version, as the file has it.
        found: String,
    },
    /// A file of the record cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file in question.
        path: PathBuf,
        /// What the operating system reports.
        source: io::Error,
    },
    /// The file is not what this program writes.
    #[error("{path} is malformed")]
    Malformed {
        /// The file in question.
        path: PathBuf,
        /// What the parser reports.
        source: serde_json::Error,
    },
}

impl ManifestError {
    /// What the user can do about it, if that is known.
    pub fn remedy(&self) -> Option<String> {
        match self {
            ManifestError::Missing(path) | ManifestError::Version { path, .. } => {
                let topology = path.join(TOPOLOGY_FILE);
                topology
                    .exists()
                    .then(|| format!("play its topology with the options of then: harness run {}", topology.display()))
            }
            ManifestError::Unreadable { .. } | ManifestError::Malformed { .. } => None,
        }
    }
}

/// Everything that decides a run, and where and when it took place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunManifest {
    /// Version of this shape: [`MANIFEST_VERSION`].
    pub schema_version: u32,
    /// The program that played the run.
    pub program: ProgramVersion,
    /// Its command line, as it was started.
    pub command_line: Vec<String>,
    /// Environment variables of this program that were set.
    pub environment: BTreeMap<String, String>,
    /// Directory of the record that this run plays again, if it does.
    pub replay_of: Option<PathBuf>,
    /// Path of the topology file; `topology.yaml` beside this file has its text.
    pub topology: String,
    /// Name of the backend: `docker`, `netns` or `sim`.
    pub backend: String,
    /// How closely the simulator models transport; null on other backends.
    pub fidelity: Option<Fidelity>,
    /// Random seed of the run.
    pub seed: ResolvedSeed,
    /// Variables of the topology.
    pub variables: Vec<ResolvedValue>,
    /// Settings of all nodes. Those of a node group are in `plan.json`.
    pub settings: Vec<ResolvedValue>,
    /// Options that decide how the run is played.
    pub options: RunOptions,
    /// When the run began, in UTC.
    pub started: String,
    /// The machine that played it.
    pub machine: Machine,
    /// Durations of its parts; null while it runs, and if it was killed.
    pub durations: Option<RunDurations>,
}

/// The program that played a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramVersion {
    /// Version of the package.
    pub version: String,
    /// Commit of its sources, with `-modified` if they differed; null where it was built without git.
    pub commit: Option<String>,
}

impl ProgramVersion {
    /// The version of this program.
    pub fn of_this_program() -> Self {
        let commit = Some(env!("BUTTER_COMMIT")).filter(|commit| !commit.is_empty());
        ProgramVersion { version: env!("CARGO_PKG_VERSION").to_owned(), commit: commit.map(str::to_owned) }
    }

    /// `0.1.0 (3b37eb9…)`, for messages.
    pub fn describe(&self) -> String {
        let commit =
            self.commit.as_deref().map_or_else(|| "commit unknown".to_owned(), |commit| format!("commit {commit}"));
        format!("{} ({commit})", self.version)
    }
}

/// The seed of a run and its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedSeed {
    /// The seed itself.
    pub value: u64,
    /// Where it comes from.
    pub from: ValueOrigin,
}

/// A variable or setting and its origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedValue {
    /// Its name in the file or on the command line.
    pub name: String,
    /// Its value in this run.
    pub value: String,
    /// Where it comes from.
    pub from: ValueOrigin,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueOrigin {
    /// The topology file.
    File,
    /// An option on the command line.
    CommandLine,
    /// An environment variable.
    Environment,
    /// A value that the file's sweep takes in its turn.
    Sweep,
    /// Nothing says it.
    Default,
}

impl ValueOrigin {
    /// Whether it replaces what the file says.
    pub fn overrides_file(self) -> bool {
        matches!(self, ValueOrigin::CommandLine | ValueOrigin::Environment | ValueOrigin::Sweep)
    }
}

/// Options that decide how a run is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOptions {
    /// Leave what was deployed.
    pub keep: bool,
    /// Probe routers before the run.
    pub probe: bool,
    /// Longest duration of the run, in milliseconds of real time.
    pub time_limit_ms: Option<u64>,
}

impl RunOptions {
    /// The time limit as a duration.
    pub fn time_limit(&self) -> Option<Duration> {
        self.time_limit_ms.map(Duration::from_millis)
    }
}

/// The machine that played a run. What it does not say is null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Release of the kernel.
    pub kernel: Option<String>,
    /// Processors that this program may use.
    pub cores: Option<usize>,
    /// Size of the memory.
    pub memory_bytes: Option<u64>,
    /// Version of the Docker engine, if it played the run.
    pub engine: Option<String>,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned());
        let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_bytes(&text));
        let cores = std::thread::available_parallelism().ok().map(std::num::NonZero::get);
        Machine { kernel, cores, memory_bytes: memory, engine: None }
    }
}

fn memory_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Durations of the parts of a run, by the wall clock. `timing.json` has more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunDurations {
    /// Until every node answered.
    pub deploy_s: f64,
    /// Duration of all steps.
    pub play_s: f64,
    /// Until everything was removed.
    pub teardown_s: f64,
}

/// A record that is to be played again.
#[derive(Clone, Debug)]
pub struct ReplaySource {
    /// The record's `run.json`.
    pub manifest: RunManifest,
    /// Text of its topology.
    pub topology: String,
}

impl ReplaySource {
    /// Reads the record in this directory.
    ///
    /// # Errors
    /// If it is none, or one of another version.
    pub fn read(directory: &Path) -> Result<Self, ManifestError> {
        let manifest = RunManifest::read(directory)?;
        let path = directory.join(TOPOLOGY_FILE);
        match fs::read_to_string(&path) {
            Ok(topology) => Ok(ReplaySource { manifest, topology }),
            Err(source) => Err(ManifestError::Unreadable { path, source }),
        }
    }
}

impl RunManifest {
    /// Reads `run.json` of the record in this directory.
    ///
    /// # Errors
    /// If there is none, or one of another version.
    pub fn read(directory: &Path) -> Result<Self, ManifestError> {
        let path = directory.join(FILE);
        let text = match bounded_text(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ManifestError::Missing(directory.to_owned()));
            }
            Err(source) => return Err(ManifestError::Unreadable { path, source }),
        };
        let malformed = |source| ManifestError::Malformed { path: path.clone(), source };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(malformed)?;
        match &value["schema_version"] {
            found if *found == MANIFEST_VERSION => serde_json::from_value(value).map_err(malformed),
            found => Err(ManifestError::Version { path: directory.to_owned(), found: found.to_string() }),
        }
    }

    /// What overrode the file in this run, as the planner takes it. The seed counts always: it is that of the run.
    pub fn overrides(&self) -> Overrides {
        let values = self.variables.iter().chain(&self.settings).filter(|value| value.from.overrides_file());
        Overrides {
            seed: Some(self.seed.value),
            set: values.map(|value| (value.name.clone(), value.value.clone())).collect(),
            folder: None,
        }
    }

    /// Where the value of this name came from, in this run.
    pub fn origin_of(&self, name: &str) -> Option<ValueOrigin> {
        self.variables.iter().chain(&self.settings).find(|value| value.name == name).map(|value| value.from)
    }
}

/// Variables and settings of a plan. `origin_of` says where the value came from that overrode one of the file.
pub fn resolved_values(
    inputs: &ResolvedInputs,
    origin_of: impl Fn(&str) -> ValueOrigin,
) -> (Vec<ResolvedValue>, Vec<ResolvedValue>) {
    let resolve = |inputs: &[crate::plan::ResolvedInput]| {
        let one = |input: &crate::plan::ResolvedInput| ResolvedValue {
            name: input.name.clone(),
            value: input.value.clone(),
            from: if input.overridden { origin_of(&input.name) } else { ValueOrigin::File },
        };
        inputs.iter().map(one).collect()
    };
    (resolve(&inputs.variables), resolve(&inputs.settings))
}

fn bounded_text(path: &Path) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_kibibytes() {
        assert_eq!(memory_bytes("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16_777_216));
        assert_eq!(memory_bytes("MemFree: 1 kB\n"), None);
        let here = Machine::here();
        assert!(here.kernel.is_some() && here.cores > Some(0) && here.memory_bytes > Some(0), "{here:?}");
    }
}
