//! Arguments and variables of a node's program.

use std::net::Ipv4Addr;

use butter::api::StoragePlace;
use butter::driver::transport::KEY_LOG_VARIABLE;

use super::hostile_node::{self, HostileNode};
use crate::plan::{API_PORT, NODE_PORT, Network, NodeIndex, Plan};

/// Holds the log filter of nodes, here as there.
pub(crate) const LOG_VARIABLE: &str = "BUTTER_LOG";

/// Holds the log filter of this program, and of the routers that it starts.
pub(crate) const ROUTER_LOG_VARIABLE: &str = "HARNESS_LOG";

/// Name of the file with the secrets of a node's connections, in the folder that the node is given for it.
pub(crate) const KEY_FILE: &str = "keys.log";

/// The variables of a node: the log filter of this process, if one is set, and where secrets are written down, if they are.
pub(crate) fn variables(keys: Option<&str>) -> Vec<(&'static str, String)> {
    let keys = keys.map(|folder| (KEY_LOG_VARIABLE, format!("{folder}/{KEY_FILE}")));
    inherited(LOG_VARIABLE).into_iter().chain(keys).collect()
}

/// The log filter of a network's router: the file's, or the one of this process if it has any.
pub(crate) fn router_variables(network: &Network) -> Vec<(&'static str, String)> {
    match &network.log {
        Some(filter) => vec![(ROUTER_LOG_VARIABLE, filter.clone())],
        None => inherited(ROUTER_LOG_VARIABLE),
    }
}

fn inherited(variable: &'static str) -> Vec<(&'static str, String)> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    value.map(|value| (variable, value)).into_iter().collect()
}

/// The program that a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeProgram {
    /// `butter`.
    Butter,
    /// This one, as a hostile node.
    Harness,
}

/// The program of a node with its arguments. Its control API listens on `api`; what outlives it is in the folder `store`, if it
/// keeps anything.
pub(crate) fn command(plan: &Plan, node: NodeIndex, api: Ipv4Addr, store: Option<&str>) -> (NodeProgram, Vec<String>) {
    match HostileNode::of(plan, node, api, store) {
        None => (NodeProgram::Butter, arguments(plan, node, api, store)),
        Some(hostile) => {
            let hostile = serde_json::to_string(&hostile).expect("numbers and texts have a JSON form");
            (NodeProgram::Harness, vec![hostile_node::COMMAND.to_owned(), hostile])
        }
    }
}

fn arguments(plan: &Plan, node: NodeIndex, api: Ipv4Addr, store: Option<&str>) -> Vec<String> {
    let node = plan.node(node);
    let mut arguments = vec!["run".to_owned(), "--start-paused".to_owned()];
    let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    let any = if node.address6.is_some() { "[::]" } else { "0.0.0.0" };
    option("--listen", format!("{any}:{NODE_PORT}"));
    option("--api", format!("{api}:{API_PORT}"));
    for address in plan.join_addresses(node) {
        option("--join", address.to_string());
    }
    for (key, value) in &node.settings {
        option("--set", format!("{key}={value}"));
    }
    if let Some(store) = store {
        option("--store", store.to_owned());
        if node.store == StoragePlace::Memory {
            arguments.push("--blocks-in-memory".to_owned());
        }
    }
    if node.ambassador {
        arguments.push("--ambassador".to_owned());
    }
    arguments
}
