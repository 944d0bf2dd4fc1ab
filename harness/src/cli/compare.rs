//! `harness compare`: the records of two runs held against each other.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::{Exit, complain, show};
use crate::results::compare::Comparison;

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
        Ok(texts) => held_against(args, texts),
        Err(what) => {
            complain(&what);
            Exit::Usage
        }
    }
}

fn held_against(args: &Args, [one, other]: [String; 2]) -> Exit {
    match Comparison::of([&one, &other]) {
        Ok(comparison) if comparison.shares.is_empty() => {
            complain("the two runs have nothing in common that could be compared");
            Exit::Usage
        }
        Ok(comparison) => {
            show(&format!("{comparison}\n"));
            if comparison.agrees() { Exit::Passed } else { Exit::Failed }
        }
        Err((index, error)) => {
            let path = result_of([&args.one, &args.other][index]);
            let error = anyhow::Error::from(error).context(format!("{} cannot be compared", path.display()));
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
