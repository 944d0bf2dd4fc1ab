use std::sync::Arc;

use super::*;
use crate::backend::BackendError;
use crate::events::{Event, EventKind, Retrieved, RunTime};
use crate::machine_load::MachineLoad;
use crate::metrics::history::MetricHistory;
use crate::plan::{NetworkIndex, NodeIndex};
use crate::probe::RouterDiffers;
use crate::results::fixture::{
    self, SeriesSpec, found, looked, retrieved, scrape, started, step_began, step_ended, stored,
};
use crate::series::Source;

fn played(events: Vec<Event>) -> RunRecord {
    let links = |index, lan, relayed| {
        let series: [SeriesSpec<'_>; 2] =
            [("butter_links", &[("path", "lan")], lan), ("butter_links", &[("path", "relayed")], relayed)];
        scrape(Source::Node(NodeIndex(index)), &series)
    };
    let scrapes = Arc::new(vec![links(0, 1.0, 0.0), links(1, 1.0, 0.0), links(2, 0.0, 3.0)]);
    RunRecord {
        events,
        metric_history: MetricHistory::default(),
        last_sample: Some((RunTime(0), scrapes)),
        ended: RunEnd::Finished,
    }
}

fn events() -> Vec<Event> {
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

fn check(passed: bool) -> CheckResult {
    fixture::check_result(Some(if passed { 1.0 } else { 0.5 }), passed)
}

fn result(events: Vec<Event>) -> RunResult {
    RunResult::of(&fixture::plan(), "sim", &played(events), vec![check(true)])
}

#[test]
fn sections_follow_from_events_and_samples() {
    let result = result(events());
    assert_eq!(result.verdict, RunVerdict::Passed);
    let items = &result.items;
    assert_eq!((items.planned, items.acknowledged, items.persistent), (2, 2, Some(2)));
    assert_eq!((items.persistent_share, items.copies_mean, items.copies_max), (Some(1.0), Some(3.0), 4));
    let queries = &result.queries;
    assert_eq!((queries.total.queries, queries.total.success_share), (3, Some(2.0 / 3.0)));
    let pairs: Vec<_> = queries.by_pair.iter().map(|pair| (&*pair.from, &*pair.to, pair.summary.found)).collect();
    assert_eq!(pairs, [("alpha", "beta", 0), ("beta", "alpha", 1), ("beta", "beta", 1)]);
    assert_eq!(queries.by_pair[1].summary.latency_s.p95, Some(0.04));
    let reason = "every peer answered the node, and none has the item".to_owned();
    assert_eq!(result.failed_operations, [FailedOperations { operation: "get", reason, count: 1 }]);
    let links: Vec<_> = result.links.iter().map(|l| (&*l.network, l.nodes, l.lan, l.relayed)).collect();
    assert_eq!(links, [("alpha", 2, 2, 0), ("beta", 1, 0, 3)]);
}

#[test]
fn failed_check_step_error_or_early_end_is_no_pass() {
    let plan = fixture::plan();
    let verdict = |played: &RunRecord, passed| RunResult::of(&plan, "sim", played, vec![check(passed)]).verdict;
    assert_eq!(verdict(&played(events()), true), RunVerdict::Passed);
    assert_eq!(verdict(&played(events()), false), RunVerdict::Failed);
    // A check that could not be measured, or none at all, leaves it open; one that has failed does not.
    let open = CheckResult { value: None, exercised: false, ..check(false) };
    let verdict_of = |checks| RunResult::of(&plan, "sim", &played(events()), checks).verdict;
    assert_eq!(verdict_of(vec![check(true), open.clone()]), RunVerdict::Inconclusive);
    assert_eq!(verdict_of(vec![check(false), open]), RunVerdict::Failed);
    assert_eq!(verdict_of(vec![CheckResult { value: None, ..check(false) }]), RunVerdict::Failed);
    assert_eq!(verdict_of(Vec::new()), RunVerdict::Inconclusive);
    let mut late = events();
    late[4].kind = EventKind::StepEnded { step: 0, problem: Some("too late".to_owned()) };
    let result = result(late);
    assert_eq!(result.verdict, RunVerdict::Failed);
    assert_eq!(result.errors, ["step 1 (store, line 1): too late"]);
    for (ended, expected) in [
        (RunEnd::GaveUp, RunVerdict::Failed),
        (RunEnd::Stopped(StopReason::Interrupted), RunVerdict::Interrupted),
        (RunEnd::Stopped(StopReason::TimeLimit), RunVerdict::TimeLimit),
    ] {
        assert_eq!(verdict(&RunRecord { ended, ..played(events()) }, true), expected);
    }
}

#[test]
fn run_that_was_not_played_says_why_and_what_the_probe_found() {
    let refused = RouterDiffers { network: "beta".to_owned(), observation: "it loses more".to_owned() };
    let result = RunResult::not_deployed(
        &fixture::plan(),
        "netns",
        ProbeOutcome::Skipped,
        &BackendError::Probe(refused.clone().into()),
    );
    assert_eq!((result.verdict, &result.probe), (RunVerdict::NotPlayed, &ProbeOutcome::Refused(refused)));
    assert_eq!(result.errors, ["beta does not behave as declared: it loses more"]);
    let json: serde_json::Value = serde_json::from_str(&result.to_json()).unwrap();
    assert_eq!(json["verdict"], "not_played");
    assert_eq!(
        json["probe"],
        serde_json::json!({"state": "refused", "network": "beta", "observation": "it loses more"})
    );

    let other = RunResult::not_deployed(
        &fixture::plan(),
        "docker",
        ProbeOutcome::Skipped,
        &BackendError::Other(anyhow::anyhow!("no engine")),
    );
    assert_eq!((other.verdict, other.probe), (RunVerdict::NotPlayed, ProbeOutcome::Skipped));
}

#[test]
fn json_has_the_fields_that_others_rely_on() {
    let json: serde_json::Value = serde_json::from_str(&result(events()).to_json()).unwrap();
    assert_eq!(json["schema_version"], 2);
    assert_eq!(json["verdict"], "passed");
    assert_eq!(json["seed"], 7);
    assert_eq!(
        json["topology"],
        serde_json::json!({"networks": ["alpha", "beta"], "groups": ["n"], "steps": ["store", "retrieve"]})
    );
    assert_eq!(json["checks"][0]["value"], 1.0);
    assert_eq!(json["checks"][0]["bound"], 0.99);
    assert_eq!(json["checks"][0]["comparison"], "at_least");
    assert_eq!(json["checks"][0]["unit"], "share");
    assert_eq!(json["queries"]["by_pair"][1]["latency_s"]["max"], 0.04);
}

#[test]
fn deaths_that_nothing_asked_for_spoil_a_run_whatever_its_checks_say() {
    let plan = fixture::plan();
    let router = EventKind::RouterDied { network: NetworkIndex(1), message: "the router was killed".to_owned() };
    let node = EventKind::NodeDied { node: NodeIndex(0), message: "the node was killed".to_owned() };
    for (death, fault) in
        [(router, "network `beta`: the router was killed after 1.0 s"), (node, "n-0: the node was killed after 1.0 s")]
    {
        let mut events = events();
        events.push(fixture::event(death));
        let dead = result(events.clone());
        assert_eq!((dead.verdict, dead.environment_faults), (RunVerdict::EnvironmentFailed, vec![fault.to_owned()]));
        assert_eq!(dead.incidents.total, 1);
        let failed = RunResult::of(&plan, "sim", &played(events.clone()), vec![check(false)]);
        assert_eq!(failed.verdict, RunVerdict::EnvironmentFailed);
        let ended = RunEnd::Stopped(StopReason::Interrupted);
        let interrupted = RunResult::of(&plan, "sim", &RunRecord { ended, ..played(events) }, vec![check(true)]);
        assert_eq!(interrupted.verdict, RunVerdict::Interrupted);
    }
}

#[test]
fn a_saturated_machine_spoils_a_run() {
    let load = |stalled_share| MachineLoad {
        cores: 2,
        timer_late_p99_ms: 1.0,
        timer_late_max_ms: 900.0,
        stalled_share,
        cpu_pressure_share: Some(1.0),
    };
    assert_eq!(result(events()).on_machine(load(0.01)).verdict, RunVerdict::Passed);
    let spoiled = result(events()).on_machine(load(0.3));
    assert_eq!(spoiled.verdict, RunVerdict::EnvironmentFailed);
    assert!(spoiled.environment_faults[0].contains("saturated"), "{:?}", spoiled.environment_faults);
    let json: serde_json::Value = serde_json::from_str(&spoiled.to_json()).unwrap();
    assert_eq!((&json["verdict"], &json["machine"]["cores"]), (&"environment_failed".into(), &2.into()));
    assert!(serde_json::from_str::<serde_json::Value>(&result(events()).to_json()).unwrap().get("machine").is_none());
}
