//! `harness compare`: the records of two sets of runs.

use std::path::PathBuf;

use butter_cli::{chain, values};
use clap::Args as ClapArgs;

use super::{Exit, complain, show, table_style};
use crate::report::comparison;
use crate::results::compare::{Agreement, RunComparison};
use crate::results::run_set;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Directories of runs, or that hold directories of runs: set A; without `--`, A and B
    #[arg(required = true, value_name = "A")]
    first: Vec<PathBuf>,
    /// Those of set B
    #[arg(last = true, value_name = "B")]
    second: Vec<PathBuf>,
    /// Differences that do not count: of shares in points, of times and counts as a part of the greater one
    #[arg(long, value_name = "SHARE", default_value = "0%", allow_hyphen_values = true, value_parser = values::share)]
    tolerance: f64,
}

pub(super) fn compare(args: &Args) -> Exit {
    let sets = match (&args.first[..], &args.second[..]) {
        ([one, other], []) => [std::slice::from_ref(one), std::slice::from_ref(other)],
        (_, []) => return wrong("two sets are compared: name two directories, or divide them: A1 A2 -- B1 B2"),
        (first, second) => [first, second],
    };
    let [one, other] = match sets.map(run_set::load) {
        [Ok(one), Ok(other)] => [one, other],
        [Err(error), _] | [_, Err(error)] => return wrong(&chain::one_line(&error)),
    };
    match RunComparison::of([&one, &other], args.tolerance) {
        Ok(compared) => {
            show(&comparison::render(&compared, table_style()));
            match compared.agreement() {
                Agreement::Agrees => Exit::Passed,
                Agreement::Differs => Exit::Failed,
                Agreement::NotJudged => Exit::Inconclusive,
            }
        }
        Err(error) => wrong(&format!("cannot compare these runs: {error}")),
    }
}

fn wrong(what: &str) -> Exit {
    complain(what);
    Exit::Usage
}
