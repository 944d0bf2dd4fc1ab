//! `harness run`: checks every file before anything is created, then plays and reports each.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use butter_cli::given::GivenOptions;
use butter_cli::terminal::process_environment;
use butter_cli::{chain, logging, output, values};
use clap::Args as ClapArgs;
use tokio::runtime::Handle;

use super::backend_choice::{BackendArg, BackendKind};
use super::error::CommandError;
use super::inspect::{OverrideArgs, load_all};
use super::origin::{self, LoadedPlan};
use super::session::{Session, SessionOutcome};
use super::{Exit, fail, show, signals, table_style, tell};
use crate::backend::process::node_command::LOG_VARIABLE as NODE_LOG_VARIABLE;
use crate::metrics::federation::Federation;
use crate::report::{junit, summary};
use crate::results::directory::{DirectoryError, RunDirectory};
use crate::results::result::RunVerdict;
use crate::run::{StopReason, StopSignal};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) given: GivenOptions,
    /// Topology files, or directories of recorded runs to play again; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Backend that nodes and networks run on
    #[arg(long, value_enum, default_value = "auto", env = "HARNESS_BACKEND")]
    pub(super) backend: BackendArg,
    #[command(flatten)]
    pub(super) overrides: OverrideArgs,
    /// Write the run's record to this directory, which must be empty; several files get a directory each in it
    /// [default: runs/NAME-TIME-SEED]
    #[arg(long, value_name = "DIR", env = "HARNESS_OUT")]
    out: Option<PathBuf>,
    /// Leave containers and networks in place, and print how to remove them (docker only)
    #[arg(long, env = "HARNESS_KEEP")]
    pub(super) keep: bool,
    /// Skip the self-probe, which checks that routers behave as declared
    #[arg(long, env = "HARNESS_NO_PROBE")]
    pub(super) no_probe: bool,
    /// Print result.json instead of the tables
    #[arg(long, env = "HARNESS_JSON")]
    json: bool,
    /// Write a JUnit XML report of all runs
    #[arg(long, value_name = "FILE", env = "HARNESS_JUNIT")]
    junit: Option<PathBuf>,
    /// Serve metrics of all nodes, routers and the run for Prometheus at http://ADDR/metrics
    #[arg(long, value_name = "HOST:PORT", env = "HARNESS_METRICS", conflicts_with = "jobs", value_parser = values::socket_address)]
    metrics: Option<SocketAddr>,
    /// Number of runs to play at the same time
    #[arg(long, value_name = "N", default_value = "1", env = "HARNESS_JOBS", allow_negative_numbers = true, value_parser = values::count(1..=u32::MAX))]
    jobs: u32,
    /// End a run that takes longer than this in real time, building and deploying included
    #[arg(long, value_name = "DURATION", env = "HARNESS_TIME_LIMIT", allow_hyphen_values = true, value_parser = values::duration)]
    pub(super) time_limit: Option<Duration>,
}

pub(super) fn run(args: Args, runtime: &Handle) -> Exit {
    // Nodes inherit this variable: a wrong one would end each of them.
    if let Err(error) = logging::check(NODE_LOG_VARIABLE, process_environment(NODE_LOG_VARIABLE)) {
        return fail(error);
    }
    let plans = match load_all(&args.files, &args.overrides) {
        Ok(plans) => plans,
        Err(exit) => return exit,
    };
    let names: Vec<String> = plans.iter().map(|loaded| loaded.plan.name.clone()).collect();
    let interrupt = StopSignal::default();
    let signals = runtime.spawn(signals::serve(interrupt.clone()));
    let prepared = runtime.block_on(prepare(&args, &plans));
    let (kind, federation) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return fail(error),
    };
    let sessions = match sessions(&args, plans, kind, federation.as_ref()) {
        Ok(sessions) => sessions,
        Err(error) => return fail(error),
    };
    let outcomes = play_all(sessions, args.jobs as usize, runtime, &interrupt, args.json);
    signals.abort();
    let exit = outcomes.iter().map(|(_, exit)| *exit).max().unwrap_or(Exit::Passed);
    if names.len() > 1 {
        tell(&closing_line(&names, &outcomes.iter().map(|(_, exit)| *exit).collect::<Vec<_>>()));
    }
    match args.junit.as_deref().map(|file| write_junit(file, outcomes)) {
        Some(Err(error)) => exit.max(fail(error)),
        None | Some(Ok(())) => exit,
    }
}

/// Chooses the backend, and begins to serve metrics.
async fn prepare(args: &Args, plans: &[LoadedPlan]) -> Result<(BackendKind, Option<Federation>), CommandError> {
    let kind = origin::backend(args, plans)?.choose().await?;
    if args.keep && kind != BackendKind::Docker {
        tell("--keep is ignored: only the docker backend can leave a run in place");
    }
    let Some(address) = args.metrics else { return Ok((kind, None)) };
    let failed = |source| CommandError::Metrics { address, source };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
    let at = listener.local_addr().map_err(failed)?;
    tell(&format!("metrics: http://{at}/metrics"));
    let federation = Federation::default();
    tokio::spawn(federation.clone().serve(listener));
    Ok((kind, Some(federation)))
}

