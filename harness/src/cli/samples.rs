//! `harness samples`: the metrics of a recorded run, as CSV or as OpenMetrics.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use butter_cli::output;
use clap::{Args as ClapArgs, ValueEnum};

use super::error::CommandError;
use super::{Exit, complain};
use crate::metrics::openmetrics::{RecordedRun, export};
use crate::metrics::replay::Replay;
use crate::metrics::run::RunLabels;
use crate::metrics::samples::{SAMPLES_FILE, SampleFilter, copy_samples};
use crate::reference;
use crate::results::manifest::RunManifest;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Directory of a run
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Only this metric, such as butter_known_hosts; the name of a histogram stands for all its series (repeatable)
    #[arg(long, value_name = "NAME")]
    metric: Vec<String>,
    /// Only this node, or the router of the network with this name (repeatable)
    #[arg(long, value_name = "NAME")]
    node: Vec<String>,
    /// Form of the output
    #[arg(long, value_enum, default_value = "csv")]
    format: SamplesFormat,
}

/// Forms in which samples are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SamplesFormat {
    /// A row for each value
    Csv,
    /// OpenMetrics text with times, for `promtool tsdb create-blocks-from openmetrics`
    Openmetrics,
}

/// Standard output, as this program writes it.
struct DataOutput;

impl Write for DataOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        output::data(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn samples(args: Args) -> Result<Exit, CommandError> {
    let path = args.directory.join(SAMPLES_FILE);
    let unreadable = |source| CommandError::Samples { path: path.clone(), source };
    let file = File::open(&path).map_err(unreadable)?;
    let filter = SampleFilter { metrics: args.metric, nodes: args.node };
    let file = BufReader::new(file);
    let copied = match args.format {
        SamplesFormat::Csv => copy_samples(file, &filter, DataOutput).map_err(unreadable)?,
        SamplesFormat::Openmetrics => {
            let run = recorded_run(&args.directory)?;
            export(file, run, &filter, BufWriter::new(DataOutput)).map_err(unreadable)?
        }
    };
    if copied == 0 && !(filter.metrics.is_empty() && filter.nodes.is_empty()) {
        let named = |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")));
        let wanted = [named("metric", &filter.metrics), named("node", &filter.nodes)];
        let wanted: Vec<String> = wanted.into_iter().flatten().collect();
        complain(&format!("there is no sample of {}", wanted.join(" and ")));
        return Ok(Exit::Usage);
    }
    Ok(Exit::Passed)
}

/// What the other files of a record say of its run.
fn recorded_run(directory: &Path) -> Result<RecordedRun, CommandError> {
    let manifest = RunManifest::read(directory)?;
    let path = directory.join("events.jsonl");
    let unreadable = |source| CommandError::Samples { path: path.clone(), source };
    let events = File::open(&path).and_then(|file| Replay::read(BufReader::new(file))).map_err(unreadable)?;
    let run = directory.canonicalize().map_err(unreadable)?;
    let run = run.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let name = topology_name(directory).unwrap_or_else(|| manifest.topology.clone());
    let began = humantime::parse_rfc3339(&manifest.started).unwrap_or(SystemTime::UNIX_EPOCH);
    let labels = RunLabels { run, name, backend: manifest.backend, seed: manifest.seed.value };
    Ok(RecordedRun { labels, began, events, families: reference::metric_families() })
}

/// The name in `plan.json`.
fn topology_name(directory: &Path) -> Option<String> {
    let plan: serde_json::Value =
        serde_json::from_reader(BufReader::new(File::open(directory.join("plan.json")).ok()?)).ok()?;
    plan["name"].as_str().map(str::to_owned)
}
