//! Metrics of the run itself.

use butter::core::stats::{Instrument, InstrumentKind};

use super::faults::FaultCounts;
use crate::events::RunTime;

/// Outcomes that a query can have, as metrics and events name them.
pub const OUTCOMES: [&str; 6] = ["found", "wrong_bytes", "not_found", "incomplete", "timed_out", "unasked"];

/// What the run's own metrics say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunMetrics {
    /// Time on the run's clock.
    pub clock: RunTime,
    /// Index of the step that is being played.
    pub step: Option<usize>,
    /// Nodes that are running.
    pub nodes_live: usize,
    /// Items whose store was acknowledged.
    pub items_acknowledged: usize,
    /// Acknowledged items that live nodes hold; `None` before the first snapshot.
    pub items_persistent: Option<usize>,
    /// Number of queries by outcome.
    pub queries: [(&'static str, u64); OUTCOMES.len()],
}

/// What names a run in its metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLabels {
    /// Name of the record's directory: no two runs have the same.
    pub run: String,
    /// Name of the topology.
    pub name: String,
    /// Name of the backend.
    pub backend: String,
    /// Random seed of the run.
    pub seed: u64,
}

const INFO: Instrument =
    Instrument { name: "butter_run_info", help: "The run that is being played", kind: InstrumentKind::Gauge };
const CLOCK: Instrument =
    Instrument { name: "butter_run_clock_seconds", help: "Time on the run's clock", kind: InstrumentKind::Gauge };
const NODES_LIVE: Instrument =
    Instrument { name: "butter_run_nodes_live", help: "Nodes that are running", kind: InstrumentKind::Gauge };
const ITEMS_ACKNOWLEDGED: Instrument = Instrument {
    name: "butter_run_items_acknowledged",
    help: "Items whose store was acknowledged",
    kind: InstrumentKind::Gauge,
};
const ITEMS_PERSISTENT: Instrument = Instrument {
    name: "butter_run_items_persistent",
    help: "Acknowledged items of which a live node held every block in the last snapshot",
    kind: InstrumentKind::Gauge,
};
const QUERIES: Instrument =
    Instrument { name: "butter_run_queries_total", help: "Queries by outcome", kind: InstrumentKind::Counter };
const STEP: Instrument = Instrument {
    name: "butter_run_step",
    help: "Always 1; the labels name the step that is being played, from 1",
    kind: InstrumentKind::Gauge,
};

const FAULT_EVENTS: Instrument = Instrument {
    name: "butter_run_faults_total",
    help: "Faults that the run has caused or met, by the names of their events",
    kind: InstrumentKind::Counter,
};

/// Every instrument of the run, with the names of its labels.
pub const INSTRUMENTS: [(&Instrument, &[&str]); 8] = [
    (&INFO, &["name", "backend", "seed"]),
    (&CLOCK, &[]),
    (&NODES_LIVE, &[]),
    (&ITEMS_ACKNOWLEDGED, &[]),
    (&ITEMS_PERSISTENT, &[]),
    (&QUERIES, &["outcome"]),
    (&STEP, &["step", "verb"]),
    (&FAULT_EVENTS, &["event"]),
];

/// Hands every instrument with its labels and value to `take`, always in the same order. `verb` is that of the step.
pub(super) fn each(
    labels: &RunLabels,
    metrics: &RunMetrics,
    verb: Option<&str>,
    faults: &FaultCounts,
    mut take: impl FnMut(&Instrument, &[(&str, &str)], f64),
) {
    let RunLabels { name, backend, seed, .. } = labels;
    take(&INFO, &[("name", name), ("backend", backend), ("seed", &seed.to_string())], 1.0);
    take(&CLOCK, &[], metrics.clock.as_secs_f64());
    take(&NODES_LIVE, &[], metrics.nodes_live as f64);
    take(&ITEMS_ACKNOWLEDGED, &[], metrics.items_acknowledged as f64);
    if let Some(persistent) = metrics.items_persistent {
        take(&ITEMS_PERSISTENT, &[], persistent as f64);
    }
    for (outcome, count) in metrics.queries.iter().filter(|(outcome, _)| !outcome.is_empty()) {
        take(&QUERIES, &[("outcome", outcome)], *count as f64);
    }
    if let (Some(index), Some(verb)) = (metrics.step, verb) {
        take(&STEP, &[("step", &(index + 1).to_string()), ("verb", verb)], 1.0);
    }
    for (event, count) in faults.each() {
        take(&FAULT_EVENTS, &[("event", event)], count as f64);
    }
}
