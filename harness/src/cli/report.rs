//! `harness report`: the pages of recorded runs, made again.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::error::CommandError;
use super::{Exit, tell};
use crate::report_page::{PAGE_FILE, write_run_page, write_set_page};
use crate::results::run_set::{RunSetError, record_directories};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Directories of runs, or that hold directories of runs
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// Write one page of all these runs to this file, too
    #[arg(long, value_name = "FILE", env = "HARNESS_REPORT_OUT")]
    out: Option<PathBuf>,
}

pub(super) fn report(args: &Args) -> Result<Exit, CommandError> {
    let mut sets = Vec::new();
    for directory in &args.directories {
        let runs = record_directories(directory)?;
        if runs.is_empty() {
            return Err(RunSetError::NoRuns(directory.clone()).into());
        }
        sets.push((directory, runs));
    }
    for (directory, runs) in &sets {
        for run in runs {
            let page = write_run_page(run)?;
            if runs.len() == 1 {
                tell(&format!("report: {}", page.display()));
            }
        }
        if runs != &[directory.to_path_buf()] {
            let page = write_set_page(runs, &directory.join(PAGE_FILE))?;
            tell(&format!("report: {}", page.display()));
        }
    }
    if let Some(out) = &args.out {
        let runs: Vec<PathBuf> = sets.into_iter().flat_map(|(_, runs)| runs).collect();
        let page = write_set_page(&runs, out)?;
        tell(&format!("report: {}", page.display()));
    }
    Ok(Exit::Passed)
}

/// Makes the page of a run that has just ended, whatever its end.
pub(super) fn page_of_run(directory: &Path) -> Option<CommandError> {
    write_run_page(directory).err().map(CommandError::from)
}
