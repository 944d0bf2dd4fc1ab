//! The promise of the simulator as a backend: a topology file plays to its end, checks and all, and the same seed leaves the
//! same record, byte for byte.

use std::path::Path;

use butter::config::NodeConfig;
use butter_harness::backend::sim::SimBackend;
use butter_harness::backend::{Backend, BackendError};
use butter_harness::events::{EventKind, Retrieved, RunTime};
use butter_harness::op::{BackendEvent, Op, OpId, OpTarget};
use butter_harness::plan::{Fidelity, Plan};
use butter_harness::planner;
use butter_harness::progress::Progress;
use butter_harness::run::{RunEnd, RunRecord, StopSignal, run_plan};
use butter_harness::sim::invariants;
use butter_harness::topology::Overrides;

#[path = "support/silent.rs"]
mod silent;

use silent::SilentObserver;

fn three_lans(seed: u64, fidelity: Fidelity) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies/three-lans.yaml");
    let plan = planner::load(&path, &Overrides { seed: Some(seed), ..Overrides::default() }).expect("it is valid");
    assert_eq!(plan.sim_fidelity(), Fidelity::Packet, "so few nodes run QUIC itself");
    Plan { fidelity: fidelity.into(), ..plan }
}

/// The simulator, with its invariants checked at each look.
struct Checked {
    sim: SimBackend,
    config: NodeConfig,
    looks: usize,
}

/// More live copies of a block than this are never there at a time: three, and what repairs under way may add.
const COPIES_MAX: usize = 8;

impl Backend for Checked {
    fn name(&self) -> &'static str {
        self.sim.name()
    }

    async fn up(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        self.sim.up(progress).await
    }

    fn now(&self) -> RunTime {
        self.sim.now()
    }

    fn submit(&mut self, id: OpId, op: Op, target: OpTarget) {
        if matches!(op, Op::Inspect) {
            self.looks += 1;
            let mut violations = invariants::views(self.sim.engine(), &self.config.core);
            violations.extend(invariants::bounded_copies(self.sim.engine(), COPIES_MAX));
            assert_eq!(violations, [], "at {:?}", self.sim.now());
        }
        self.sim.submit(id, op, target);
    }

    async fn next(&mut self, until: RunTime) -> Option<BackendEvent> {
        self.sim.next(until).await
    }

    async fn down(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        self.sim.down(progress).await
    }
}

fn play_on_sim(plan: &Plan) -> (RunRecord, Checked) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut sim = Checked { sim: SimBackend::new(plan), config: plan.node_config(&plan.nodes[0]), looks: 0 };
        sim.up(&mut SilentObserver).await.expect("a simulation comes up");
        let played = run_plan(plan, &mut sim, &mut SilentObserver, &StopSignal::default()).await;
        sim.down(&mut SilentObserver).await.expect("nothing is left of it");
        (played, sim)
    })
}

/// The record as it is written, a line for each event.
fn record(plan: &Plan) -> String {
    let (played, _) = play_on_sim(plan);
    let line = |event| serde_json::to_string(event).expect("events are data") + "\n";
    played.events.iter().map(line).collect()
}

#[test]
fn three_lans_play_to_their_end() {
    let (played, sim) = play_on_sim(&three_lans(7, Fidelity::Message));
    assert_eq!(played.ended, RunEnd::Finished);
    assert!(sim.looks > 10, "invariants were looked at {} times", sim.looks);
    assert_eq!(invariants::joined(sim.sim.engine()), []);
    let mut found = 0;
    for event in &played.events {
        match &event.kind {
            EventKind::StepEnded { problem: Some(problem), .. } => panic!("{problem}"),
            EventKind::Incident { message: what, .. } => panic!("{what}"),
            EventKind::Retrieved { result: Retrieved::Found { .. }, .. } => found += 1,
            EventKind::Retrieved { result, .. } => panic!("{result:?}"),
            _ => {}
        }
    }
    assert!(found > 0, "something was asked for");
}

#[test]
fn the_same_seed_leaves_the_same_record() {
    for fidelity in [Fidelity::Message, Fidelity::Packet] {
        let record = |seed| record(&three_lans(seed, fidelity));
        let first = record(7);
        assert!(first == record(7), "the same seed with {fidelity}");
        assert!(first != record(8), "another seed with {fidelity}");
    }
}
