//! A checked topology: every address, link, timed action and check of a run, decided before anything is created.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use butter::api::StoragePlace;
use butter::config::NodeConfig;
use butter::core::config::Config;
use butter::overlay::data::Keywords;
use ipnet::Ipv4Net;
use serde::Serialize;

use crate::adversary::Behaviour;
use crate::net::link::LinkConfig;
use crate::net::nat::{Forward, NatConfig};
use crate::net::network_policy::NetworkPolicy;
use crate::op::Op;

pub mod builder;
mod check;
mod fidelity;
pub mod ipv6;
mod limits;
pub mod partitions;
mod places;
mod prescribed_graph;
mod relocate;
mod step;
pub mod sweep;
mod topology_file;

use ipv6::{Network6, Uplink6};

pub use crate::index::{ItemIndex, NetworkIndex, NetworkRange, NodeIndex};
pub use check::{Aggregate, Check, Comparison, Measure, Selection, Statistic};
pub use fidelity::{Fidelity, FidelityChoice, PACKET_NODES_MAX};
pub use limits::NodeLimits;
pub use places::NodePlaces;
pub use prescribed_graph::{GRAPH_LINKS_MAX, GraphError, GraphForm, PrescribedGraph};
pub use step::{EndCondition, Step, TimedOp};
pub use topology_file::TopologyFile;

/// Port on which every node listens for peers (UDP).
pub const NODE_PORT: u16 = 4_001;
/// Port of every node's control API (TCP).
pub const API_PORT: u16 = 4_080;

/// Everything that a run will do.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Name of the topology, as its file has it.
    pub name: String,
    /// One line, from the file; may be empty.
    pub description: String,
    /// Seed of every random choice in the run.
    pub seed: u64,
    /// How closely the simulator is to follow QUIC; other backends run QUIC itself.
    pub fidelity: FidelityChoice,
    /// SHA-256 of the file's text and of the values that override its variables and settings, in hexadecimal.
    pub topology_hash: String,
    /// The file's text, for the run's directory.
    #[serde(skip)]
    pub source: String,
    /// Every network; one that others are behind comes before them.
    pub networks: Vec<Network>,
    /// Every node that ever runs, the `fresh` ones of retrieve steps last.
    pub nodes: Vec<NodePlan>,
    /// The neighbours that nodes have from the start to the end, if the file prescribes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph: Option<PrescribedGraph>,
    /// Files beside the topology that it names.
    #[serde(skip)]
    pub files: Vec<TopologyFile>,
    /// Every item that is stored.
    pub items: Vec<Item>,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// What must hold at the end.
    pub checks: Vec<Check>,
    /// Variables and settings that it was made from.
    #[serde(skip)]
    pub inputs: ResolvedInputs,
    /// What the file varies. The plan itself is that of the file's own values.
    #[serde(skip)]
    pub sweep: sweep::Sweep,
    /// What is valid and probably not meant, such as a variable that no value contains: one sentence each.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// Variables and settings of a topology, with the values that they have in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedInputs {
    /// Whether the file names a seed.
    pub seed_in_file: bool,
    /// Variables of the file, by name.
    pub variables: Vec<ResolvedInput>,
    /// Settings of all nodes, by name.
    pub settings: Vec<ResolvedInput>,
}

/// A variable or setting with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedInput {
    /// Its name in the file or on the command line.
    pub name: String,
    /// Its value in this run.
    pub value: String,
    /// Whether the value comes from elsewhere than the file.
    pub overridden: bool,
}

/// A network: a LAN, or the internet.
#[derive(Clone, Debug, Serialize)]
pub struct Network {
    /// `home`, or `home-3` if the file gives `home` a count.
    pub name: String,
    /// As in the file: `home`.
    pub group: String,
    /// Its addresses. A backend may move the run to other subnets of the same size: see [`Plan::relocate`].
    pub subnet: Ipv4Net,
    /// Whether the file left the subnet open.
    pub subnet_allocated: bool,
    /// Address of its router on the inside: the default route of its nodes. The first of the subnet.
    pub gateway: Ipv4Addr,
    /// IPv6 on it, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Network6>,
    /// The network on the router's other side; `None` for the internet.
    pub behind: Option<Uplink>,
    /// Where it is said to be; shown in reports.
    pub region: Option<String>,
    /// Log filter of its router, if the file names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// How a network is joined to the one it is behind.
#[derive(Clone, Debug, Serialize)]
pub struct Uplink {
    /// The network on the other side.
    pub to: NetworkIndex,
    /// The router's address there.
    pub address: Ipv4Addr,
    /// Its NAT's other addresses there.
    pub pool: Vec<Ipv4Addr>,
    /// Ports that always lead to a node inside.
    pub forwards: Vec<Forward>,
    /// IPv6 between the two networks, if both have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Uplink6>,
    /// Address translation; `None` routes plainly.
    pub nat: Option<NatConfig>,
    /// What its router lets through beside that.
    #[serde(skip_serializing_if = "NetworkPolicy::is_open")]
    pub firewall: NetworkPolicy,
    /// From the network outwards.
    pub up: LinkConfig,
    /// From outside into the network.
    pub down: LinkConfig,
}

impl Uplink {
    /// To `to`, with one external address, and the same link both ways.
    pub fn new(to: NetworkIndex, address: Ipv4Addr, nat: Option<NatConfig>, link: LinkConfig) -> Self {
        let (pool, forwards) = (Vec::new(), Vec::new());
        Uplink {
            to,
            address,
            pool,
            forwards,
            ipv6: None,
            nat,
            firewall: NetworkPolicy::Open,
            up: link.clone(),
            down: link,
        }
    }

