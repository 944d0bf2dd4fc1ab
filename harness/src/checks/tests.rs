use butter::api::PathBody;

use super::evaluate::passes;
use super::*;
use crate::events::{Event, EventKind, LinkResult, Recovery, Retrieved, RunTime};
use crate::metrics::history::MetricHistory;
use crate::plan::{Aggregate, Comparison, EndCondition, Measure, NetworkIndex, NodeIndex, Selection, Statistic};
use crate::results::check_result::CheckResult;
use crate::results::fixture::{self, check, found, looked, metric, retrieved, scrape, step_began, step_ended, stored};
use crate::series::Source;

/// The one verdict of one check over these events.
fn judge(measure: Measure, comparison: Comparison, bound: f64, events: &[Event]) -> CheckResult {
    let mut plan = fixture::plan();
    plan.checks = vec![check("the check", measure, comparison, bound)];
    let mut verdicts = evaluate(&plan, events, &MetricHistory::default());
    assert_eq!(verdicts.len(), 1);
    verdicts.remove(0)
}

fn value(measure: Measure, events: &[Event]) -> Result<f64, String> {
    let verdict = judge(measure, Comparison::AtLeast, 0.0, events);
    verdict.value.ok_or(verdict.reason.unwrap_or_default())
}

fn main(family: &'static str) -> Measure {
    Measure::new(family, Statistic::Main)
}

fn between(from: Option<usize>, to: Option<usize>) -> Measure {
    let network = |index: usize| Selection::Networks(NetworkIndex(index).into());
    Measure { from: from.map(network), to: to.map(network), ..main("retrieval") }
}

#[test]
fn connectivity_does_not_depend_on_who_dialled() {
    let mut plan = fixture::plan();
    for (index, group) in ["a", "a", "b", "b", "c"].into_iter().enumerate() {
        plan.nodes[index].group = group.to_owned();
    }
    let linked = |from, to, result| Event {
        at: RunTime(0),
        kind: EventKind::Connected { from: NodeIndex(from), to: NodeIndex(to), result },
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
        let verdict = evaluate(&plan, &events, &MetricHistory::default()).remove(0);
        verdict.value.ok_or(verdict.reason.unwrap_or_default())
    };
    let group = |name: Option<&str>| name.map(|name| Selection::Group(name.to_owned()));
    let mut share = |family, from, to| {
        measured(Measure { from: group(from), to: group(to), ..Measure::new(family, Statistic::Main) })
    };
    assert_eq!([share("connected", None, None), share("direct", None, None)], [Ok(2.0 / 3.0), Ok(1.0 / 3.0)]);
    let direct = [share("direct", Some("a"), Some("b")), share("direct", Some("b"), Some("a"))];
    assert_eq!(direct, [Ok(0.5), Ok(0.5)]);
    let connected = [share("connected", Some("b"), Some("b")), share("connected", Some("a"), None)];
    assert_eq!(connected, [Ok(0.0), Ok(1.0)]);
    assert_eq!(share("connected", Some("c"), None), Err("no such pair of nodes was tested".to_owned()));
    assert_eq!(measured(Measure::new("connected", Statistic::WorstPair)), Ok(0.0));
    assert_eq!(measured(Measure::new("connected", Statistic::Quantile(1.0))), Ok(2.0));
    assert_eq!(measured(Measure::new("direct", Statistic::Quantile(0.5))), Ok(2.0));
}

#[test]
fn rebind_recovery_counts_link_ends_of_all_rebinds() {
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
    assert_eq!(value(main("rebind recovered"), &events), Ok(0.75));
    assert_eq!(value(Measure::new("rebind recovered", Statistic::Quantile(0.5)), &events), Ok(2.0));
    let all = value(Measure::new("rebind recovered", Statistic::Quantile(1.0)), &events);
    assert_eq!(all, Err("fewer link ends than that got an answer again".to_owned()));
    let none = Err("no link ran through a NAT that was rebound".to_owned());
    assert_eq!(value(main("rebind recovered"), &[rebound(0)]), none);
}

