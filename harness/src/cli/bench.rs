//! `bench`: how fast the testbed itself is.

use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use tokio::runtime::Handle;

use super::backend_choice::{AnyBackend, BackendArg, BackendKind, BackendSetup};
use super::progress::ProgressDisplay;
use super::{Exit, environment, show};
use crate::backend::BackendError;
use crate::backend::docker::bare;
use crate::backend::docker::image;
use crate::bench::up::{Size, UpBench};
use crate::bench::{self, router};
use crate::programs::{self, Choice};
use crate::progress::Progress;

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
    /// A backend: home networks are brought up until every node answers, and removed again; on docker beside as many containers
    /// that do nothing
    Up {
        /// What nodes and networks are made of
        #[arg(long, value_enum, default_value = "netns", env = "HARNESS_BACKEND")]
        backend: BackendArg,
        /// Home networks
        #[arg(long, default_value = "3", value_parser = clap::value_parser!(u16).range(1..=100))]
        lans: u16,
        /// Nodes of each
        #[arg(long, default_value = "30", value_parser = clap::value_parser!(u16).range(1..=250))]
        nodes: u16,
        /// Exit with 1 if that takes longer
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        within: Option<Duration>,
    },
    /// The router beside Linux's own masquerade, in network namespaces; exits with 1 where a target is missed
    Router(RouterArgs),
}

#[derive(Debug, Args)]
struct RouterArgs {
    /// How often everything is measured; told are the medians
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Seconds of each TCP stream
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Questions whose round trips are measured
    #[arg(long, default_value = "5000", value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    questions: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What helps who may not make network namespaces.
const NAMESPACES_REMEDY: &str = "run it as root, or as root of a namespace of your own: unshare --user --map-root-user \
     --net harness bench router";

pub(super) fn run(args: &BenchArgs, runtime: &Handle) -> Exit {
    match &args.what {
        What::Sim { nodes, seed } => sim(nodes, *seed),
        What::Router(args) => router(args).unwrap_or_else(|what| {
            let forbidden = what.downcast_ref() == Some(&nix::Error::EPERM);
            environment(&BackendError { what, remedy: forbidden.then(|| NAMESPACES_REMEDY.to_owned()) })
        }),
        What::Up { backend, lans, nodes, within } => {
            let size = Size { lans: (*lans).into(), nodes: (*nodes).into() };
            runtime.block_on(up(*backend, size, *within)).unwrap_or_else(|error| environment(&error))
        }
    }
}

fn sim(sizes: &[u32], seed: u64) -> Exit {
    let mut exit = Exit::Passed;
    for &nodes in sizes {
        match bench::sim(nodes as usize, seed) {
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

fn router(args: &RouterArgs) -> anyhow::Result<Exit> {
    let options = router::Options {
        rounds: args.rounds as usize,
        stream: Duration::from_secs(args.seconds.into()),
        questions: args.questions as usize,
    };
    let program = std::env::current_exe().context("finding the own program")?;
    let measured = router::router(options, &program)?;
    if args.json {
        show(&format!("{}\n", serde_json::to_string(&measured)?));
    } else {
        show(&format!("{measured}\n"));
    }
    Ok(if measured.missed().is_empty() { Exit::Passed } else { Exit::Failed })
}

/// The programs, and on Docker their image too: building them is not what is measured.
async fn programs(kind: BackendKind, progress: &mut dyn Progress) -> Result<Choice, BackendError> {
    let found = programs::find(&Choice::default(), progress).await?.into();
    if kind == BackendKind::Docker {
        image::build(&found, progress).await?;
    }
    Ok(found)
}

async fn measure_up(kind: BackendKind, size: Size, progress: &mut dyn Progress) -> Result<UpBench, BackendError> {
    let plan = bench::up::plan(size);
    let programs = programs(kind, progress).await?;
    progress.begin("bringing up and taking down", 0);
    let set_up = BackendSetup { programs: programs.clone(), ..BackendSetup::default() };
    let mut measured = bench::up::measure(&plan, &mut AnyBackend::new(kind, &plan, set_up)).await?;
    if kind == BackendKind::Docker {
        measured.beside_bare(bare::measure(&programs, measured.hosts(), progress).await?);
    }
    Ok(measured)
}

async fn up(wanted: BackendArg, size: Size, within: Option<Duration>) -> Result<Exit, BackendError> {
    let kind = wanted.choose().await?;
    let mut display = ProgressDisplay::new("bench");
    let measured = measure_up(kind, size, &mut display).await;
    display.finish();
    let measured = measured?;
    show(&format!("{measured}\n"));
    let late = within.is_some_and(|within| measured.up_s() > within.as_secs_f64());
    Ok(if late { Exit::Failed } else { Exit::Passed })
}
