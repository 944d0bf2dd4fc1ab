//! Which network each node is on at a moment of a run: where the file puts it, until it moves.

use std::collections::BTreeMap;

use super::{NetworkIndex, NodeIndex, NodePlan};

/// The networks of nodes that have moved.
#[derive(Clone, Debug, Default)]
pub struct NodePlaces {
    moved: BTreeMap<NodeIndex, NetworkIndex>,
}

impl NodePlaces {
    /// A node has come to another network.
    pub fn moved(&mut self, node: NodeIndex, network: NetworkIndex) {
        self.moved.insert(node, network);
    }

    /// The network that a node is on by now; `nodes` are those of the plan.
    pub fn network(&self, nodes: &[NodePlan], node: NodeIndex) -> NetworkIndex {
        self.moved.get(&node).copied().unwrap_or(nodes[node.0].network)
    }
}