#[test]
fn last_snapshot_decides_persistence_and_copies() {
    let events = [stored(0, true), stored(1, true), looked(2, 2), looked(1, 2)];
    assert_eq!(value(main("persistence"), &events), Ok(0.5));
    assert_eq!(value(main("copies"), &events), Ok(1.5));
    // Nodes that hold 0, 2, 3 and 3 blocks.
    assert_eq!(value(main("blocks per node"), &events), Ok(0.25));
    assert_eq!(value(Measure::new("blocks per node", Statistic::Quantile(0.99)), &events), Ok(1.5));
}

#[test]
fn stored_is_a_share_of_the_planned_items() {
    assert_eq!(value(main("stored"), &[step_began(0), stored(0, true), stored(1, false)]), Ok(0.5));
    assert_eq!(value(main("stored"), &[step_began(0)]), Ok(0.0));
}

#[test]
fn retrieval_counts_queries_by_network() {
    let events = [
        retrieved(0, 0, 1, found(1, 1)),
        retrieved(1, 0, 1, Retrieved::WrongBytes),
        retrieved(0, 2, 1, Retrieved::NotFound),
        retrieved(1, 2, 1, found(1, 1)),
        retrieved(1, 3, 1, Retrieved::Unasked { why: "dead".to_owned() }),
        retrieved(1, 3, 1, Retrieved::NeverStored),
    ];
    assert_eq!(value(main("retrieval"), &events), Ok(0.4));
    assert_eq!(value(between(Some(0), None), &events), Ok(0.5));
    assert_eq!(value(between(None, Some(0)), &events), Ok(0.5));
    assert_eq!(value(between(Some(1), Some(1)), &events), Ok(0.5));
    assert_eq!(value(Measure::new("retrieval", Statistic::WorstPair), &events), Ok(0.0));
    assert_eq!(value(Measure::new("retrieval", Statistic::WorstPair), &events[..1]), Ok(1.0));
}

#[test]
fn unmeasurable_check_fails_and_says_why() {
    let events = [looked(0, 0), retrieved(0, 0, 1, Retrieved::NotFound)];
    for (measure, events, why) in [
        (main("persistence"), &events[..0], "no snapshot of the nodes was taken"),
        (main("persistence"), &events, "no item was acknowledged"),
        (main("copies"), &events, "no item was acknowledged"),
        (main("stored"), &events, "no item was to be stored"),
        (main("retrieval"), &events[..0], "no query was made"),
        (Measure::new("retrieval", Statistic::WorstPair), &events[..0], "no query was made"),
        (between(Some(1), None), &events, "no query was made from beta"),
        (between(Some(0), Some(1)), &events, "no query was made from alpha for items stored from beta"),
        (Measure::new("retrieval", Statistic::Quantile(0.95)), &events, "no query succeeded"),
        (Measure::new("retrieval", Statistic::Mean("messages")), &events, "no query succeeded"),
        (metric("butter_x", Aggregate::Max), &events, "no node or router exposed a metric 'butter_x'"),
    ] {
        // A bound that every number would satisfy.
        let verdict = judge(measure, Comparison::AtLeast, f64::NEG_INFINITY, events);
        assert!(!verdict.passed && verdict.value.is_none(), "{verdict:?}");
        assert_eq!(verdict.reason.as_deref(), Some(why));
    }
}

#[test]
fn comparison_passes_on_the_right_side_of_its_bound() {
    use Comparison::*;
    for (comparison, below, at, above) in [
        (AtLeast, false, true, true),
        (Above, false, false, true),
        (AtMost, true, true, false),
        (Below, true, false, false),
        (Equal, false, true, false),
    ] {
        assert_eq!([0.4, 0.5, 0.6].map(|value| passes(value, comparison, 0.5)), [below, at, above], "{comparison:?}");
    }
    assert!(passes(198.0 / 200.0, AtLeast, 99.0 * 0.01) && passes(0.1 + 0.2, AtMost, 0.3));
    assert!(!passes(0.989_99, AtLeast, 0.99));
}

