//! Progress on stderr: a line that changes where a terminal shows it, lines that stay where a log keeps them.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use butter_cli::output;
use butter_cli::terminal::Charset;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::events::{Event, EventKind};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::results::incidents::Incident;
use crate::results::timing::{Stopwatch, TimedPart};
use crate::run::RunStatus;

/// Pause between lines about a step in a log.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Frames of the spinner; the last one is shown at the end.
const TICKS: &str = "⠁⠂⠄⡀⢀⠠⠐⠈ ";
/// Pause between changes of the line on a terminal.
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// The lines of all runs at once.
static LINES: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Shows how one run, or another activity, gets on.
pub(super) struct ProgressDisplay {
    name: String,
    bar: Option<ProgressBar>,
    activities: Stopwatch,
    total: u64,
    done: u64,
    /// When something was last shown.
    shown: Option<Instant>,
}

impl ProgressDisplay {
    /// Of an activity, or of a run of this name.
    pub(super) fn new(name: &str) -> Self {
        let bar = output::stderr().animation.then(|| {
            let bar = LINES.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("{spinner} {prefix}: {wide_msg}").expect("a constant template");
            let ticks = if output::stderr().charset == Charset::Ascii { "-\\|/ " } else { TICKS };
            bar.set_style(style.tick_chars(ticks));
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(REDRAW_EVERY);
            bar
        });
        ProgressDisplay { name: name.to_owned(), bar, activities: Stopwatch::default(), total: 0, done: 0, shown: None }
    }

    /// A line to keep.
    pub(super) fn line(&self, line: &str) {
        let line = format!("{}: {line}", self.name);
        match &self.bar {
            Some(_) => LINES.suspend(|| super::tell(&line)),
            None => super::tell(&line),
        }
    }

    /// Something was done or seen.
    pub(super) fn event(&mut self, plan: &Plan, event: &Event) {
        match &event.kind {
            EventKind::StepBegan { step, .. } => {
                self.shown = None;
                if self.bar.is_none() {
                    self.line(&format!("step {} of {}: {}", step + 1, plan.steps.len(), plan.steps[*step].summary));
                    self.shown = Some(Instant::now());
                }
            }
            EventKind::StepEnded { step, problem: Some(problem) } => {
                self.line(&format!("step {} did not end as planned: {problem}", step + 1));
            }
            _ => {
                if let Some(incident) = Incident::of(event) {
                    let about = incident.about(plan).map_or(String::new(), |about| format!("{about}: "));
                    self.line(&format!("incident: {about}{}", incident.what));
                }
            }
        }
    }

    /// Time has passed, or something changed.
    pub(super) fn status(&mut self, plan: &Plan, standing: &RunStatus) {
        let pause = if self.bar.is_some() { REDRAW_EVERY } else { LINE_EVERY };
        if standing.step.is_none() || self.shown.is_some_and(|shown| shown.elapsed() < pause) {
            return;
        }
        self.shown = Some(Instant::now());
        match &self.bar {
            Some(bar) => bar.set_message(output::stderr().charset.encode(&status_line(plan, standing))),
            None => self.line(&status_line(plan, standing)),
        }
    }

    /// The line goes; how long each activity took.
    pub(super) fn finish(self) -> Vec<TimedPart> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            LINES.remove(bar);
        }
        self.activities.finish()
    }

    /// Ends the running activity.
    pub(super) fn pause(&mut self) {
        self.activities.end();
    }
}

impl Progress for ProgressDisplay {
    fn begin(&mut self, what: &str, total: u64) {
        self.activities.begin(what);
        (self.total, self.done) = (total, 0);
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None if total > 0 => self.line(&format!("{what} ({total})")),
            None => self.line(what),
        }
    }

    fn advance(&mut self, done: u64) {
        self.done += done;
        if let Some(bar) = &self.bar {
            let of = if self.total > 0 { format!(" of {}", self.total) } else { String::new() };
            let what = self.activities.running().unwrap_or_default();
            bar.set_message(format!("{what}: {}{of}", self.done));
        }
    }

    fn note(&mut self, line: &str) {
        self.line(line);
    }
}

/// A longer bound is not shown: it is that of many attempts, each of which may take its whole time.
const SHOWN_BOUND_MAX_S: u64 = 600;

/// `step 3 of 5, churn: at most 42 s left · 16 nodes · 60 of 60 items persistent · 12 queries, 12 successful`
fn status_line(plan: &Plan, standing: &RunStatus) -> String {
    let mut parts = Vec::new();
    if let Some(index) = standing.step {
        let left = standing.step_ends.map_or(0, |ends| ends.0.saturating_sub(standing.now.0)).div_ceil(1_000_000);
        let (number, all, verb) = (index + 1, plan.steps.len(), plan.steps[index].verb);
        let bound = if left <= SHOWN_BOUND_MAX_S { format!(": at most {left} s left") } else { String::new() };
        parts.push(format!("step {number} of {all}, {verb}{bound}"));
    }
    parts.push(format!("{} nodes", standing.live));
    match standing.persistent {
        Some((kept, acknowledged)) if acknowledged > 0 => {
            parts.push(format!("{kept} of {acknowledged} items persistent, {} lost", acknowledged - kept));
        }
        _ if standing.acknowledged > 0 => parts.push(format!("{} items stored", standing.acknowledged)),
        _ => {}
    }
    if standing.queries.total() > 0 {
        parts.push(format!("{} queries, {} successful", standing.queries.total(), standing.queries.found));
    }
    parts.join(" · ")
}
