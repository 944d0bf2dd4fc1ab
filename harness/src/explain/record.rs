//! The events of a record, as far as stories need them. Other events and fields are skipped.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Longest line of `events.jsonl` that is read, in bytes.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// Why a directory cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file of the record cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file in question.
        path: PathBuf,
        /// What the operating system reports.
        source: io::Error,
    },
    /// A line is not what this program writes.
    #[error("{path}, line {line} is malformed")]
    Malformed {
        /// The file in question.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What the parser reports.
        source: serde_json::Error,
    },
}

/// A recorded run.
#[derive(Debug, Default)]
pub struct Record {
    /// Name, backend, seed and verdict; `None` of a run that was cut off.
    pub(super) result: Option<ResultHead>,
    pub(super) events: Vec<RecordedEvent>,
}

/// The beginning of `result.json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ResultHead {
    pub(super) name: String,
    pub(super) backend: String,
    pub(super) seed: u64,
    pub(super) verdict: String,
}

/// A line of `events.jsonl`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RecordedEvent {
    /// Microseconds on the run's clock.
    #[serde(rename = "at_us")]
    pub(super) at: u64,
    #[serde(flatten)]
    pub(super) kind: RecordedKind,
}

/// What happened. Nodes have their names, items their numbers.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum RecordedKind {
    Started {
        node: String,
    },
    Killed {
        node: String,
    },
    Stopped {
        node: String,
    },
    Suspended {
        node: String,
        op: String,
    },
    NodeDied {
        node: String,
        message: String,
    },
    RouterDied {
        network: String,
        message: String,
    },
    Incident {
        node: Option<String>,
        message: String,
    },
    Partitioned {
        name: String,
        sides: Vec<Vec<String>>,
    },
    Healed {
        names: Vec<String>,
    },
    Stored {
        item: usize,
        node: String,
        took_us: u64,
        result: StoredResult,
    },
    HoldersChanged(HoldersChange),
    Retrieved(RecordedQuery),
    Searched(RecordedSearch),
    RepairFailed {
        item: usize,
        node: String,
        peer: Option<String>,
        failure: String,
    },
    Connected {
        from: String,
        to: String,
        result: RecordedLink,
    },
    Rebound {
        network: String,
    },
    Recovered {
        rebind: usize,
        node: String,
        peer: String,
        result: RecordedRecovery,
    },
    #[serde(other)]
    Other,
}

/// A search for keywords.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RecordedSearch {
    pub(super) search: usize,
    pub(super) node: String,
    pub(super) query: String,
    pub(super) took_us: u64,
    pub(super) result: RecordedHits,
}

/// How a search ended.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum RecordedHits {
    Ended { expected: usize, found: usize, wrong: usize, missing: Vec<usize>, unanswered: u32, stop: String },
    TimedOut,
    Unasked { why: String },
}

/// How a link that was wanted came about.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum RecordedLink {
    Up { path: String, tries: u32 },
    Down { why: String },
}

/// What became of one end of a link after a rebind.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RecordedRecovery {
    pub(super) outcome: String,
}

/// How a put ended.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoredResult {
    Blocks(Vec<String>),
    Error(String),
}

/// Holders of an item as an inspection has seen them.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct HoldersChange {
    pub(super) item: usize,
    pub(super) blocks: usize,
    pub(super) holders: Vec<Holder>,
    pub(super) missing_blocks: usize,
    pub(super) missing: Vec<Missing>,
}

/// A node that holds blocks of an item.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Holder {
    pub(super) node: String,
    pub(super) blocks: usize,
}

/// A block that no live node holds.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Missing {
    pub(super) last_holders: Vec<String>,
}

/// A query and how it ended.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RecordedQuery {
    pub(super) query: usize,
    pub(super) item: usize,
    pub(super) node: String,
    pub(super) took_us: u64,
    pub(super) result: QueryResult,
    #[serde(default)]
    pub(super) asked_nodes: Vec<Asked>,
}

