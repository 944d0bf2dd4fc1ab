//! `harness bench`: how fast the testbed itself is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use butter::overlay::data::Retrieval;
use butter_cli::{output, values};
use clap::{Args, Subcommand, ValueEnum};
use tokio::runtime::Handle;

use super::backend_choice::{AnyBackend, BackendArg, BackendKind, BackendSetup};
use super::progress::ProgressDisplay;
use super::{Exit, complain, fail, show};
use crate::backend::BackendError;
use crate::backend::docker::bare;
use crate::backend::docker::image;
use crate::bench::fidelity::{FidelityCell, FidelityTable};
use crate::bench::find::{FindBench, FindSpec};
use crate::bench::up::{BenchSize, UpBench};
use crate::bench::{self, false_alarms, published, router};
use crate::netns::access::NamespaceError;
use crate::programs::{self, ProgramChoice};
use crate::progress::Progress;
use crate::results::run_set;

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    target: BenchTarget,
}

#[derive(Debug, Subcommand)]
enum BenchTarget {
    /// Measure the simulator: nodes join, store an item each, and run for 60 virtual seconds
    Sim {
        /// Number of nodes; several numbers are measured in turn, in ascending order since memory counts at its peak
        #[arg(long, default_value = "1000,20000", value_delimiter = ',', value_parser = values::count(2..=5_000_000u32))]
        nodes: Vec<u32>,
        /// Random seed
        #[arg(long, default_value = "1", env = "HARNESS_SEED", allow_negative_numbers = true, value_parser = values::count(0..=u64::MAX))]
        seed: u64,
    },
    /// Measure a backend: deploy home networks until every node answers, and remove them again
    Up {
        /// Backend to measure; docker is compared with as many idle containers
        #[arg(long, value_enum, default_value = "netns", env = "HARNESS_BACKEND")]
        backend: BackendArg,
        /// Number of home networks
        #[arg(long, default_value = "3", value_parser = values::count(1..=100u16))]
        lans: u16,
        /// Nodes in each network
        #[arg(long, default_value = "30", value_parser = values::count(1..=250u16))]
        nodes: u16,
        /// Exit with 1 if deploying takes longer
        #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = values::duration)]
        within: Option<Duration>,
    },
    /// Measure the router against Linux's own masquerade, in network namespaces
    Router(RouterArgs),
    /// Measure how closely the simulator's model of QUIC follows QUIC itself, on a grid of links and lengths
    Fidelity {
        /// Exchanges in each cell of the grid
        #[arg(long, default_value = "2000", value_parser = values::count(20..=1_000_000u32))]
        exchanges: u32,
        /// Random seed
        #[arg(long, default_value = "1", env = "HARNESS_SEED", allow_negative_numbers = true, value_parser = values::count(0..=u64::MAX))]
        seed: u64,
    },
    /// Measure what searches cost on the simulator, for keys that are there and keys that are not
    Find(FindArgs),
    /// Measure anew what others have published of searches, membership and inventories, and exit with 1 if a figure is missed
    Published {
        /// Studies: lv (searches), hyparview (membership), bubblestorm (inventories)
        #[arg(value_enum, default_values = ["lv", "hyparview", "bubblestorm"])]
        studies: Vec<PublishedArg>,
        /// Queries with each strategy of lv
        #[arg(long, default_value = "200", value_parser = values::count(1..=100_000u32))]
        queries: u32,
        /// Random seed
        #[arg(long, default_value = "1", env = "HARNESS_SEED", allow_negative_numbers = true, value_parser = values::count(0..=u64::MAX))]
        seed: u64,
    },
    /// Measure how often compare finds a difference between sets of runs that differ in their seeds alone
    Compare {
        /// Directory of a thousand runs or so, as from harness run FILE --backend sim --seeds 1..1000 --out DIR
        #[arg(value_name = "DIR")]
        runs: PathBuf,
        /// Runs in each set; each run is in one set at most
        #[arg(long, default_value = "5", value_parser = values::count(4..=1_000u16))]
        per_set: u16,
    },
}

/// A study whose figures are measured anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PublishedArg {
    /// Searches on a random graph (Lv et al., ICS 2002)
    Lv,
    /// The graph of neighbours (DSN 2007)
    Hyparview,
    /// Searches that meet inventories (SIGCOMM 2007)
    Bubblestorm,
}

#[derive(Debug, Args)]
struct FindArgs {
    /// Number of nodes; several numbers are measured in turn
    #[arg(long, default_value = "100,1000", value_delimiter = ',', value_parser = values::count(4..=1_000_000u32))]
    nodes: Vec<u32>,
    /// Search strategies, or all
    #[arg(long, default_value = "auto", value_delimiter = ',')]
    strategies: Vec<String>,
    /// Number of runs, with seeds from 1 on
    #[arg(long, default_value = "10", value_parser = values::count(1..=1_000u32))]
    runs: u32,
    /// Queries for keys that are there in each run, and as many for keys that are not
    #[arg(long, default_value = "400", value_parser = values::count(1..=100_000u32))]
    queries: u32,
    /// Ask every peer before a search ends without success
    #[arg(long)]
    exhaustive: bool,
}

