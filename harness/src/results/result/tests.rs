use std::sync::Arc;

use super::*;
use crate::events::Retrieved;
use crate::metrics::series::Source;
use crate::metrics::watched::Watched;
use crate::plan::NodeIndex;
use crate::probe::NotAsDeclared;
use crate::results::fixture::{self, Told, found, looked, retrieved, scrape, started, step_began, step_ended, stored};

fn played(events: Vec<Event>) -> RunRecord {
    let links = |index, lan, relayed| {
        let told: [Told<'_>; 2] =
            [("butter_links", &[("path", "lan")], lan), ("butter_links", &[("path", "relayed")], relayed)];
        scrape(Source::Node(NodeIndex(index)), &told)
    };
    let scrapes = Arc::new(vec![links(0, 1.0, 0.0), links(1, 1.0, 0.0), links(2, 0.0, 3.0)]);
    RunRecord { events, watched: Watched::default(), last_sample: Some((RunTime(0), scrapes)), ended: RunEnd::Finished }
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
        (RunEnd::GaveUp, Outcome::Failed),
        (RunEnd::Stopped(StopReason::Interrupted), Outcome::Interrupted),
        (RunEnd::Stopped(StopReason::TimeLimit), Outcome::TimeLimit),
    ] {
        let played = RunRecord { ended, ..played(good()) };
        assert_eq!(RunResult::of(&plan, "sim", &played).verdict, verdict);
    }
}

#[test]
fn a_run_that_was_not_played_says_why_and_what_the_probe_saw() {
    let refused = NotAsDeclared { network: "beta".to_owned(), observation: "it loses more".to_owned() };
    let result = RunResult::not_played(&fixture::plan(), "netns", Probed::Skipped, &refused.clone().into());
    assert_eq!((result.verdict, &result.probe), (Outcome::NotPlayed, &Probed::Refused(refused)));
    assert_eq!(result.problems, ["beta does not behave as declared: it loses more"]);
    let json: serde_json::Value = serde_json::from_str(&result.to_json()).unwrap();
    assert_eq!(json["verdict"], "not_played");
    assert_eq!(
        json["probe"],
        serde_json::json!({"state": "refused", "network": "beta", "observation": "it loses more"})
    );
    let junit = crate::report::junit::xml(&[result]).unwrap();
    assert!(junit.contains("errors=\"1\"") && junit.contains("it loses more"), "{junit}");

    let other = RunResult::not_played(&fixture::plan(), "docker", Probed::Skipped, &anyhow::anyhow!("no engine"));
    assert_eq!((other.verdict, other.probe), (Outcome::NotPlayed, Probed::Skipped));
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
