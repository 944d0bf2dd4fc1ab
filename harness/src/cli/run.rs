//! `harness run`: checks every file before anything is created, then plays and reports each.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use butter_cli::end_signals::EndSignals;
use butter_cli::given::GivenOptions;
use butter_cli::terminal::process_environment;
use butter_cli::{chain, logging, output, values};
use clap::Args as ClapArgs;
use tokio::runtime::Handle;

use super::backend_choice::{BackendArg, BackendKind, FidelityArg};
use super::error::CommandError;
use super::inspect::OverrideArgs;
use super::junit_file::{JunitFile, ReportedRun};
use super::origin::{self, LoadedPlan};
use super::progress::{self, Loudness};
use super::seeds::{self, PlanSet, SeedList};
use super::served::{self, Served};
use super::session::{Session, SessionOutcome};
use super::summary_file::SummaryFile;
use super::{Exit, fail, report, show, signals, table_style, tell};
use crate::backend::process::node_command::LOG_VARIABLE as NODE_LOG_VARIABLE;
use crate::plan::Fidelity;
use crate::report::{run_table, summary};
use crate::report_page::PAGE_FILE;
use crate::results::directory::RunDirectory;
use crate::results::outline::RunOutline;
use crate::results::result::{RunResult, RunVerdict};
use crate::results::run_set::RunFigures;
use crate::run::StopSignal;
use crate::topology::diagnostics::suggestion;

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
    /// Play each file once for each seed, such as 1..20, and show mean and spread over the runs. With --out, runs that are
    /// recorded there already are not played again
    #[arg(long, value_name = "SEEDS", env = "HARNESS_SEEDS", conflicts_with = "seed", value_parser = seeds::parse)]
    seeds: Option<SeedList>,
    /// How closely the simulator follows QUIC (overrides the file's)
    #[arg(long, value_enum, env = "HARNESS_FIDELITY")]
    pub(super) fidelity: Option<FidelityArg>,
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
    /// Write what this node sends and receives to NODE.pcapng in the record (sim with --fidelity packet)
    #[arg(long, value_name = "NODE", env = "HARNESS_CAPTURE")]
    capture: Option<String>,
    /// Fill the terminal with the run while it lasts: steps, nodes, checks so far and the last events
    #[arg(long, env = "HARNESS_FULL_SCREEN", conflicts_with_all = ["jobs", "quiet", "verbose"])]
    full_screen: bool,
    /// Show only how each run ended and what went wrong
    #[arg(short, long, env = "HARNESS_QUIET", conflicts_with = "verbose")]
    quiet: bool,
    /// Show every event of a run as it happens
    #[arg(short, long, env = "HARNESS_VERBOSE")]
    verbose: bool,
    /// Print result.json instead of the tables
    #[arg(long, env = "HARNESS_JSON")]
    json: bool,
    /// Write a JUnit XML report of all runs
    #[arg(long, value_name = "FILE", env = "HARNESS_JUNIT")]
    junit: Option<PathBuf>,
    /// Append a summary in Markdown to this file, such as $GITHUB_STEP_SUMMARY
    #[arg(long, value_name = "FILE", env = "HARNESS_SUMMARY_MD")]
    summary_md: Option<PathBuf>,
    /// Serve metrics of all nodes, routers and the run for Prometheus at http://ADDR/metrics
    #[arg(long, value_name = "HOST:PORT", env = "HARNESS_METRICS", conflicts_with = "jobs", value_parser = values::socket_address)]
    metrics: Option<SocketAddr>,
    /// Serve the report of the run while it lasts, at http://ADDR/, and after its end until Ctrl-C or --linger ends that
    /// [default of ADDR: a free port of 127.0.0.1]
    #[arg(
        long, value_name = "HOST:PORT", num_args = 0..=1, default_missing_value = served::ADDRESS_DEFAULT,
        env = "HARNESS_SERVE", conflicts_with = "jobs", value_parser = values::socket_address
    )]
    serve: Option<SocketAddr>,
    /// Go on serving the last metrics and the report for so long after the end, or until Ctrl-C
    #[arg(long, value_name = "DURATION", env = "HARNESS_LINGER", allow_hyphen_values = true, value_parser = values::duration)]
    linger: Option<Duration>,
    /// Number of runs to play at the same time
    #[arg(long, value_name = "N", default_value = "1", env = "HARNESS_JOBS", allow_negative_numbers = true, value_parser = values::count(1..=u32::MAX))]
    jobs: u32,
    /// End a run that takes longer than this in real time, building and deploying included
    #[arg(long, value_name = "DURATION", env = "HARNESS_TIME_LIMIT", allow_hyphen_values = true, value_parser = values::duration)]
    pub(super) time_limit: Option<Duration>,
}

