//! What must hold of every schedule, whatever the steps: a second, simpler model of which nodes are alive judges the planner.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use butter_harness::op::Op;
use butter_harness::plan::{EndCondition, NodeIndex, Plan};
use butter_harness::planner;
use butter_harness::topology::{Diagnostics, Overrides};
use proptest::prelude::*;

/// A plan of `nodes` nodes `n-1`, `n-2`, … on one LAN.
fn planned(seed: u64, nodes: usize, steps: &[String]) -> Result<Plan, Diagnostics> {
    let steps: String = steps.iter().map(|step| format!("- {step}\n")).collect();
    let text =
        format!("seed: {seed}\nnetworks: {{lan: {{}}}}\nnodes: {{n: {{on: lan, count: {nodes}}}}}\nsteps:\n{steps}");
    planner::read("schedule.yaml", &text, &Overrides::default())
}

fn plan(seed: u64, nodes: usize, steps: &[&str]) -> Plan {
    let steps: Vec<String> = steps.iter().map(|step| (*step).to_owned()).collect();
    planned(seed, nodes, &steps).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// Carries out the operations by the letter and refuses what a backend would have to refuse.
fn judge(plan: &Plan) -> Result<(), TestCaseError> {
    let mut alive: Vec<bool> = plan.nodes.iter().map(|node| node.from_start).collect();
    let mut stored = vec![false; plan.items.len()];
    for step in &plan.steps {
        prop_assert!(step.ops.is_sorted_by_key(|timed| timed.after), "{} is not in order of time", step.verb);
        let last = step.ops.last().map_or(Duration::ZERO, |timed| timed.after);
        match &step.ends {
            EndCondition::Elapsed { duration } | EndCondition::Watched { duration, .. } => {
                prop_assert!(last <= *duration)
            }
            EndCondition::Done { deadline } => prop_assert!(last < *deadline),
            EndCondition::Joined { .. } | EndCondition::Checked { .. } | EndCondition::Until { .. } => {
                prop_assert!(step.ops.is_empty())
            }
        }
        let mut connected = BTreeSet::new();
        for timed in &step.ops {
            match &timed.op {
                &Op::Start { node, .. } => prop_assert!(!std::mem::replace(&mut alive[node.0], true), "{node:?} is up"),
                &Op::Kill { node } | &Op::Stop { node } => {
                    prop_assert!(std::mem::replace(&mut alive[node.0], false), "{node:?} is down");
                }
                &Op::Put { node, item } => {
                    prop_assert!(alive[node.0] && plan.items[item.0].by == node, "{item:?} by {node:?}");
                    prop_assert!(!std::mem::replace(&mut stored[item.0], true), "{item:?} twice");
                }
                &Op::Connect { node, peer, .. } => {
                    prop_assert!(alive[node.0] && alive[peer.0], "{node:?} or {peer:?} is down");
                    prop_assert!(node != peer);
                    prop_assert!(connected.insert((node.min(peer), node.max(peer))), "{node:?} and {peer:?} twice");
                }
                &Op::Get { item, node, .. } => {
                    prop_assert!(alive[node.0], "{node:?} is down");
                    prop_assert!(stored[item.0], "{item:?} was never stored");
                }
                other => prop_assert!(false, "no step says {other:?}"),
            }
        }
    }
    prop_assert!(stored.iter().all(|&stored| stored));
    Ok(())
}

/// Some of so many nodes, as a list of names.
fn some(nodes: usize) -> impl Strategy<Value = String> {
    let indices = prop::collection::btree_set(1..=nodes, 1..=nodes);
    indices.prop_map(|some| format!("[{}]", some.iter().map(|i| format!("n-{i}")).collect::<Vec<_>>().join(", ")))
}

fn all_or(count: std::ops::Range<u64>) -> impl Strategy<Value = String> {
    prop::option::of(count).prop_map(|count| count.map_or("all".to_owned(), |count| count.to_string()))
}

fn any_step(nodes: usize) -> impl Strategy<Value = String> {
    let replace = prop::sample::select(vec!["fresh", "same", "none"]);
    prop_oneof![
        (1..200_u64, some(nodes))
            .prop_map(|(items, from)| format!("store: {{items: {items}, size: 1B..9000B, from: {from}}}")),
        (all_or(1..9), some(nodes)).prop_map(|(pairs, among)| format!("connect: {{pairs: {pairs}, among: {among}}}")),
        (1..20_u64, 0..=100_u64, replace, some(nodes)).prop_map(|(seconds, die, replace, only)| {
            format!("churn: {{for: {seconds}s, die: {die}%/s, graceful: 30%, replace: {replace}, only: {only}}}")
        }),
        (all_or(1..50), some(nodes)).prop_map(|(items, from)| format!("retrieve: {{items: {items}, from: {from}}}")),
        Just("settle: {for: 1s}".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_dead_node_fails_stores_or_reads(
        seed in any::<u64>(),
        mut steps in prop::collection::vec(any_step(12), 1..6),
        fresh in any::<bool>(),
    ) {
        if fresh {
            steps.push("retrieve: {from: fresh}".to_owned());
        }
        match planned(seed, 12, &steps) {
            Ok(plan) => judge(&plan)?,
            // The planner says why not, and it has to be right about where.
            Err(wrong) => {
                let [problem] = wrong.problems() else { return Err(TestCaseError::fail(wrong.to_string())) };
                let step = &steps[wrong.line(problem).unwrap() - 5];
                let verbs: &[&str] = match problem.what.as_str() {
                    what if what.starts_with("no node of") => &["store", "retrieve"],
                    what if what.starts_with("fewer than two nodes") => &["connect"],
                    _ => &["retrieve"],
                };
                prop_assert!(verbs.iter().any(|verb| step.starts_with(verb)), "{wrong}");
            }
        }
    }

    #[test]
    fn spared_node_never_fails(seed in any::<u64>(), die in 0..=100_u64, spared in 0..10_usize) {
        let churn = format!("churn: {{for: 30s, die: {die}%/s, graceful: 30%, spare: n-{}}}", spared + 1);
        for timed in &planned(seed, 10, &[churn]).unwrap().steps[0].ops {
            prop_assert_ne!(timed.op.lifecycle_of(), Some(NodeIndex(spared)));
        }
    }
}

fn failures(plan: &Plan) -> (usize, usize) {
    let count = |pick: fn(&Op) -> bool| plan.steps[0].ops.iter().filter(|timed| pick(&timed.op)).count();
    (count(|op| matches!(op, Op::Kill { .. })), count(|op| matches!(op, Op::Stop { .. })))
}

#[test]
fn failures_are_as_many_as_their_chance_says_and_as_often_graceful() {
    let (mut killed, mut stopped) = (0, 0);
    for seed in 0..20 {
        let (k, s) = failures(&plan(seed, 200, &["churn: {for: 100s, die: 2%/s, graceful: 30%}"]));
        (killed, stopped) = (killed + k, stopped + s);
    }
    // 400,000 draws at 1/50: 8,000 with a standard deviation of 89; 30 % of them graceful: 2,400 with 41.
    assert!((7_600..=8_400).contains(&(killed + stopped)), "{killed} {stopped}");
    assert!((2_200..=2_600).contains(&stopped), "{stopped}");
}

#[test]
fn without_replacement_a_chance_of_one_ends_every_node_in_a_second() {
    let end = "churn: {for: 3s, die: 100%/s, graceful: 30%, replace: none}";
    let (killed, stopped) = failures(&plan(1, 5, &[end]));
    assert_eq!(killed + stopped, 5);
    assert_eq!(refused(5, &[end, "store: {items: 1}"]), (6, "no node of all is alive at this step".to_owned()));
}

#[test]
fn second_cut_short_has_its_share_of_failures() {
    let plan = plan(3, 1_000, &["churn: {for: 250ms, die: 100%/s, replace: none}"]);
    let failures = plan.steps[0].ops.len();
    // A quarter of 1,000, with a standard deviation of 14.
    assert!((190..=310).contains(&failures), "{failures}");
}

#[test]
fn nodes_store_in_turn_and_fresh_nodes_have_time_to_join() {
    let plan = plan(5, 4, &["store: {items: 8, size: 7B}", "retrieve: {from: [all, fresh]}"]);
    for node in 0..4 {
        assert_eq!(plan.items.iter().filter(|item| item.by.0 == node).count(), 2);
    }
    let ops = &plan.steps[1].ops;
    assert_eq!(ops.len(), 1 + 8 * 2);
    let late = ops.iter().filter(|timed| matches!(timed.op, Op::Get { node: NodeIndex(4), .. }));
    let late: Vec<Duration> = late.map(|timed| timed.after).collect();
    assert!(late.len() == 8 && late.iter().all(|after| *after >= Duration::from_secs(5)), "{late:?}");
}

#[test]
fn many_nodes_do_not_wait_for_a_pace_made_for_few() {
    let plan = plan(5, 20_000, &["store: {items: 20000, size: 256B}"]);
    assert!(plan.steps[0].ops.last().unwrap().after <= Duration::from_secs(2));
}

/// The line and text of the only diagnostic.
fn refused(nodes: usize, steps: &[&str]) -> (usize, String) {
    let steps: Vec<String> = steps.iter().map(|step| (*step).to_owned()).collect();
    let wrong = planned(1, nodes, &steps).unwrap_err();
    let [problem] = wrong.problems() else { panic!("{wrong}") };
    (wrong.line(problem).unwrap(), problem.what.clone())
}

#[test]
fn steps_that_cannot_be_scheduled_are_refused() {
    let none = "no step before this one stores an item".to_owned();
    assert_eq!(refused(1, &["retrieve: {items: all}"]), (5, none));
    let few = "3 items are more than the 2 stored before this step".to_owned();
    assert_eq!(refused(1, &["store: {items: 2}", "retrieve: {items: 3}"]), (6, few));
    let readers = "retrieve: {from: [n-1, n-2, n-3, n-4, n-5, n-6, n-7, n-8]}";
    let ops = "with this step the plan has more than 8000000 operations".to_owned();
    assert_eq!(refused(8, &["store: {items: 1000000, size: 1B}", readers]), (6, ops));
    let draws = "so many nodes for so many seconds are more than 500000000 draws".to_owned();
    assert_eq!(refused(1_000, &["churn: {for: 600000s, die: 0%/s}"]), (5, draws));
}

/// Pairs of a connect step over three groups: `a` (0 to 3) on two networks, `b` (4, 5) on another, `c` (6, 7) on one.
fn connected(pairs: &str, seed: u64) -> Vec<(usize, usize)> {
    let text = format!(
        "seed: {seed}\nnetworks: {{internet: {{}}, x: {{behind: internet, count: 2}}, y: {{behind: internet}}, z: {{behind: internet}}}}\n\
         nodes: {{a: {{on: x, count: 4}}, b: {{on: y, count: 2}}, c: {{on: z, count: 2}}}}\nsteps: [connect: {{pairs: {pairs}}}]\n"
    );
    let plan = planner::read("connect.yaml", &text, &Overrides::default()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let pairs = plan.steps[0].ops.iter().map(|timed| match timed.op {
        Op::Connect { node, peer, .. } => (node.0, peer.0),
        _ => unreachable!("a connect step connects only"),
    });
    pairs.collect()
}

/// Networks of the nodes of `a`, which take theirs in turn: 0 and 2 are on one, 1 and 3 on the other.
#[test]
fn pairs_on_different_networks_are_connected_once_and_others_only_where_there_are_no_such() {
    let sorted: BTreeSet<_> = connected("all", 1).into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
    assert_eq!(sorted.len(), connected("all", 1).len());
    let within =
        |group: std::ops::Range<usize>| sorted.iter().filter(move |(a, b)| group.contains(a) && group.contains(b));
    assert_eq!(within(0..4).copied().collect::<Vec<_>>(), [(0, 1), (0, 3), (1, 2), (2, 3)]);
    assert_eq!((within(4..6).count(), within(6..8).count()), (1, 1));
    assert_eq!(sorted.len(), 4 + 1 + 1 + 4 * 2 + 4 * 2 + 2 * 2);
}

#[test]
fn pairs_of_each_two_groups_are_drawn_by_the_seed() {
    let cell = |(a, b): (usize, usize)| [a, b].map(|node| node / 2).map(|i| [0, 0, 1, 2][i]);
    let mut cells: BTreeMap<[usize; 2], usize> = BTreeMap::new();
    for pair in connected("3", 1) {
        let mut cell = cell(pair);
        cell.sort_unstable();
        *cells.entry(cell).or_default() += 1;
    }
    let expected = [([0, 0], 3), ([0, 1], 3), ([0, 2], 3), ([1, 1], 1), ([1, 2], 3), ([2, 2], 1)];
    assert_eq!(cells, BTreeMap::from(expected));
    assert_eq!(connected("3", 1), connected("3", 1));
    assert_ne!(connected("3", 1), connected("3", 2));
    let from_the_lesser = connected("all", 1).iter().filter(|(a, b)| a < b).count();
    assert!((5..21).contains(&from_the_lesser), "{from_the_lesser} of 26");
}

/// Nodes of which a step's operations are.
fn nodes_of(plan: &Plan, step: usize) -> Vec<usize> {
    plan.steps[step].ops.iter().filter_map(|timed| timed.op.lifecycle_of()).map(|node| node.0).collect()
}

#[test]
fn killed_nodes_are_those_named_or_some_of_them_and_stay_down() {
    let plan = plan(3, 6, &["kill: {nodes: [n-2, n-5]}", "kill: {nodes: n, count: 2}", "store: {items: 8}"]);
    assert_eq!(nodes_of(&plan, 0), [1, 4]);
    let drawn = nodes_of(&plan, 1);
    assert!(drawn.len() == 2 && drawn.iter().all(|node| ![1, 4].contains(node)), "{drawn:?}");
    assert!(plan.items.iter().all(|item| ![1, 4].contains(&item.by.0) && !drawn.contains(&item.by.0)));
    assert!(plan.steps.iter().flat_map(|step| &step.ops).all(|timed| !matches!(timed.op, Op::Stop { .. })));
    assert_eq!(plan.steps[1].summary, "kill 2 of n");
    let few = "1 nodes of n are alive at this step, and it takes 2".to_owned();
    assert_eq!(refused(3, &["kill: {nodes: [n-1, n-2]}", "kill: {nodes: n, count: 2}"]), (6, few));
}

#[test]
fn stopped_nodes_leave_gracefully_and_stay_down() {
    let plan = plan(3, 4, &["stop: {nodes: [n-1, n-2], count: all}", "store: {items: 4}"]);
    assert!(plan.steps[0].ops.iter().all(|timed| matches!(timed.op, Op::Stop { .. })));
    assert_eq!(nodes_of(&plan, 0), [0, 1]);
    assert!(plan.items.iter().all(|item| item.by.0 >= 2));
}

#[test]
fn started_nodes_are_those_that_are_down() {
    let kill = "kill: {nodes: [n-1, n-3]}";
    let plan = plan(3, 4, &[kill, "start: {nodes: n}", kill, "start: {nodes: n, count: 1, fresh: true}"]);
    assert_eq!((nodes_of(&plan, 1), nodes_of(&plan, 3).len()), (vec![0, 2], 1));
    assert!(plan.steps[1].ops.iter().all(|timed| matches!(timed.op, Op::Start { fresh: false, .. })));
    assert!(plan.steps[3].ops.iter().all(|timed| matches!(timed.op, Op::Start { fresh: true, .. })));
    let up = "0 nodes of n are down at this step, and it takes 1".to_owned();
    assert_eq!(refused(3, &["start: {nodes: n}"]), (5, up));
}

#[test]
fn paused_nodes_are_neither_alive_nor_down() {
    let pause = "pause: {nodes: [n-1, n-3]}";
    let plan = plan(3, 4, &[pause, "store: {items: 4}", "resume: {nodes: n, count: all}", "kill: {nodes: n}"]);
    assert!(plan.items.iter().all(|item| [1, 3].contains(&item.by.0)));
    assert_eq!((nodes_of(&plan, 2), nodes_of(&plan, 3)), (vec![0, 2], vec![0, 1, 2, 3]));
    let none = "0 nodes of n are down at this step, and it takes 1".to_owned();
    assert_eq!(refused(3, &[pause, "start: {nodes: n}"]), (6, none));
}
