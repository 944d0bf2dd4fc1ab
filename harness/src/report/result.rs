//! `result.json`. On a deterministic backend the same file and seed give the same bytes: no wall clock has a say in it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::crossing::{Crossing, crossings};
use crate::backend::{Scrape, Source};
use crate::checks::{self, Verdict};
use crate::events::{Event, EventKind, LinkResult, Retrieved, RunTime};
use crate::observe::tally::{Figures, Query, Tally, Trouble, ratio};
use crate::plan::{NetworkRange, Plan};
use crate::play::{Ended, Played, Stopped};
use crate::probe::Probed;

/// Version of the shape of `result.json`: raised when a field changes its meaning or goes, not when one is added.
pub const SCHEMA_VERSION: u32 = 1;
/// Most troubles told in full; all of them are in `events.jsonl`.
const TROUBLES_MAX: usize = 100;
/// Most reasons told.
const FAILURES_MAX: usize = 100;

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

/// Links of one network's nodes, by how they ran.
#[derive(Clone, Debug, Serialize)]
pub struct Links {
    /// Whose nodes.
    pub network: String,
    /// Nodes that told.
    pub nodes: usize,
    /// Within the LAN.
    pub lan: u64,
    /// Dialled as told.
    pub direct: u64,
    /// Through a port that a NAT was asked to forward.
    pub mapped: u64,
    /// Punched through NATs.
    pub punched: u64,
    /// To a port that was predicted.
    pub predicted: u64,
    /// Through a relay.
    pub relayed: u64,
}

/// Puts, gets or links that failed for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// `put`, `get`, `link`.
    pub what: &'static str,
    /// For a person.
    pub why: String,
    /// How many.
    pub count: u64,
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
    pub fn of(plan: &Plan, backend: &str, played: &Played) -> Self {
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
            links: played.last_sample.as_ref().map_or_else(Vec::new, |(_, scrapes)| links(plan, scrapes)),
            failures: failures(&played.events),
            nodes: nodes(plan, &tally),
            steps,
            troubles: tally.troubles.iter().take(TROUBLES_MAX).map(|trouble| told(plan, trouble)).collect(),
            troubles_total: tally.troubles.len(),
        }
    }

    /// As `result.json` has it.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain data is always JSON");
        text.push('\n');
        text
    }
}

