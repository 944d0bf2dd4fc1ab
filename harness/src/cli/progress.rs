//! Progress on stderr: finished steps and whatever is remarkable as lines that stay, and where a terminal shows it, a line that changes.

use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

use butter_cli::output;
use butter_cli::terminal::Charset;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::full_screen;
use crate::events::{Event, EventKind, RunTime};
use crate::plan::{EndCondition, Plan};
use crate::progress::Progress;
use crate::report::format::seconds;
use crate::results::event_line;
use crate::results::incidents::Incident;
use crate::results::timing::{Stopwatch, TimedPart};
use crate::run::RunStatus;

/// Pause between lines about a step in a log.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Frames of the spinner; the last one is shown at the end.
const TICKS: &str = "⠁⠂⠄⡀⢀⠠⠐⠈ ";
/// Pause between changes of the line on a terminal.
const REDRAW_EVERY: Duration = Duration::from_millis(100);
/// Columns of the bar.
const BAR: usize = 16;
/// Parts of the bar's whole.
const BAR_PARTS: u64 = 1_000;

/// The lines of all runs at once.
static LINES: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
static LOUDNESS: OnceLock<Loudness> = OnceLock::new();

/// How much is shown of a run that goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loudness {
    /// What went wrong, as a message.
    Quiet,
    /// Steps, and where the run stands.
    #[default]
    Usual,
    /// Every event of the run, too.
    Verbose,
}

/// Decides it for the process, once.
pub(super) fn set_loudness(loudness: Loudness) {
    LOUDNESS.get_or_init(|| loudness);
}

/// What was decided for this terminal.
pub(super) fn loudness() -> Loudness {
    LOUDNESS.get().copied().unwrap_or_default()
}

/// Shows how one run, or another activity, gets on.
pub(super) struct ProgressDisplay {
    name: String,
    bar: Option<ProgressBar>,
    loudness: Loudness,
    activities: Stopwatch,
    total: u64,
    done: u64,
    /// When something was last shown.
    shown: Option<Instant>,
    /// When the running step began, on the run's clock.
    step_began: RunTime,
}

impl ProgressDisplay {
    /// Of an activity, or of a run of this name.
    pub(super) fn new(name: &str) -> Self {
        let loudness = loudness();
        let has_bar = output::stderr().animation && loudness > Loudness::Quiet && !full_screen::is_on();
        let bar = has_bar.then(|| {
            let bar = LINES.add(ProgressBar::new(BAR_PARTS));
            bar.set_style(style(false));
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(REDRAW_EVERY);
            bar
        });
        ProgressDisplay {
            name: name.to_owned(),
            bar,
            loudness,
            activities: Stopwatch::default(),
            total: 0,
            done: 0,
            shown: None,
            step_began: RunTime(0),
        }
    }

    /// A line to keep.
    pub(super) fn line(&self, line: &str) {
        let line = format!("{}: {line}", self.name);
        match &self.bar {
            Some(_) => LINES.suspend(|| super::tell(&line)),
            None => super::tell(&line),
        }
    }

    /// A line to keep, unless only what went wrong is wanted.
    fn usual_line(&self, line: &str) {
        if self.loudness > Loudness::Quiet {
            self.line(line);
        }
    }

    /// Something was done or seen.
    pub(super) fn event(&mut self, plan: &Plan, event: &Event) {
        if self.loudness == Loudness::Verbose
            && let Ok(value) = event_line::value(event, plan)
        {
            self.line(&event_text(event.at, &value));
        }
        match &event.kind {
            EventKind::StepBegan { step, .. } => {
                (self.shown, self.step_began) = (None, event.at);
                if self.bar.is_none() {
                    self.usual_line(&format!(
                        "step {} of {}: {}",
                        step + 1,
                        plan.steps.len(),
                        plan.steps[*step].summary
                    ));
                    self.shown = Some(Instant::now());
                }
            }
            EventKind::StepEnded { step, problem } => self.step_ended(plan, *step, problem.as_deref(), event.at),
            _ => {
                if let Some(incident) = Incident::of(event) {
                    let about = incident.about(plan).map_or(String::new(), |about| format!("{about}: "));
                    self.line(&format!("incident: {about}{}", incident.what));
                }
            }
        }
    }

