use std::collections::VecDeque;

use super::*;
use crate::events::{BlockSpread, Recovery, ViewGraph};
use crate::plan::builder::PlanBuilder;
use crate::plan::{Item, ItemIndex, NetworkIndex, Step, TimedOp};

mod fake_backend;

use fake_backend::{BackendFaults, FakeBackend};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Five nodes from the start, two later; three items of 1, 2 and 3 bytes, stored by the first node.
fn plan(steps: Vec<Step>) -> Plan {
    let mut builder = PlanBuilder::empty("test", 1);
    let lan = builder.network_named("lan", "10.0.0.0/24", None);
    for i in 0..7_u8 {
        let node = builder.node_named(&format!("a-{i}"), lan, [10, 0, 0, i].into());
        (node.group, node.from_start) = ("a".to_owned(), i < 5);
    }
    let items = (1..4).map(|size| Item { size, seed: 1, by: NodeIndex(0), keywords: Vec::new() }).collect();
    Plan { items, steps, ..builder.into_plan() }
}

fn step(verb: &'static str, ops: Vec<(Duration, Op)>, ends: EndCondition) -> Step {
    let ops = ops.into_iter().map(|(after, op)| TimedOp { after, op }).collect();
    Step { verb, summary: verb.to_owned(), ops, ends, line: 1 }
}

fn join() -> Step {
    step("join", Vec::new(), EndCondition::Joined { deadline: 5 * S })
}

fn store() -> Step {
    let puts = (0..3).map(|i| (Duration::ZERO, Op::Put { node: NodeIndex(0), item: ItemIndex(i) })).collect();
    step("store", puts, EndCondition::Done { deadline: 30 * S })
}

fn get(item: usize, node: usize) -> Op {
    Op::Get { item: ItemIndex(item), node: NodeIndex(node), exhaustive: false }
}

fn kill(node: usize) -> Op {
    Op::Kill { node: NodeIndex(node) }
}

fn start(node: usize) -> Op {
    Op::Start { node: NodeIndex(node), fresh: true }
}

#[derive(Default)]
struct Heard {
    samples: Vec<RunTime>,
    statuses: Vec<RunStatus>,
}

impl RunObserver for Heard {
    fn event(&mut self, _: &Event) {}
    fn sampled(&mut self, at: RunTime, _: &Arc<Vec<Scrape>>) {
        self.samples.push(at);
    }
    fn status(&mut self, status: &RunStatus) {
        self.statuses.push(*status);
    }
}

fn run_with(plan: &Plan, faults: BackendFaults, stop: &StopSignal) -> (RunRecord, Heard) {
    let mut heard = Heard::default();
    let mut fake = FakeBackend::new(plan, faults);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let played = runtime.block_on(run_plan(plan, &mut fake, &mut heard, stop));
    (played, heard)
}

fn run(plan: &Plan, faults: BackendFaults) -> RunRecord {
    run_with(plan, faults, &StopSignal::default()).0
}

fn lines(played: &RunRecord) -> Vec<String> {
    played.events.iter().map(|event| serde_json::to_string(event).unwrap()).collect()
}

/// The kinds of events, those of initial nodes left out.
fn kinds(played: &RunRecord) -> Vec<String> {
    let kind = |line: &String| line.split('"').nth(5).unwrap().to_owned();
    let later =
        |event: &&Event| !matches!(event.kind, EventKind::Started { node, .. } if node.0 < 5 && event.at.0 == 0);
    let kept: Vec<String> = played.events.iter().filter(later).map(|e| serde_json::to_string(e).unwrap()).collect();
    // Tests of `holders` are about what changes there.
    kept.iter().map(kind).filter(|kind| kind != "holders_changed").collect()
}

fn problems(played: &RunRecord) -> Vec<String> {
    let problem = |event: &Event| match &event.kind {
        EventKind::StepEnded { problem, .. } => problem.clone(),
        EventKind::Incident { message, .. } | EventKind::NodeDied { message, .. } => Some(message.clone()),
        _ => None,
    };
    played.events.iter().filter_map(problem).collect()
}

fn last_look(played: &RunRecord) -> &EventKind {
    played.events.iter().rev().find(|e| matches!(e.kind, EventKind::Inspected { .. })).map(|e| &e.kind).unwrap()
}

fn results(played: &RunRecord) -> Vec<Retrieved> {
    let result = |event: &Event| match &event.kind {
        EventKind::Retrieved { result, .. } => Some(result.clone()),
        _ => None,
    };
    played.events.iter().filter_map(result).collect()
}

