//! Sets of runs: what their records say, as values that can be compared from run to run.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::check_result::CheckUnit;
use super::result::{RunResult, SCHEMA_VERSION};
use super::topology_shape::TopologyShape;
use crate::statistics::{DurationQuantiles, Proportion};

/// The file in a run's directory that says how it came out.
const RESULT: &str = "result.json";

/// Why runs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RunSetError {
    /// A directory or a record in it cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file or directory in question.
        path: PathBuf,
        /// What the operating system reports.
        source: std::io::Error,
    },
    /// A directory holds no record, and no directories with records.
    #[error("{0} holds no record of a run (a {RESULT}, or directories with one each)")]
    NoRuns(PathBuf),
    /// A text is not the JSON of a result.
    #[error("{path} is not a run's {RESULT}")]
    NotARecord {
        /// The file.
        path: PathBuf,
        /// What the JSON parser found.
        source: serde_json::Error,
    },
    /// Another version of this program wrote a record.
    #[error(
        "{path} has schema version {version}, but this program reads version {SCHEMA_VERSION}: run the topology again"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Schema version of the record.
        version: u32,
    },
}

/// What one run measured.
#[derive(Clone, Debug)]
pub struct RunFigures {
    /// Name of the topology.
    pub name: String,
    /// Name of the backend.
    pub backend: String,
    /// Seed of the run.
    pub seed: u64,
    /// How it ended, as in its record.
    pub verdict: String,
    /// SHA-256 of what decides the run beside its seed.
    pub topology_hash: String,
    /// What must be alike in runs that are compared.
    pub shape: TopologyShape,
    /// Everything that it measured.
    pub values: BTreeMap<MeasureName, MeasuredValue>,
}

/// A value that a run measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredValue {
    /// A share as 0..1, seconds, or a plain number.
    pub value: f64,
    /// What a share is of.
    pub trials: Option<Proportion>,
}

/// What a value is of, in the order in which values are shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the texts say it: see Display")]
pub enum MeasureName {
    Stored,
    Persistence,
    Copies,
    Retrieval,
    RetrievalBetween(String, String),
    RetrievalP50,
    RetrievalP95,
    RetrievalMessages,
    AbsentKeys,
    AbsentMessages,
    SearchRecall,
    SearchPrecision,
    NodeMessages,
    NodeBytes,
    Connected(String, String),
    Direct(String, String),
    ConnectedP50(String, String),
}

impl MeasureName {
    /// The unit of its values.
    pub fn unit(&self) -> CheckUnit {
        match self {
            MeasureName::RetrievalP50 | MeasureName::RetrievalP95 | MeasureName::ConnectedP50(..) => CheckUnit::Seconds,
            MeasureName::Copies
            | MeasureName::RetrievalMessages
            | MeasureName::AbsentMessages
            | MeasureName::NodeMessages
            | MeasureName::NodeBytes => CheckUnit::Plain,
            _ => CheckUnit::Share,
        }
    }

    /// Whether it is a share whose trials within one run do not depend on each other. Pairs of nodes link or do not, each on its
    /// own; items of a run share the holders that fail, and queries share the items.
    pub fn has_independent_trials(&self) -> bool {
        matches!(self, MeasureName::Connected(..) | MeasureName::Direct(..))
    }
}

impl fmt::Display for MeasureName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MeasureName::Stored => f.write_str("stored"),
            MeasureName::Persistence => f.write_str("persistence"),
            MeasureName::Copies => f.write_str("copies"),
            MeasureName::Retrieval => f.write_str("retrieval"),
            MeasureName::RetrievalBetween(from, to) => write!(f, "retrieval from {from} to {to}"),
            MeasureName::RetrievalP50 => f.write_str("retrieval p50"),
            MeasureName::RetrievalP95 => f.write_str("retrieval p95"),
            MeasureName::RetrievalMessages => f.write_str("retrieval messages"),
            MeasureName::AbsentKeys => f.write_str("absent keys"),
            MeasureName::AbsentMessages => f.write_str("absent keys messages"),
            MeasureName::SearchRecall => f.write_str("search recall"),
            MeasureName::SearchPrecision => f.write_str("search precision"),
            MeasureName::NodeMessages => f.write_str("messages per node and s"),
            MeasureName::NodeBytes => f.write_str("bytes per node and s"),
            MeasureName::Connected(one, other) => write!(f, "connected: {one}, {other}"),
            MeasureName::Direct(one, other) => write!(f, "direct: {one}, {other}"),
            MeasureName::ConnectedP50(one, other) => write!(f, "connected p50: {one}, {other}"),
        }
    }
}

/// Verdicts of runs that were played to their end in the environment that they declare.
const ENDED: [&str; 3] = ["passed", "failed", "inconclusive"];

