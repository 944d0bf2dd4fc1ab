//! The promise of the simulator as a backend: a topology file plays to its end, checks and all, and the same seed leaves the
//! same record, byte for byte.

use std::path::Path;
use std::sync::Arc;

use butter_harness::backend::sim::Sim;
use butter_harness::backend::{Backend, Progress, Scrape};
use butter_harness::events::{Event, EventKind, RunTime};
use butter_harness::plan::Plan;
use butter_harness::play::{Audience, Ended, Played, Standing, Stop, play};
use butter_harness::topology::{self, Overrides};

struct Nobody;

impl Audience for Nobody {
    fn event(&mut self, _: &Event) {}
    fn sampled(&mut self, _: RunTime, _: &Arc<Vec<Scrape>>) {}
    fn standing(&mut self, _: &Standing) {}
}

impl Progress for Nobody {
    fn begin(&mut self, _: &str, _: u64) {}
    fn advance(&mut self, _: u64) {}
    fn note(&mut self, _: &str) {}
}

fn three_lans(seed: u64) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies/three-lans.yaml");
    topology::load(&path, &Overrides { seed: Some(seed), ..Overrides::default() }).expect("it is valid")
}

fn play_on_sim(plan: &Plan) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut sim = Sim::new(plan);
        sim.up(&mut Nobody).await.expect("a simulation comes up");
        play(plan, &mut sim, &mut Nobody, &Stop::default()).await
    })
}

fn record(played: &Played) -> String {
    let lines: Vec<String> =
        played.events.iter().map(|event| serde_json::to_string(event).expect("events are data")).collect();
    lines.join("\n")
}

#[test]
fn three_lans_play_to_the_end_the_same_each_time() {
    let plan = three_lans(7);
    let played = play_on_sim(&plan);
    assert_eq!(played.ended, Ended::Finished);
    let first = record(&played);
    for event in &played.events {
        if let EventKind::StepEnded { problem: Some(problem), .. } = &event.kind {
            panic!("{problem}");
        }
    }
    println!("{first}");
    assert_eq!(first, record(&play_on_sim(&plan)), "the same seed");
    assert_ne!(first, record(&play_on_sim(&three_lans(8))), "another seed");
}