#[test]
fn a_whole_run_is_played_in_order() {
    let churn = step("churn", vec![(S, kill(1)), (2 * S, start(5))], EndCondition::Elapsed { duration: 3 * S });
    let gets =
        step("retrieve", vec![(Duration::ZERO, get(0, 5)), (S, get(2, 0))], EndCondition::Done { deadline: 20 * S });
    let played = run(&plan(vec![join(), store(), churn, gets]), BackendFaults::default());
    assert_eq!(played.ended, RunEnd::Finished);
    assert_eq!(
        kinds(&played),
        [
            "inspected",
            "step_began",
            "step_ended",
            "step_began",
            "stored",
            "stored",
            "stored",
            "inspected",
            "step_ended",
            "step_began",
            "killed",
            "started",
            "inspected",
            "step_ended",
            "step_began",
            "retrieved",
            "retrieved",
            "step_ended",
            "inspected",
        ]
    );
    let found = Retrieved::Found { hops: 2, messages: 5 };
    assert_eq!(results(&played), [found.clone(), found]);
    assert!(problems(&played).is_empty());
    let kept = EventKind::Inspected {
        live: 5,
        components: 1,
        persistent: 3,
        acknowledged: 3,
        copies: 6,
        blocks: 3,
        copies_max: 2,
        spread: BlockSpread::of([0, 0, 0, 3, 3]),
        views: ViewGraph { components: 1, largest: 5 },
    };
    assert_eq!(format!("{:?}", last_look(&played)), format!("{kept:?}"));
    let took: Vec<RunTime> = played.events.iter().map(|event| event.at).collect();
    assert!(took.is_sorted(), "{took:?}");
}

#[test]
fn two_runs_leave_the_same_record() {
    let steps = || vec![join(), store(), step("churn", vec![(S, kill(2))], EndCondition::Elapsed { duration: 9 * S })];
    assert_eq!(
        lines(&run(&plan(steps()), BackendFaults::default())),
        lines(&run(&plan(steps()), BackendFaults::default()))
    );
}

#[test]
fn an_item_is_lost_when_the_last_holder_of_a_block_dies() {
    let deaths = (0..3).map(|i| (S, kill(i))).collect();
    let churn = step("churn", deaths, EndCondition::Elapsed { duration: 3 * S });
    let asks = step("retrieve", vec![(Duration::ZERO, get(1, 4))], EndCondition::Done { deadline: 20 * S });
    let played = run(&plan(vec![store(), churn, asks]), BackendFaults::default());
    assert!(matches!(
        last_look(&played),
        EventKind::Inspected { persistent: 0, acknowledged: 3, copies: 0, blocks: 3, .. }
    ));
    assert_eq!(results(&played), [Retrieved::NotFound]);
}

#[test]
fn nodes_that_never_meet_end_the_run() {
    let faults = BackendFaults { joined_at: RunTime(60_000_000), ..BackendFaults::default() };
    let played = run(&plan(vec![join(), store()]), faults);
    assert_eq!(played.ended, RunEnd::GaveUp);
    assert!(problems(&played)[0].contains("5 live nodes were still in 5 groups"), "{:?}", problems(&played));
    assert!(!kinds(&played).contains(&"stored".to_owned()));
}

#[test]
fn nodes_that_meet_late_are_waited_for_by_looking() {
    let faults = BackendFaults { joined_at: RunTime(1_100_000), ..BackendFaults::default() };
    let played = run(&plan(vec![join()]), faults);
    assert_eq!(played.ended, RunEnd::Finished);
    assert_eq!(played.events.last().unwrap().at, RunTime(1_250_000));
}

#[test]
fn operation_that_is_never_reported_is_an_incident_and_ends() {
    let played = run(&plan(vec![store()]), BackendFaults { never_report_puts: true, ..BackendFaults::default() });
    assert_eq!(played.ended, RunEnd::Finished);
    let problems = problems(&played);
    assert_eq!(problems[0], "3 of its operations were not done within 30s");
    assert_eq!(problems.iter().filter(|what| what.contains("never reported")).count(), 3, "{problems:?}");
    let failed = played.events.iter().filter(|e| matches!(&e.kind, EventKind::Stored { result: Err(_), .. })).count();
    assert_eq!(failed, 3);
}

#[test]
fn a_backend_that_cannot_look_is_not_asked_without_end() {
    for faults in [
        BackendFaults { fail_looks: true, ..BackendFaults::default() },
        BackendFaults { never_report_looks: true, ..BackendFaults::default() },
    ] {
        let played = run(&plan(vec![join()]), faults);
        assert_eq!(played.ended, RunEnd::GaveUp);
        assert!(played.events.len() < 60, "{:?}", lines(&played));
    }
}

