//! The parts of a topology that two runs must share to be comparable.

use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// Networks, node groups and steps of a topology, as the file names them. Counts, links and settings may differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologyShape {
    /// Networks, in the file's order.
    pub networks: Vec<String>,
    /// Node groups, in the file's order.
    pub groups: Vec<String>,
    /// Verbs of all steps, in their order.
    pub steps: Vec<String>,
}

impl TopologyShape {
    /// The shape of a plan's topology.
    pub fn of(plan: &Plan) -> Self {
        TopologyShape {
            networks: plan.network_groups().into_iter().map(|(name, _)| name.to_owned()).collect(),
            groups: plan.node_groups().into_iter().map(str::to_owned).collect(),
            steps: plan.steps.iter().map(|step| step.verb.to_owned()).collect(),
        }
    }

    /// The first part in which `other` differs, with both values. `None` if they are alike.
    pub fn difference(&self, other: &Self) -> Option<ShapeDifference> {
        let parts = [
            ("networks", &self.networks, &other.networks),
            ("node groups", &self.groups, &other.groups),
            ("steps", &self.steps, &other.steps),
        ];
        let differing = parts.into_iter().find(|(_, one, other)| one != other);
        differing.map(|(part, one, other)| ShapeDifference { part, values: [one.join(", "), other.join(", ")] })
    }
}

/// A part of two topologies in which they differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeDifference {
    /// Name of the part: `networks`, `node groups` or `steps`.
    pub part: &'static str,
    /// The part in each of the two topologies, separated by commas.
    pub values: [String; 2],
}
