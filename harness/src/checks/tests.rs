use butter::api::PathBody;

use super::*;
use crate::events::{LinkResult, Recovery, Retrieved, RunTime};
use crate::metrics::series::Source;
use crate::plan::{Aggregate, NetworkIndex, NodeIndex};
use crate::results::fixture::{self, check, found, looked, metric, retrieved, scrape, step_began, step_ended, stored};

/// The one verdict of one check over these events.
fn judge(measure: Measure, comparison: Comparison, bound: f64, events: &[Event]) -> CheckResult {
    let mut plan = fixture::plan();
    plan.checks = vec![check("the check", measure, comparison, bound)];
    let mut verdicts = evaluate(&plan, events, &Watched::default());
    assert_eq!(verdicts.len(), 1);
    verdicts.remove(0)
}

fn value(measure: Measure, events: &[Event]) -> Result<f64, String> {
    let verdict = judge(measure, Comparison::AtLeast, 0.0, events);
    verdict.value.ok_or(verdict.reason.unwrap_or_default())
}

const ALL: Measure = Measure::Retrieval { from: None, to: None };

fn between(from: Option<usize>, to: Option<usize>) -> Measure {
    let network = |index: usize| NetworkIndex(index).into();
    Measure::Retrieval { from: from.map(network), to: to.map(network) }
}

#[test]
fn links_count_for_both_groups_whoever_asked() {
    let mut plan = fixture::plan();
    for (index, group) in ["a", "a", "b", "b", "c"].into_iter().enumerate() {
        plan.nodes[index].group = group.to_owned();
    }
    let linked = |from, to, result| Event {
        at: RunTime(0),
        kind: EventKind::Linked { from: NodeIndex(from), to: NodeIndex(to), result },
    };
    let up = |us, direct: bool| LinkResult::Up {
        path: if direct { PathBody::Punched } else { PathBody::Relayed },
        took_us: Some(us),
        direct_us: direct.then_some(2 * us),
        tries: 1,
    };
    let events = [
        linked(0, 2, up(1_000_000, true)),
        linked(3, 1, up(2_000_000, false)),
        linked(2, 3, LinkResult::Down { why: "no link in time".to_owned() }),
    ];
    let mut measured = |measure: Measure| {
        plan.checks = vec![check("the check", measure, Comparison::AtLeast, 0.0)];
        let verdict = evaluate(&plan, &events, &Watched::default()).remove(0);
        verdict.value.ok_or(verdict.reason.unwrap_or_default())
    };
    let mut share = |direct, from: Option<&str>, to: Option<&str>| {
        measured(Measure::Linked { direct, from: from.map(str::to_owned), to: to.map(str::to_owned) })
    };
    assert_eq!([share(false, None, None), share(true, None, None)], [Ok(2.0 / 3.0), Ok(1.0 / 3.0)]);
    assert_eq!([share(true, Some("a"), Some("b")), share(true, Some("b"), Some("a"))], [Ok(0.5), Ok(0.5)]);
    assert_eq!([share(false, Some("b"), Some("b")), share(false, Some("a"), None)], [Ok(0.0), Ok(1.0)]);
    assert_eq!(share(false, Some("c"), None), Err("no such nodes were to be linked".to_owned()));
    assert_eq!(measured(Measure::LinkedWorstCell { direct: false }), Ok(0.0));
    assert_eq!(measured(Measure::LinkedAfter { direct: false, quantile: 1.0 }), Ok(2.0));
    assert_eq!(measured(Measure::LinkedAfter { direct: true, quantile: 0.5 }), Ok(2.0));
}

#[test]
fn ends_of_links_that_recover_count_over_all_rebinds() {
    let event = |kind| Event { at: RunTime(0), kind };
    let rebound = |ends| event(EventKind::Rebound { network: NetworkIndex(0), addresses: vec![], ends });
    let recovered =
        |rebind, result| event(EventKind::Recovered { rebind, node: NodeIndex(0), peer: NodeIndex(2), result });
    let back = |s: u64| Recovery::Back { after_us: s * 1_000_000 };
    let events = [
        rebound(2),
        recovered(0, back(1)),
        rebound(3),
        recovered(1, Recovery::Gone),
        recovered(0, back(4)),
        recovered(1, back(2)),
        recovered(1, Recovery::Lost),
    ];
    assert_eq!(value(Measure::Recovered, &events), Ok(0.75));
    assert_eq!(value(Measure::RecoveredAfter { quantile: 0.5 }, &events), Ok(2.0));
    let all = value(Measure::RecoveredAfter { quantile: 1.0 }, &events);
    assert_eq!(all, Err("fewer ends of links than that got an answer again".to_owned()));
    let none = Err("no link led through a NAT that was rebound".to_owned());
    assert_eq!(value(Measure::Recovered, &[rebound(0)]), none);
}

