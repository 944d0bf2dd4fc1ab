//! `harness report`: the pages of recorded runs, made again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::error::CommandError;
use super::{Exit, fail, tell};
use crate::report_page::live::LivePage;
use crate::report_page::{PAGE_FILE, PageError, write_run_page, write_set_page};
use crate::results::run_set::{RunSetError, record_directories};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Directories of runs, or that hold directories of runs
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// Write one page of all these runs to this file, too
    #[arg(long, value_name = "FILE")]
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
        let is_run = runs[..] == [directory.to_path_buf()];
        for run in runs {
            let page = write_run_page(run)?;
            if is_run {
                tell(&format!("report: {}", page.display()));
            }
        }
        if !is_run {
            let page = page_of_set(directory)?;
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

/// Makes the page of each set among runs that have ended: of those whose records are in one directory. Returns what failed.
pub(super) fn page_of_sets<'d>(directories: impl Iterator<Item = &'d Path>, live: Option<&LivePage>) -> Vec<Exit> {
    let parents: BTreeSet<&Path> = directories.filter_map(Path::parent).collect();
    let page = |parent: &Path| match page_of_set(parent) {
        Ok(page) => {
            tell(&format!("report: {}", page.display()));
            live.inspect(|live| live.set_page(&page));
            None
        }
        // No run could write its result, which has been reported.
        Err(PageError::Record(RunSetError::NoRuns(_))) => None,
        Err(error) => Some(fail(error)),
    };
    parents.into_iter().filter_map(page).collect()
}

/// One page of all runs that have a record in this directory.
fn page_of_set(directory: &Path) -> Result<PathBuf, PageError> {
    let runs = record_directories(directory)?;
    if runs.is_empty() {
        return Err(RunSetError::NoRuns(directory.to_owned()).into());
    }
    write_set_page(&runs, &directory.join(PAGE_FILE))
}
