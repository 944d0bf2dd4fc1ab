//! `harness samples`: the metrics of a recorded run, as CSV.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::PathBuf;

use butter_cli::output;
use clap::Args as ClapArgs;

use super::error::CommandError;
use super::{Exit, complain};
use crate::metrics::samples::{SAMPLES_FILE, SampleFilter, copy_samples};

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
    let copied = copy_samples(BufReader::new(file), &filter, DataOutput).map_err(unreadable)?;
    if copied == 0 && !(filter.metrics.is_empty() && filter.nodes.is_empty()) {
        let named = |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")));
        let wanted = [named("metric", &filter.metrics), named("node", &filter.nodes)];
        let wanted: Vec<String> = wanted.into_iter().flatten().collect();
        complain(&format!("there is no sample of {}", wanted.join(" and ")));
        return Ok(Exit::Usage);
    }
    Ok(Exit::Passed)
}
