//! Steps of a run: when each began, how long it took, and whether it ended as planned.

use serde::{Deserialize, Serialize};

use crate::events::{Event, EventKind, RunTime};
use crate::plan::Plan;

/// An entry of `steps` in `result.json`: a step that was begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepResult {
    /// The verb that names the step in the file.
    pub verb: String,
    /// One line that says what the step does.
    pub summary: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// When the step began, on the run's clock.
    pub began_s: f64,
    /// How long it took, on the run's clock; null if it did not end.
    pub took_s: Option<f64>,
    /// Why it did not end as planned, if so.
    pub error: Option<String>,
}

/// Every step that was begun.
pub(super) fn steps(plan: &Plan, events: &[Event]) -> Vec<StepResult> {
    let mut steps: Vec<(RunTime, StepResult)> = Vec::new();
    for event in events {
        match &event.kind {
            EventKind::StepBegan { step, .. } => {
                let step = &plan.steps[*step];
                let (verb, summary, line) = (step.verb.to_owned(), step.summary.clone(), step.line);
                let began_s = event.at.as_secs_f64();
                steps.push((event.at, StepResult { verb, summary, line, began_s, took_s: None, error: None }));
            }
            EventKind::StepEnded { problem, .. } => {
                if let Some((began, step)) = steps.last_mut() {
                    step.took_s = Some(RunTime(event.at.0 - began.0).as_secs_f64());
                    step.error.clone_from(problem);
                }
            }
            _ => {}
        }
    }
    steps.into_iter().map(|(_, step)| step).collect()
}

/// The errors of all steps, each with the number, verb and line of its step.
pub(super) fn errors(steps: &[StepResult]) -> Vec<String> {
    let error = |(index, step): (usize, &StepResult)| {
        let error = step.error.as_ref()?;
        Some(format!("step {} ({}, line {}): {error}", index + 1, step.verb, step.line))
    };
    steps.iter().enumerate().filter_map(error).collect()
}
