//! A topology as a drawing: networks within each other, what their routers do, and the nodes in them.
//!
//! | module | subject |
//! | --- | --- |
//! | `svg` | the drawing itself, for a browser or a document |
//! | `dot` | for Graphviz |
//! | `mermaid` | for Markdown |

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;

use butter::api::StoragePlace;

use crate::plan::{NetworkIndex, NetworkRange, NodePlan, Plan};
use crate::planner::describe::nat_summary;
use crate::topology::raw::link::describe_link;

pub mod dot;
pub mod mermaid;
pub mod svg;

/// Longest text in a drawing, in characters.
const TEXT_MAX: usize = 64;

/// What a drawing shows of a plan. A network that others are behind comes before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyGraph {
    /// The topology's name.
    pub name: String,
    /// One line about it; may be empty.
    pub description: String,
    /// Networks as the file names them: one, or several alike.
    pub networks: Vec<GraphNetwork>,
}

/// A network of the file, which may stand for several alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphNetwork {
    /// Its name in the file.
    pub name: String,
    /// How many there are of it.
    pub count: usize,
    /// Its first subnet, whether it has IPv6, its region.
    pub facts: String,
    /// Its router, unless it is the internet.
    pub door: Option<GraphDoor>,
    /// Its nodes.
    pub groups: Vec<GraphGroup>,
}

/// The router of a network, and the link on its other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphDoor {
    /// Index of the network on the other side.
    pub behind: usize,
    /// What it translates, in the words of `harness plan`.
    pub nat: String,
    /// Delay, losses and rate, in the same words.
    pub link: String,
}

/// Nodes of one group in networks of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphGroup {
    /// Its name in the file; `fresh` for nodes that retrieve steps start.
    pub name: String,
    /// How many nodes.
    pub count: usize,
    /// What sort of nodes they are.
    pub kind: GroupKind,
    /// How they lie, and whether their blocks outlive them: short words.
    pub traits: Vec<String>,
}

/// What a drawing tells apart by colour and form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupKind {
    /// Neither of the others.
    Plain,
    /// Introduces peers and carries their packets.
    Ambassador,
    /// Lies to others.
    Hostile,
    /// Started during the run.
    Later,
}

impl GroupKind {
    /// In a word or a few.
    pub fn text(self) -> &'static str {
        match self {
            GroupKind::Plain => "node",
            GroupKind::Ambassador => "ambassador",
            GroupKind::Hostile => "hostile node",
            GroupKind::Later => "started during the run",
        }
    }
}

impl TopologyGraph {
    /// What a drawing shows of this plan.
    pub fn of(plan: &Plan) -> Self {
        let ranges = plan.network_groups();
        let mut index_of = vec![0; plan.networks.len()];
        for (index, (_, range)) in ranges.iter().enumerate() {
            range.iter().for_each(|network| index_of[network.0] = index);
        }
        let mut networks: Vec<GraphNetwork> =
            ranges.iter().map(|(name, range)| network(plan, name, *range, &index_of)).collect();
        for (index, group) in groups(plan, &index_of) {
            networks[index].groups.push(group);
        }
        TopologyGraph { name: plan.name.clone(), description: plan.description.clone(), networks }
    }

    /// The networks behind this one, in order; those behind none for `None`.
    pub fn inner(&self, outer: Option<usize>) -> impl Iterator<Item = usize> {
        let behind = move |network: &GraphNetwork| network.door.as_ref().map(|door| door.behind) == outer;
        self.networks.iter().enumerate().filter(move |(_, network)| behind(network)).map(|(index, _)| index)
    }
}

impl GraphNetwork {
    /// Its name, with its number where there are several.
    pub fn title(&self) -> String {
        times(&self.name, self.count)
    }
}

impl GraphGroup {
    /// Its name, with its number where there are several.
    pub fn title(&self) -> String {
        times(&self.name, self.count)
    }

    /// Its sort and what else there is to say of it; empty for plain nodes.
    pub fn remarks(&self) -> String {
        let kind = Some(self.kind.text().to_owned()).filter(|_| self.kind != GroupKind::Plain);
        kind.into_iter().chain(self.traits.iter().cloned()).collect::<Vec<_>>().join(", ")
    }

    /// Title and, on a line of their own, remarks.
    pub fn label(&self) -> String {
        let remarks = self.remarks();
        if remarks.is_empty() { self.title() } else { format!("{}\n{remarks}", self.title()) }
    }
}

impl GraphDoor {
    /// What the router does and, on a line of its own, what its link is like, as far as there is room.
    pub fn label(&self) -> String {
        format!("{}\n{}", shortened(&self.nat), shortened(&self.link))
    }
}