#[test]
fn the_last_look_decides_persistence_and_copies() {
    let events = [stored(0, true), stored(1, true), looked(2, 2), looked(1, 2)];
    assert_eq!(value(Measure::Persistence, &events), Ok(0.5));
    assert_eq!(value(Measure::Copies, &events), Ok(1.5));
}

#[test]
fn stored_counts_what_was_to_be_stored() {
    assert_eq!(value(Measure::Stored, &[step_began(0), stored(0, true), stored(1, false)]), Ok(0.5));
    assert_eq!(value(Measure::Stored, &[step_began(0)]), Ok(0.0));
}

#[test]
fn retrieval_is_told_by_network() {
    let events = [
        retrieved(0, 0, 1, found(1, 1)),
        retrieved(1, 0, 1, Retrieved::WrongBytes),
        retrieved(0, 2, 1, Retrieved::NotFound),
        retrieved(1, 2, 1, found(1, 1)),
        retrieved(1, 3, 1, Retrieved::Unasked { why: "dead".to_owned() }),
        retrieved(1, 3, 1, Retrieved::NeverStored),
    ];
    assert_eq!(value(ALL, &events), Ok(0.4));
    assert_eq!(value(between(Some(0), None), &events), Ok(0.5));
    assert_eq!(value(between(None, Some(0)), &events), Ok(0.5));
    assert_eq!(value(between(Some(1), Some(1)), &events), Ok(0.5));
    assert_eq!(value(Measure::RetrievalWorstCell, &events), Ok(0.0));
    assert_eq!(value(Measure::RetrievalWorstCell, &events[..1]), Ok(1.0));
}

#[test]
fn what_cannot_be_measured_fails_and_says_why() {
    let events = [looked(0, 0), retrieved(0, 0, 1, Retrieved::NotFound)];
    for (measure, events, why) in [
        (Measure::Persistence, &events[..0], "no snapshot of the nodes was taken"),
        (Measure::Persistence, &events, "no item was acknowledged"),
        (Measure::Copies, &events, "no item was acknowledged"),
        (Measure::Stored, &events, "no item was to be stored"),
        (ALL, &events[..0], "no query was made"),
        (Measure::RetrievalWorstCell, &events[..0], "no query was made"),
        (between(Some(1), None), &events, "no query was made from beta"),
        (between(Some(0), Some(1)), &events, "no query was made from alpha for items stored from beta"),
        (Measure::RetrievalLatency { quantile: 0.95 }, &events, "no query succeeded"),
        (Measure::RetrievalMessages, &events, "no query succeeded"),
        (metric("butter_x", Aggregate::Max), &events, "no node or router tells a metric 'butter_x'"),
    ] {
        // A bound that every number would satisfy.
        let verdict = judge(measure, Comparison::AtLeast, f64::NEG_INFINITY, events);
        assert!(!verdict.passed && verdict.value.is_none(), "{verdict:?}");
        assert_eq!(verdict.reason.as_deref(), Some(why));
    }
}

#[test]
fn each_comparison_holds_where_it_should_and_nowhere_else() {
    use Comparison::*;
    for (comparison, below, at, above) in [
        (AtLeast, false, true, true),
        (Above, false, false, true),
        (AtMost, true, true, false),
        (Below, true, false, false),
        (Equal, false, true, false),
    ] {
        assert_eq!([0.4, 0.5, 0.6].map(|value| holds(value, comparison, 0.5)), [below, at, above], "{comparison:?}");
    }
    assert!(holds(198.0 / 200.0, AtLeast, 99.0 * 0.01) && holds(0.1 + 0.2, AtMost, 0.3));
    assert!(!holds(0.989_99, AtLeast, 0.99));
}