impl Args {
    /// Each file once for each seed on a backend, into one directory, from which a later call goes on.
    pub(super) fn of_set(files: Vec<PathBuf>, backend: BackendArg, seeds: SeedList, out: PathBuf) -> Self {
        Args {
            given: GivenOptions::default(),
            files,
            backend,
            overrides: OverrideArgs::default(),
            seeds: Some(seeds),
            fidelity: (backend == BackendArg::Sim).then_some(FidelityArg::Packet),
            out: Some(out),
            keep: false,
            no_probe: false,
            capture: None,
            full_screen: false,
            quiet: false,
            verbose: false,
            json: false,
            junit: None,
            summary_md: None,
            metrics: None,
            serve: None,
            linger: None,
            jobs: 1,
            time_limit: None,
        }
    }
}

pub(super) fn run(args: Args, runtime: &Handle) -> Exit {
    progress::set_loudness(match (args.quiet, args.verbose) {
        (true, _) => Loudness::Quiet,
        (_, true) => Loudness::Verbose,
        _ => Loudness::Usual,
    });
    let files: Vec<String> = args.files.iter().map(|file| file.display().to_string()).collect();
    let junit = match args.junit.as_deref().map(|path| JunitFile::open(path, &files)).transpose() {
        Ok(junit) => junit,
        Err(error) => return fail(error),
    };
    let summary = match args.summary_md.as_deref().map(SummaryFile::open).transpose() {
        Ok(summary) => summary,
        Err(error) => return fail(error),
    };
    let (runs, exit) = match play(&args, &files, runtime) {
        Ok(played) => played,
        Err(NotBegun { errors, exit }) => {
            let runs = files.into_iter().zip(errors).map(|(file, error)| ReportedRun::not_begun(file, error));
            (runs.collect(), exit)
        }
    };
    let written = [junit.map(|junit| junit.write(&runs)), summary.map(|summary| summary.append(&runs))];
    let failed = written.into_iter().flatten().filter_map(Result::err).map(fail).max();
    let exit = failed.map_or(exit, |failed| failed.max(exit));
    let has_ended_unasked = runs.iter().any(|run| run.outline.is_some()) && exit != Exit::Interrupted;
    match served::rest(args.linger, args.metrics.is_some(), args.serve.is_some()).filter(|_| has_ended_unasked) {
        Some(rest) => exit.max(rest.last(runtime)),
        None => exit,
    }
}

/// Why no run begins. The error has been shown.
struct NotBegun {
    /// What is wrong, for each file.
    errors: Vec<Vec<String>>,
    exit: Exit,
}

impl NotBegun {
    /// For a reason that concerns all files.
    fn any(files: &[String], error: impl Into<CommandError>) -> Self {
        let error = error.into();
        let errors = vec![vec![chain::one_line(&error)]; files.len()];
        NotBegun { errors, exit: fail(error) }
    }
}

