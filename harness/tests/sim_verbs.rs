//! Verbs that change the lives of nodes, played on the simulator.

use butter_harness::backend::Backend;
use butter_harness::backend::sim::SimBackend;
use butter_harness::events::EventKind;
use butter_harness::planner;
use butter_harness::run::{RunEnd, RunRecord, StopSignal, run_plan};
use butter_harness::topology::Overrides;

#[path = "support/silent.rs"]
mod silent;
use silent::SilentObserver;

/// Plays steps on six nodes of one LAN and expects that all of them end as planned.
fn played(steps: &str) -> RunRecord {
    let text = format!("networks: {{lan: {{}}}}\nnodes: {{n: {{on: lan, count: 6}}}}\nsteps:\n{steps}");
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
