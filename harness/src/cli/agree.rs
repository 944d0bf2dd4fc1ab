//! `harness agree`: the same topologies on the simulator and on real backends, and whether what they measure agrees.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use butter_cli::chain;
use clap::{Args as ClapArgs, ValueEnum};
use tokio::runtime::Handle;

use super::backend_choice::BackendArg;
use super::inspect::{OverrideArgs, load_again};
use super::seeds::{self, SeedList};
use super::{Exit, complain, run, show, table_style, tell};
use crate::report::agreement as table;
use crate::results::agreement::{AgreementTopology, AgreementVerdict, agreement};
use crate::results::run_set::{self, RunFigures};

/// The backend that the others are compared with.
const REFERENCE: BackendArg = BackendArg::Sim;
/// A line of a topology whose nodes share every core with something else.
const BUSY_CORES: &str = "x-busy-cores: true";

/// A backend that is compared with the simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RealBackendArg {
    /// Each node and router in a container
    Docker,
    /// Each node and router in a network namespace
    Netns,
}

impl From<RealBackendArg> for BackendArg {
    fn from(backend: RealBackendArg) -> Self {
        match backend {
            RealBackendArg::Docker => BackendArg::Docker,
            RealBackendArg::Netns => BackendArg::Netns,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Topology files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Real backends to compare with the simulator
    #[arg(long, value_enum, value_delimiter = ',', default_value = "netns")]
    backend: Vec<RealBackendArg>,
    /// Seeds with which each topology is played on each backend
    #[arg(long, value_name = "SEEDS", default_value = "1..5", env = "HARNESS_SEEDS", value_parser = seeds::parse)]
    seeds: SeedList,
    /// Directory for the records; runs that are recorded there already are not played again
    #[arg(long, value_name = "DIR", default_value = "runs/agree", env = "HARNESS_OUT")]
    out: PathBuf,
}

pub(super) fn agree(args: &Args, runtime: &Handle) -> Exit {
    let Ok(topologies) = args.files.iter().map(|file| topology_of(file)).collect::<Result<Vec<_>, String>>() else {
        // What is wrong has been shown.
        return Exit::Usage;
    };
    let of = |is_busy: bool| -> Vec<PathBuf> {
        let files = args.files.iter().zip(&topologies).filter(|(_, topology)| topology.has_busy_cores == is_busy);
        files.map(|(file, _)| file.clone()).collect()
    };
    let (quiet, busy) = (of(false), of(true));
    let real: Vec<BackendArg> = args.backend.iter().map(|&backend| backend.into()).collect();
    let mut folders = Vec::new();
    let mut heaviest = Exit::Passed;
    for &backend in [REFERENCE].iter().chain(&real) {
        let out = args.out.join(backend.name());
        for (files, is_busy) in [(&quiet, false), (&busy, true)] {
            if files.is_empty() {
                continue;
            }
            let cores = (is_busy && backend != REFERENCE).then(BusyCores::begin);
            let exit = run::run(run::Args::of_set(files.clone(), backend, args.seeds.clone(), out.clone()), runtime);
            drop(cores);
            match exit {
                // Checks that fail are a result like any other.
                Exit::Passed | Exit::Failed | Exit::Inconclusive => {}
                // What the environment has spoiled does not count; the others do.
                Exit::Environment => heaviest = exit,
                Exit::Usage | Exit::Bug | Exit::Interrupted | Exit::Program(_) => return exit,
            }
        }
        folders.push(out);
    }
    match run_set::load(&folders) {
        Ok(runs) => heaviest.max(judge(&runs, &topologies, &real)),
        Err(error) => {
            complain(&chain::one_line(&error));
            Exit::Environment
        }
    }
}

fn judge(runs: &[RunFigures], topologies: &[AgreementTopology], real: &[BackendArg]) -> Exit {
    let mut exit = Exit::Passed;
    for backend in real {
        let rows = agreement(runs, topologies, REFERENCE.name(), backend.name());
        show(&format!("\n{}", table::render(&rows, table_style())));
        let of = rows.iter().map(|row| match row.verdict {
            AgreementVerdict::Agrees | AgreementVerdict::NotCompared => Exit::Passed,
            AgreementVerdict::Open => Exit::Inconclusive,
            AgreementVerdict::Differs => Exit::Failed,
        });
        exit = of.fold(exit, Exit::max);
    }
    exit
}

/// What a file is compared as.
fn topology_of(file: &Path) -> Result<AgreementTopology, String> {
    let plan = load_again(file, &OverrideArgs::default())?.plan;
    let is_busy = |line: &str| line.split('#').next().unwrap_or_default().trim_end() == BUSY_CORES;
    Ok(AgreementTopology { has_busy_cores: plan.source.lines().any(is_busy), name: plan.name })
}

/// Keeps every core busy until it is dropped.
struct BusyCores(Arc<AtomicBool>);

impl BusyCores {
    fn begin() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        tell(&format!("keeping {cores} cores busy"));
        let goes_on = Arc::new(AtomicBool::new(true));
        for _ in 0..cores {
            let goes_on = Arc::clone(&goes_on);
            std::thread::spawn(move || {
                while goes_on.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        BusyCores(goes_on)
    }
}

impl Drop for BusyCores {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