fn sessions(
    args: &Args,
    plans: Vec<LoadedPlan>,
    kind: BackendKind,
    federation: Option<&Federation>,
) -> Result<Vec<Session>, DirectoryError> {
    let several = plans.len() > 1;
    let now = SystemTime::now();
    let session = |LoadedPlan { plan, origin }: LoadedPlan| {
        let directory = match &args.out {
            None => RunDirectory::new(Path::new("runs"), &plan, Some(now))?,
            Some(out) if several => RunDirectory::new(out, &plan, None)?,
            Some(out) => RunDirectory::at(out)?,
        };
        let options = origin.options(args);
        Ok(Session {
            manifest: origin.manifest(&plan, kind, args),
            plan: Arc::new(plan),
            directory,
            kind,
            keep: options.keep,
            probe: options.probe,
            time_limit: options.time_limit(),
            federation: federation.cloned(),
        })
    };
    plans.into_iter().map(session).collect()
}

/// Plays all of them, so many at once; each is reported as it ends. Outcomes come in the order of the files.
fn play_all(
    sessions: Vec<Session>,
    jobs: usize,
    runtime: &Handle,
    interrupt: &StopSignal,
    json: bool,
) -> Vec<(SessionOutcome, Exit)> {
    let threads = jobs.min(sessions.len());
    let slots: Vec<Mutex<Option<Session>>> = sessions.into_iter().map(|session| Mutex::new(Some(session))).collect();
    let outcomes: Vec<Mutex<Option<(SessionOutcome, Exit)>>> = slots.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
            let index = slots.iter().position(|other| std::ptr::eq(other, slot)).expect("it is one of them");
            let session = slot.lock().expect("taken once").take().expect("taken once");
            if interrupt.requested().is_some() {
                return;
            }
            let path = session.directory.path().to_owned();
            let mut outcome = runtime.block_on(session.run(interrupt));
            let exit = report(&mut outcome, &path, json);
            *outcomes[index].lock().expect("set once") = Some((outcome, exit));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let not_begun = || {
        (
            SessionOutcome { result: None, stopped: Some(StopReason::Interrupted), failures: Vec::new() },
            Exit::Interrupted,
        )
    };
    outcomes.into_iter().map(|outcome| outcome.into_inner().expect("set once").unwrap_or_else(not_begun)).collect()
}

/// Shows the result of a run. Returns what it means for the exit status.
fn report(outcome: &mut SessionOutcome, directory: &Path, json: bool) -> Exit {
    if let Some(result) = &outcome.result {
        match json {
            true => output::data(result.to_json().as_bytes()),
            false => show(&summary::render(result, table_style())),
        }
    }
    let failed = outcome.failures.drain(..).map(fail).max();
    if let (None, Some(stopped)) = (&outcome.result, outcome.stopped) {
        tell(&format!("{stopped} before the first step"));
    }
    tell(&format!("record: {}", directory.display()));
    let played = match (outcome.stopped, &outcome.result) {
        (Some(StopReason::Interrupted), _) => Exit::Interrupted,
        (Some(StopReason::TimeLimit), _) => Exit::Environment,
        (None, Some(result)) if result.verdict == RunVerdict::Passed => Exit::Passed,
        (None, _) => Exit::Failed,
    };
    failed.map_or(played, |failed| failed.max(played))
}

/// `3 runs: 2 passed; cgnat failed (exit status 1)`
fn closing_line(names: &[String], exits: &[Exit]) -> String {
    let passed = exits.iter().filter(|exit| **exit == Exit::Passed).count();
    let others = names.iter().zip(exits).filter(|(_, exit)| **exit != Exit::Passed);
    let others: String =
        others.map(|(name, exit)| format!("; {name} {} (exit status {})", exit.word(), exit.code())).collect();
    format!("{} runs: {passed} passed{others}", names.len())
}

fn write_junit(file: &Path, outcomes: Vec<(SessionOutcome, Exit)>) -> Result<(), CommandError> {
    let results: Vec<_> = outcomes.into_iter().filter_map(|(outcome, _)| outcome.result).collect();
    let xml = junit::xml(&results).map_err(|error| CommandError::JunitText(chain::one_line(&error)))?;
    std::fs::write(file, xml).map_err(|source| CommandError::Junit { path: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::BackendError;
    use crate::probe::{ProbeOutcome, RouterDiffers};
    use crate::results::fixture;
    use crate::results::result::RunResult;

    #[test]
    fn a_network_that_is_not_as_declared_ends_a_run_with_status_3() {
        let refused = RouterDiffers { network: "beta".to_owned(), observation: "it loses more".to_owned() };
        let error = BackendError::Probe(refused.into());
        let result = RunResult::not_played(&fixture::plan(), "netns", ProbeOutcome::Skipped, &error);
        let failures = vec![CommandError::from(error)];
        let mut outcome = SessionOutcome { result: Some(result), stopped: None, failures };
        assert_eq!(report(&mut outcome, Path::new("runs/x"), false).code(), 3);
    }
}
