//! `harness table`: recorded runs in one table, or as plot data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::error::CommandError;
use super::{Exit, show, table_style};
use crate::report::figure_csv::{self, VariedRun};
use crate::report::run_table;
use crate::results::manifest::{RunManifest, ValueOrigin};
use crate::results::run_set::{RunFigures, RunSetError, record_directories};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Directories of runs, or that hold directories of runs
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// How the table is written
    #[arg(long, value_enum, default_value = "text")]
    format: TableFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TableFormat {
    /// A table for each topology
    Text,
    /// Comma-separated values: a row for each combination of values and each measure
    Csv,
}

pub(super) fn table(args: &Args) -> Result<Exit, CommandError> {
    let mut runs: Vec<VariedRun> = Vec::new();
    for directory in &args.directories {
        let found = record_directories(directory)?;
        if found.is_empty() {
            return Err(RunSetError::NoRuns(directory.clone()).into());
        }
        for run in found {
            let manifest = RunManifest::read(&run)?;
            let values = manifest.variables.iter().chain(&manifest.settings);
            let varied = values.filter(|value| value.from == ValueOrigin::Sweep);
            let varied = varied.map(|value| (value.name.clone(), value.value.clone())).collect();
            runs.push((RunFigures::load(&run)?, varied));
        }
    }
    match args.format {
        TableFormat::Csv => show(&figure_csv::render(&runs).map_err(anyhow::Error::from)?),
        TableFormat::Text => {
            let label = |varied: &BTreeMap<String, String>| {
                let values: Vec<String> = varied.iter().map(|(name, value)| format!("{name}={value}")).collect();
                values.join(", ")
            };
            let labels = runs.iter().map(|(run, varied)| (run.topology_hash.clone(), label(varied))).collect();
            let figures: Vec<RunFigures> = runs.into_iter().map(|(run, _)| run).collect();
            show(&run_table::render(&figures, &labels, table_style()));
        }
    }
    Ok(Exit::Passed)
}
