//! Limits on what nodes may use of the machine: which backend keeps them, said before anything is created.

use std::io;

use crate::error_class::ErrorClass;
use crate::plan::{NodeLimits, Plan};

/// Why limits of nodes cannot be kept. Nothing was created.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The simulator computes for all nodes in one process.
    #[error("{node} has limits ({limits}), and the simulator has no model of computing time or memory")]
    Simulated {
        /// Name of the node.
        node: String,
        /// What it is limited to.
        limits: NodeLimits,
    },
    /// This process may make no control groups.
    #[error("{node} has limits ({limits}), and no control group can be made for it here")]
    NoControlGroup {
        /// Name of the node.
        node: String,
        /// What it is limited to.
        limits: NodeLimits,
        /// What the kernel or its files said.
        #[source]
        source: io::Error,
    },
}

impl LimitError {
    /// What the user can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            LimitError::Simulated { .. } => "Use the backend docker or netns, or leave `limits` out.",
            LimitError::NoControlGroup { .. } => "Run as root, use the backend docker, or leave `limits` out.",
        }
    }

    /// Whose fault it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            LimitError::Simulated { .. } => ErrorClass::User,
            LimitError::NoControlGroup { .. } => ErrorClass::Environment,
        }
    }
}

/// Refuses a plan with limits, for the simulator.
///
/// # Errors
/// If a node has limits.
pub fn refuse(plan: &Plan) -> Result<(), LimitError> {
    match plan.nodes.iter().find_map(|node| Some((node, node.limits?))) {
        Some((node, limits)) => Err(LimitError::Simulated { node: node.name.clone(), limits }),
        None => Ok(()),
    }
}