/// Plays all files. Returns what is to be reported of each, and the heaviest exit.
fn play(args: &Args, files: &[String], runtime: &Handle) -> Result<(Vec<ReportedRun>, Exit), NotBegun> {
    if args.full_screen && !output::stderr().animation {
        let why = std::io::Error::other("standard error is no terminal, or one that cannot draw");
        return Err(NotBegun::any(files, CommandError::Screen(why)));
    }
    // Nodes inherit this variable: a wrong one would end each of them.
    logging::check(NODE_LOG_VARIABLE, process_environment(NODE_LOG_VARIABLE))
        .map_err(|error| NotBegun::any(files, error))?;
    let loaded = seeds::load(&args.files, &args.overrides, args.seeds.as_ref()).map_err(|errors| {
        let or_other = |error: Option<String>| vec![error.unwrap_or_else(|| "another file is wrong".to_owned())];
        NotBegun { errors: errors.into_iter().map(or_other).collect(), exit: Exit::Usage }
    })?;
    let PlanSet { mut plans, labels, files: of_plans, is_repeated } = loaded;
    plans.iter_mut().for_each(|loaded| loaded.choose_fidelity(args.fidelity));
    let names: Vec<String> = plans.iter().map(|loaded| loaded.plan.name.clone()).collect();
    let interrupt = StopSignal::default();
    // Caught before anything is created, not only once a worker has time for it.
    let caught = {
        let _within = runtime.enter();
        EndSignals::catch().map_err(|error| NotBegun::any(files, CommandError::Signals(error)))?
    };
    let signals = runtime.spawn(signals::serve(caught, interrupt.clone()));
    let (kind, served) = runtime.block_on(prepare(args, &plans)).map_err(|error| NotBegun::any(files, error))?;
    let plans = plans.into_iter().zip(of_plans).collect();
    let slots = sessions(args, plans, is_repeated, kind, &served).map_err(|error| NotBegun::any(files, error))?;
    let shown = match is_repeated {
        _ if args.json => Shown::Json,
        _ if args.quiet => Shown::Headline,
        true => Shown::Line,
        false => Shown::Tables,
    };
    let runs = play_all(slots, args.jobs as usize, shown, runtime, &interrupt);
    signals.abort();
    let mut exits: Vec<Exit> = runs.iter().map(|run| run.exit).collect();
    if is_repeated {
        let mut figures: Vec<RunFigures> = runs.iter().filter_map(|run| run.figures.clone()).collect();
        figures.sort_by(|one, other| (&one.name, one.seed).cmp(&(&other.name, other.seed)));
        if shown == Shown::Line {
            show(&run_table::render(&figures, &labels, table_style()));
        }
        let directories = runs.iter().filter_map(|run| run.directory.as_deref());
        exits.extend(report::page_of_sets(directories, served.live.as_ref()));
    } else if names.len() > 1 {
        tell(&closing_line(&names, &exits));
    }
    if let Some(live) = &served.live {
        live.over();
    }
    let exit = exits.into_iter().max().unwrap_or(Exit::Passed);
    Ok((runs.into_iter().map(|run| run.report).collect(), exit))
}

/// Chooses the backend, and begins to serve.
async fn prepare(args: &Args, plans: &[LoadedPlan]) -> Result<(BackendKind, Served), CommandError> {
    let prescribed = plans.iter().find(|loaded| loaded.plan.graph.is_some());
    let kind = match (origin::backend(args, plans)?, prescribed) {
        (BackendArg::Auto, Some(LoadedPlan { plan, .. })) => {
            tell(&format!("backend: sim ({} prescribes the graph of known hosts)", plan.name));
            BackendKind::Sim
        }
        (wanted, _) => wanted.choose().await?,
    };
    if args.fidelity.is_some() && kind != BackendKind::Sim {
        return Err(CommandError::FidelityOfRealQuic);
    }
    if let Some(LoadedPlan { plan, .. }) = prescribed.filter(|_| kind != BackendKind::Sim) {
        return Err(CommandError::GraphOnRealNodes { topology: plan.name.clone(), backend: kind.name() });
    }
    if let Some(node) = &args.capture {
        check_capture(node, plans, kind)?;
    }
    if args.keep && kind != BackendKind::Docker {
        tell("--keep is ignored: only the docker backend can leave a run in place");
    }
    Ok((kind, Served::begin(args.metrics, args.serve).await?))
}

/// Whether the datagrams of a node can be captured in each run.
fn check_capture(node: &str, plans: &[LoadedPlan], kind: BackendKind) -> Result<(), CommandError> {
    for LoadedPlan { plan, .. } in plans {
        if kind != BackendKind::Sim || plan.sim_fidelity() != Fidelity::Packet {
            return Err(CommandError::CaptureOfRun);
        }
        if !plan.nodes.iter().any(|known| known.name == node) {
            let hint = suggestion(node, plan.nodes.iter().map(|known| known.name.as_str()), "nodes");
            return Err(CommandError::NoSuchNode { topology: plan.name.clone(), node: node.to_owned(), hint });
        }
    }
    Ok(())
}

