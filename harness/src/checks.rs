//! Whether what had to hold did: verdicts over events and metrics. Nothing here has seen a backend.
//!
//! A check that cannot be measured, say because nobody asked from that network, fails and says why.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::events::{Event, EventKind};
use crate::metrics::watched::Watched;
use crate::plan::{Check, Comparison, Measure, NetworkRange, Plan, Until};
use crate::results::check_result::{CheckResult, CheckUnit};
use crate::results::connectivity::{ConnectivityFigures, LinkClass, LinkTest};
use crate::results::queries::QueryFigures;
use crate::results::rebind_recovery::RecoveryFigures;
use crate::results::tally::Tally;
use crate::statistics::ratio;

/// How much a measured value may miss its bound by, relative to it: `99%` of 200 is 198, whatever binary fractions say.
const TOLERANCE: f64 = 1e-9;

/// Every check of a run: those in mid-run over what had happened until then, the others over all of it.
pub fn evaluate(plan: &Plan, events: &[Event], watched: &Watched) -> Vec<CheckResult> {
    let mut verdicts = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let Until::Checked { checks } = &step.until else { continue };
        let is_end = |event: &Event| matches!(event.kind, EventKind::StepEnded { step, .. } if step == index);
        match events.iter().position(is_end) {
            Some(end) => verdicts.extend(judge_all(plan, checks, &events[..end], watched, Some(index))),
            None => {
                let unreached = || Err("the run did not get there".to_owned());
                verdicts.extend(checks.iter().map(|check| verdict(check, Some(index), unreached())));
            }
        }
    }
    verdicts.extend(judge_all(plan, &plan.checks, events, watched, None));
    verdicts
}

fn judge_all(
    plan: &Plan,
    checks: &[Check],
    events: &[Event],
    watched: &Watched,
    step: Option<usize>,
) -> Vec<CheckResult> {
    let tally = Tally::of(plan, events);
    checks.iter().map(|check| verdict(check, step, measure(plan, &check.measure, &tally, watched))).collect()
}

fn verdict(check: &Check, step: Option<usize>, measured: Result<f64, String>) -> CheckResult {
    let measured = measured.and_then(|value| match value.is_nan() {
        true => Err("the measured value is not a number".to_owned()),
        false => Ok(value),
    });
    CheckResult {
        text: check.text.clone(),
        line: check.line,
        step,
        unit: unit(&check.measure),
        comparison: check.comparison,
        bound: check.bound,
        value: measured.as_ref().ok().copied(),
        passed: measured.as_ref().is_ok_and(|&value| holds(value, check.comparison, check.bound)),
        reason: measured.err(),
    }
}

fn holds(value: f64, comparison: Comparison, bound: f64) -> bool {
    let slack = TOLERANCE * bound.abs().max(1.0);
    match comparison {
        Comparison::AtLeast => value >= bound - slack,
        Comparison::Above => value > bound + slack,
        Comparison::AtMost => value <= bound + slack,
        Comparison::Below => value < bound - slack,
        Comparison::Equal => (value - bound).abs() <= slack,
    }
}

fn unit(measure: &Measure) -> CheckUnit {
    match measure {
        Measure::Persistence | Measure::Stored | Measure::Retrieval { .. } | Measure::RetrievalWorstCell => {
            CheckUnit::Share
        }
        Measure::Linked { .. } | Measure::LinkedWorstCell { .. } | Measure::Recovered => CheckUnit::Share,
        Measure::RetrievalLatency { .. } | Measure::LinkedAfter { .. } => CheckUnit::Seconds,
        Measure::RecoveredAfter { .. } => CheckUnit::Seconds,
        Measure::Copies | Measure::RetrievalMessages | Measure::Metric { .. } => CheckUnit::Plain,
    }
}

