//! `result.json`. On a deterministic backend the same file and seed give the same bytes: no wall clock has a say in it.

use serde::Serialize;

use super::crossing::{Crossing, crossings};
use super::failures::{Failure, failures};
use super::links::{Links, links};
use super::recovery::{Recovered, recoveries};
use crate::checks::{self, Verdict};
use crate::events::{Event, EventKind, RunTime};
use crate::metrics::watched::Watched;
use crate::plan::{NetworkRange, Plan};
use crate::probe::Probed;
use crate::results::tally::{Figures, Query, Tally, Trouble, ratio};
use crate::run::{RunEnd, RunRecord, StopReason};

#[cfg(test)]
mod tests;

/// Version of the shape of `result.json`: raised when a field changes its meaning or goes, not when one is added.
pub const SCHEMA_VERSION: u32 = 1;
/// Most troubles told in full; all of them are in `events.jsonl`.
const TROUBLES_MAX: usize = 100;

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunResult {
    /// [`SCHEMA_VERSION`]
    pub schema_version: u32,
    /// Of the topology.
    pub name: String,
    /// One line, from the file.
    pub description: String,
    /// In one word.
    pub verdict: Outcome,
    /// `docker`, `netns`, `sim`.
    pub backend: String,
    /// What came of the self-probe of the routers.
    pub probe: Probed,
    /// Decides everything random.
    pub seed: u64,
    /// SHA-256 of the file's text.
    pub file_hash: String,
    /// The run's clock at the end.
    pub run_s: f64,
    /// What went otherwise than planned in a step, each with the step.
    pub problems: Vec<String>,
    /// Every check with its bound and value.
    pub checks: Vec<Verdict>,
    /// What was stored and kept.
    pub persistence: Persistence,
    /// All queries together.
    pub retrieval: Retrieval,
    /// Queries by where they were asked; networks without queries are left out.
    pub asked: Vec<Asked>,
    /// Queries by where they were asked and where their item was stored; pairs without queries are left out.
    pub matrix: Vec<Cell>,
    /// Links of cross steps, by the groups of their two nodes.
    pub crossings: Vec<Crossing>,
    /// Links over NATs that were rebound, by rebind.
    pub recoveries: Vec<Recovered>,
    /// How links ran, by network, when last sampled.
    pub links: Vec<Links>,
    /// Why puts, gets and links failed, the most frequent reason first; at most a hundred.
    pub failures: Vec<Failure>,
    /// What happened to nodes.
    pub nodes: Nodes,
    /// Every step that was begun.
    pub steps: Vec<StepResult>,
    /// What did not come about, or came about by itself: the first hundred.
    pub troubles: Vec<TroubleResult>,
    /// All of them.
    pub troubles_total: usize,
}

/// A run in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every check holds, and every step went as planned.
    Passed,
    /// Not so.
    Failed,
    /// The user ended it.
    Interrupted,
    /// It took longer than it was allowed to.
    TimeLimit,
    /// Nothing was played: the environment failed, or a router does not behave as declared.
    NotPlayed,
}

/// What was stored and kept.
#[derive(Clone, Debug, Serialize)]
pub struct Persistence {
    /// Items to be stored.
    pub items: usize,
    /// Of those, acknowledged.
    pub acknowledged: usize,
    /// Of those, kept: a live node holds every block.
    pub kept: usize,
    /// `kept / acknowledged`
    pub share: Option<f64>,
    /// Live copies per block of the acknowledged items.
    pub copies_mean: Option<f64>,
    /// Most live copies of one block.
    pub copies_max: usize,
}

/// A set of queries.
#[derive(Clone, Debug, Serialize)]
pub struct Retrieval {
    /// How many.
    pub queries: u64,
    /// Answered with the right bytes.
    pub found: u64,
    /// Answered with other bytes.
    pub wrong_bytes: u64,
    /// The node said that nobody has it.
    pub not_found: u64,
    /// No answer in time.
    pub timed_out: u64,
    /// The asking node could not be asked.
    pub unasked: u64,
    /// `found / queries`
    pub share: Option<f64>,
    /// How long right answers took, in seconds.
    pub latency_s: Latency,
    /// Query messages of a right answer.
    pub messages_mean: Option<f64>,
    /// Hops to whoever had the first block, of a right answer.
    pub hops_mean: Option<f64>,
}