/// The checker itself is checked: a run that lost an item and answered wrongly must not pass.
#[test]
fn a_run_that_must_fail_does() {
    let events = [
        step_began(0),
        stored(0, true),
        stored(1, true),
        looked(1, 2),
        retrieved(0, 2, 3_000_000, found(2, 9)),
        retrieved(1, 2, 1, Retrieved::WrongBytes),
    ];
    let least = Comparison::AtLeast;
    let most = Comparison::AtMost;
    for (measure, comparison, bound) in [
        (Measure::Persistence, least, 0.99),
        (ALL, least, 0.99),
        (between(Some(1), None), least, 0.95),
        (Measure::RetrievalLatency { quantile: 0.95 }, most, 2.0),
        (Measure::RetrievalMessages, most, 5.0),
        (Measure::Copies, least, 3.0),
    ] {
        let verdict = judge(measure, comparison, bound, &events);
        assert!(!verdict.passed && verdict.value.is_some(), "{verdict:?}");
    }
}

#[test]
fn metrics_have_extremes_over_time_and_sums_at_the_end() {
    let mut plan = fixture::plan();
    let measures = [Aggregate::Max, Aggregate::Min, Aggregate::Sum, Aggregate::Avg];
    plan.checks = measures.map(|over| check("m", metric("butter_links", over), Comparison::AtLeast, 0.0)).to_vec();
    let mut watched = Watched::of(&plan);
    let node = |index, lan, direct| {
        let labels: [&[(&str, &str)]; 2] = [&[("path", "lan")], &[("path", "direct")]];
        let series = [("butter_links", labels[0], lan), ("butter_links", labels[1], direct), ("other", &[][..], 99.0)];
        scrape(Source::Node(NodeIndex(index)), &series)
    };
    let router = scrape(Source::Router(NetworkIndex(0)), &[("butter_links", &[], 500.0)]);
    watched.take(RunTime(0), &[node(0, 1.0, 0.0), node(1, 4.0, 5.0), router]);
    watched.take(RunTime(1_000_000), &[node(0, 2.0, 1.0), node(1, 3.0, 2.0)]);
    watched.take(RunTime(2_000_000), &[node(0, 100.0, 0.0)]);
    let verdicts = evaluate(&plan, &[looked(0, 0)], &watched);
    let values: Vec<f64> = verdicts.iter().map(|verdict| verdict.value.unwrap()).collect();
    assert_eq!(values, [9.0, 1.0, 8.0, 4.0], "what was sampled after the last event does not count");
}

#[test]
fn metrics_of_routers_are_over_routers() {
    let mut plan = fixture::plan();
    let dropped = "butter_router_dropped_total";
    plan.checks = vec![check("m", metric(dropped, Aggregate::Avg), Comparison::AtLeast, 0.0)];
    let mut watched = Watched::of(&plan);
    let router = |index, value| scrape(Source::Router(NetworkIndex(index)), &[(dropped, &[], value)]);
    watched.take(
        RunTime(0),
        &[scrape(Source::Node(NodeIndex(0)), &[(dropped, &[], 70.0)]), router(0, 1.0), router(1, 2.0)],
    );
    assert_eq!(evaluate(&plan, &[looked(0, 0)], &watched)[0].value, Some(1.5));
}

#[test]
fn checks_in_mid_run_see_what_was_before_them() {
    let mut plan = fixture::plan();
    let persists = check("persistence >= 99%", Measure::Persistence, Comparison::AtLeast, 0.99);
    plan.steps[0].until = Until::Checked { checks: vec![persists.clone()] };
    plan.steps[1].until = Until::Checked { checks: vec![persists.clone()] };
    plan.checks = vec![persists];
    let events = [stored(0, true), looked(1, 1), step_ended(0), looked(0, 1)];
    let verdicts = evaluate(&plan, &events, &Watched::default());
    let told: Vec<_> = verdicts.iter().map(|v| (v.step, v.passed, v.reason.as_deref())).collect();
    let unreached = (Some(1), false, Some("the run did not get there"));
    assert_eq!(told, [(Some(0), true, None), unreached, (None, false, None)]);
}
