//! Slow links that lose packets, with QUIC itself in the simulator: what is stored behind them or beyond them is found in time.

use butter_harness::backend::Backend;
use butter_harness::backend::sim::SimBackend;
use butter_harness::checks;
use butter_harness::plan::{FidelityChoice, Plan};
use butter_harness::planner;
use butter_harness::run::{RunEnd, StopSignal, run_plan};
use butter_harness::topology::Overrides;

#[path = "support/silent.rs"]
mod silent;

use silent::SilentObserver;

/// Two nodes behind one slow link fetch forty values within two seconds.
const SLOW_MOBILE: &str = "
name: slow-mobile
vars: {preset: 3g, loss: 3%, least: 99%}
networks:
  internet: {}
  home: {behind: internet, nat: port-restricted, link: {latency: 10ms}}
  mobile: {behind: internet, nat: symmetric, link: {preset: \"${preset}\", loss: \"${loss}\"}}
nodes:
  hub: {on: internet, ambassador: true}
  h: {on: home, count: 6}
  m: {on: mobile, count: 2}
config: {heartbeat: 1s}
steps:
  - join: {within: 30s}
  - store: {items: 40, size: 2KiB..20KiB, from: [h]}
  - settle: {for: 5s}
  - retrieve: {items: all, from: [m]}
checks:
  - persistence == 100%
  - retrieval >= ${least}
";

/// Three nodes behind one slow link store large values, and fetch those of others.
const SATURATED_UPLINK: &str = "
name: saturated-uplink
vars: {loss: 3%}
networks:
  internet: {}
  campus: {behind: internet, nat: none, link: {latency: 4ms}}
  bus: {behind: internet, nat: symmetric, link: {preset: 3g, loss: \"${loss}\"}}
nodes:
  hub: {on: internet, ambassador: true}
  c: {on: campus, count: 9}
  b: {on: bus, count: 3}
config: {replicas: 3, heartbeat: 1s}
steps:
  - join: {within: 60s}
  - store: {items: 40, size: 1KiB..64KiB, from: all}
  - settle: {for: 30s}
  - retrieve: {items: all, from: [campus, bus]}
checks:
  - stored >= 99%
  - persistence == 100%
  - retrieval >= 90%
  - copies <= 3.1
";

/// A node behind a slow link that has the only copies of half a megabyte leaves.
const LEAVING: &str = "
name: leaving
networks:
  internet: {}
  campus: {behind: internet, nat: none, link: {latency: 4ms}}
  bus: {behind: internet, nat: symmetric, link: {preset: 3g}}
nodes:
  hub: {on: internet, ambassador: true}
  c: {on: campus, count: 5}
  b: {on: bus, count: 1}
config: {replicas: 1, heartbeat: 1s}
steps:
  - join: {within: 30s}
  - store: {items: 16, size: 32KiB, from: [b]}
  - stop: {nodes: [b], count: 1}
checks:
  - stored == 100%
  - persistence == 100%
";

/// Plays `text` with each of the first `seeds` seeds and these variables: every check passes. Returns the mean retrieval, if the
/// file has a check of it.
fn passes(text: &str, seeds: u64, set: &[(&str, &str)]) -> f64 {
    let mut retrieval = 0.0;
    for seed in 1..=seeds {
        let set = set.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let plan =
            planner::read("a test", text, &Overrides { seed: Some(seed), set, folder: None }).expect("it is valid");
        let plan = Plan { fidelity: FidelityChoice::Packet, ..plan };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let played = runtime.block_on(async {
            let mut sim = SimBackend::new(&plan);
            sim.up(&mut SilentObserver).await.expect("a simulation comes up");
            run_plan(&plan, &mut sim, &mut SilentObserver, &StopSignal::default()).await
        });
        assert_eq!(played.ended, RunEnd::Finished, "{}", plan.name);
        for result in checks::evaluate(&plan, &played.events, &played.metric_history) {
            assert!(result.passed, "{}, seed {seed}: {result:?}", plan.name);
            if result.text.starts_with("retrieval ") {
                retrieval += result.value.expect("it was measured");
            }
        }
    }
    retrieval / seeds as f64
}

#[test]
fn values_are_found_over_mobile_links_and_satellites_that_lose_packets() {
    for preset in ["3g", "lte", "satellite"] {
        passes(SLOW_MOBILE, 4, &[("preset", preset)]);
    }
    passes(SLOW_MOBILE, 4, &[("loss", "5%"), ("least", "95%")]);
}

#[test]
fn values_are_stored_and_found_over_an_uplink_that_is_busy_and_loses_packets() {
    // One of the eighty queries of a run is more than a hundredth.
    let retrieval = passes(SATURATED_UPLINK, 10, &[]);
    assert!(retrieval >= 0.99, "{retrieval}");
}

#[test]
fn node_behind_a_slow_link_takes_its_time_to_hand_over_and_leave() {
    passes(LEAVING, 4, &[]);
}
