//! `harness explore`: random scenarios on the simulator, and what must hold in each.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use butter::overlay::data::seeded_fault::SeededFault;
use butter_cli::values;
use clap::Args as ClapArgs;

use super::error::CommandError;
use super::{Exit, complain, show, tell};
use crate::explore::breach::Breach;
use crate::explore::coverage::Coverage;
use crate::explore::scenario::Scenario;
use crate::explore::{self, Exploration};
use crate::planner;
use crate::results::directory::DirectoryError;
use crate::topology::Overrides;

/// Pause between lines of progress.
const TELL_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Topology files to play instead of random scenarios, such as those that an earlier search has left
    #[arg(value_name = "FILE", conflicts_with_all = ["runs", "seed", "out"])]
    files: Vec<PathBuf>,
    /// Number of scenarios
    #[arg(long, default_value = "200", value_parser = values::count(1..=10_000_000u64))]
    runs: u64,
    /// Seed of the first scenario; those after it have the next ones
    #[arg(long, default_value = "1", env = "HARNESS_SEED", allow_negative_numbers = true, value_parser = values::count(0..=u64::MAX))]
    seed: u64,
    /// Scenarios played at once
    #[arg(long, default_value = "1", value_parser = values::count(1..=1_000u32))]
    jobs: u32,
    /// Directory for the smallest scenarios in which something does not hold
    #[arg(long, value_name = "DIR", default_value = "runs/explore", env = "HARNESS_OUT")]
    out: PathBuf,
    /// Build a known fault into all nodes, to see that the search finds it: early-acknowledgement, unproven-views or early-drop
    #[arg(long, value_parser = fault_named)]
    fault: Option<SeededFault>,
}

fn fault_named(name: &str) -> Result<SeededFault, String> {
    let known = SeededFault::NAMES.iter().find(|(known, _)| *known == name);
    let names = || SeededFault::NAMES.map(|(name, _)| name).join(", ");
    known.map(|(_, fault)| *fault).ok_or_else(|| format!("known faults are {}", names()))
}

pub(super) fn explore(args: &Args) -> Result<Exit, CommandError> {
    if !args.files.is_empty() {
        return Ok(play_files(&args.files, args.fault));
    }
    let search = Search::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..args.jobs).map(|_| scope.spawn(|| search.work(args))).collect();
        search.tell_progress(args.runs, || workers.iter().all(|worker| worker.is_finished()));
    });
    let Found { coverage, mut failures, unwritable } = search.found.into_inner().expect("no thread has panicked");
    if let Some(error) = unwritable {
        return Err(error.into());
    }
    failures.sort_by_key(|failure| failure.seed);
    for FailedScenario { seed, breach, path } in &failures {
        show(&format!("seed {seed}: {breach}\n  {}\n", path.display()));
    }
    show(&format!("{coverage}"));
    coverage.never().for_each(|subject| tell(&format!("never seen: {subject}")));
    show(&format!("{} scenarios, {} in which something does not hold\n", args.runs, failures.len()));
    Ok(if failures.is_empty() { Exit::Passed } else { Exit::Failed })
}

/// A search by several threads.
#[derive(Debug, Default)]
struct Search {
    /// How many scenarios were begun, and ended.
    begun: AtomicU64,
    ended: AtomicU64,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    coverage: Coverage,
    failures: Vec<FailedScenario>,
    /// Why the smallest scenario of one of them could not be written.
    unwritable: Option<DirectoryError>,
}

/// A seed in whose scenario something does not hold.
#[derive(Debug)]
struct FailedScenario {
    seed: u64,
    breach: Breach,
    /// The file of the smallest scenario.
    path: PathBuf,
}

impl Search {
    fn work(&self, args: &Args) {
        loop {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            if number >= args.runs {
                return;
            }
            let seed = args.seed.wrapping_add(number);
            let scenario = Scenario::random(seed);
            let Exploration { breaches, coverage } = explore::play_scenario(&scenario, args.fault);
            let smallest = breaches.into_iter().next().map(|breach| explore::shrink(scenario, breach, args.fault));
            let mut found = self.found.lock().expect("no thread has panicked");
            found.coverage.add(&coverage);
            if let Some((scenario, breach)) = smallest {
                // At once, for whoever interrupts the search.
                match write(&args.out, seed, &scenario, &breach) {
                    Ok(path) => found.failures.push(FailedScenario { seed, breach, path }),
                    Err(error) => found.unwritable = Some(error),
                }
            }
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn tell_progress(&self, runs: u64, is_over: impl Fn() -> bool) {
        let mut last_line = Instant::now();
        while !is_over() {
            std::thread::sleep(Duration::from_millis(50));
            if last_line.elapsed() >= TELL_EVERY {
                last_line = Instant::now();
                let failures = self.found.lock().map_or(0, |found| found.failures.len());
                let ended = self.ended.load(Ordering::Relaxed);
                tell(&format!("{ended} of {runs} scenarios, {failures} in which something does not hold"));
            }
        }
    }
}

/// Writes the scenario to a file that says what does not hold in it.
fn write(out: &Path, seed: u64, scenario: &Scenario, breach: &Breach) -> Result<PathBuf, DirectoryError> {
    let path = out.join(format!("explored-{seed}.yaml"));
    let unwritable = |source| DirectoryError::Io { path: path.clone(), source };
    fs::create_dir_all(out).map_err(unwritable)?;
    fs::write(&path, format!("# {breach}\n{scenario}")).map_err(unwritable)?;
    Ok(path)
}

fn play_files(files: &[PathBuf], fault: Option<SeededFault>) -> Exit {
    let mut exit = Exit::Passed;
    for file in files {
        match planner::load(file, &Overrides::default()) {
            Err(problems) => {
                complain(&problems.to_string());
                return Exit::Usage;
            }
            Ok(plan) => {
                let Exploration { breaches, coverage } = explore::play(&plan, fault);
                let holds = if breaches.is_empty() { "everything holds" } else { "something does not hold" };
                show(&format!("{}: {holds}\n", file.display()));
                breaches.iter().for_each(|breach| show(&format!("  {breach}\n")));
                show(&format!("{coverage}"));
                exit = exit.max(if breaches.is_empty() { Exit::Passed } else { Exit::Failed });
            }
        }
    }
    exit
}