/// Quantiles by nearest rank.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
}

/// Queries from one network.
#[derive(Clone, Debug, Serialize)]
pub struct Asked {
    /// Where they were asked.
    pub from: String,
    /// Their figures.
    #[serde(flatten)]
    pub retrieval: Retrieval,
}

/// Queries from one network for items stored from another.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// Where they were asked.
    pub from: String,
    /// Where the node is that stored the item.
    pub to: String,
    /// Their figures.
    #[serde(flatten)]
    pub retrieval: Retrieval,
}

/// What happened to nodes.
#[derive(Clone, Debug, Serialize)]
pub struct Nodes {
    /// Running from the start.
    pub from_start: usize,
    /// Started later.
    pub started: u64,
    /// Killed.
    pub killed: u64,
    /// Left in good order.
    pub stopped: u64,
    /// Running when last looked at.
    pub live: usize,
}

/// A step that was begun.
#[derive(Clone, Debug, Serialize)]
pub struct StepResult {
    /// Its verb.
    pub verb: &'static str,
    /// One line.
    pub title: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// When it began, by the run's clock.
    pub began_s: f64,
    /// How long it took, by the run's clock.
    pub took_s: Option<f64>,
    /// Why it ended otherwise than planned.
    pub problem: Option<String>,
}

/// One thing that went wrong.
#[derive(Clone, Debug, Serialize)]
pub struct TroubleResult {
    /// When, by the run's clock.
    pub at_s: f64,
    /// About which node.
    pub node: Option<String>,
    /// What, for a person.
    pub what: String,
}

impl RunResult {
    /// Of a run on a backend of this name.
    pub fn of(plan: &Plan, backend: &str, played: &RunRecord) -> Self {
        let tally = Tally::of(plan, &played.events);
        let steps = steps(plan, &played.events);
        let problems: Vec<String> = steps.iter().enumerate().filter_map(|(index, step)| problem(index, step)).collect();
        let checks = checks::evaluate(plan, &played.events, &played.watched);
        RunResult {
            schema_version: SCHEMA_VERSION,
            name: plan.name.clone(),
            description: plan.description.clone(),
            verdict: outcome(&played.ended, &problems, &checks),
            backend: backend.to_owned(),
            probe: Probed::default(),
            seed: plan.seed,
            file_hash: plan.file_hash.clone(),
            run_s: tally.end.as_secs_f64(),
            problems,
            checks,
            persistence: persistence(&tally),
            retrieval: retrieval(tally.queries.iter()),
            asked: asked(plan, &tally.queries),
            matrix: matrix(plan, &tally),
            crossings: crossings(plan, &tally.links),
            recoveries: recoveries(plan, &tally.rebinds),
            links: played.last_sample.as_ref().map_or_else(Vec::new, |(_, scrapes)| links(plan, scrapes)),
            failures: failures(&played.events),
            nodes: nodes(plan, &tally),
            steps,
            troubles: tally.troubles.iter().take(TROUBLES_MAX).map(|trouble| told(plan, trouble)).collect(),
            troubles_total: tally.troubles.len(),
        }
    }

    /// Of a run that could not be brought up, and why.
    pub fn not_played(plan: &Plan, backend: &str, probe: Probed, why: &anyhow::Error) -> Self {
        let nothing =
            RunRecord { events: Vec::new(), watched: Watched::default(), last_sample: None, ended: RunEnd::GaveUp };
        RunResult {
            verdict: Outcome::NotPlayed,
            probe: why.downcast_ref().cloned().map_or(probe, Probed::Refused),
            problems: vec![format!("{why:#}")],
            checks: Vec::new(),
            ..RunResult::of(plan, backend, &nothing)
        }
    }

    /// As `result.json` has it.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain data is always JSON");
        text.push('\n');
        text
    }
}

