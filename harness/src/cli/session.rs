//! One run from `up` to `down`.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::backend_choice::{AnyBackend, BackendKind, BackendSetup};
use super::error::CommandError;
use super::full_screen::FullScreen;
use super::progress::ProgressDisplay;
use super::report;
use crate::backend::Backend;
use crate::checks;
use crate::events::{Event, RunTime};
use crate::lab::capture;
use crate::machine_load::LoadMonitor;
use crate::metrics::federation::Federation;
use crate::plan::{Check, Plan};
use crate::report_page::live::LivePage;
use crate::results::directory::{DirectoryError, Recorder, RunDirectory};
use crate::results::manifest::{RunDurations, RunManifest};
use crate::results::result::{RunResult, RunVerdict};
use crate::results::timing::RunTiming;
use crate::run::{RunObserver, RunSoFar, RunStatus, StopReason, StopSignal, run_plan};
use crate::series::Scrape;

/// One run that is to be played, with its options.
pub(super) struct Session {
    pub(super) manifest: RunManifest,
    pub(super) plan: Arc<Plan>,
    pub(super) directory: RunDirectory,
    pub(super) kind: BackendKind,
    pub(super) keep: bool,
    pub(super) probe: bool,
    pub(super) time_limit: Option<Duration>,
    /// The node whose datagrams are captured.
    pub(super) capture: Option<String>,
    pub(super) federation: Option<Federation>,
    /// The page that is served while the run lasts.
    pub(super) live: Option<LivePage>,
    /// Whether the run fills the terminal.
    pub(super) full_screen: bool,
}

/// How a session ended.
#[derive(Debug)]
pub(super) struct SessionOutcome {
    /// Result of the run: every end has one.
    pub(super) result: RunResult,
    /// Errors, in the order in which they happened.
    pub(super) failures: Vec<CommandError>,
    /// How long the steps took by the wall clock.
    pub(super) played_in: Duration,
}

impl Session {
    /// Plays the run. `interrupt` ends it early.
    pub(super) async fn run(self, interrupt: &StopSignal) -> SessionOutcome {
        let stop = StopSignal::default();
        let limits = [
            tokio::spawn(forward(interrupt.clone(), stop.clone())),
            tokio::spawn(limit(self.time_limit, stop.clone())),
        ];
        let outcome = self.run_until(&stop).await;
        limits.iter().for_each(|task| task.abort());
        outcome
    }

    async fn run_until(self, stop: &StopSignal) -> SessionOutcome {
        let logs = match self.write_inputs().and_then(|()| self.directory.logs()) {
            Ok(logs) => logs,
            Err(error) => return self.not_recorded(error),
        };
        if let Some(live) = &self.live {
            live.prepares(&self.plan.name, &format!("deploying on {}", self.kind.name()));
        }
        let mut failures = Vec::new();
        let screen = self.full_screen.then(|| FullScreen::enter(&self.plan, self.kind.name())).transpose();
        let screen = screen.map_err(|source| failures.push(CommandError::Screen(source))).ok().flatten();
        let mut display = ProgressDisplay::new(&self.plan.name);
        let mut timing = RunTiming::default();
        let set_up =
            BackendSetup { keep: self.keep, probe: self.probe, logs: Some(logs.clone()), ..BackendSetup::default() };
        let mut backend = AnyBackend::new(self.kind, &self.plan, set_up);
        backend.tap(&self.plan, self.capture.as_deref());
        let began = Instant::now();
        let up = tokio::select! {
            up = backend.up(&mut display) => Ok(up),
            why = stop.wait() => Err(why),
        };
        display.pause();
        timing.deploy_s = began.elapsed().as_secs_f64();
        let engine = backend.engine_version();
        let is_up = matches!(up, Ok(Ok(())));
        let result = match up {
            Ok(Ok(())) => {
                let began = Instant::now();
                let result =
                    self.play(&mut backend, &mut display, screen.as_ref(), stop, &mut timing, &mut failures).await;
                timing.play_s = began.elapsed().as_secs_f64();
                result
            }
            Ok(Err(error)) => {
                let result = RunResult::not_deployed(&self.plan, backend.name(), backend.probed(), &error);
                failures.push(error.into());
                result
            }
            Err(why) => {
                let reason = format!("{why} before the first step");
                RunResult::not_played(&self.plan, backend.name(), why.into(), reason)
            }
        };
        failures.extend(self.write_capture(&mut backend).err());
        // Before the removal, which may take long: CI may read nothing else.
        failures.extend(self.directory.write_result(&result).err().map(CommandError::from));
        let began = Instant::now();
        let kept = if self.keep && is_up { backend.keep(logs).await } else { None };
        match kept {
            Some(Ok(note)) => display.line(&note),
            Some(Err(error)) => failures.push(error.into()),
            None => failures.extend(backend.down(&mut display).await.err().map(CommandError::from)),
        }
        timing.teardown_s = began.elapsed().as_secs_f64();
        timing.activities = display.finish();
        let RunTiming { deploy_s, play_s, teardown_s, .. } = timing;
        let mut manifest =
            RunManifest { durations: Some(RunDurations { deploy_s, play_s, teardown_s }), ..self.manifest };
        manifest.machine.engine = engine;
        let written = [self.directory.write_manifest(&manifest), self.directory.write_timing(&timing)];
        failures.extend(written.into_iter().filter_map(Result::err).map(CommandError::from));
        failures.extend(report::page_of_run(self.directory.path()));
        if let Some(live) = &self.live {
            live.ended(self.directory.path());
        }
        SessionOutcome { result, failures, played_in: Duration::from_secs_f64(play_s) }
    }

