//! The topologies that ship, on the simulator: every check in them holds. Two have tests of their own: `sim_runs` and `persistence`.

use std::path::Path;

use butter_harness::backend::Backend;
use butter_harness::backend::sim::Sim;

use butter_harness::checks::evaluate;

use butter_harness::planner;
use butter_harness::report::style::TableStyle;
use butter_harness::report::summary::render;
use butter_harness::results::result::{RunResult, RunVerdict};
use butter_harness::run::{RunRecord, StopSignal, run_plan};
use butter_harness::topology::Overrides;

#[path = "support/nobody.rs"]
mod nobody;

use nobody::Nobody;

/// Plays a topology that ships. Fails with the table that a person would see unless every check holds.
fn passes(name: &str) -> RunResult {
    let result = run(name, &Overrides::default());
    assert_eq!(result.verdict, RunVerdict::Passed, "{}", render(&result, TableStyle::default()));
    result
}

fn run(name: &str, overrides: &Overrides) -> RunResult {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../topologies/{name}.yaml"));
    let plan = planner::load(&path, overrides).unwrap_or_else(|wrong| panic!("{wrong}"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let played: RunRecord = runtime.block_on(async {
        let mut sim = Sim::new(&plan);
        sim.up(&mut Nobody).await.expect("a simulation comes up");
        run_plan(&plan, &mut sim, &mut Nobody, &StopSignal::default()).await
    });
    let checks = evaluate(&plan, &played.events, &played.watched);
    assert_eq!(checks.len(), plan.checks.len());
    RunResult::of(&plan, "sim", &played, checks)
}

#[test]
fn every_sort_of_nat_is_crossed_as_well_as_it_can_be() {
    let result = passes("nat-matrix");
    assert_eq!(result.connectivity.len(), 36, "eight groups, each with each");
    assert!(result.connectivity.iter().all(|cell| cell.pairs == 20), "as many pairs in each cell");
    assert!(render(&result, TableStyle::default()).lines().all(|line| line.chars().count() <= 110));
}

#[test]
fn homes_behind_carriers_reach_each_other() {
    assert_eq!(passes("cgnat").connectivity.len(), 3);
}

#[test]
fn homes_with_ipv6_reach_each_other_past_their_nats() {
    passes("dual-stack");
}

#[test]
fn a_lan_needs_nothing_but_itself() {
    passes("one-lan");
}

#[test]
fn rebinding_nats_lose_no_item() {
    passes("rebind");
}

/// Nothing but what nodes do for others of their own accord makes the difference.
#[test]
fn without_the_ambassador_those_who_are_open_link_all_others() {
    passes("volunteers");
    let unwilling = Overrides { set: vec![("auto_ambassador".to_owned(), "false".to_owned())], ..Overrides::default() };
    let result = run("volunteers", &unwilling);
    let lost = result.connectivity.iter().any(|cell| cell.connected < cell.pairs);
    assert!(lost, "{}", render(&result, TableStyle::default()));
}