fn network(plan: &Plan, name: &str, range: NetworkRange, index_of: &[usize]) -> GraphNetwork {
    let first = plan.network(range.first);
    let subnet = if range.count > 1 { format!("{} …", first.subnet) } else { first.subnet.to_string() };
    let ipv6 = first.ipv6.is_some().then(|| "IPv6".to_owned());
    let facts: Vec<String> = [Some(subnet), ipv6, first.region.clone()].into_iter().flatten().collect();
    let door = first.behind.as_ref().map(|uplink| GraphDoor {
        behind: index_of[uplink.to.0],
        nat: uplink.nat.as_ref().map_or_else(|| "plain router".to_owned(), nat_summary),
        link: describe_link(&uplink.up, &uplink.down),
    });
    GraphNetwork { name: name.to_owned(), count: range.count, facts: facts.join(" · "), door, groups: Vec::new() }
}

/// Groups with the networks that they are on, in the order of their first nodes.
fn groups(plan: &Plan, index_of: &[usize]) -> Vec<(usize, GraphGroup)> {
    let mut places: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    let mut found: Vec<(usize, GraphGroup)> = Vec::new();
    for node in &plan.nodes {
        let NetworkIndex(network) = node.network;
        let key = (index_of[network], node.group.as_str());
        match places.get(&key) {
            Some(&place) => found[place].1.count += 1,
            None => {
                places.insert(key, found.len());
                found.push((key.0, group(node)));
            }
        }
    }
    found
}

fn group(first: &NodePlan) -> GraphGroup {
    let kind = match first {
        _ if !first.behaviours.is_empty() => GroupKind::Hostile,
        _ if first.ambassador => GroupKind::Ambassador,
        _ if !first.from_start => GroupKind::Later,
        _ => GroupKind::Plain,
    };
    let mut traits: Vec<String> = first.behaviours.iter().map(|behaviour| behaviour.name().to_owned()).collect();
    if first.store == StoragePlace::Disk {
        traits.push("blocks on disk".to_owned());
    }
    GraphGroup { name: first.group.clone(), count: 1, kind, traits }
}

fn times(name: &str, count: usize) -> String {
    if count > 1 { format!("{name} × {count}") } else { name.to_owned() }
}

/// A text that is not too long for a drawing.
fn shortened(text: &str) -> String {
    shortened_to(text, TEXT_MAX)
}

fn shortened_to(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
pub(crate) mod testing {
    use super::TopologyGraph;
    use crate::planner;
    use crate::topology::Overrides;

    /// The graph of a topology that ships.
    pub(crate) fn shipped(name: &str) -> TopologyGraph {
        let file = format!("{}/../topologies/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        TopologyGraph::of(&planner::load(file.as_ref(), &Overrides::default()).unwrap())
    }

    /// The graph of a topology's text.
    pub(crate) fn of_text(text: &str) -> TopologyGraph {
        TopologyGraph::of(&planner::read("x.yaml", text, &Overrides::default()).unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::testing::shipped;
    use super::*;

    #[test]
    fn networks_keep_their_order_and_every_node_is_counted_once() {
        let graph = shipped("three-lans");
        let names: Vec<&str> = graph.networks.iter().map(|network| network.name.as_str()).collect();
        assert_eq!(names, ["internet", "alpha", "beta", "gamma"]);
        assert_eq!(graph.inner(None).collect::<Vec<_>>(), [0]);
        assert_eq!(graph.inner(Some(0)).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(graph.networks[0].groups[0].kind, GroupKind::Ambassador);
        assert_eq!(graph.networks[1].groups[0].title(), "a × 5");
        assert_eq!(graph.networks[3].door.as_ref().unwrap().nat, "symmetric NAT");
        let counted: usize = graph.networks.iter().flat_map(|network| &network.groups).map(|group| group.count).sum();
        let file = format!("{}/../topologies/three-lans.yaml", env!("CARGO_MANIFEST_DIR"));
        let plan = crate::planner::load(file.as_ref(), &crate::topology::Overrides::default()).unwrap();
        assert_eq!(counted, plan.nodes.len());
    }

    #[test]
    fn hostile_nodes_and_networks_with_a_count_say_so() {
        let hostile = shipped("hostile");
        let liar =
            hostile.networks.iter().flat_map(|network| &network.groups).find(|group| group.kind == GroupKind::Hostile);
        assert!(liar.unwrap().remarks().starts_with("hostile node, "), "{liar:?}");
        assert!(
            shipped("nat-matrix").networks.iter().any(|network| network.count > 1 && network.title().contains(" × "))
        );
    }
}
