//! What must hold of every timeline, whatever the scenes: a second, simpler model of who is alive judges the first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::plan::NetworkIndex;

/// Nodes of which the last `fresh` do not run from the start.
fn cast(nodes: usize, fresh: usize) -> Vec<NodePlan> {
    let node = |index: usize| NodePlan {
        name: format!("n-{index}"),
        group: "n".into(),
        network: NetworkIndex(0),
        address: Ipv4Addr::from(0x0A01_000A + index as u32),
        address6: None,
        ambassador: false,
        join: Vec::new(),
        settings: Vec::new(),
        from_start: index < nodes,
    };
    (0..nodes + fresh).map(node).collect()
}

fn scene(kind: SceneKind) -> Scene {
    Scene { kind, title: String::new(), line: 1 }
}

fn churn(seconds: u64, die: f64, replace: Replace, among: Vec<NodeIndex>) -> Churn {
    Churn { time: Duration::from_secs(seconds), die, graceful: 0.3, replace, among }
}

fn cross(pairs: Option<u64>, among: Vec<NodeIndex>) -> Cross {
    Cross { among, whom: "some".into(), pairs, within: Duration::from_secs(30) }
}

fn expanded(seed: u64, nodes: &[NodePlan], scenes: &[Scene]) -> Result<Timeline, (usize, TimelineError)> {
    expand(seed, nodes, Duration::from_secs(10), scenes)
}

/// Plays the actions by the letter and refuses what a backend would have to refuse.
fn judge(nodes: &[NodePlan], timeline: &Timeline) -> Result<(), TestCaseError> {
    let mut alive: Vec<bool> = nodes.iter().map(|node| node.from_start).collect();
    let mut stored = vec![false; timeline.items.len()];
    for step in &timeline.steps {
        prop_assert!(step.actions.is_sorted_by_key(|action| action.after), "{} is not in order of time", step.verb);
        let last = step.actions.last().map_or(Duration::ZERO, |action| action.after);
        match &step.until {
            Until::Elapsed { time } => prop_assert!(last <= *time),
            Until::Done { within } => prop_assert!(last < *within),
            Until::Joined { .. } | Until::Checked { .. } => prop_assert!(step.actions.is_empty()),
        }
        let mut linked = BTreeSet::new();
        for action in &step.actions {
            match &action.act {
                &Act::Start { node, .. } => prop_assert!(!std::mem::replace(&mut alive[node.0], true), "{node:?} runs"),
                &Act::Kill { node } | &Act::Stop { node } => {
                    prop_assert!(std::mem::replace(&mut alive[node.0], false), "{node:?} is dead");
                }
                &Act::Put { item } => {
                    prop_assert!(alive[timeline.items[item.0].by.0], "{item:?} by a dead node");
                    prop_assert!(!std::mem::replace(&mut stored[item.0], true), "{item:?} twice");
                }
                &Act::Link { node, peer, .. } => {
                    prop_assert!(alive[node.0] && alive[peer.0], "{node:?} or {peer:?} is dead");
                    prop_assert!(node != peer);
                    prop_assert!(linked.insert((node.min(peer), node.max(peer))), "{node:?} and {peer:?} twice");
                }
                Act::Rebind { .. } | Act::SetLink { .. } => {}
                &Act::Get { item, node } => {
                    prop_assert!(alive[node.0], "{node:?} is dead");
                    prop_assert!(stored[item.0], "{item:?} was never stored");
                }
            }
        }
    }
    prop_assert!(stored.iter().all(|&stored| stored));
    Ok(())
}