    /// `✓ step 3 of 5: churn for 1m, 60.00 s`. Where every line stays, the step's own line has said what it is.
    fn step_ended(&self, plan: &Plan, step: usize, problem: Option<&str>, at: RunTime) {
        let number = step + 1;
        let took = seconds(at.as_secs_f64() - self.step_began.as_secs_f64());
        match (problem, &self.bar) {
            (Some(problem), _) => {
                self.line(&format!("{} step {number} did not end as planned: {problem}", sign(false)))
            }
            (None, Some(_)) => {
                let (all, summary) = (plan.steps.len(), &plan.steps[step].summary);
                self.usual_line(&format!("{} step {number} of {all}: {summary}, {took}", sign(true)));
            }
            (None, None) => self.usual_line(&format!("{} step {number}, {took}", sign(true))),
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
            Some(bar) => {
                self.show_part(bar, part_of_step(plan, standing, self.step_began));
                bar.set_message(output::stderr().charset.encode(&status_line(plan, standing)));
            }
            None => self.usual_line(&status_line(plan, standing)),
        }
    }

    /// Shows how much of a whole is done, where that is known.
    fn show_part(&self, bar: &ProgressBar, part: Option<f64>) {
        bar.set_style(style(part.is_some()));
        bar.set_position((part.unwrap_or(0.0).clamp(0.0, 1.0) * BAR_PARTS as f64) as u64);
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
            Some(bar) => {
                self.show_part(bar, None);
                bar.set_message(what.to_owned());
            }
            None if total > 0 => self.usual_line(&format!("{what} ({total})")),
            None => self.usual_line(what),
        }
    }

    fn advance(&mut self, done: u64) {
        self.done += done;
        if let Some(bar) = &self.bar {
            let of = if self.total > 0 { format!(" of {}", self.total) } else { String::new() };
            self.show_part(bar, (self.total > 0).then(|| self.done as f64 / self.total as f64));
            let what = self.activities.running().unwrap_or_default();
            bar.set_message(format!("{what}: {}{of}", self.done));
        }
    }

    fn note(&mut self, line: &str) {
        self.usual_line(line);
    }
}

/// How the changing line is drawn.
fn style(has_bar: bool) -> ProgressStyle {
    let is_ascii = output::stderr().charset == Charset::Ascii;
    let template = match has_bar {
        true => format!("{{spinner}} {{prefix}} {{bar:{BAR}}} {{wide_msg}}"),
        false => "{spinner} {prefix}: {wide_msg}".to_owned(),
    };
    let style = ProgressStyle::with_template(&template).expect("a template of this file");
    style.tick_chars(if is_ascii { "-\\|/ " } else { TICKS }).progress_chars(if is_ascii { "=>-" } else { "━╸─" })
}

/// Whether something went well, as a sign.
fn sign(well: bool) -> &'static str {
    match (well, output::stderr().charset) {
        (true, Charset::Utf8) => "✓",
        (false, Charset::Utf8) => "✗",
        (true, Charset::Ascii) => "ok",
        (false, Charset::Ascii) => "x",
    }
}

/// How much of a step is over that lasts for a time. Others have only a bound.
pub(super) fn part_of_step(plan: &Plan, standing: &RunStatus, began: RunTime) -> Option<f64> {
    let step = &plan.steps[standing.step?];
    let (EndCondition::Elapsed { .. } | EndCondition::Watched { .. }) = step.ends else { return None };
    let whole = standing.step_ends?.0.saturating_sub(began.0);
    (whole > 0).then(|| standing.now.0.saturating_sub(began.0) as f64 / whole as f64)
}

/// `at 12.345 s: killed node=n-3`: an event with what it is about, without its lists.
pub(super) fn event_text(at: RunTime, event: &serde_json::Value) -> String {
    let name = event["event"].as_str().unwrap_or_default().replace('_', " ");
    let fields = event.as_object().into_iter().flatten().filter(|(key, _)| !["event", "at_us"].contains(&key.as_str()));
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(_) | serde_json::Value::Bool(_) => Some(value.to_string()),
        serde_json::Value::Object(fields) => {
            fields.get("outcome").and_then(|outcome| outcome.as_str()).map(str::to_owned)
        }
        _ => None,
    };
    let fields: String = fields.filter_map(|(key, value)| Some(format!(" {key}={}", text(value)?))).collect();
    format!("at {:.3} s: {name}{fields}", at.as_secs_f64())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::NodeIndex;
    use crate::results::fixture::{event, plan};

    #[test]
    fn an_event_is_a_line_without_lists() {
        let killed = event(EventKind::Killed { node: NodeIndex(3) });
        let value = event_line::value(&killed, &plan()).unwrap();
        assert_eq!(event_text(killed.at, &value), "at 1.000 s: killed node=n-3");
    }
}
