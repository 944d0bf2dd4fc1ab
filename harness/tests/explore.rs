//! The promise of `harness explore`: what it has found once does not come back, and what may not happen is noticed.
//!
//! `explored/` has the smallest scenarios of faults that were mended.

use std::fs;
use std::path::Path;

use butter::overlay::data::seeded_fault::SeededFault;
use butter_harness::explore;
use butter_harness::explore::breach::Breach;
use butter_harness::explore::coverage::Coverage;
use butter_harness::explore::scenario::Scenario;
use butter_harness::planner;
use butter_harness::topology::Overrides;

#[test]
fn everything_holds_in_scenarios_whose_faults_were_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explored");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let plan = planner::load(&file, &Overrides::default()).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(explore::play(&plan, None).breaches, [], "{}", file.display());
    }
}

#[test]
fn too_few_copies_are_a_breach_and_what_happened_is_counted() {
    let unrepaired = "\
seed: 3
networks: {lan: {}}
nodes:
  n: {on: lan, count: 5}
steps:
  - join: {within: 30s}
  - store: {items: 5, size: 1KiB, from: n}
  - kill: {nodes: [n-1, n-2]}
";
    let plan = planner::read("unrepaired.yaml", unrepaired, &Overrides::default());
    let played = explore::play(&plan.unwrap_or_else(|problems| panic!("{problems}")), None);
    let breach =
        played.breaches.iter().find(|breach| matches!(breach, Breach::Copies { fewest: 1 | 2, wanted: 3, .. }));
    assert!(breach.is_some(), "{:?}", played.breaches);
    let never: Vec<_> = played.coverage.never().collect();
    assert!(!never.contains(&"nodes killed") && never.contains(&"partitions"), "{never:?}");
    assert_eq!(Coverage::default().never().count(), explore::coverage::SUBJECTS.len());
}

/// The first of 500 random scenarios in which a fault that is built in shows.
fn run_that_finds(fault: SeededFault, is_it: fn(&Breach) -> bool) -> Option<u64> {
    let found = |seed: &u64| explore::play_scenario(&Scenario::random(*seed), Some(fault)).breaches.iter().any(is_it);
    let run = (1..=500).find(found);
    println!("{fault:?}: found by run {run:?}");
    run
}

/// A search proves something only if it finds what is known to be wrong.
#[test]
fn faults_that_are_built_in_are_found() {
    let is_early = |breach: &Breach| matches!(breach, Breach::EarlyAcknowledgement { .. });
    assert!(run_that_finds(SeededFault::EarlyAcknowledgement, is_early).is_some());
    let is_of_views = |breach: &Breach| matches!(breach, Breach::Ousted { .. } | Breach::Usurped { .. });
    assert!(run_that_finds(SeededFault::UnprovenViews, is_of_views).is_some());
    let is_drop = |breach: &Breach| matches!(breach, Breach::DroppedEarly { .. });
    assert!(run_that_finds(SeededFault::EarlyDrop, is_drop).is_some());
}
