//! The shipped topologies on the simulator: every check in them passes. Two have tests of their own: `sim_runs` and `persistence`.

use std::path::Path;

use butter_harness::backend::Backend;
use butter_harness::backend::sim::SimBackend;

use butter_harness::checks::evaluate;

use butter_harness::plan::{FidelityChoice, Plan};
use butter_harness::planner;
use butter_harness::report::style::TableStyle;
use butter_harness::report::summary::render;
use butter_harness::results::result::{RunResult, RunVerdict};
use butter_harness::run::{RunRecord, StopSignal, run_plan};
use butter_harness::topology::Overrides;

#[path = "support/silent.rs"]
mod silent;

use silent::SilentObserver;

/// Plays a shipped topology. Fails with the summary of the run unless every check passes.
fn passes(name: &str) -> RunResult {
    let result = run(name, &Overrides::default());
    assert_eq!(result.verdict, RunVerdict::Passed, "{}", render(&result, TableStyle::default()));
    result
}

fn run(name: &str, overrides: &Overrides) -> RunResult {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../topologies/{name}.yaml"));
    // With QUIC itself `sim_packet` plays them.
    let plan = Plan {
        fidelity: FidelityChoice::Message,
        ..planner::load(&path, overrides).unwrap_or_else(|wrong| panic!("{wrong}"))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let played: RunRecord = runtime.block_on(async {
        let mut sim = SimBackend::new(&plan);
        sim.up(&mut SilentObserver).await.expect("a simulation comes up");
        run_plan(&plan, &mut sim, &mut SilentObserver, &StopSignal::default()).await
    });
    let checks = evaluate(&plan, &played.events, &played.metric_history);
    assert_eq!(checks.len(), plan.checks.len());
    RunResult::of(&plan, "sim", &played, checks)
}

#[test]
fn nat_matrix_connects_every_pair_of_nat_types() {
    let result = passes("nat-matrix");
    assert_eq!(result.connectivity.len(), 36, "eight groups, each with each");
    assert!(result.connectivity.iter().all(|cell| cell.pairs == 20), "as many pairs in each cell");
    assert!(render(&result, TableStyle::default()).lines().all(|line| line.chars().count() <= 110));
}

#[test]
fn cgnat_connects_homes_behind_carrier_nats() {
    assert_eq!(passes("cgnat").connectivity.len(), 3);
}

#[test]
fn dual_stack_connects_homes_over_ipv6() {
    passes("dual-stack");
}

#[test]
fn one_lan_needs_no_ambassador() {
    passes("one-lan");
}

#[test]
fn rebind_loses_no_item() {
    passes("rebind");
}

/// Only `auto_ambassador` makes the difference.
#[test]
fn publicly_reachable_nodes_replace_the_only_ambassador() {
    passes("volunteers");
    let without = Overrides { set: vec![("auto_ambassador".to_owned(), "false".to_owned())], ..Overrides::default() };
    let result = run("volunteers", &without);
    let incomplete = result.connectivity.iter().any(|cell| cell.connected < cell.pairs);
    assert!(incomplete, "{}", render(&result, TableStyle::default()));
}

#[test]
fn keywords_find_every_item_through_churn() {
    let searches = passes("keywords").searches.expect("the topology searches");
    assert_eq!((searches.wrong, searches.ended), (0, searches.searches));
    assert!(searches.expected > 1_000 && searches.found == searches.expected, "{searches:?}");
}