#[test]
fn a_check_sees_nodes_and_metrics_as_they_are_then() {
    let wait = step("settle", Vec::new(), EndCondition::Elapsed { duration: 1500 * MS });
    let check = step("check", Vec::new(), EndCondition::Checked { checks: Vec::new() });
    let (played, heard) = run_with(&plan(vec![wait, check.clone()]), BackendFaults::default(), &StopSignal::default());
    assert_eq!(heard.samples, [0, 1_000_000, 1_500_000].map(RunTime));
    let looked = |event: &&Event| matches!(event.kind, EventKind::Inspected { .. });
    assert_eq!(played.events.iter().rfind(looked).unwrap().at, RunTime(1_500_000));
    // Of what is not seen, an earlier look says nothing.
    let blind = BackendFaults { blind_from: Some(RunTime(5)), ..BackendFaults::default() };
    let played = run(&plan(vec![store(), check]), blind);
    let about_looks = |event: &&Event| matches!(event.kind, EventKind::Inspected { .. } | EventKind::LookFailed);
    let last = played.events.iter().rfind(about_looks);
    assert!(matches!(last.unwrap().kind, EventKind::LookFailed), "{:?}", lines(&played));
}

#[test]
fn a_clock_that_stands_still_ends_the_run() {
    let wait = step("settle", Vec::new(), EndCondition::Elapsed { duration: S });
    let played = run(&plan(vec![wait]), BackendFaults { clock_stands_still: true, ..BackendFaults::default() });
    assert_eq!(played.ended, RunEnd::GaveUp);
    assert!(problems(&played)[0].contains("stands still"));
}

#[test]
fn other_bytes_are_told_apart() {
    let asks = step("retrieve", vec![(Duration::ZERO, get(1, 4))], EndCondition::Done { deadline: 20 * S });
    let played = run(&plan(vec![store(), asks]), BackendFaults { wrong_bytes: true, ..BackendFaults::default() });
    assert_eq!(results(&played), [Retrieved::WrongBytes]);
}

#[test]
fn what_was_never_stored_is_not_asked_for_and_the_dead_are_not_asked() {
    let acts = vec![
        (Duration::ZERO, get(0, 4)),
        (Duration::ZERO, Op::Put { node: NodeIndex(0), item: ItemIndex(1) }),
        (S, get(1, 6)),
    ];
    let played =
        run(&plan(vec![step("retrieve", acts, EndCondition::Done { deadline: 20 * S })]), BackendFaults::default());
    let unasked = Retrieved::Unasked { why: "the node is down".to_owned() };
    assert_eq!(results(&played), [Retrieved::NeverStored, unasked]);
}

#[test]
fn a_nodes_actions_keep_their_order_however_long_a_start_takes() {
    let acts = vec![(Duration::ZERO, start(5)), (S, get(0, 5)), (2 * S, kill(5)), (2 * S, start(5))];
    let late = step("churn", acts, EndCondition::Elapsed { duration: 3 * S });
    let played = run(&plan(vec![store(), late]), BackendFaults { start_takes: 7 * S, ..BackendFaults::default() });
    let order: Vec<String> =
        kinds(&played).into_iter().filter(|k| !k.starts_with("step") && k != "inspected").collect();
    assert_eq!(order, ["stored", "stored", "stored", "started", "retrieved", "killed", "started"]);
    assert!(problems(&played).is_empty());
}

#[test]
fn node_that_ends_by_itself_is_an_incident_and_no_longer_alive() {
    let wait = step("settle", vec![(2 * S, kill(3))], EndCondition::Elapsed { duration: 3 * S });
    let played = run(
        &plan(vec![wait]),
        BackendFaults { crash: Some((RunTime(500_000), NodeIndex(3))), ..BackendFaults::default() },
    );
    assert_eq!(problems(&played), ["ended by itself", "cannot be ended: it is down"]);
    assert!(matches!(last_look(&played), EventKind::Inspected { live: 4, components: 1, .. }));
}

#[test]
fn a_stop_ends_the_step_and_the_run() {
    let stop = StopSignal::default();
    assert!(stop.request(StopReason::Interrupted));
    assert!(!stop.request(StopReason::TimeLimit));
    let (played, _) = run_with(&plan(vec![join(), store()]), BackendFaults::default(), &stop);
    assert_eq!(played.ended, RunEnd::Stopped(StopReason::Interrupted));
}

#[test]
fn metrics_are_sampled_every_second_and_progress_is_told() {
    let wait = step("settle", Vec::new(), EndCondition::Elapsed { duration: 4 * S });
    let (played, heard) = run_with(&plan(vec![wait]), BackendFaults::default(), &StopSignal::default());
    let seconds: VecDeque<u64> = heard.samples.iter().map(|at| at.0 / 1_000_000).collect();
    assert_eq!(seconds, [0, 1, 2, 3, 4]);
    assert_eq!(played.last_sample.unwrap().0, RunTime(4_000_000));
    let last = heard.statuses.last().unwrap();
    assert_eq!((last.live, last.step, last.step_ends), (5, Some(0), Some(RunTime(4_000_000))));
}

