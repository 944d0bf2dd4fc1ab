//! Whether what had to hold did: verdicts over events and metrics. Nothing here has seen a backend.
//!
//! A check that cannot be measured, say because nobody asked from that network, fails and says why.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde::Serialize;

use crate::events::{Event, EventKind};
use crate::metrics::watched::Watched;
use crate::plan::{Check, Comparison, Measure, NetworkRange, Plan, Until};
use crate::results::connectivity::{Link, LinkFigures, link_cells};
use crate::results::rebind_recovery::RecoveryFigures;
use crate::results::tally::{Figures, Tally};

/// How much a measured value may miss its bound by, relative to it: `99%` of 200 is 198, whatever binary fractions say.
const TOLERANCE: f64 = 1e-9;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// As written in the file.
    pub text: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// The step in which it was evaluated; `None` at the end.
    pub step: Option<usize>,
    /// What value and bound are.
    pub unit: Unit,
    /// How they are compared.
    pub comparison: Comparison,
    /// With what the value is compared.
    pub bound: f64,
    /// As measured; `None` if that was not possible.
    pub value: Option<f64>,
    /// Whether it holds.
    pub holds: bool,
    /// Why it could not be measured.
    pub why: Option<String>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// 0..1
    Share,
    /// Seconds.
    Seconds,
    /// A number of something, or what a metric has.
    Plain,
}

/// Every check of a run: those in mid-run over what had happened until then, the others over all of it.
pub fn evaluate(plan: &Plan, events: &[Event], watched: &Watched) -> Vec<Verdict> {
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

fn judge_all(plan: &Plan, checks: &[Check], events: &[Event], watched: &Watched, step: Option<usize>) -> Vec<Verdict> {
    let tally = Tally::of(plan, events);
    checks.iter().map(|check| verdict(check, step, measure(plan, &check.measure, &tally, watched))).collect()
}

fn verdict(check: &Check, step: Option<usize>, measured: Result<f64, String>) -> Verdict {
    let measured = measured.and_then(|value| match value.is_nan() {
        true => Err("the measured value is not a number".to_owned()),
        false => Ok(value),
    });
    Verdict {
        text: check.text.clone(),
        line: check.line,
        step,
        unit: unit(&check.measure),
        comparison: check.comparison,
        bound: check.bound,
        value: measured.as_ref().ok().copied(),
        holds: measured.as_ref().is_ok_and(|&value| holds(value, check.comparison, check.bound)),
        why: measured.err(),
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

fn unit(measure: &Measure) -> Unit {
    match measure {
        Measure::Persistence | Measure::Stored | Measure::Retrieval { .. } | Measure::RetrievalWorstCell => Unit::Share,
        Measure::Linked { .. } | Measure::LinkedWorstCell { .. } | Measure::Recovered => Unit::Share,
        Measure::RetrievalLatency { .. } | Measure::LinkedAfter { .. } => Unit::Seconds,
        Measure::RecoveredAfter { .. } => Unit::Seconds,
        Measure::Copies | Measure::RetrievalMessages | Measure::Metric { .. } => Unit::Plain,
    }
}

fn measure(plan: &Plan, measure: &Measure, tally: &Tally, watched: &Watched) -> Result<f64, String> {
    let part_of = |part: usize, whole: usize, nothing: &str| match whole {
        0 => Err(nothing.to_owned()),
        whole => Ok(part as f64 / whole as f64),
    };
    let look = || tally.look.ok_or_else(|| "the nodes were never looked at".to_owned());
    let answers = Figures::of(tally.queries.iter());
    let no_answer = || "no query was answered with the right bytes".to_owned();
    match measure {
        Measure::Persistence => {
            let look = look()?;
            part_of(look.kept, look.acknowledged, "no item was acknowledged")
        }
        Measure::Stored => part_of(tally.acknowledged, tally.to_store, "no item was to be stored"),
        Measure::Copies => {
            let look = look()?;
            part_of(look.copies, look.blocks, "no item was acknowledged")
        }
        Measure::Retrieval { from, to } => retrieval(plan, tally, *from, *to),
        Measure::RetrievalWorstCell => worst_cell(plan, tally),
        Measure::RetrievalLatency { quantile } => answers.latency_s(*quantile).ok_or_else(no_answer),
        Measure::RetrievalMessages => answers.messages_mean().ok_or_else(no_answer),
        Measure::Linked { direct, from, to } => linked(plan, tally, *direct, from.as_deref(), to.as_deref()),
        Measure::LinkedWorstCell { direct } => {
            let cells = link_cells(plan, &tally.links);
            let shares = cells.values().filter_map(|links| LinkFigures::of(links.iter().copied()).share(*direct));
            shares.min_by(f64::total_cmp).ok_or_else(|| "no nodes were to be linked".to_owned())
        }
        Measure::LinkedAfter { direct, quantile } => LinkFigures::of(&tally.links)
            .after_s(*direct, *quantile)
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

/// Links over all NATs that were rebound.
fn recovered(tally: &Tally) -> Result<RecoveryFigures, String> {
    let figures = RecoveryFigures::of(&tally.rebinds);
    if figures.ends == 0 { Err("no link led through a NAT that was rebound".to_owned()) } else { Ok(figures) }
}

fn retrieval(plan: &Plan, tally: &Tally, from: Option<NetworkRange>, to: Option<NetworkRange>) -> Result<f64, String> {
    let wanted = |networks: Option<NetworkRange>, is| networks.is_none_or(|networks| networks.contains(is));
    let queries = tally.queries.iter().filter(|query| wanted(from, query.from) && wanted(to, query.to));
    Figures::of(queries).share().ok_or_else(|| {
        let place = |word: &str, networks: Option<NetworkRange>| {
            networks.map_or(String::new(), |networks| format!(" {word} {}", plan.name_of_networks(networks)))
        };
        format!("no query was made{}{}", place("from", from), place("for items stored from", to))
    })
}

/// Links of nodes of two groups, whichever of them asked.
fn linked(plan: &Plan, tally: &Tally, direct: bool, from: Option<&str>, to: Option<&str>) -> Result<f64, String> {
    let is = |group: Option<&str>, node| group.is_none_or(|group| plan.node(node).group == group);
    let between = |link: &&Link| is(from, link.from) && is(to, link.to) || is(from, link.to) && is(to, link.from);
    let share = LinkFigures::of(tally.links.iter().filter(between)).share(direct);
    share.ok_or_else(|| "no such nodes were to be linked".to_owned())
}

/// The least share of right answers of any two names of networks between which a query was made.
fn worst_cell(plan: &Plan, tally: &Tally) -> Result<f64, String> {
    let cells = tally.cells(plan);
    let shares = cells.values().filter_map(|queries| Figures::of(queries.iter().copied()).share());
    shares.min_by(f64::total_cmp).ok_or_else(|| "no query was made".to_owned())
}

#[cfg(test)]
mod tests;