impl RunFigures {
    /// Whether it was played to its end, so that its figures are those of the topology.
    pub fn has_ended(&self) -> bool {
        ENDED.contains(&self.verdict.as_str())
    }

    /// Of a run that has just ended.
    ///
    /// # Panics
    /// If its record is not what this program reads.
    pub fn of(result: &RunResult) -> Self {
        RunFigures::read(Path::new(RESULT), &result.to_json()).expect("this program reads what it writes")
    }

    /// Reads a text of `result.json`. `path` stands for it in messages.
    ///
    /// # Errors
    /// If it is no such text, or one of another version.
    pub fn read(path: &Path, text: &str) -> Result<Self, RunSetError> {
        parse::<Record>(path, text).map(Record::into_figures)
    }

    /// The record of a run in its directory.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn load(directory: &Path) -> Result<Self, RunSetError> {
        read_result::<Record>(directory).map(Record::into_figures)
    }
}

/// Reads parts of the `result.json` in a run's directory.
///
/// # Errors
/// If there is none, or one of another version.
pub(super) fn read_result<T: DeserializeOwned>(directory: &Path) -> Result<T, RunSetError> {
    let path = directory.join(RESULT);
    let text = std::fs::read_to_string(&path).map_err(|source| unreadable(&path, source))?;
    parse(&path, &text)
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, RunSetError> {
    /// The one field that every version has.
    #[derive(Deserialize)]
    struct Version {
        schema_version: u32,
    }
    let not_a_record = |source| RunSetError::NotARecord { path: path.to_owned(), source };
    match serde_json::from_str::<Version>(text).map_err(not_a_record)?.schema_version {
        SCHEMA_VERSION => serde_json::from_str(text).map_err(not_a_record),
        version => Err(RunSetError::Version { path: path.to_owned(), version }),
    }
}

/// The runs of directories: each is a run's, or holds those of several.
///
/// # Errors
/// If there are none, or a record cannot be read.
pub fn load(directories: &[PathBuf]) -> Result<Vec<RunFigures>, RunSetError> {
    let mut runs = Vec::new();
    for directory in directories {
        let found = record_directories(directory)?;
        if found.is_empty() {
            return Err(RunSetError::NoRuns(directory.clone()));
        }
        for directory in found {
            runs.push(RunFigures::load(&directory)?);
        }
    }
    Ok(runs)
}

/// The directory itself if it has a record, else those in it that have one, in order.
///
/// # Errors
/// If the directory cannot be read.
pub fn record_directories(directory: &Path) -> Result<Vec<PathBuf>, RunSetError> {
    if directory.join(RESULT).exists() {
        return Ok(vec![directory.to_owned()]);
    }
    let entries = std::fs::read_dir(directory).map_err(|source| unreadable(directory, source))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| unreadable(directory, source))?.path();
        if path.join(RESULT).exists() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn unreadable(path: &Path, source: std::io::Error) -> RunSetError {
    RunSetError::Unreadable { path: path.to_owned(), source }
}

/// The parts of a `result.json` that are compared.
#[derive(Debug, Deserialize)]
struct Record {
    name: String,
    verdict: String,
    backend: String,
    seed: u64,
    #[serde(default)]
    topology_hash: String,
    topology: TopologyShape,
    items: Items,
    queries: Queries,
    #[serde(default)]
    absent: Option<Absent>,
    #[serde(default)]
    searches: Option<Searches>,
    connectivity: Vec<Pair>,
    #[serde(default)]
    traffic: Traffic,
}

#[derive(Debug, Deserialize)]
struct Items {
    planned: u64,
    acknowledged: u64,
    /// Absent or null where no snapshot was taken.
    #[serde(default)]
    persistent: Option<u64>,
    #[serde(default)]
    copies_mean: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Queries {
    total: Summary,
    by_pair: Vec<QueryPair>,
}

#[derive(Debug, Deserialize)]
struct Summary {
    queries: u64,
    found: u64,
    latency_s: DurationQuantiles,
    #[serde(default)]
    messages_mean: Option<f64>,
}

/// Gets of keys that no item has.
#[derive(Debug, Deserialize)]
struct Absent {
    queries: u64,
    absent: u64,
    #[serde(default)]
    messages_mean: Option<f64>,
}

/// Searches for keywords.
#[derive(Debug, Deserialize)]
struct Searches {
    recall: Option<f64>,
    precision: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
struct Traffic {
    messages_per_node_s: Option<f64>,
    bytes_per_node_s: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct QueryPair {
    from: String,
    to: String,
    #[serde(flatten)]
    summary: Summary,
}

#[derive(Debug, Deserialize)]
struct Pair {
    from: String,
    to: String,
    pairs: u64,
    connected: u64,
    direct: u64,
    connected_s: DurationQuantiles,
}

impl Record {
    fn into_figures(self) -> RunFigures {
        let mut values = BTreeMap::new();
        let mut share = |name, part, whole| {
            let trials = Proportion { part, whole };
            if let Some(value) = trials.share() {
                values.insert(name, MeasuredValue { value, trials: Some(trials) });
            }
        };
        let Items { planned, acknowledged, persistent, copies_mean } = self.items;
        share(MeasureName::Stored, acknowledged, planned);
        if let Some(persistent) = persistent {
            share(MeasureName::Persistence, persistent, acknowledged);
        }
        let total = &self.queries.total;
        share(MeasureName::Retrieval, total.found, total.queries);
        if let Some(Absent { queries, absent, .. }) = &self.absent {
            share(MeasureName::AbsentKeys, *absent, *queries);
        }
        for QueryPair { from, to, summary } in self.queries.by_pair {
            share(MeasureName::RetrievalBetween(from, to), summary.found, summary.queries);
        }
        for Pair { from, to, pairs, connected, direct, .. } in &self.connectivity {
            share(MeasureName::Connected(from.clone(), to.clone()), *connected, *pairs);
            share(MeasureName::Direct(from.clone(), to.clone()), *direct, *pairs);
        }
        let searches = self.searches.as_ref();
        let quantities = [
            (MeasureName::AbsentMessages, self.absent.as_ref().and_then(|absent| absent.messages_mean)),
            (MeasureName::SearchRecall, searches.and_then(|searches| searches.recall)),
            (MeasureName::SearchPrecision, searches.and_then(|searches| searches.precision)),
            (MeasureName::Copies, copies_mean),
            (MeasureName::RetrievalP50, total.latency_s.p50),
            (MeasureName::RetrievalP95, total.latency_s.p95),
            (MeasureName::RetrievalMessages, total.messages_mean),
            (MeasureName::NodeMessages, self.traffic.messages_per_node_s),
            (MeasureName::NodeBytes, self.traffic.bytes_per_node_s),
        ];
        let connected = self
            .connectivity
            .into_iter()
            .map(|pair| (MeasureName::ConnectedP50(pair.from, pair.to), pair.connected_s.p50));
        for (name, value) in quantities.into_iter().chain(connected) {
            if let Some(value) = value {
                values.insert(name, MeasuredValue { value, trials: None });
            }
        }
        RunFigures {
            name: self.name,
            backend: self.backend,
            seed: self.seed,
            verdict: self.verdict.replace('_', " "),
            topology_hash: self.topology_hash,
            shape: self.topology,
            values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::record;

    #[test]
    fn a_record_becomes_values_of_all_units() {
        let figures = RunFigures::read(Path::new("r"), &record("sim", 7, 20, 19).to_string()).unwrap();
        let pair = || ("a".to_owned(), "b".to_owned());
        let value = |name: MeasureName| figures.values.get(&name).map(|measured| measured.value);
        assert_eq!(value(MeasureName::Direct(pair().0, pair().1)), Some(0.95));
        assert_eq!(value(MeasureName::ConnectedP50(pair().0, pair().1)), Some(0.05));
        assert_eq!(value(MeasureName::Stored), Some(1.0));
        assert_eq!(value(MeasureName::Retrieval), None, "no query was made");
    }

    #[test]
    fn records_of_another_version_or_shape_are_refused() {
        let good = record("sim", 7, 1, 1).to_string();
        let newer = good.replace(&format!("\"schema_version\":{SCHEMA_VERSION}"), "\"schema_version\":99");
        assert_ne!(good, newer);
        let read = |text: &str| RunFigures::read(Path::new("r"), text).unwrap_err();
        assert!(matches!(read(&newer), RunSetError::Version { version: 99, .. }));
        assert!(matches!(read("{}"), RunSetError::NotARecord { .. }));
    }

    #[test]
    fn a_directory_stands_for_its_run_or_for_those_in_it() {
        let folder = tempfile::tempdir().unwrap();
        for seed in [2_u64, 1] {
            let run = folder.path().join(format!("t-{seed}"));
            std::fs::create_dir(&run).unwrap();
            std::fs::write(run.join(RESULT), record("sim", seed, 1, 1).to_string()).unwrap();
        }
        std::fs::create_dir(folder.path().join("cut-off")).unwrap();
        let seeds = |path: PathBuf| load(&[path]).unwrap().iter().map(|run| run.seed).collect::<Vec<_>>();
        assert_eq!(seeds(folder.path().to_owned()), [1, 2]);
        assert_eq!(seeds(folder.path().join("t-2")), [2]);
        assert!(matches!(load(&[folder.path().join("cut-off")]), Err(RunSetError::NoRuns(_))));
    }
}
