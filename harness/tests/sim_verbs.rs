//! Verbs that change the lives of nodes, played on the simulator.

use butter_harness::backend::Backend;
use butter_harness::backend::sim::SimBackend;
use butter_harness::events::{EventKind, Retrieved};
use butter_harness::planner;
use butter_harness::run::{RunEnd, RunRecord, StopSignal, run_plan};
use butter_harness::topology::Overrides;

#[path = "support/silent.rs"]
mod silent;
use silent::SilentObserver;

/// Plays steps on six nodes of one LAN and expects that all of them end as planned.
fn played(steps: &str) -> RunRecord {
    played_with("memory", steps)
}

fn topology(store: &str, steps: &str) -> String {
    format!("networks: {{lan: {{}}}}\nnodes: {{n: {{on: lan, count: 6, store: {store}}}}}\nsteps:\n{steps}")
}

fn played_with(store: &str, steps: &str) -> RunRecord {
    let text = topology(store, steps);
    let plan = planner::read("verbs.yaml", &text, &Overrides::default()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let record = runtime.block_on(async {
        let mut sim = SimBackend::new(&plan);
        sim.up(&mut SilentObserver).await.expect("nothing of the simulator can fail to start");
        run_plan(&plan, &mut sim, &mut SilentObserver, &StopSignal::default()).await
    });
    assert_eq!(record.ended, RunEnd::Finished, "{:#?}", record.events);
    for event in &record.events {
        if let EventKind::StepEnded { problem: Some(problem), .. } = &event.kind {
            panic!("{problem}: {:#?}", record.events);
        }
    }
    record
}

/// Live nodes at each inspection, and components of what they know, without repetitions.
fn inspections(record: &RunRecord) -> Vec<(usize, usize)> {
    let inspection = |kind: &EventKind| match *kind {
        EventKind::Inspected { live, components, .. } => Some((live, components)),
        _ => None,
    };
    let mut seen: Vec<_> = record.events.iter().filter_map(|event| inspection(&event.kind)).collect();
    seen.dedup();
    seen
}

#[test]
fn paused_node_is_missed_by_its_peers_and_comes_back_after_resume() {
    let record = played(
        "- join: {within: 30s}\n- store: {items: 20}\n- pause: {nodes: n-2}\n- settle: {for: 40s}\n\
         - check: [metric sum(butter_peer_failures_detected_total) >= 1, persistence == 100%]\n\
         - resume: {nodes: n-2}\n- join: {within: 30s}\n- retrieve: {from: n-2}\n- check: retrieval == 100%\n",
    );
    assert!(inspections(&record).contains(&(5, 1)) && inspections(&record).last() == Some(&(6, 1)));
    let identities: Vec<_> = record
        .events
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Started { node, id } if node.0 == 1 => Some(id),
            _ => None,
        })
        .collect();
    assert!(identities.len() == 2 && identities[0] == identities[1], "{identities:?}");
}

#[test]
fn killed_and_stopped_nodes_come_back_when_they_are_started() {
    let record = played(
        "- join: {within: 30s}\n- kill: {nodes: [n-1, n-2]}\n- stop: {nodes: n-3}\n- settle: {for: 20s}\n\
         - start: {nodes: [n-1, n-3]}\n- start: {nodes: n-2, fresh: true}\n- join: {within: 30s}\n",
    );
    assert!(inspections(&record).iter().any(|(live, _)| *live == 3), "{:?}", inspections(&record));
    assert_eq!(inspections(&record).last(), Some(&(6, 1)));
}

/// How many gets found their values, and how many did not.
fn gets(record: &RunRecord) -> (usize, usize) {
    let results = record.events.iter().filter_map(|event| match &event.kind {
        EventKind::Retrieved { result, .. } => Some(matches!(result, Retrieved::Found { .. })),
        _ => None,
    });
    results.fold((0, 0), |(found, not), is_found| if is_found { (found + 1, not) } else { (found, not + 1) })
}

const ALL_OFF_AND_ON: &str = "- join: {within: 30s}\n- store: {items: 20, size: 2KiB..9KiB}\n- kill: {nodes: n}\n\
    - start: {nodes: n}\n- settle: {for: 15s}\n- retrieve: {from: n-2}\n";

#[test]
fn blocks_on_disks_outlive_a_power_cut_and_blocks_in_memory_do_not() {
    assert_eq!(gets(&played_with("disk", ALL_OFF_AND_ON)), (20, 0));
    assert_eq!(gets(&played_with("memory", ALL_OFF_AND_ON)), (0, 20));
}