fn outcome(ended: &RunEnd, problems: &[String], checks: &[Verdict]) -> Outcome {
    match ended {
        RunEnd::Stopped(StopReason::Interrupted) => Outcome::Interrupted,
        RunEnd::Stopped(StopReason::TimeLimit) => Outcome::TimeLimit,
        RunEnd::Finished if problems.is_empty() && checks.iter().all(|check| check.holds) => Outcome::Passed,
        RunEnd::Finished | RunEnd::GaveUp => Outcome::Failed,
    }
}

fn steps(plan: &Plan, events: &[Event]) -> Vec<StepResult> {
    let mut steps: Vec<(RunTime, StepResult)> = Vec::new();
    for event in events {
        match &event.kind {
            EventKind::StepBegan { step, .. } => {
                let step = &plan.steps[*step];
                let (verb, title, line) = (step.verb, step.title.clone(), step.line);
                let began_s = event.at.as_secs_f64();
                steps.push((event.at, StepResult { verb, title, line, began_s, took_s: None, problem: None }));
            }
            EventKind::StepEnded { problem, .. } => {
                if let Some((began, step)) = steps.last_mut() {
                    step.took_s = Some(RunTime(event.at.0 - began.0).as_secs_f64());
                    step.problem.clone_from(problem);
                }
            }
            _ => {}
        }
    }
    steps.into_iter().map(|(_, step)| step).collect()
}

fn problem(index: usize, step: &StepResult) -> Option<String> {
    step.problem.as_ref().map(|problem| format!("step {} ({}, line {}): {problem}", index + 1, step.verb, step.line))
}

fn persistence(tally: &Tally) -> Persistence {
    let look = tally.look.as_ref();
    Persistence {
        items: tally.to_store,
        acknowledged: tally.acknowledged,
        kept: look.map_or(0, |look| look.kept),
        share: look.and_then(|look| ratio(look.kept as u64, look.acknowledged as u64)),
        copies_mean: look.and_then(|look| ratio(look.copies as u64, look.blocks as u64)),
        copies_max: look.map_or(0, |look| look.copies_max),
    }
}

fn retrieval<'a>(queries: impl Iterator<Item = &'a Query>) -> Retrieval {
    let figures = Figures::of(queries);
    Retrieval {
        queries: figures.outcomes.total(),
        found: figures.outcomes.found,
        wrong_bytes: figures.outcomes.wrong_bytes,
        not_found: figures.outcomes.not_found,
        timed_out: figures.outcomes.timed_out,
        unasked: figures.outcomes.unasked,
        share: figures.share(),
        latency_s: Latency { p50: figures.latency_s(0.5), p95: figures.latency_s(0.95), max: figures.latency_s(1.0) },
        messages_mean: figures.messages_mean(),
        hops_mean: figures.hops_mean(),
    }
}

fn asked(plan: &Plan, queries: &[Query]) -> Vec<Asked> {
    let from = |(name, networks): (&str, NetworkRange)| Asked {
        from: name.to_owned(),
        retrieval: retrieval(queries.iter().filter(|query| networks.contains(query.from))),
    };
    plan.network_groups().into_iter().map(from).filter(|asked| asked.retrieval.queries > 0).collect()
}

fn matrix(plan: &Plan, tally: &Tally) -> Vec<Cell> {
    let names = plan.network_groups();
    let cell = |((from, to), queries): ((usize, usize), Vec<&Query>)| Cell {
        from: names[from].0.to_owned(),
        to: names[to].0.to_owned(),
        retrieval: retrieval(queries.into_iter()),
    };
    tally.cells(plan).into_iter().map(cell).filter(|cell| cell.retrieval.queries > 0).collect()
}

fn nodes(plan: &Plan, tally: &Tally) -> Nodes {
    Nodes {
        from_start: plan.nodes.iter().filter(|node| node.from_start).count(),
        started: tally.started,
        killed: tally.killed,
        stopped: tally.stopped,
        live: tally.look.map_or(0, |look| look.live),
    }
}

fn told(plan: &Plan, trouble: &Trouble) -> TroubleResult {
    TroubleResult {
        at_s: trouble.at.as_secs_f64(),
        node: trouble.node.map(|node| plan.node(node).name.clone()),
        what: trouble.what.clone(),
    }
}
