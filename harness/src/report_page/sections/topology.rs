//! The topology: networks as the file names them, what is between them, and the nodes in them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::run_files::RunFiles;
use super::super::section::PageSection;
use super::super::thin::{ThinList, shortened};
use crate::planner::describe::nat_summary;
use crate::topology::raw::link::describe_link;

/// Most networks that the page has.
const NETWORKS_MAX: usize = 200;
/// Most groups of nodes in a network.
const GROUPS_MAX: usize = 60;
/// Most names of a group of nodes.
const NAMES_MAX: usize = 48;
/// Longest description of a NAT or a link, in bytes.
const TEXT_BYTES_MAX: usize = 240;

/// Reads the plan; it needs no event.
#[derive(Debug)]
pub(in super::super) struct TopologyData;

/// Networks that the file names once: one, or several alike.
#[derive(Debug, Serialize)]
struct DrawnNetwork {
    name: String,
    count: usize,
    /// Index of what it is behind; null for the internet.
    behind: Option<usize>,
    subnet: String,
    has_ipv6: bool,
    region: Option<String>,
    /// In the words of `harness plan`; null where routers translate nothing.
    nat: Option<String>,
    link: Option<String>,
    groups: ThinList<DrawnGroup>,
}

/// Nodes of one group in one network.
#[derive(Debug, Serialize)]
struct DrawnGroup {
    name: String,
    count: usize,
    /// How many of them are started later.
    later: usize,
    is_ambassador: bool,
    /// How they lie, if they do.
    behaviours: Vec<String>,
    names: ThinList<String>,
}

impl PageSection for TopologyData {
    fn data(&self, files: &RunFiles) -> Value {
        let networks = list(&files.plan, "networks");
        let mut drawn: Vec<DrawnNetwork> = Vec::new();
        let mut index_of = Vec::new();
        for network in networks {
            let group = text(network, "group");
            let known = drawn.iter().position(|other| other.name == group);
            index_of.push(known.unwrap_or(drawn.len()));
            match known {
                Some(known) => drawn[known].count += 1,
                None => drawn.push(drawn_network(network, group, &index_of)),
            }
        }
        if drawn.is_empty() {
            return Value::Null;
        }
        let mut members: BTreeMap<(usize, &str), Vec<&Value>> = BTreeMap::new();
        let mut order = Vec::new();
        for node in list(&files.plan, "nodes") {
            let Some(&network) = index(&node["network"]).and_then(|network| index_of.get(network)) else { continue };
            let key = (network, node["group"].as_str().unwrap_or_default());
            let group = members.entry(key).or_default();
            if group.is_empty() {
                order.push(key);
            }
            group.push(node);
        }
        let mut groups: Vec<Vec<DrawnGroup>> = drawn.iter().map(|_| Vec::new()).collect();
        for key in order {
            groups[key.0].push(drawn_group(key.1, &members[&key]));
        }
        for (network, groups) in drawn.iter_mut().zip(groups) {
            network.groups = ThinList::first(groups, GROUPS_MAX);
        }
        // One that others are behind comes before them, so what is left has what it is behind.
        json!({"networks": ThinList::first(drawn, NETWORKS_MAX)})
    }
}

fn drawn_network(network: &Value, name: String, index_of: &[usize]) -> DrawnNetwork {
    let behind = &network["behind"];
    let nat = parsed(&behind["nat"]).map(|nat| nat_summary(&nat));
    let link = parsed(&behind["up"]).zip(parsed(&behind["down"])).map(|(up, down)| describe_link(&up, &down));
    DrawnNetwork {
        name,
        count: 1,
        behind: index(&behind["to"]).and_then(|to| index_of.get(to).copied()),
        subnet: text(network, "subnet"),
        has_ipv6: !network["ipv6"].is_null(),
        region: network["region"].as_str().map(str::to_owned),
        nat: nat.map(|nat| shortened(&nat, TEXT_BYTES_MAX)),
        link: link.map(|link| shortened(&link, TEXT_BYTES_MAX)),
        groups: ThinList::first(Vec::new(), 0),
    }
}

fn drawn_group(name: &str, nodes: &[&Value]) -> DrawnGroup {
    let first = nodes[0];
    let behaviours = list(first, "behaviours").iter().map(behaviour).collect();
    DrawnGroup {
        name: name.to_owned(),
        count: nodes.len(),
        later: nodes.iter().filter(|node| node["from_start"] == false).count(),
        is_ambassador: first["ambassador"] == true,
        behaviours,
        names: ThinList::first(nodes.iter().map(|node| text(node, "name")).collect(), NAMES_MAX),
    }
}

/// The name of a behaviour, which may have settings of its own.
fn behaviour(value: &Value) -> String {
    let name = value.as_str().or_else(|| value.as_object()?.keys().next().map(String::as_str));
    name.unwrap_or_default().replace('_', " ")
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn index(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

fn parsed<T: DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}