/// The outcome of a query, with what belongs to it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct QueryResult {
    pub(super) outcome: String,
    pub(super) why: Option<String>,
    pub(super) hops: Option<u64>,
    pub(super) asked: Option<u64>,
    pub(super) answered: Option<u64>,
    pub(super) timed_out: Option<u64>,
    pub(super) unreachable: Option<u64>,
}

/// A node that a query has asked.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Asked {
    pub(super) node: Option<String>,
    pub(super) after_us: u64,
    pub(super) took_us: Option<u64>,
    pub(super) path: Option<String>,
    pub(super) answer: String,
}

impl Record {
    /// Reads the record in a directory. The last line of a run that was cut off may be incomplete: it is left out.
    ///
    /// # Errors
    /// If its events cannot be read.
    pub fn read(directory: &Path) -> Result<Self, RecordError> {
        let path = directory.join("events.jsonl");
        let unreadable = |source| RecordError::Unreadable { path: path.clone(), source };
        let mut file = BufReader::new(File::open(&path).map_err(unreadable)?);
        let mut events = Vec::new();
        let mut line = String::new();
        for number in 1.. {
            line.clear();
            let read = io::Read::take(&mut file, LINE_BYTES_MAX).read_line(&mut line).map_err(unreadable)?;
            match serde_json::from_str(&line) {
                _ if read == 0 => break,
                Ok(event) => events.push(event),
                Err(_) if !line.ends_with('\n') => break,
                Err(source) => return Err(RecordError::Malformed { path, line: number, source }),
            }
        }
        Ok(Record { result: head(&directory.join("result.json"))?, events })
    }

    /// Every query with the time of its end.
    pub(super) fn queries(&self) -> impl Iterator<Item = (u64, &RecordedQuery)> {
        self.events.iter().filter_map(|event| match &event.kind {
            RecordedKind::Retrieved(query) => Some((event.at, query)),
            _ => None,
        })
    }

    /// Every change of the holders of an item.
    pub(super) fn holders(&self, item: usize) -> impl Iterator<Item = (u64, &HoldersChange)> {
        self.events.iter().filter_map(move |event| match &event.kind {
            RecordedKind::HoldersChanged(change) if change.item == item => Some((event.at, change)),
            _ => None,
        })
    }

    /// Holders of an item as they were last seen before a query of it ended, and no later than `at`.
    pub(super) fn holders_before(&self, query: &RecordedQuery, at: u64) -> Option<(u64, &HoldersChange)> {
        // By the order of events: several may have one and the same time.
        let is_end = |kind: &RecordedKind| matches!(kind, RecordedKind::Retrieved(other) if other.query == query.query);
        let before = self.events.iter().take_while(|event| event.at <= at && !is_end(&event.kind));
        before.fold(None, |last, event| match &event.kind {
            RecordedKind::HoldersChanged(change) if change.item == query.item => Some((event.at, change)),
            _ => last,
        })
    }
}

impl RecordedQuery {
    pub(super) fn is_found(&self) -> bool {
        self.result.outcome == "found"
    }
}

fn head(path: &Path) -> Result<Option<ResultHead>, RecordError> {
    match fs::read_to_string(path) {
        Ok(text) => match serde_json::from_str(&text) {
            Ok(head) => Ok(Some(head)),
            Err(source) => Err(RecordError::Malformed { path: path.to_owned(), line: source.line(), source }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(RecordError::Unreadable { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_events_are_skipped_and_a_cut_line_is_left_out() {
        let scratch = tempfile::tempdir().unwrap();
        let lines =
            "{\"at_us\":1,\"event\":\"killed\",\"node\":\"a-1\"}\n{\"at_us\":2,\"event\":\"of_tomorrow\",\"x\":[]}\n";
        let read = |text: String| {
            fs::write(scratch.path().join("events.jsonl"), text).unwrap();
            Record::read(scratch.path())
        };
        let record = read(format!("{lines}{{\"at_us\":3,\"ev")).unwrap();
        assert_eq!((record.events.len(), record.result.is_none()), (2, true));
        assert!(matches!(&record.events[1].kind, RecordedKind::Other));
        let error = read(format!("{lines}{{}}\n")).unwrap_err();
        assert!(matches!(error, RecordError::Malformed { line: 3, .. }), "{error}");
    }
}