fn measure(plan: &Plan, measure: &Measure, tally: &Tally, watched: &Watched) -> Result<f64, String> {
    let part_of =
        |part: usize, whole: usize, nothing: &str| ratio(part as u64, whole as u64).ok_or_else(|| nothing.to_owned());
    let snapshot = || tally.items.snapshot.ok_or_else(|| "no snapshot of the nodes was taken".to_owned());
    let queries = QueryFigures::of(&tally.queries.queries);
    let no_success = || "no query succeeded".to_owned();
    match measure {
        Measure::Persistence => {
            let snapshot = snapshot()?;
            part_of(snapshot.persistent, snapshot.acknowledged, "no item was acknowledged")
        }
        Measure::Stored => part_of(tally.items.acknowledged.len(), tally.items.planned, "no item was to be stored"),
        Measure::Copies => {
            let snapshot = snapshot()?;
            part_of(snapshot.copies, snapshot.blocks, "no item was acknowledged")
        }
        Measure::Retrieval { from, to } => retrieval(plan, tally, *from, *to),
        Measure::RetrievalWorstCell => worst_cell(plan, tally),
        Measure::RetrievalLatency { quantile } => queries.latency_s(*quantile).ok_or_else(no_success),
        Measure::RetrievalMessages => queries.messages_mean().ok_or_else(no_success),
        Measure::Linked { direct, from, to } => linked(plan, tally, class(*direct), from.as_deref(), to.as_deref()),
        Measure::LinkedWorstCell { direct } => {
            let pairs = tally.connectivity.by_pair(plan);
            let shares = pairs.into_values().filter_map(|tests| ConnectivityFigures::of(tests).share(class(*direct)));
            shares.min_by(f64::total_cmp).ok_or_else(|| "no nodes were to be linked".to_owned())
        }
        Measure::LinkedAfter { direct, quantile } => ConnectivityFigures::of(&tally.connectivity.tests)
            .after_s(class(*direct), *quantile)
            .ok_or_else(|| "no such link came about".to_owned()),
        Measure::Recovered => recovered(tally).map(|figures| figures.share().expect("it has ends")),
        Measure::RecoveredAfter { quantile } => recovered(tally)?
            .after_s(*quantile)
            .ok_or_else(|| "fewer ends of links than that got an answer again".to_owned()),
        Measure::Metric { name, over } => watched
            .aggregate(name, *over, tally.end)
            .ok_or_else(|| format!("no node or router tells a metric '{name}'")),
    }
}

fn class(direct: bool) -> LinkClass {
    if direct { LinkClass::Direct } else { LinkClass::Connected }
}

/// Links over all NATs that were rebound.
fn recovered(tally: &Tally) -> Result<RecoveryFigures, String> {
    let figures = RecoveryFigures::of(&tally.rebinds.rebinds);
    if figures.link_ends == 0 { Err("no link led through a NAT that was rebound".to_owned()) } else { Ok(figures) }
}

fn retrieval(plan: &Plan, tally: &Tally, from: Option<NetworkRange>, to: Option<NetworkRange>) -> Result<f64, String> {
    let wanted = |networks: Option<NetworkRange>, is| networks.is_none_or(|networks| networks.contains(is));
    let queries = tally.queries.queries.iter().filter(|query| wanted(from, query.from) && wanted(to, query.to));
    QueryFigures::of(queries).success_share().ok_or_else(|| {
        let place = |word: &str, networks: Option<NetworkRange>| {
            networks.map_or(String::new(), |networks| format!(" {word} {}", plan.name_of_networks(networks)))
        };
        format!("no query was made{}{}", place("from", from), place("for items stored from", to))
    })
}

/// Links of nodes of two groups, whichever of them asked.
fn linked(plan: &Plan, tally: &Tally, class: LinkClass, from: Option<&str>, to: Option<&str>) -> Result<f64, String> {
    let is = |group: Option<&str>, node| group.is_none_or(|group| plan.node(node).group == group);
    let between = |link: &&LinkTest| is(from, link.from) && is(to, link.to) || is(from, link.to) && is(to, link.from);
    let share = ConnectivityFigures::of(tally.connectivity.tests.iter().filter(between)).share(class);
    share.ok_or_else(|| "no such nodes were to be linked".to_owned())
}

/// The least share of right answers of any two names of networks between which a query was made.
fn worst_cell(plan: &Plan, tally: &Tally) -> Result<f64, String> {
    let pairs = tally.queries.by_pair(plan);
    let shares = pairs.into_values().filter_map(|queries| QueryFigures::of(queries).success_share());
    shares.min_by(f64::total_cmp).ok_or_else(|| "no query was made".to_owned())
}

#[cfg(test)]
mod tests;
