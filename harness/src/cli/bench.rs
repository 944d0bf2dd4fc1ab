//! `bench`: how fast the testbed itself is.

use clap::{Args, Subcommand};

use super::{Exit, environment, show};
use crate::bench;

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The simulator: nodes join, store an item each, and live for 60 virtual seconds; exits with 1 beyond a target
    Sim {
        /// How many nodes; several numbers are simulated one after another, the least first: memory is counted at its peak
        #[arg(long, default_value = "1000,20000", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(2..=5_000_000))]
        nodes: Vec<u32>,
        /// Decides everything random
        #[arg(long, default_value = "1", env = "HARNESS_SEED")]
        seed: u64,
    },
}

pub(super) fn run(args: &BenchArgs) -> Exit {
    let What::Sim { nodes, seed } = &args.what;
    let mut exit = Exit::Passed;
    for &nodes in nodes {
        match bench::sim(nodes as usize, *seed) {
            Ok(measured) => {
                show(&format!("{measured}\n"));
                if measured.keeps_target() == Some(false) {
                    exit = exit.max(Exit::Failed);
                }
            }
            Err(error) => return environment(&error.into()),
        }
    }
    exit
}