fn any_scene(nodes: usize) -> impl Strategy<Value = SceneKind> {
    let some = prop::collection::btree_set((0..nodes).prop_map(NodeIndex), 1..=nodes).prop_map(Vec::from_iter);
    let replace = prop::sample::select(vec![Replace::Fresh, Replace::Same, Replace::None]);
    prop_oneof![
        (1..200_u64, some.clone()).prop_map(|(items, from)| {
            SceneKind::Store(Store { items, sizes: (1, 9_000), from, whom: "some".into() })
        }),
        (prop::option::of(1..9_u64), some.clone()).prop_map(|(pairs, among)| SceneKind::Cross(cross(pairs, among))),
        (1..20_u64, 0.0..=1.0_f64, replace, some.clone())
            .prop_map(|(seconds, die, replace, among)| SceneKind::Churn(churn(seconds, die, replace, among))),
        (prop::option::of(1..50_u64), some).prop_map(|(items, nodes)| {
            SceneKind::Retrieve(Retrieve { items, askers: vec![Asker::OneOf { whom: "some".into(), nodes }] })
        }),
        Just(SceneKind::Settle { time: Duration::from_secs(1) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_dead_dies_stores_or_asks(
        seed in any::<u64>(),
        kinds in prop::collection::vec(any_scene(12), 1..6),
        fresh in any::<bool>(),
    ) {
        let nodes = cast(12, 1);
        let mut scenes: Vec<Scene> = kinds.into_iter().map(scene).collect();
        if fresh {
            let askers = vec![Asker::Fresh { node: NodeIndex(12) }];
            scenes.push(scene(SceneKind::Retrieve(Retrieve { items: None, askers })));
        }
        match expanded(seed, &nodes, &scenes) {
            Ok(timeline) => judge(&nodes, &timeline)?,
            // The model said why not, and it has to be right about where.
            Err((step, TimelineError::NobodyLeft { .. })) => prop_assert!(step > 0),
            Err((step, TimelineError::NoPair { .. })) => prop_assert!(matches!(scenes[step].kind, SceneKind::Cross(_))),
            Err((step, _)) => prop_assert!(matches!(scenes[step].kind, SceneKind::Retrieve(_))),
        }
    }

    #[test]
    fn the_spared_never_die(seed in any::<u64>(), die in 0.0..=1.0_f64, spared in 0..10_usize) {
        let nodes = cast(10, 0);
        let among: Vec<NodeIndex> = (0..10).map(NodeIndex).filter(|node| node.0 != spared).collect();
        let timeline = expanded(seed, &nodes, &[scene(SceneKind::Churn(churn(30, die, Replace::Fresh, among)))]).unwrap();
        for action in &timeline.steps[0].actions {
            if let Act::Kill { node } | Act::Stop { node } | Act::Start { node, .. } = action.act {
                prop_assert_ne!(node.0, spared);
            }
        }
    }
}

fn deaths(timeline: &Timeline) -> (usize, usize) {
    let count = |pick: fn(&Act) -> bool| timeline.steps[0].actions.iter().filter(|action| pick(&action.act)).count();
    (count(|act| matches!(act, Act::Kill { .. })), count(|act| matches!(act, Act::Stop { .. })))
}

#[test]
fn deaths_are_as_many_as_their_chance_says_and_as_often_graceful() {
    let nodes = cast(200, 0);
    let all: Vec<NodeIndex> = (0..200).map(NodeIndex).collect();
    let (mut killed, mut left) = (0, 0);
    for seed in 0..20 {
        let scene = scene(SceneKind::Churn(churn(100, 0.02, Replace::Fresh, all.clone())));
        let (k, l) = deaths(&expanded(seed, &nodes, &[scene]).unwrap());
        (killed, left) = (killed + k, left + l);
    }
    // 400,000 draws at 1/50: 8,000 with a standard deviation of 89; 30 % of them graceful: 2,400 with 41.
    assert!((7_600..=8_400).contains(&(killed + left)), "{killed} {left}");
    assert!((2_200..=2_600).contains(&left), "{left}");
}

#[test]
fn without_replacement_a_chance_of_one_ends_everybody_in_a_second() {
    let nodes = cast(5, 0);
    let all: Vec<NodeIndex> = (0..5).map(NodeIndex).collect();
    let end = scene(SceneKind::Churn(churn(3, 1.0, Replace::None, all.clone())));
    let (killed, left) = deaths(&expanded(1, &nodes, std::slice::from_ref(&end)).unwrap());
    assert_eq!(killed + left, 5);
    let store = scene(SceneKind::Store(Store { items: 1, sizes: (1, 1), from: all, whom: "all".into() }));
    let nobody = TimelineError::NobodyLeft { whom: "all".into() };
    assert_eq!(expanded(1, &nodes, &[end, store]).unwrap_err(), (1, nobody));
}

#[test]
fn a_second_cut_short_has_its_share_of_deaths() {
    let nodes = cast(1_000, 0);
    let all: Vec<NodeIndex> = (0..1_000).map(NodeIndex).collect();
    let short = Churn { time: Duration::from_millis(250), ..churn(1, 1.0, Replace::None, all) };
    let timeline = expanded(3, &nodes, &[scene(SceneKind::Churn(short))]).unwrap();
    let deaths = timeline.steps[0].actions.len();
    // A quarter of 1,000, with a standard deviation of 14.
    assert!((190..=310).contains(&deaths), "{deaths}");
}

#[test]
fn stores_take_turns_and_fresh_nodes_have_time_to_join() {
    let nodes = cast(4, 1);
    let all: Vec<NodeIndex> = (0..4).map(NodeIndex).collect();
    let store = SceneKind::Store(Store { items: 8, sizes: (7, 7), from: all.clone(), whom: "all".into() });
    let askers = vec![Asker::OneOf { whom: "all".into(), nodes: all }, Asker::Fresh { node: NodeIndex(4) }];
    let retrieve = SceneKind::Retrieve(Retrieve { items: None, askers });
    let timeline = expanded(5, &nodes, &[scene(store), scene(retrieve)]).unwrap();
    for node in 0..4 {
        assert_eq!(timeline.items.iter().filter(|item| item.by.0 == node).count(), 2);
    }
    let asks = &timeline.steps[1].actions;
    assert_eq!(asks.len(), 1 + 8 * 2);
    for ask in asks {
        if let Act::Get { node: NodeIndex(4), .. } = ask.act {
            assert!(ask.after >= FRESH_JOIN);
        }
    }
}

#[test]
fn many_nodes_are_not_made_to_wait_for_a_pace_made_for_few() {
    let nodes = cast(20_000, 0);
    let all: Vec<NodeIndex> = (0..20_000).map(NodeIndex).collect();
    let store = SceneKind::Store(Store { items: 20_000, sizes: (256, 256), from: all, whom: "all".into() });
    let timeline = expanded(5, &nodes, &[scene(store)]).unwrap();
    assert!(timeline.steps[0].actions.last().unwrap().after <= Duration::from_secs(2));
}

#[test]
fn what_cannot_be_planned_is_refused() {
    let nodes = cast(1, 0);
    let ask = |items| {
        let askers = vec![Asker::OneOf { whom: "all".into(), nodes: vec![NodeIndex(0)] }];
        scene(SceneKind::Retrieve(Retrieve { items, askers }))
    };
    let store = |items| {
        let from = vec![NodeIndex(0)];
        scene(SceneKind::Store(Store { items, sizes: (1, 1), from, whom: "all".into() }))
    };
    let refused = |scenes: &[Scene]| expanded(1, &nodes, scenes).unwrap_err();
    assert_eq!(refused(&[ask(None)]), (0, TimelineError::NothingStored));
    assert_eq!(refused(&[store(2), ask(Some(3))]), (1, TimelineError::FewerStored { wanted: 3, stored: 2 }));
    assert_eq!(refused(&[store(5_000_000), store(5_000_000)]), (1, TimelineError::TooManyActions));
    let many: Vec<NodeIndex> = vec![NodeIndex(0); 1_000];
    let long = scene(SceneKind::Churn(churn(600_000, 0.0, Replace::Fresh, many)));
    assert_eq!(refused(&[long]), (0, TimelineError::TooManyDraws));
}

/// Pairs of a cross step over three groups: `a` (0 to 3) of two networks, `b` (4, 5) of another, `c` (6, 7) of one.
fn linked(pairs: Option<u64>, seed: u64) -> Vec<(usize, usize)> {
    let mut nodes = cast(8, 0);
    for (index, node) in nodes.iter_mut().enumerate() {
        let (group, network) = [("a", 0), ("a", 1), ("b", 2), ("c", 3)][index / 2];
        (node.group, node.network) = (group.into(), NetworkIndex(network));
    }
    let scene = scene(SceneKind::Cross(cross(pairs, (0..8).map(NodeIndex).collect())));
    let timeline = expanded(seed, &nodes, &[scene]).unwrap();
    let links = timeline.steps[0].actions.iter().map(|timed| match timed.act {
        Act::Link { node, peer, .. } => (node.0, peer.0),
        _ => unreachable!("a cross step has links only"),
    });
    links.collect()
}

#[test]
fn all_pairs_on_different_networks_are_linked_once_and_others_only_where_there_are_no_such() {
    let sorted: BTreeSet<_> = linked(None, 1).into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
    assert_eq!(sorted.len(), linked(None, 1).len());
    let within =
        |group: std::ops::Range<usize>| sorted.iter().filter(move |(a, b)| group.contains(a) && group.contains(b));
    assert_eq!(within(0..4).copied().collect::<Vec<_>>(), [(0, 2), (0, 3), (1, 2), (1, 3)]);
    assert_eq!((within(4..6).count(), within(6..8).count()), (1, 1));
    assert_eq!(sorted.len(), 4 + 1 + 1 + 4 * 2 + 4 * 2 + 2 * 2);
}

#[test]
fn so_many_pairs_of_each_two_groups_are_drawn_by_the_seed() {
    let cell = |(a, b): (usize, usize)| [a, b].map(|node| node / 2).map(|i| [0, 0, 1, 2][i]);
    let mut cells: BTreeMap<[usize; 2], usize> = BTreeMap::new();
    for pair in linked(Some(3), 1) {
        let mut cell = cell(pair);
        cell.sort_unstable();
        *cells.entry(cell).or_default() += 1;
    }
    let expected = [([0, 0], 3), ([0, 1], 3), ([0, 2], 3), ([1, 1], 1), ([1, 2], 3), ([2, 2], 1)];
    assert_eq!(cells, BTreeMap::from(expected));
    assert_eq!(linked(Some(3), 1), linked(Some(3), 1));
    assert_ne!(linked(Some(3), 1), linked(Some(3), 2));
    let asked_by_the_lesser = linked(None, 1).iter().filter(|(a, b)| a < b).count();
    assert!((5..21).contains(&asked_by_the_lesser), "{asked_by_the_lesser} of 26");
}