#[test]
fn pairs_are_linked_in_turn_and_what_comes_too_late_does_not_count() {
    let link = |node, peer| Op::Connect { node: NodeIndex(node), peer: NodeIndex(peer), deadline: 250 * MS };
    let pairs = [(0, 1), (1, 2), (3, 1), (2, 3), (4, 0), (1, 4)];
    let acts = [(Duration::ZERO, kill(4))].into_iter().chain(pairs.map(|(node, peer)| (100 * MS, link(node, peer))));
    let played = run(
        &plan(vec![step("connect", acts.collect(), EndCondition::Done { deadline: 30 * S })]),
        BackendFaults::default(),
    );
    assert_eq!(problems(&played), [""; 0]);
    let mut ended = Vec::new();
    for event in &played.events {
        let EventKind::Connected { from, to, result } = &event.kind else { continue };
        let what = match result {
            LinkResult::Up { path, direct_us, .. } => format!("{} {direct_us:?}", path.name()),
            LinkResult::Down { why } => why.clone(),
        };
        ended.push((event.at.0 / 1_000, from.0, to.0, what));
    }
    let said = |at, from, to, what: &str| (at, from, to, what.to_owned());
    // Five nodes take part, so one pair at a time.
    let expected = [
        said(1_100, 0, 1, "punched None"),
        said(2_100, 1, 2, "punched Some(100000)"),
        said(3_100, 3, 1, "relayed None"),
        said(4_100, 2, 3, "punched Some(200000)"),
        said(4_100, 4, 0, "one of the two nodes is down"),
        said(4_100, 1, 4, "one of the two nodes is down"),
    ];
    assert_eq!(ended, expected);
}

#[test]
fn each_end_of_a_link_over_a_rebound_nat_asks_until_it_is_answered() {
    let addresses = vec![[10, 1, 0, 9].into()];
    let rebind = vec![(Duration::ZERO, Op::Rebind { network: NetworkIndex(0), addresses })];
    let kill = step("churn", vec![(S, kill(2))], EndCondition::Elapsed { duration: 2 * S });
    let plan = plan(vec![join(), step("rebind", rebind, EndCondition::Done { deadline: 30 * S }), kill]);
    let played = run(&plan, BackendFaults { silent_until: RunTime(3_000_000), ..BackendFaults::default() });
    let rebound = played.events.iter().position(|e| matches!(e.kind, EventKind::Rebound { ends: 8, .. }));
    let ended = played.events.iter().position(|e| matches!(e.kind, EventKind::StepEnded { step: 1, .. }));
    assert!(rebound.unwrap() < ended.unwrap(), "the step does not wait for links");
    let recovered = |event: &Event| match event.kind {
        EventKind::Recovered { rebind: 0, node, peer, result } => Some((peer.0, node.0, event.at, result)),
        _ => None,
    };
    let mut recovered: Vec<_> = played.events.iter().filter_map(recovered).collect();
    recovered.sort_by_key(|&(peer, node, ..)| (peer, node));
    let results: Vec<_> = recovered.iter().map(|&(peer, node, _, result)| (peer, node, result)).collect();
    // Three questions stay unanswered for a second each, the fourth is answered.
    let back = Recovery::Back { after_us: 3_320_000 };
    let of_3 = [(3, 0, back), (3, 1, back), (3, 2, Recovery::Gone), (3, 4, back)];
    let of_4 = [(4, 0, Recovery::Lost), (4, 1, Recovery::Lost), (4, 2, Recovery::Gone), (4, 3, Recovery::Lost)];
    assert_eq!(results, [of_3, of_4].concat());
    assert!(recovered.iter().all(|(.., at, result)| *result != Recovery::Lost || at.0 >= 30_000_000));
    assert_eq!(problems(&played), Vec::<String>::new());
}

#[test]
fn a_nat_is_rebound_also_when_nobody_tells_of_links() {
    let addresses = vec![[10, 1, 0, 9].into()];
    let rebind = vec![(Duration::ZERO, Op::Rebind { network: NetworkIndex(0), addresses })];
    let plan = plan(vec![step("rebind", rebind, EndCondition::Done { deadline: 30 * S })]);
    let played = run(&plan, BackendFaults { fail_looks: true, ..BackendFaults::default() });
    assert!(played.events.iter().any(|event| matches!(event.kind, EventKind::Rebound { ends: 0, .. })));
}