#[derive(Debug, Args)]
struct RouterArgs {
    /// Number of rounds; the medians are reported
    #[arg(long, default_value = "5", value_parser = values::count(1..=1_000u32))]
    rounds: u32,
    /// Length of each TCP stream in seconds
    #[arg(long, default_value = "2", value_parser = values::count(1..=3_600u32))]
    seconds: u32,
    /// Number of round trips to measure
    #[arg(long, default_value = "5000", value_parser = values::count(100..=10_000_000u32))]
    round_trips: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// For users without the permission to create network namespaces.
const NAMESPACES_REMEDY: &str = "run it as root, or as root of a namespace of your own: unshare --user --map-root-user \
     --net harness bench router";

pub(super) fn run(args: &BenchArgs, runtime: &Handle) -> Exit {
    match &args.target {
        BenchTarget::Sim { nodes, seed } => sim(nodes, *seed),
        BenchTarget::Router(args) => router(args).unwrap_or_else(|what| {
            let forbidden = what.downcast_ref() == Some(&nix::Error::EPERM);
            fail(match forbidden {
                true => {
                    NamespaceError::NotAvailable { source: what.into(), remedy: NAMESPACES_REMEDY.to_owned() }.into()
                }
                false => BackendError::Other(what),
            })
        }),
        BenchTarget::Fidelity { exchanges, seed } => {
            let table = FidelityTable::measure(FidelityCell::grid(), *exchanges as usize, *seed);
            show(&format!("{table}\n"));
            if table.misses().next().is_none() { Exit::Passed } else { Exit::Failed }
        }
        BenchTarget::Find(args) => find(args),
        BenchTarget::Published { studies, queries, seed } => published_again(studies, *queries as usize, *seed),
        BenchTarget::Compare { runs, per_set } => compare(runs, (*per_set).into()),
        BenchTarget::Up { backend, lans, nodes, within } => {
            let size = BenchSize { lans: (*lans).into(), nodes: (*nodes).into() };
            runtime.block_on(up(*backend, size, *within)).unwrap_or_else(fail)
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
            Err(error) => return fail(error),
        }
    }
    exit
}

fn find(args: &FindArgs) -> Exit {
    let every = || Retrieval::all().map(|strategy| strategy.name().to_owned()).collect();
    let strategies: Vec<String> = if args.strategies == ["all"] { every() } else { args.strategies.clone() };
    if let Some(unknown) = strategies.iter().find(|name| Retrieval::named(name).is_none()) {
        complain(&format!("invalid value {unknown} for --strategies: expected all, {}", Retrieval::names()));
        return Exit::Usage;
    }
    for (strategy, &nodes) in strategies.iter().flat_map(|name| args.nodes.iter().map(move |nodes| (name, nodes))) {
        let spec = FindSpec {
            nodes: nodes as usize,
            strategy: strategy.clone(),
            exhaustive: args.exhaustive,
            queries: args.queries as usize,
        };
        show(&format!("{}\n", FindBench::measure(spec, 1..=args.runs.into())));
    }
    Exit::Passed
}

fn published_again(studies: &[PublishedArg], queries: usize, seed: u64) -> Exit {
    let mut exit = Exit::Passed;
    for study in studies {
        let measured = match study {
            PublishedArg::Lv => published::searches::measure(queries, seed),
            PublishedArg::Hyparview => published::membership::measure(published::membership::NODES, seed),
            PublishedArg::Bubblestorm => published::matches::measure(published::matches::NODES, seed),
        };
        show(&format!("{measured}\n"));
        exit = exit.max(if measured.holds() { Exit::Passed } else { Exit::Failed });
    }
    exit
}

fn compare(runs: &Path, per_set: usize) -> Exit {
    let runs = match run_set::load(&[runs.to_owned()]) {
        Ok(runs) => runs,
        Err(error) => return fail(error),
    };
    match false_alarms::measure(&runs, per_set) {
        Ok(measured) => {
            show(&format!("{measured}\n"));
            if measured.keeps_level() { Exit::Passed } else { Exit::Failed }
        }
        Err(error) => {
            complain(&format!("cannot compare these runs: {error}"));
            Exit::Usage
        }
    }
}

fn router(args: &RouterArgs) -> anyhow::Result<Exit> {
    let options = router::RouterBenchOptions {
        rounds: args.rounds as usize,
        stream: Duration::from_secs(args.seconds.into()),
        questions: args.round_trips as usize,
    };
    let program = std::env::current_exe().context("finding the own program")?;
    let measured = router::router(options, &program)?;
    if args.json {
        output::data(format!("{}\n", serde_json::to_string(&measured)?).as_bytes());
    } else {
        show(&format!("{measured}\n"));
    }
    Ok(if measured.missed().is_empty() { Exit::Passed } else { Exit::Failed })
}

/// The programs, and on Docker their image too: building them is not what is measured.
async fn programs(kind: BackendKind, progress: &mut dyn Progress) -> Result<ProgramChoice, BackendError> {
    let found = programs::find(&ProgramChoice::default(), progress).await?.into();
    if kind == BackendKind::Docker {
        image::build(&found, progress).await?;
    }
    Ok(found)
}

async fn measure_up(kind: BackendKind, size: BenchSize, progress: &mut dyn Progress) -> Result<UpBench, BackendError> {
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

async fn up(wanted: BackendArg, size: BenchSize, within: Option<Duration>) -> Result<Exit, BackendError> {
    let kind = wanted.choose().await?;
    let mut display = ProgressDisplay::new("bench");
    let measured = measure_up(kind, size, &mut display).await;
    display.finish();
    let measured = measured?;
    show(&format!("{measured}\n"));
    let late = within.is_some_and(|within| measured.up_s() > within.as_secs_f64());
    Ok(if late { Exit::Failed } else { Exit::Passed })
}
