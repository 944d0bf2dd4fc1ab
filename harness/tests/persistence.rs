//! Persistence: acknowledged items survive churn, without needless copies.
//!
//! The topology is `topologies/churn.yaml`: a hundred nodes with an item each, three copies, a heartbeat of 2 s. For a minute,
//! each node fails silently with the given chance per second, and a fresh node replaces it. Twenty seeds on the simulator.

use std::path::Path;

use butter_harness::backend::Backend;
use butter_harness::backend::sim::SimBackend;

use butter_harness::events::EventKind;
use butter_harness::plan::{FidelityChoice, Plan};
use butter_harness::planner;
use butter_harness::run::{RunEnd, StopSignal, run_plan};
use butter_harness::topology::Overrides;

#[path = "support/silent.rs"]
mod silent;

use silent::SilentObserver;

#[derive(Debug, Default)]
struct Total {
    acknowledged: usize,
    persistent: usize,
    copies: usize,
    blocks: usize,
}

fn after_churn(die: &str, seed: u64) -> Total {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies/churn.yaml");
    let overrides = Overrides { seed: Some(seed), set: vec![("die".into(), die.into())], folder: None };
    let plan = planner::load(&path, &overrides).expect("it is valid");
    // Forty runs of a hundred nodes: QUIC itself would take minutes.
    let plan = Plan { fidelity: FidelityChoice::Message, ..plan };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let played = runtime.block_on(async {
        let mut sim = SimBackend::new(&plan);
        sim.up(&mut SilentObserver).await.expect("a simulation comes up");
        run_plan(&plan, &mut sim, &mut SilentObserver, &StopSignal::default()).await
    });
    assert_eq!(played.ended, RunEnd::Finished, "seed {seed}");
    let looks = played.events.iter().rev().filter_map(|event| match event.kind {
        EventKind::Inspected { persistent: kept, acknowledged, copies, blocks, .. } => {
            Some(Total { acknowledged, persistent: kept, copies, blocks })
        }
        _ => None,
    });
    looks.into_iter().next().expect("a snapshot of the nodes was taken")
}

fn check(die: &str, persistent_least: f64) {
    let mut total = Total::default();
    for seed in 1..=20 {
        let run = after_churn(die, seed);
        println!("die {die}, seed {seed}: {run:?}");
        total.acknowledged += run.acknowledged;
        total.persistent += run.persistent;
        total.copies += run.copies;
        total.blocks += run.blocks;
    }
    assert!(total.acknowledged >= 1_980, "of 2,000 items {} were acknowledged", total.acknowledged);
    let persistent = total.persistent as f64 / total.acknowledged as f64;
    let copies = total.copies as f64 / total.blocks as f64;
    assert!(persistent >= persistent_least, "{persistent} of the items persist, not {persistent_least}: {total:?}");
    assert!(copies <= 3.2, "{copies} copies per block: {total:?}");
}

#[test]
fn items_persist_when_2_percent_of_nodes_fail_per_second() {
    check("1/50", 0.995);
}

#[test]
fn items_persist_when_1_percent_of_nodes_fail_per_second() {
    check("1/100", 0.999);
}