/// A run of this call: still to be played, of the file of this name, or played by an earlier call that this one goes on from.
enum RunSlot {
    ToPlay(Box<Session>, String),
    PlayedBefore(Box<PlayedRun>),
}

/// A run that has ended, or was not begun.
struct PlayedRun {
    report: ReportedRun,
    /// What it measured; `None` if it was not begun.
    figures: Option<RunFigures>,
    /// Directory of its record; `None` if it was not begun.
    directory: Option<PathBuf>,
    exit: Exit,
}

/// What is shown of each run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Tables,
    /// How it ended; a table of all runs follows.
    Line,
    /// How it ended, and nothing else.
    Headline,
    Json,
}

fn sessions(
    args: &Args,
    plans: Vec<(LoadedPlan, String)>,
    is_repeated: bool,
    kind: BackendKind,
    served: &Served,
) -> Result<Vec<RunSlot>, CommandError> {
    let several = plans.len() > 1 || is_repeated;
    let now = SystemTime::now();
    let time = humantime::format_rfc3339_seconds(now).to_string().replace([':', '-'], "");
    let session = |LoadedPlan { plan, origin }: LoadedPlan| {
        let directory = match &args.out {
            None if is_repeated => {
                RunDirectory::new(&Path::new("runs").join(format!("{}-{time}", plan.name)), &plan, None)?
            }
            None => RunDirectory::new(Path::new("runs"), &plan, Some(now))?,
            Some(out) if several => RunDirectory::new(out, &plan, None)?,
            Some(out) => RunDirectory::at(out)?,
        };
        let options = origin.options(args);
        Ok::<_, CommandError>(Session {
            manifest: origin.manifest(&plan, kind, args),
            plan: Arc::new(plan),
            directory,
            kind,
            keep: options.keep,
            probe: options.probe,
            time_limit: options.time_limit(),
            capture: args.capture.clone(),
            federation: served.federation.clone(),
            live: served.live.clone(),
            full_screen: args.full_screen,
        })
    };
    let before = args.out.as_deref().filter(|_| is_repeated);
    let hashes = plans.iter().map(|(loaded, _)| loaded.plan.topology_hash.clone()).collect();
    // Before any directory is made: those of other runs of this call would be taken for what an earlier call has left.
    let played_before = |(loaded, _): &(LoadedPlan, String)| {
        let played = before.map(|out| seeds::already_played(out, &loaded.plan, kind, &hashes)).transpose()?;
        Ok::<_, CommandError>(played.flatten())
    };
    let played_before = plans.iter().map(played_before).collect::<Result<Vec<_>, CommandError>>()?;
    let mut slots = Vec::with_capacity(plans.len());
    for ((loaded, file), played) in plans.into_iter().zip(played_before) {
        slots.push(match played {
            Some((directory, figures)) => {
                let report = ReportedRun::played_before(file, &directory)?;
                let exit = report.outline.as_ref().map_or(Exit::Failed, |outline| Exit::from(outline.verdict));
                let (figures, directory) = (Some(figures), Some(directory));
                RunSlot::PlayedBefore(Box::new(PlayedRun { report, figures, directory, exit }))
            }
            None => RunSlot::ToPlay(Box::new(session(loaded)?), file),
        });
    }
    let played = slots.iter().filter(|slot| matches!(slot, RunSlot::PlayedBefore(_))).count();
    if played > 0 {
        tell(&format!("{played} of {} runs were played before", slots.len()));
    }
    Ok(slots)
}