/// The checker itself is checked: a run that lost an item and answered wrongly must not pass.
#[test]
fn run_that_lost_an_item_and_returned_wrong_bytes_fails() {
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
        (main("persistence"), least, 0.99),
        (main("retrieval"), least, 0.99),
        (between(Some(1), None), least, 0.95),
        (Measure::new("retrieval", Statistic::Quantile(0.95)), most, 2.0),
        (Measure::new("retrieval", Statistic::Mean("messages")), most, 5.0),
        (main("copies"), least, 3.0),
        (main("blocks per node"), most, 0.2),
        (Measure::new("blocks per node", Statistic::Quantile(0.99)), most, 1.4),
    ] {
        let verdict = judge(measure, comparison, bound, &events);
        assert!(!verdict.passed && verdict.value.is_some(), "{verdict:?}");
    }
}

#[test]
fn metric_extremes_are_over_time_and_sums_at_the_end() {
    let mut plan = fixture::plan();
    let measures = [Aggregate::Max, Aggregate::Min, Aggregate::Sum, Aggregate::Avg];
    plan.checks = measures.map(|over| check("m", metric("butter_links", over), Comparison::AtLeast, 0.0)).to_vec();
    let mut history = MetricHistory::of(&plan);
    let node = |index, lan, direct| {
        let labels: [&[(&str, &str)]; 2] = [&[("path", "lan")], &[("path", "direct")]];
        let series = [("butter_links", labels[0], lan), ("butter_links", labels[1], direct), ("other", &[][..], 99.0)];
        scrape(Source::Node(NodeIndex(index)), &series)
    };
    let router = scrape(Source::Router(NetworkIndex(0)), &[("butter_links", &[], 500.0)]);
    history.take(RunTime(0), &[node(0, 1.0, 0.0), node(1, 4.0, 5.0), router]);
    history.take(RunTime(1_000_000), &[node(0, 2.0, 1.0), node(1, 3.0, 2.0)]);
    history.take(RunTime(2_000_000), &[node(0, 100.0, 0.0)]);
    let verdicts = evaluate(&plan, &[looked(0, 0)], &history);
    let values: Vec<f64> = verdicts.iter().map(|verdict| verdict.value.unwrap()).collect();
    assert_eq!(values, [9.0, 1.0, 8.0, 4.0], "what was sampled after the last event does not count");
}

#[test]
fn router_metrics_are_aggregated_over_routers() {
    let mut plan = fixture::plan();
    let dropped = "butter_router_dropped_total";
    plan.checks = vec![check("m", metric(dropped, Aggregate::Avg), Comparison::AtLeast, 0.0)];
    let mut history = MetricHistory::of(&plan);
    let router = |index, value| scrape(Source::Router(NetworkIndex(index)), &[(dropped, &[], value)]);
    history.take(
        RunTime(0),
        &[scrape(Source::Node(NodeIndex(0)), &[(dropped, &[], 70.0)]), router(0, 1.0), router(1, 2.0)],
    );
    assert_eq!(evaluate(&plan, &[looked(0, 0)], &history)[0].value, Some(1.5));
}

#[test]
fn check_step_is_evaluated_on_the_events_before_it() {
    let mut plan = fixture::plan();
    let persists = check("persistence >= 99%", main("persistence"), Comparison::AtLeast, 0.99);
    plan.steps[0].ends = EndCondition::Checked { checks: vec![persists.clone()] };
    plan.steps[1].ends = EndCondition::Checked { checks: vec![persists.clone()] };
    plan.checks = vec![persists];
    let events = [stored(0, true), looked(1, 1), step_ended(0), looked(0, 1)];
    let verdicts = evaluate(&plan, &events, &MetricHistory::default());
    let outcomes: Vec<_> = verdicts.iter().map(|v| (v.step, v.passed, v.reason.as_deref())).collect();
    let unreached = (Some(1), false, Some("the run did not reach this step"));
    assert_eq!(outcomes, [(Some(0), true, None), unreached, (None, false, None)]);
}
