//! `harness compare`: the records of two runs.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::{Exit, complain, show, table_style};
use crate::report::comparison;
use crate::results::compare::RunComparison;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Directory of a run
    #[arg(value_name = "DIR")]
    one: PathBuf,
    /// Directory of another run
    #[arg(value_name = "DIR")]
    other: PathBuf,
}

pub(super) fn compare(args: &Args) -> Exit {
    match read(&args.one).and_then(|one| Ok([one, read(&args.other)?])) {
        Ok(texts) => compare_texts(args, texts),
        Err(what) => {
            complain(&what);
            Exit::Usage
        }
    }
}

fn compare_texts(args: &Args, [one, other]: [String; 2]) -> Exit {
    match RunComparison::of([&one, &other]) {
        Ok(compared) => {
            show(&comparison::render(&compared, table_style()));
            if compared.agrees() { Exit::Passed } else { Exit::Failed }
        }
        Err(error) => {
            let (one, other) = (args.one.display(), args.other.display());
            let error = anyhow::Error::from(error).context(format!("cannot compare {one} (A) with {other} (B)"));
            complain(&format!("{error:#}"));
            Exit::Usage
        }
    }
}

fn read(directory: &Path) -> Result<String, String> {
    let path = result_of(directory);
    std::fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn result_of(directory: &Path) -> PathBuf {
    directory.join("result.json")
}
