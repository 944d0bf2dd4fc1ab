//! `harness run`: every file is checked before anything is created; then each is played, and reported.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::Args as ClapArgs;
use tokio::runtime::Handle;

use super::backend_choice::{BackendArg, BackendKind};
use super::inspect::{OverrideArgs, load_all};
use super::session::{Outcome, Session};
use super::{Exit, complain, environment, show, signals, tell};
use crate::backend::BackendError;
use crate::metrics::federation::Federation;
use crate::plan::Plan;
use crate::report::style::TableStyle;
use crate::report::{junit, summary};
use crate::results::directory::{DirectoryError, RunDirectory};
use crate::results::result::RunVerdict;
use crate::run::{StopReason, StopSignal};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Topology files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What nodes and networks are made of
    #[arg(long, value_enum, default_value = "auto", env = "HARNESS_BACKEND")]
    backend: BackendArg,
    #[command(flatten)]
    overrides: OverrideArgs,
    /// Directory of the run's record, which must be empty; with several files, each has one in it
    /// [default: runs/NAME-TIME-SEED]
    #[arg(long, value_name = "DIR", env = "HARNESS_OUT")]
    out: Option<PathBuf>,
    /// Leave what was deployed, and say how to remove it
    #[arg(long, env = "HARNESS_KEEP")]
    keep: bool,
    /// Play without having probed whether routers behave as declared
    #[arg(long, env = "HARNESS_NO_PROBE")]
    no_probe: bool,
    /// Print result.json instead of the tables
    #[arg(long, env = "HARNESS_JSON")]
    json: bool,
    /// Write JUnit XML of all runs, for CI
    #[arg(long, value_name = "FILE", env = "HARNESS_JUNIT")]
    junit: Option<PathBuf>,
    /// Serve the metrics of all nodes, routers and the run itself for Prometheus: http://ADDR/metrics
    #[arg(long, value_name = "ADDR", env = "HARNESS_METRICS", conflicts_with = "jobs")]
    metrics: Option<SocketAddr>,
    /// Runs that are played at the same time
    #[arg(long, value_name = "N", default_value = "1", env = "HARNESS_JOBS")]
    jobs: NonZeroUsize,
    /// End a run that takes longer than this by the clock on the wall, building and deploying included
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, env = "HARNESS_TIME_LIMIT")]
    time_limit: Option<Duration>,
}

pub(super) fn run(args: Args, runtime: &Handle) -> Exit {
    let plans = match load_all(&args.files, &args.overrides) {
        Ok(plans) => plans,
        Err(exit) => return exit,
    };
    let interrupt = StopSignal::default();
    let signals = runtime.spawn(signals::serve(interrupt.clone()));
    let prepared = runtime.block_on(prepare(&args));
    let (kind, federation) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return environment(&error),
    };
    let sessions = match sessions(&args, plans, kind, federation.as_ref()) {
        Ok(sessions) => sessions,
        Err(error @ DirectoryError::NotEmpty(_)) => {
            complain(&error.to_string());
            return Exit::Usage;
        }
        Err(error) => return environment(&anyhow::Error::from(error).into()),
    };
    let outcomes = play_all(sessions, args.jobs, runtime, &interrupt, args.json);
    signals.abort();
    let exit = outcomes.iter().map(|(_, exit)| *exit).max().unwrap_or(Exit::Passed);
    match args.junit.as_deref().map(|file| write_junit(file, outcomes)) {
        Some(Err(error)) => exit.max(environment(&error.into())),
        None | Some(Ok(())) => exit,
    }
}

/// Chooses the backend, and begins to serve metrics.
async fn prepare(args: &Args) -> Result<(BackendKind, Option<Federation>), BackendError> {
    let kind = args.backend.choose().await?;
    if args.keep && kind == BackendKind::Netns {
        tell("namespaces end with the run: --keep keeps nothing of them");
    }
    let Some(address) = args.metrics else { return Ok((kind, None)) };
    let listener =
        tokio::net::TcpListener::bind(address).await.with_context(|| format!("cannot serve metrics on {address}"))?;
    let at = listener.local_addr().context("cannot serve metrics")?;
    tell(&format!("metrics: http://{at}/metrics"));
    let federation = Federation::default();
    tokio::spawn(federation.clone().serve(listener));
    Ok((kind, Some(federation)))
}

