//! Evaluates the checks of a run.

use super::check::Measurements;
use super::family;
use crate::events::{Event, EventKind};
use crate::metrics::history::MetricHistory;
use crate::plan::{Check, Comparison, EndCondition, Plan};
use crate::results::check_result::CheckResult;
use crate::results::tally::Tally;
use crate::run::RunSoFar;

/// How much a value may miss its bound by, relative to the bound: `99%` of 200 is 198, whatever binary fractions say.
const TOLERANCE: f64 = 1e-9;

/// Evaluates every check: those of `check` steps on the events until then, the others on all events.
pub fn evaluate(plan: &Plan, events: &[Event], metrics: &MetricHistory) -> Vec<CheckResult> {
    let mut results = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let EndCondition::Checked { checks } = &step.ends else { continue };
        let is_end = |event: &Event| matches!(event.kind, EventKind::StepEnded { step, .. } if step == index);
        match events.iter().position(is_end) {
            Some(end) => results.extend(evaluate_on(plan, checks, &events[..end], metrics, Some(index))),
            None => {
                let unreached = || Err("the run did not reach this step".to_owned());
                results.extend(checks.iter().map(|check| result(check, Some(index), unreached())));
            }
        }
    }
    results.extend(evaluate_on(plan, &plan.checks, events, metrics, None));
    results
}

/// The first of these checks that does not hold by what has happened so far, with what was measured; `None` if all hold.
pub fn unmet(wanted: &[Check], so_far: &RunSoFar<'_>) -> Option<String> {
    let RunSoFar { plan, events, metric_history } = *so_far;
    let unmet = evaluate_on(plan, wanted, events, metric_history, None).into_iter().find(|result| !result.passed)?;
    Some(format!("{}: {}", unmet.text, unmet.measured_text()))
}

fn evaluate_on(
    plan: &Plan,
    checks: &[Check],
    events: &[Event],
    metrics: &MetricHistory,
    step: Option<usize>,
) -> Vec<CheckResult> {
    let tally = Tally::of(plan, events);
    let run = Measurements { plan, tally: &tally, metrics };
    let judged = |check: &Check| {
        let family = family(check.measure.family);
        let mut judged = result(check, step, family.evaluate(&check.measure, &run));
        judged.exercised |= family.was_exercised(&run);
        if !judged.passed {
            judged.failures = family.failures(&check.measure, &run);
        }
        judged
    };
    checks.iter().map(judged).collect()
}

fn result(check: &Check, step: Option<usize>, measured: Result<f64, String>) -> CheckResult {
    let measured = measured.and_then(|value| match value.is_nan() {
        true => Err("the measured value is not a number".to_owned()),
        false => Ok(value),
    });
    CheckResult {
        text: check.text.clone(),
        line: check.line,
        step,
        unit: family(check.measure.family).unit(&check.measure),
        comparison: check.comparison,
        bound: check.bound,
        value: measured.as_ref().ok().copied(),
        exercised: measured.is_ok(),
        passed: measured.as_ref().is_ok_and(|&value| passes(value, check.comparison, check.bound)),
        reason: measured.err(),
        failures: None,
    }
}

pub(super) fn passes(value: f64, comparison: Comparison, bound: f64) -> bool {
    let slack = TOLERANCE * bound.abs().max(1.0);
    match comparison {
        Comparison::AtLeast => value >= bound - slack,
        Comparison::Above => value > bound + slack,
        Comparison::AtMost => value <= bound + slack,
        Comparison::Below => value < bound - slack,
        Comparison::Equal => (value - bound).abs() <= slack,
    }
}