fn outcome(ended: &Ended, problems: &[String], checks: &[Verdict]) -> Outcome {
    match ended {
        Ended::Stopped(Stopped::Interrupted) => Outcome::Interrupted,
        Ended::Stopped(Stopped::TimeLimit) => Outcome::TimeLimit,
        Ended::Finished if problems.is_empty() && checks.iter().all(|check| check.holds) => Outcome::Passed,
        Ended::Finished | Ended::GaveUp => Outcome::Failed,
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

fn links(plan: &Plan, scrapes: &[Scrape]) -> Vec<Links> {
    let of = |(name, networks): (&str, NetworkRange)| {
        let here = |scrape: &&Scrape| match scrape.source {
            Source::Node(node) => networks.contains(plan.node(node).network),
            Source::Router(_) => false,
        };
        let scrapes: Vec<&Scrape> = scrapes.iter().filter(here).collect();
        let count = |path: &str| scrapes.iter().map(|scrape| links_by(scrape, path)).sum::<f64>() as u64;
        Links {
            network: name.to_owned(),
            nodes: scrapes.len(),
            lan: count("lan"),
            direct: count("direct"),
            mapped: count("mapped"),
            punched: count("punched"),
            predicted: count("predicted"),
            relayed: count("relayed"),
        }
    };
    plan.network_groups().into_iter().map(of).filter(|links| links.nodes > 0).collect()
}

fn links_by(scrape: &Scrape, path: &str) -> f64 {
    let by_path = |(name, value): &(std::sync::Arc<str>, std::sync::Arc<str>)| &**name == "path" && &**value == path;
    let links =
        scrape.series.iter().filter(|series| &*series.name == "butter_links" && series.labels.iter().any(by_path));
    links.map(|series| series.value).sum()
}

fn failures(events: &[Event]) -> Vec<Failure> {
    let mut counts: BTreeMap<(&'static str, &str), u64> = BTreeMap::new();
    for event in events {
        let failed = match &event.kind {
            EventKind::Stored { result: Err(why), .. } => Some(("put", why.as_str())),
            EventKind::Linked { result: LinkResult::Down { why }, .. } => Some(("link", why.as_str())),
            EventKind::Retrieved { result, .. } => retrieval_failure(result).map(|why| ("get", why)),
            _ => None,
        };
        if let Some(failed) = failed {
            *counts.entry(failed).or_default() += 1;
        }
    }
    let failure = |((what, why), count): ((&'static str, &str), u64)| Failure { what, why: why.to_owned(), count };
    let mut failures: Vec<Failure> = counts.into_iter().map(failure).collect();
    failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
    failures.truncate(FAILURES_MAX);
    failures
}

fn retrieval_failure(result: &Retrieved) -> Option<&str> {
    match result {
        Retrieved::Found { .. } => None,
        Retrieved::WrongBytes => Some("other bytes came than were stored"),
        Retrieved::NotFound => Some("the node says that nobody has it"),
        Retrieved::TimedOut => Some("no answer in time"),
        Retrieved::Unasked { why } => Some(why),
        Retrieved::NeverStored => Some("not asked for, as its put was never acknowledged"),
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::observe::fixture::{
        self, Told, found, looked, retrieved, scrape, started, step_began, step_ended, stored,
    };
    use crate::observe::watched::Watched;
    use crate::plan::NodeIndex;

    pub(crate) fn played(events: Vec<Event>) -> Played {
        let links = |index, lan, relayed| {
            let told: [Told<'_>; 2] =
                [("butter_links", &[("path", "lan")], lan), ("butter_links", &[("path", "relayed")], relayed)];
            scrape(Source::Node(NodeIndex(index)), &told)
        };
        let scrapes = Arc::new(vec![links(0, 1.0, 0.0), links(1, 1.0, 0.0), links(2, 0.0, 3.0)]);
        Played { events, watched: Watched::default(), last_sample: Some((RunTime(0), scrapes)), ended: Ended::Finished }
    }

    fn good() -> Vec<Event> {
        vec![
            started(0),
            step_began(0),
            stored(0, true),
            stored(1, true),
            step_ended(0),
            step_began(1),
            retrieved(0, 2, 40_000, found(2, 6)),
            retrieved(1, 2, 20_000, found(1, 2)),
            retrieved(1, 0, 20_000, Retrieved::NotFound),
            step_ended(1),
            looked(2, 2),
        ]
    }

    #[test]
    fn totals_matrix_and_links_follow_from_the_record() {
        let result = RunResult::of(&fixture::plan(), "sim", &played(good()));
        assert_eq!(result.verdict, Outcome::Passed);
        let persistence = &result.persistence;
        assert_eq!((persistence.items, persistence.acknowledged, persistence.kept), (2, 2, 2));
        assert_eq!((persistence.share, persistence.copies_mean, persistence.copies_max), (Some(1.0), Some(3.0), 4));
        assert_eq!((result.retrieval.queries, result.retrieval.share), (3, Some(2.0 / 3.0)));
        let cells: Vec<_> = result.matrix.iter().map(|c| (&*c.from, &*c.to, c.retrieval.found)).collect();
        assert_eq!(cells, [("alpha", "beta", 0), ("beta", "alpha", 1), ("beta", "beta", 1)]);
        assert_eq!(result.matrix[1].retrieval.latency_s.p95, Some(0.04));
        assert_eq!(
            result.failures,
            [Failure { what: "get", why: "the node says that nobody has it".to_owned(), count: 1 }]
        );
        let links: Vec<_> = result.links.iter().map(|l| (&*l.network, l.nodes, l.lan, l.relayed)).collect();
        assert_eq!(links, [("alpha", 2, 2, 0), ("beta", 1, 0, 3)]);
    }

    #[test]
    fn a_lost_item_a_problem_or_an_early_end_is_no_pass() {
        let plan = fixture::plan();
        let mut lost = good();
        lost.push(looked(1, 2));
        assert_eq!(RunResult::of(&plan, "sim", &played(lost)).verdict, Outcome::Failed);
        let mut late = good();
        late[4].kind = EventKind::StepEnded { step: 0, problem: Some("too late".to_owned()) };
        let result = RunResult::of(&plan, "sim", &played(late));
        assert_eq!(result.verdict, Outcome::Failed);
        assert_eq!(result.problems, ["step 1 (store, line 1): too late"]);
        for (ended, verdict) in [
            (Ended::GaveUp, Outcome::Failed),
            (Ended::Stopped(Stopped::Interrupted), Outcome::Interrupted),
            (Ended::Stopped(Stopped::TimeLimit), Outcome::TimeLimit),
        ] {
            let played = Played { ended, ..played(good()) };
            assert_eq!(RunResult::of(&plan, "sim", &played).verdict, verdict);
        }
    }

    #[test]
    fn the_json_has_the_promised_fields() {
        let json: serde_json::Value =
            serde_json::from_str(&RunResult::of(&fixture::plan(), "sim", &played(good())).to_json()).unwrap();
        assert_eq!(json["schema_version"], 1);
        assert_eq!(json["verdict"], "passed");
        assert_eq!(json["seed"], 7);
        assert_eq!(json["checks"][0]["value"], 1.0);
        assert_eq!(json["checks"][0]["bound"], 0.99);
        assert_eq!(json["checks"][0]["comparison"], "at_least");
        assert_eq!(json["matrix"][1]["latency_s"]["max"], 0.04);
    }
}