fn sessions(
    args: &Args,
    plans: Vec<Plan>,
    kind: BackendKind,
    federation: Option<&Federation>,
) -> Result<Vec<Session>, DirectoryError> {
    let several = plans.len() > 1;
    let now = SystemTime::now();
    let session = |plan: Plan| {
        let directory = match &args.out {
            None => RunDirectory::new(Path::new("runs"), &plan, Some(now))?,
            Some(out) if several => RunDirectory::new(out, &plan, None)?,
            Some(out) => RunDirectory::at(out)?,
        };
        Ok(Session {
            plan: Arc::new(plan),
            directory,
            kind,
            keep: args.keep,
            probe: !args.no_probe,
            time_limit: args.time_limit,
            federation: federation.cloned(),
        })
    };
    plans.into_iter().map(session).collect()
}

/// Plays all of them, so many at once; each is reported as it ends. Outcomes come in the order of the files.
fn play_all(
    sessions: Vec<Session>,
    jobs: NonZeroUsize,
    runtime: &Handle,
    interrupt: &StopSignal,
    json: bool,
) -> Vec<(Outcome, Exit)> {
    let threads = jobs.get().min(sessions.len());
    let slots: Vec<Mutex<Option<Session>>> = sessions.into_iter().map(|session| Mutex::new(Some(session))).collect();
    let outcomes: Vec<Mutex<Option<(Outcome, Exit)>>> = slots.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
            let index = slots.iter().position(|other| std::ptr::eq(other, slot)).expect("it is one of them");
            let session = slot.lock().expect("taken once").take().expect("taken once");
            if interrupt.requested().is_some() {
                return;
            }
            let path = session.directory.path().to_owned();
            let outcome = runtime.block_on(session.run(interrupt));
            let exit = report(&outcome, &path, json);
            *outcomes[index].lock().expect("set once") = Some((outcome, exit));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let not_begun =
        || (Outcome { result: None, stopped: Some(StopReason::Interrupted), failures: Vec::new() }, Exit::Interrupted);
    outcomes.into_iter().map(|outcome| outcome.into_inner().expect("set once").unwrap_or_else(not_begun)).collect()
}

/// Shows what came of a run. What it means for the exit status.
fn report(outcome: &Outcome, directory: &Path, json: bool) -> Exit {
    if let Some(result) = &outcome.result {
        show(&if json { result.to_json() } else { summary::render(result, TableStyle::default()) });
    }
    for failure in &outcome.failures {
        environment(failure);
    }
    if let (None, Some(stopped)) = (&outcome.result, outcome.stopped) {
        tell(&format!("{stopped} before anything was played"));
    }
    tell(&format!("record: {}", directory.display()));
    match (outcome.stopped, &outcome.result) {
        (Some(StopReason::Interrupted), _) => Exit::Interrupted,
        (Some(StopReason::TimeLimit), _) => Exit::Environment,
        (None, _) if !outcome.failures.is_empty() => Exit::Environment,
        (None, Some(result)) if result.verdict == RunVerdict::Passed => Exit::Passed,
        (None, _) => Exit::Failed,
    }
}

fn write_junit(file: &Path, outcomes: Vec<(Outcome, Exit)>) -> anyhow::Result<()> {
    let results: Vec<_> = outcomes.into_iter().filter_map(|(outcome, _)| outcome.result).collect();
    let xml = junit::xml(&results).context("cannot write JUnit XML")?;
    std::fs::write(file, xml).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{NotAsDeclared, Probed};
    use crate::results::fixture;
    use crate::results::result::RunResult;

    #[test]
    fn a_network_that_is_not_as_declared_ends_a_run_with_status_3() {
        let refused = NotAsDeclared { network: "beta".to_owned(), observation: "it loses more".to_owned() };
        let what = anyhow::Error::from(refused);
        let result = RunResult::not_played(&fixture::plan(), "netns", Probed::Skipped, &what);
        let failures = vec![BackendError { what, remedy: None }];
        let outcome = Outcome { result: Some(result), stopped: None, failures };
        assert_eq!(report(&outcome, Path::new("runs/x"), false).code(), 3);
    }
}