    /// Writes what was captured.
    fn write_capture(&self, backend: &mut AnyBackend) -> Result<(), CommandError> {
        let Some((node, tap)) = self.capture.as_ref().zip(backend.tapped()) else { return Ok(()) };
        let path = self.directory.path().join(format!("{node}.pcapng"));
        capture::write_simulated(&path, &tap).map_err(|source| CommandError::File { path, source })
    }

    /// Writes what the run is made from, so that it can be played again even if it is cut off.
    fn write_inputs(&self) -> Result<(), DirectoryError> {
        self.directory.write_manifest(&self.manifest)?;
        self.directory.write_plan(&self.plan)
    }

    /// The directory does not take the inputs. The result, which is small, may still find room.
    fn not_recorded(&self, error: DirectoryError) -> SessionOutcome {
        let reason = butter_cli::chain::one_line(&error);
        let result = RunResult::not_played(&self.plan, self.kind.name(), RunVerdict::NotPlayed, reason);
        let written = self.directory.write_result(&result);
        let page = written.is_ok().then(|| report::page_of_run(self.directory.path())).flatten();
        if let Some(live) = &self.live {
            live.ended(self.directory.path());
        }
        let errors = [Some(error), written.err()].into_iter().flatten().map(CommandError::from);
        let failures = errors.chain(page).collect();
        SessionOutcome { result, failures, played_in: Duration::ZERO }
    }

    /// When the run's clock was zero; `None` of a simulated clock.
    fn clock_began(&self, backend: &AnyBackend) -> Option<SystemTime> {
        let passed = Duration::from_micros(backend.now().0);
        (self.kind != BackendKind::Sim).then(|| SystemTime::now().checked_sub(passed)).flatten()
    }

    async fn play(
        &self,
        backend: &mut AnyBackend,
        display: &mut ProgressDisplay,
        screen: Option<&FullScreen>,
        stop: &StopSignal,
        timing: &mut RunTiming,
        failures: &mut Vec<CommandError>,
    ) -> RunResult {
        let recorder = match Recorder::new(&self.plan, &self.directory, self.clock_began(backend)) {
            Ok(recorder) => recorder,
            Err(error) => {
                let reason = butter_cli::chain::one_line(&error);
                failures.push(error.into());
                return RunResult::not_played(&self.plan, backend.name(), RunVerdict::NotPlayed, reason);
            }
        };
        let plan = &backend.plan(&self.plan);
        if let Some(federation) = &self.federation {
            let name = self.directory.path().file_name().map_or_else(Default::default, |name| name.to_string_lossy());
            federation.begin(plan, backend.name(), &name);
        }
        if let Some(live) = &self.live {
            live.begin(plan, backend.name(), self.directory.path());
        }
        let monitor = if self.kind == BackendKind::Sim { None } else { self.monitor(failures) };
        let mut outlets =
            Outlets { plan, recorder, display, federation: self.federation.as_ref(), live: self.live.as_ref(), screen };
        let played = run_plan(plan, backend, &mut outlets, stop).await;
        let load = monitor.and_then(LoadMonitor::finish);
        let checks = checks::evaluate(plan, &played.events, &played.metric_history);
        let mut result = RunResult::of(plan, backend.name(), &played, checks);
        result.probe = backend.probed();
        if let Some(load) = load {
            result = result.on_machine(load);
        }
        match outlets.recorder.finish() {
            Ok(steps) => timing.steps = steps,
            Err(error) => failures.push(error.into()),
        }
        result
    }

    /// Observes the machine while real processes run.
    fn monitor(&self, failures: &mut Vec<CommandError>) -> Option<LoadMonitor> {
        LoadMonitor::begin().map_err(|error| failures.push(CommandError::Runtime(error))).ok()
    }
}

async fn forward(from: StopSignal, to: StopSignal) {
    to.request(from.wait().await);
}

async fn limit(limit: Option<Duration>, stop: StopSignal) {
    if let Some(limit) = limit {
        tokio::time::sleep(limit).await;
        stop.request(StopReason::TimeLimit);
    }
}

/// All observers of a run: its record, the progress display and the federated metrics.
struct Outlets<'a> {
    plan: &'a Plan,
    recorder: Recorder,
    display: &'a mut ProgressDisplay,
    federation: Option<&'a Federation>,
    live: Option<&'a LivePage>,
    screen: Option<&'a FullScreen>,
}

impl RunObserver for Outlets<'_> {
    fn event(&mut self, event: &Event) {
        self.recorder.event(event);
        self.display.event(self.plan, event);
        if let Some(federation) = self.federation {
            federation.event(&event.kind);
        }
        if let Some(live) = self.live {
            live.event(event);
        }
        if let Some(screen) = self.screen {
            screen.event(event);
        }
    }

    fn sampled(&mut self, at: RunTime, scrapes: &Arc<Vec<Scrape>>) {
        self.recorder.sampled(at, scrapes);
        if let Some(federation) = self.federation {
            federation.sampled(scrapes);
        }
        if let Some(live) = self.live {
            live.sampled(at, scrapes);
        }
        if let Some(screen) = self.screen {
            screen.sampled(at, scrapes);
        }
    }

    fn status(&mut self, status: &RunStatus) {
        self.display.status(self.plan, status);
        if let Some(federation) = self.federation {
            federation.run(status.metrics());
        }
        if let Some(live) = self.live {
            live.status(status);
        }
        if let Some(screen) = self.screen {
            screen.status(status);
        }
    }

    fn unmet(&mut self, wanted: &[Check], so_far: &RunSoFar<'_>) -> Option<String> {
        checks::unmet(wanted, so_far)
    }
}
