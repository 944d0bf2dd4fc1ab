//! `harness compare`: the records of two runs held against each other.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::{Exit, complain, show};
use crate::report::comparison;
use crate::report::style::TableStyle;
use crate::results::compare::RunComparison;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// A run's directory
    #[arg(value_name = "DIR")]
    one: PathBuf,
    /// Another's
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
            show(&comparison::render(&compared, TableStyle::default()));
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
