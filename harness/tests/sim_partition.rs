//! Partitions on the simulator: what they cut, what goes on, and what comes back.

use std::path::Path;

use butter_harness::backend::Backend;
use butter_harness::backend::sim::SimBackend;
use butter_harness::checks;
use butter_harness::events::{EventKind, Retrieved};
use butter_harness::plan::{FidelityChoice, NodeIndex, Plan};
use butter_harness::planner;
use butter_harness::run::{RunEnd, RunRecord, StopSignal, run_plan};
use butter_harness::topology::Overrides;

#[path = "support/played.rs"]
mod played;
#[path = "support/silent.rs"]
mod silent;

use played::{Played, cut, lives};
use silent::SilentObserver;

fn play(plan: &Plan) -> RunRecord {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut sim = SimBackend::new(plan);
        sim.up(&mut SilentObserver).await.expect("nothing of the simulator can fail to start");
        run_plan(plan, &mut sim, &mut SilentObserver, &StopSignal::default()).await
    })
}

#[tokio::test]
async fn sides_do_not_reach_each_other_until_the_partition_heals() {
    let plan = cut().0;
    let mut run = Played::up(SimBackend::new(&plan)).await;
    run.partition_and_heal(&plan).await;
    run.down().await;
}

#[tokio::test]
async fn a_paused_node_is_missed_and_goes_on() {
    let mut run = Played::up(SimBackend::new(&lives().0)).await;
    run.pause_and_resume().await;
    run.down().await;
}

/// Of the shipped topology: the side of a node.
fn side(plan: &Plan, node: NodeIndex) -> bool {
    let name = &plan.node(node).name;
    name.starts_with("l-") || name.starts_with("shared-l") || name == "ambassador-1"
}

#[test]
fn shipped_topology_finds_nothing_across_and_everything_inside_whatever_the_seed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies/partition.yaml");
    for seed in 1..=6 {
        let plan = planner::load(&file, &Overrides { seed: Some(seed), ..Overrides::default() });
        let plan = Plan { fidelity: FidelityChoice::Message, ..plan.unwrap_or_else(|wrong| panic!("{wrong}")) };
        let record = play(&plan);
        assert_eq!(record.ended, RunEnd::Finished);
        let (mut is_parted, mut counts) = (false, [0; 3]);
        for event in &record.events {
            match &event.kind {
                EventKind::Partitioned { sides, .. } => {
                    is_parted = true;
                    assert!(sides[0].iter().all(|&node| side(&plan, node)) && sides.len() == 2);
                }
                EventKind::Healed { names } => {
                    is_parted = false;
                    assert_eq!(names, &["split"]);
                }
                EventKind::Retrieved { item, node, result, .. } => {
                    let is_found = matches!(result, Retrieved::Found { .. });
                    let is_across = side(&plan, *node) != side(&plan, plan.items[item.0].by);
                    assert_eq!(is_found, !(is_across && is_parted), "seed {seed}: {event:?}");
                    counts[usize::from(is_across) + usize::from(is_across && !is_parted)] += 1;
                }
                EventKind::StepEnded { problem: Some(problem), .. } => panic!("seed {seed}: {problem}"),
                _ => {}
            }
        }
        assert_eq!(counts, [20, 20, 20], "inside, across while it lasts, across afterwards");
    }
}

/// Churn ends all who remember the other side: the halves find each other all the same.
#[test]
fn groups_that_were_parted_for_long_become_one_whatever_the_seed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies/reunion.yaml");
    for seed in 1..=8 {
        let plan = planner::load(&file, &Overrides { seed: Some(seed), ..Overrides::default() });
        let plan = plan.unwrap_or_else(|wrong| panic!("{wrong}"));
        let record = play(&plan);
        for check in checks::evaluate(&plan, &record.events, &record.metric_history) {
            assert!(check.passed, "seed {seed}: {check:?}");
        }
    }
}
