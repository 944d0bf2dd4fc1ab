//! Incidents: operations that did not happen as planned, and nodes and routers that ended without being asked to.

use serde::Serialize;

use crate::events::{Event, EventKind, RunTime};
use crate::plan::{NetworkIndex, NodeIndex, Plan};

/// Most incidents listed in `result.json`. `events.jsonl` has all of them.
const INCIDENTS_MAX: usize = 100;

/// An incident as an event reports it.
#[derive(Clone, Debug)]
pub struct Incident {
    /// When it was noticed.
    pub at: RunTime,
    /// What kind of incident it is.
    pub kind: IncidentKind,
    /// The node concerned, if there is one.
    pub node: Option<NodeIndex>,
    /// The network concerned, if there is one.
    pub network: Option<NetworkIndex>,
    /// One line that says what happened.
    pub what: String,
}

/// What kind of incident it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// An operation did not happen as planned.
    Operation,
    /// A node ended without being asked to: the environment's failure.
    NodeDied,
    /// A router ended during the run: the environment's failure.
    RouterDied,
}

impl Incident {
    /// The incident of an event, if it is one.
    pub fn of(event: &Event) -> Option<Self> {
        let incident = |kind, node, network, what: &String| {
            Some(Incident { at: event.at, kind, node, network, what: what.clone() })
        };
        match &event.kind {
            EventKind::Incident { node, message } => incident(IncidentKind::Operation, *node, None, message),
            EventKind::NodeDied { node, message } => incident(IncidentKind::NodeDied, Some(*node), None, message),
            EventKind::RouterDied { network, message } => {
                incident(IncidentKind::RouterDied, None, Some(*network), message)
            }
            _ => None,
        }
    }

    /// What it is about: a node, or a network.
    pub fn about(&self, plan: &Plan) -> Option<String> {
        let network = || self.network.map(|network| format!("network `{}`", plan.network(network).name));
        self.node.map(|node| plan.node(node).name.clone()).or_else(network)
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
    /// What kind of incident it is.
    pub kind: IncidentKind,
    /// Name of the node concerned, if there is one.
    pub node: Option<String>,
    /// Name of the network concerned, if there is one.
    pub network: Option<String>,
    /// One line that says what happened.
    pub what: String,
}

impl IncidentResults {
    /// Sums up the incidents of a run.
    pub(super) fn new(plan: &Plan, incidents: &[Incident]) -> Self {
        let first = incidents.iter().take(INCIDENTS_MAX).map(|incident| IncidentResult {
            at_s: incident.at.as_secs_f64(),
            kind: incident.kind,
            node: incident.node.map(|node| plan.node(node).name.clone()),
            network: incident.network.map(|network| plan.network(network).name.clone()),
            what: incident.what.clone(),
        });
        IncidentResults { total: incidents.len(), first: first.collect() }
    }
}

/// What made the environment of a run unlike the one that was planned: deaths that no step asked for.
pub(super) fn unplanned_deaths(plan: &Plan, incidents: &[Incident]) -> Vec<String> {
    let died = incidents.iter().filter(|incident| incident.kind != IncidentKind::Operation);
    died.take(INCIDENTS_MAX)
        .map(|incident| {
            let about = incident.about(plan).unwrap_or_default();
            format!("{about}: {} after {:.1} s", incident.what, incident.at.as_secs_f64())
        })
        .collect()
}
