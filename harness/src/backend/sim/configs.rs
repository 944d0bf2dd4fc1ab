//! The configurations of nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use butter::config::NodeConfig;

use crate::plan::Plan;

/// One configuration per node, the same one for nodes of the same settings.
pub(super) fn shared_configs(plan: &Plan) -> Vec<NodeConfig> {
    let mut known = BTreeMap::new();
    let mut shared = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let key = (node.ambassador, &node.join, &node.settings);
        let config = || {
            let mut config = plan.node_config(node);
            if plan.graph.is_some() {
                // Neighbours are prescribed: there is no one to look for.
                Arc::make_mut(&mut config.core).discover = false;
            }
            config
        };
        shared.push(known.entry(key).or_insert_with(config).clone());
    }
    shared
}
