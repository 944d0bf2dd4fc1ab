//! Incidents: operations that did not happen as planned, and nodes that ended without being asked to.

use serde::Serialize;

use crate::events::{Event, EventKind, RunTime};
use crate::plan::{NodeIndex, Plan};

/// Most incidents listed in `result.json`. `events.jsonl` has all of them.
const INCIDENTS_MAX: usize = 100;

/// An incident as an event reports it.
#[derive(Clone, Debug)]
pub struct Incident {
    /// When it was noticed.
    pub at: RunTime,
    /// The node concerned, if there is one.
    pub node: Option<NodeIndex>,
    /// One line that says what happened.
    pub what: String,
}

impl Incident {
    /// The incident of an event, if it is one.
    pub(super) fn of(event: &Event) -> Option<Self> {
        match &event.kind {
            EventKind::Incident { node, message: what } => {
                Some(Incident { at: event.at, node: *node, what: what.clone() })
            }
            _ => None,
        }
    }
}

/// The section `incidents` of `result.json`.
#[derive(Clone, Debug, Serialize)]
pub struct IncidentResults {
    /// Number of all incidents.
    pub total: usize,
    /// The first hundred incidents, in order.
    pub first: Vec<IncidentResult>,
}

/// One incident in `result.json`.
#[derive(Clone, Debug, Serialize)]
pub struct IncidentResult {
    /// When it was noticed, on the run's clock.
    pub at_s: f64,
    /// Name of the node concerned, if there is one.
    pub node: Option<String>,
    /// One line that says what happened.
    pub what: String,
}

impl IncidentResults {
    /// Sums up the incidents of a run.
    pub(super) fn new(plan: &Plan, incidents: &[Incident]) -> Self {
        let first = incidents.iter().take(INCIDENTS_MAX).map(|incident| IncidentResult {
            at_s: incident.at.as_secs_f64(),
            node: incident.node.map(|node| plan.node(node).name.clone()),
            what: incident.what.clone(),
        });
        IncidentResults { total: incidents.len(), first: first.collect() }
    }
}