/// Plays those that are to be played, so many at once; each is reported as it ends. What comes back is in the order of the plans.
fn play_all(
    slots: Vec<RunSlot>,
    jobs: usize,
    shown: Shown,
    runtime: &Handle,
    interrupt: &StopSignal,
) -> Vec<PlayedRun> {
    let (mut runs, mut to_play) = (Vec::new(), Vec::new());
    for (index, slot) in slots.into_iter().enumerate() {
        let run = match slot {
            RunSlot::PlayedBefore(run) => Some(*run),
            RunSlot::ToPlay(session, file) => {
                to_play.push((index, Mutex::new(Some(session)), file));
                None
            }
        };
        runs.push(Mutex::new(run));
    }
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((index, slot, file)) = to_play.get(next.fetch_add(1, Ordering::Relaxed)) {
            let session = slot.lock().expect("taken once").take().expect("taken once");
            if interrupt.requested().is_some() {
                return;
            }
            let run = play_one(*session, file, shown, runtime, interrupt);
            *runs[*index].lock().expect("set once") = Some(run);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(to_play.len()) {
            scope.spawn(work);
        }
    });
    for (index, _, file) in to_play {
        runs[index].get_mut().expect("set once").get_or_insert_with(|| {
            let errors = vec!["interrupted before the run began".to_owned()];
            let report = ReportedRun::not_begun(file, errors);
            PlayedRun { report, figures: None, directory: None, exit: Exit::Interrupted }
        });
    }
    runs.into_iter().filter_map(|run| run.into_inner().expect("set once")).collect()
}

fn play_one(session: Session, file: &str, shown: Shown, runtime: &Handle, interrupt: &StopSignal) -> PlayedRun {
    let (began, path) = (SystemTime::now(), session.directory.path().to_owned());
    let SessionOutcome { result, failures, played_in } = runtime.block_on(session.run(interrupt));
    let took = began.elapsed().unwrap_or_default();
    if result.fidelity.is_some() && shown == Shown::Tables && !result.steps.is_empty() {
        let [simulated, real] = [result.run_s, played_in.as_secs_f64()].map(|time| format!("{time:.1} s"));
        tell(&format!("{}: {simulated} simulated in {real}", result.name));
    }
    let (errors, exit) = show_result(&result, failures, &path, shown);
    let outline = Some(RunOutline::from(&result));
    let report = ReportedRun { file: file.to_owned(), began, took, outline, errors, directory: Some(path.clone()) };
    PlayedRun { report, figures: Some(RunFigures::of(&result)), directory: Some(path), exit }
}

/// Shows the result of a run. Returns what went wrong beside it, and what all means for the exit status.
fn show_result(result: &RunResult, failures: Vec<CommandError>, directory: &Path, shown: Shown) -> (Vec<String>, Exit) {
    match shown {
        Shown::Json => output::data(result.to_json().as_bytes()),
        Shown::Tables => show(&summary::render(result, table_style())),
        Shown::Headline => show(&format!("{}\n", summary::headline_of(result, table_style()))),
        Shown::Line => tell(summary::render(result, table_style()).lines().next().unwrap_or_default()),
    }
    let errors: Vec<String> = failures.iter().map(|error| chain::one_line(error)).collect();
    let failed = failures.into_iter().map(fail).max();
    if shown == Shown::Headline {
        let played = Exit::from(result.verdict);
        return (errors, failed.map_or(played, |failed| failed.max(played)));
    }
    tell(&format!("record: {}", directory.display()));
    let page = directory.join(PAGE_FILE);
    if shown != Shown::Line && page.exists() {
        tell(&format!("report: {}", page.display()));
    }
    if result.verdict == RunVerdict::Failed {
        tell(&format!("explain: harness explain {}", directory.display()));
    }
    let played = Exit::from(result.verdict);
    (errors, failed.map_or(played, |failed| failed.max(played)))
}

/// `3 runs: 2 passed; cgnat failed (exit status 1)`
fn closing_line(names: &[String], exits: &[Exit]) -> String {
    let passed = exits.iter().filter(|exit| **exit == Exit::Passed).count();
    let others = names.iter().zip(exits).filter(|(_, exit)| **exit != Exit::Passed);
    let others: String =
        others.map(|(name, exit)| format!("; {name} {} (exit status {})", exit.word(), exit.code())).collect();
    format!("{} runs: {passed} passed{others}", names.len())
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
        let result = RunResult::not_deployed(&fixture::plan(), "netns", ProbeOutcome::Skipped, &error);
        let failures = vec![CommandError::from(error)];
        let (errors, exit) = show_result(&result, failures, Path::new("runs/x"), Shown::Tables);
        assert_eq!((errors.len(), exit.code()), (1, 3));
    }
}
