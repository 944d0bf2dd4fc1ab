//! The files of a record, as far as they can be read. A run that was cut off, or whose disk was full, leaves fewer of them: each that
//! is missing is a note on the page.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use crate::metrics::samples::SAMPLES_FILE;
use crate::results::manifest::RunManifest;
use crate::results::outline::RunOutline;
use crate::results::run_set::RunSetError;

/// The file that has the text of the topology.
const TOPOLOGY: &str = "topology.yaml";
/// Longest line of `events.jsonl` that is read, in bytes.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// A record, without its events and samples: those are streamed.
#[derive(Debug)]
pub(super) struct RunFiles {
    directory: PathBuf,
    /// What `result.json` says, its version checked.
    pub(super) outline: RunOutline,
    /// All of `result.json`.
    pub(super) result: Value,
    /// `plan.json`, or null.
    pub(super) plan: Value,
    /// `run.json`, if it can be read.
    pub(super) manifest: Option<RunManifest>,
    /// Text of the topology; empty if it cannot be read.
    pub(super) topology: String,
    /// `timing.json`, or null.
    pub(super) timing: Value,
    nodes: BTreeMap<String, PlannedNode>,
    /// What could not be read, and why.
    pub(super) notes: Vec<String>,
    /// Whether the run goes on, so that the rest of its record cannot be read yet.
    pub(super) is_running: bool,
}

/// What the plan says of a node.
#[derive(Debug)]
struct PlannedNode {
    /// Its network, as the file names it: `home` for `home-3`.
    network: String,
    /// Whether it runs from the beginning.
    from_start: bool,
}

/// A row of the samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampleRow<'r> {
    /// Milliseconds on the run's clock.
    pub(super) at_ms: u64,
    /// Name of the node, or of the network of a router.
    pub(super) node: &'r str,
    /// Group of the node; `router` for a router.
    pub(super) group: &'r str,
    pub(super) metric: &'r str,
    /// Its labels, as `samples.csv.gz` has them: `name=value;name=value`.
    pub(super) labels: &'r str,
    pub(super) value: f64,
}

impl RunFiles {
    /// Reads the record in this directory.
    ///
    /// # Errors
    /// If it has no result, or one of another version.
    pub(super) fn read(directory: &Path) -> Result<Self, RunSetError> {
        let outline = RunOutline::load(directory)?;
        let mut notes = Vec::new();
        let mut json = |name: &str| match json_of(&directory.join(name)) {
            Ok(value) => value,
            Err(error) => {
                notes.push(format!("{name} cannot be read: {error}"));
                Value::Null
            }
        };
        let [result, plan, timing] = ["result.json", "plan.json", "timing.json"].map(&mut json);
        let topology = fs::read_to_string(directory.join(TOPOLOGY))
            .inspect_err(|error| notes.push(format!("{TOPOLOGY} cannot be read: {error}")));
        let manifest = RunManifest::read(directory)
            .map_err(|error| notes.push(format!("run.json cannot be read: {}", butter_cli::chain::one_line(&error))));
        let nodes = planned_nodes(&plan);
        let (directory, manifest, topology) = (directory.to_owned(), manifest.ok(), topology.unwrap_or_default());
        Ok(RunFiles { directory, outline, result, plan, manifest, topology, timing, nodes, notes, is_running: false })
    }

    /// What is known of a run that goes on: its record is not complete, so only what was written before it began is read.
    pub(super) fn of_running(directory: &Path, outline: RunOutline, plan: Value) -> Self {
        let nodes = planned_nodes(&plan);
        RunFiles {
            directory: directory.to_owned(),
            outline,
            result: Value::Null,
            plan,
            manifest: RunManifest::read(directory).ok(),
            topology: fs::read_to_string(directory.join(TOPOLOGY)).unwrap_or_default(),
            timing: Value::Null,
            nodes,
            notes: Vec::new(),
            is_running: true,
        }
    }

    /// The network of a node, as the file names it.
    pub(super) fn network_of(&self, node: &str) -> Option<&str> {
        self.nodes.get(node).map(|node| node.network.as_str())
    }

    /// Whether a node is one of those that run from the beginning. Without a plan, no node is.
    pub(super) fn runs_from_start(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(|node| node.from_start)
    }

    /// The directory of the record.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Hands every event of the record to `take`, with its time in microseconds and its name. The last line of a run that was cut
    /// off may be incomplete: it is left out.
    ///
    /// # Errors
    /// If they cannot be read to their end.
    pub(super) fn each_event(&self, mut take: impl FnMut(u64, &str, &Value)) -> io::Result<()> {
        let mut file = BufReader::new(File::open(self.directory.join("events.jsonl"))?);
        let mut line = String::new();
        for number in 1_u64.. {
            line.clear();
            if io::Read::take(&mut file, LINE_BYTES_MAX).read_line(&mut line)? == 0 {
                break;
            }
            match serde_json::from_str::<Value>(&line) {
                Ok(event) => {
                    let (at_us, name) = (event["at_us"].as_u64(), event["event"].as_str());
                    take(at_us.unwrap_or_default(), name.unwrap_or_default(), &event);
                }
                Err(_) if !line.ends_with('\n') => break,
                Err(error) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, format!("line {number}: {error}")));
                }
            }
        }
        Ok(())
    }

    /// Hands every sample of the record to `take`.
    ///
    /// # Errors
    /// If they cannot be read to their end.
    pub(super) fn each_sample(&self, mut take: impl FnMut(SampleRow<'_>)) -> Result<(), csv::Error> {
        let file = MultiGzDecoder::new(BufReader::new(File::open(self.directory.join(SAMPLES_FILE))?));
        let mut rows = csv::Reader::from_reader(file);
        let mut row = csv::StringRecord::new();
        while rows.read_record(&mut row)? {
            let sample = sample(&row)?;
            // A node may report anything, also what is no number.
            if sample.value.is_finite() {
                take(sample);
            }
        }
        Ok(())
    }
}

fn sample(row: &csv::StringRecord) -> io::Result<SampleRow<'_>> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "a row has no time or no value");
    let field = |at: usize| row.get(at).ok_or_else(malformed);
    let number = |at: usize| field(at)?.parse::<f64>().map_err(|_| malformed());
    let at_ms = (number(0)? * 1e3).round() as u64;
    Ok(SampleRow { at_ms, node: field(1)?, group: field(3)?, metric: field(4)?, labels: field(5)?, value: number(6)? })
}

fn json_of(path: &Path) -> io::Result<Value> {
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}

fn planned_nodes(plan: &Value) -> BTreeMap<String, PlannedNode> {
    let list = |key: &str| plan[key].as_array().map_or(&[][..], Vec::as_slice);
    let networks = list("networks");
    let of = |node: &Value| {
        let network = networks.get(usize::try_from(node["network"].as_u64()?).ok()?)?;
        let network = network["group"].as_str()?.to_owned();
        Some((node["name"].as_str()?.to_owned(), PlannedNode { network, from_start: node["from_start"] == true }))
    };
    list("nodes").iter().filter_map(of).collect()
}
