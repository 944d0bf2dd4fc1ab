//! The promise of fidelity `packet`: every shipped topology passes with QUIC itself in the simulator, the same seed leaves the
//! same record, and a slow path that loses packets shows what real nodes show.

use std::path::{Path, PathBuf};

use butter_harness::backend::Backend;
use butter_harness::backend::sim::SimBackend;
use butter_harness::checks;
use butter_harness::plan::{FidelityChoice, Plan};
use butter_harness::planner;
use butter_harness::run::{RunEnd, RunRecord, StopSignal, run_plan};
use butter_harness::topology::Overrides;

#[path = "support/silent.rs"]
mod silent;

use silent::SilentObserver;

fn shipped() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies");
    let files = std::fs::read_dir(directory).expect("topologies ship").map(|entry| entry.expect("it is read").path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    files
}

fn plan(path: &Path) -> Plan {
    Plan { fidelity: FidelityChoice::Packet, ..planner::load(path, &Overrides::default()).expect("it is valid") }
}

fn play(plan: &Plan) -> RunRecord {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut sim = SimBackend::new(plan);
        sim.up(&mut SilentObserver).await.expect("a simulation comes up");
        run_plan(plan, &mut sim, &mut SilentObserver, &StopSignal::default()).await
    })
}

#[test]
fn every_shipped_topology_passes() {
    for path in shipped() {
        let plan = plan(&path);
        let played = play(&plan);
        assert_eq!(played.ended, RunEnd::Finished, "{}", plan.name);
        let results = checks::evaluate(&plan, &played.events, &played.metric_history);
        for result in results {
            assert!(result.passed, "{}: {result:?}", plan.name);
        }
    }
}

#[test]
fn the_same_seed_leaves_the_same_record() {
    let path = shipped().into_iter().find(|path| path.ends_with("frozen.yaml")).expect("it ships");
    let record = |seed| {
        let plan = Plan { seed, ..plan(&path) };
        play(&plan).events.iter().map(|event| serde_json::to_string(event).expect("data") + "\n").collect::<String>()
    };
    assert!(record(1) == record(1), "the same seed");
    assert!(record(1) != record(2), "another seed");
}