    /// Every address that its NAT has outside.
    pub fn addresses(&self) -> Vec<Ipv4Addr> {
        std::iter::once(self.address).chain(self.pool.iter().copied()).collect()
    }
}

/// A node, with its place in the networks.
#[derive(Clone, Debug, Serialize)]
pub struct NodePlan {
    /// `a-1`; a group without a count has its own name.
    pub name: String,
    /// As in the file; `fresh` for those of retrieve steps.
    pub group: String,
    /// The network that it is in.
    pub network: NetworkIndex,
    /// Its IPv4 address in that network.
    pub address: Ipv4Addr,
    /// Its IPv6 address there, if the network has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address6: Option<Ipv6Addr>,
    /// Whether it serves as an ambassador.
    pub ambassador: bool,
    /// Whether its blocks outlive it.
    pub store: StoragePlace,
    /// Ambassadors that it is configured with.
    pub join: Vec<NodeIndex>,
    /// Settings that differ from the node's defaults: keys and values of [`NodeConfig::set`], already checked.
    pub settings: Vec<(String, String)>,
    /// Whether it runs from the beginning.
    pub from_start: bool,
    /// What it may use of its machine, if that is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<NodeLimits>,
    /// What it does to others; an honest node does nothing of the sort.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub behaviours: Vec<Behaviour>,
    /// Identities under which it takes part: a hostile node may have several.
    #[serde(skip_serializing_if = "is_one")]
    pub identities: u64,
}

fn is_one(count: &u64) -> bool {
    *count == 1
}

/// A value to store.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// Its length in bytes. Its bytes are [`Item::bytes`].
    pub size: usize,
    /// Seed of the bytes of the item.
    pub seed: u64,
    /// The node that stores the item.
    pub by: NodeIndex,
    /// Words by which it is found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
}

impl Item {
    /// The bytes: random, the same for the same seed.
    pub fn bytes(&self) -> Vec<u8> {
        use rand::{Rng, SeedableRng};
        let mut bytes = vec![0; self.size];
        rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(self.seed).fill_bytes(&mut bytes);
        bytes
    }

    /// The keywords, as nodes take them.
    ///
    /// # Panics
    /// If they are none: a plan has valid ones.
    pub fn words(&self) -> Keywords {
        Keywords::new(&self.keywords).expect("keywords of a plan are valid")
    }
}

impl Plan {
    /// The network with this index.
    pub fn network(&self, index: NetworkIndex) -> &Network {
        &self.networks[index.0]
    }

    /// Whether any network has IPv6.
    pub fn has_ipv6(&self) -> bool {
        self.networks.iter().any(|network| network.ipv6.is_some())
    }

    /// A network and all that are behind it, near or far.
    pub fn networks_within(&self, network: NetworkIndex) -> BTreeSet<NetworkIndex> {
        let mut within = BTreeSet::from([network]);
        // One that others are behind comes before them.
        for (index, inner) in self.networks.iter().enumerate() {
            if inner.behind.as_ref().is_some_and(|uplink| within.contains(&uplink.to)) {
                within.insert(NetworkIndex(index));
            }
        }
        within
    }

    /// Networks as the file names them, in order.
    pub fn network_groups(&self) -> Vec<(&str, NetworkRange)> {
        let mut first = 0;
        let chunks = self.networks.chunk_by(|a, b| a.group == b.group);
        chunks
            .map(|chunk| {
                let networks = NetworkRange::new(first, chunk.len());
                first += chunk.len();
                (chunk[0].group.as_str(), networks)
            })
            .collect()
    }

    /// What the file calls these networks.
    pub fn name_of_networks(&self, networks: NetworkRange) -> &str {
        let first = self.network(networks.first);
        if networks.count == 1 { &first.name } else { &first.group }
    }

    /// The node with this index.
    pub fn node(&self, index: NodeIndex) -> &NodePlan {
        &self.nodes[index.0]
    }

    /// The names of node groups, in order of their first nodes.
    pub fn node_groups(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.nodes.iter().map(|node| node.group.as_str()).filter(|group| seen.insert(*group)).collect()
    }

    /// The addresses of the ambassadors that a node is configured with.
    pub fn join_addresses(&self, node: &NodePlan) -> Vec<SocketAddrV4> {
        node.join.iter().map(|&ambassador| SocketAddrV4::new(self.node(ambassador).address, NODE_PORT)).collect()
    }

    /// Free addresses of a network, the last first.
    pub fn free_addresses(&self, network: NetworkIndex) -> impl Iterator<Item = Ipv4Addr> {
        let here = self.network(network);
        let mut used: BTreeSet<Ipv4Addr> =
            self.nodes.iter().filter(|node| node.network == network).map(|node| node.address).collect();
        used.insert(here.gateway);
        let arrivals = self.steps.iter().flat_map(|step| &step.ops).filter_map(|timed| match &timed.op {
            Op::Move { network: to, address, .. } => (*to == network).then_some(*address),
            _ => None,
        });
        used.extend(arrivals);
        let uplinks = self.networks.iter().filter_map(|other| other.behind.as_ref());
        for uplink in uplinks.filter(|uplink| uplink.to == network) {
            used.extend(uplink.pool.iter().copied().chain([uplink.address]));
        }
        let (first, last) =
            (u32::from(here.subnet.network()) + 1, u32::from(here.subnet.broadcast()).saturating_sub(1));
        (first..=last).rev().map(Ipv4Addr::from).filter(move |address| !used.contains(address))
    }

    /// The configuration of a node, as the core takes it.
    pub fn node_config(&self, node: &NodePlan) -> NodeConfig {
        let join = self.join_addresses(node).into_iter().map(Into::into).collect();
        let mut config = NodeConfig::from(Config { ambassador: node.ambassador, join, ..Config::default() });
        for (key, value) in &node.settings {
            config.set(key, value).expect("a plan's settings were checked");
        }
        config
    }
}