#[test]
fn full_and_damaged_disks_cost_no_item() {
    let record = played_with(
        "disk",
        "- join: {within: 30s}\n- store: {items: 20, size: 2KiB..9KiB}\n\
         - corrupt-store: {nodes: n, count: 2}\n- disk-full: {nodes: n, count: 2}\n- retrieve: {from: n}\n\
         - check: [metric sum(butter_blocks_damaged_total) >= 1, retrieval == 100%]\n\
         - disk-full: {nodes: n, full: false}\n- store: {items: 5}\n- settle: {for: 10s}\n- retrieve: {from: n-1}\n",
    );
    assert_eq!(gets(&record).1, 0);
    let changed = |op: &str| {
        record
            .events
            .iter()
            .filter(|event| matches!(event.kind, EventKind::StoreChanged { op: of, .. } if of == op))
            .count()
    };
    assert_eq!((changed("damage to a store"), changed("change of a disk's room")), (2, 8));
}

#[test]
fn disks_of_nodes_without_any_cannot_fail() {
    for step in ["disk-full", "corrupt-store"] {
        let text = topology("memory", &format!("- {step}: {{nodes: n}}\n"));
        let wrong = planner::read("verbs.yaml", &text, &Overrides::default()).unwrap_err().to_string();
        assert!(wrong.contains("n-1 keeps its blocks in memory") && wrong.contains("store: disk"), "{wrong}");
    }
}

#[test]
fn load_beside_churn_asks_only_nodes_that_are_there() {
    let record = played(
        "- join: {within: 30s}\n- store: {items: 20}\n\
         - parallel:\n    - churn: {for: 40s, die: 5%/s}\n    - load: {rate: 10/s, for: 40s, mix: {put: 10%, absent: 5%}}\n\
         - wait: {until: [persistence == 100%, metric sum(butter_isolated) == 0], within: 30s}\n",
    );
    let (mut queries, mut unasked, mut puts, mut killed) = (0, 0, 0, 0);
    for event in &record.events {
        match &event.kind {
            EventKind::Retrieved { result, .. } => {
                queries += 1;
                unasked += usize::from(matches!(result, Retrieved::Unasked { .. }));
            }
            EventKind::Stored { .. } => puts += 1,
            EventKind::Killed { .. } => killed += 1,
            _ => {}
        }
    }
    // Ten a second, of which 85 % are gets and 10 % puts; twelve deaths are expected.
    assert!((280..400).contains(&queries) && (40..80).contains(&puts) && killed > 4, "{queries} {puts} {killed}");
    assert_eq!(unasked, 0);
}

#[test]
fn sleepers_wake_by_themselves_and_rounds_are_played_one_after_the_other() {
    let record = played(
        "- join: {within: 30s}\n- repeat: {times: 3, steps: [sleep: {nodes: n, count: 2, for: 8s}, settle: {for: 5s}]}\n\
         - join: {within: 30s}\n",
    );
    let began = record.events.iter().filter(|event| matches!(event.kind, EventKind::StepBegan { .. })).count();
    assert_eq!(began, 8);
    assert_eq!(inspections(&record).last(), Some(&(6, 1)));
}

#[test]
fn what_does_not_come_true_ends_a_wait_as_failed() {
    let text =
        topology("memory", "- join: {within: 30s}\n- wait: {until: metric sum(butter_isolated) >= 1, within: 5s}\n");
    let plan = planner::read("verbs.yaml", &text, &Overrides::default()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let record = runtime.block_on(async {
        let mut sim = SimBackend::new(&plan);
        sim.up(&mut SilentObserver).await.expect("nothing of the simulator can fail to start");
        run_plan(&plan, &mut sim, &mut SilentObserver, &StopSignal::default()).await
    });
    let problems: Vec<&String> = record
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::StepEnded { problem, .. } => problem.as_ref(),
            _ => None,
        })
        .collect();
    assert_eq!(problems, ["what it waits for did not come within 5s: metric sum(butter_isolated) >= 1: it was 0"]);
}

#[test]
fn nodes_on_a_network_without_power_come_back_with_what_their_disks_hold() {
    let record = played_with(
        "disk",
        "- join: {within: 30s}\n- store: {items: 20}\n- outage: {networks: [lan], for: 10s, of: power}\n\
         - join: {within: 30s}\n- retrieve: {items: all}\n",
    );
    assert_eq!(gets(&record), (20, 0));
    assert!(inspections(&record).len() > 1, "{:?}", inspections(&record));
}
