//! A checked topology: every address, link, timed action and check of a run, decided before anything is created.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::time::Duration;

use butter::core::config::Config;
use ipnet::Ipv4Net;
use serde::Serialize;

use crate::net::link::LinkConfig;
use crate::net::nat::{Forward, NatConfig};

pub mod ipv6;

use ipv6::{Network6, Uplink6, autoconfigured};

/// Port on which every node listens for peers (UDP).
pub const NODE_PORT: u16 = 4_001;
/// Port of every node's control API (TCP).
pub const API_PORT: u16 = 4_080;

/// Index into [`Plan::networks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NetworkIndex(pub usize);

/// Networks that one name of the file stands for: neighbours in [`Plan::networks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NetworkRange {
    /// The first of them.
    pub first: NetworkIndex,
    /// How many there are, at least one.
    pub count: usize,
}

impl NetworkRange {
    /// `count` networks from index `first` on.
    pub fn new(first: usize, count: usize) -> Self {
        NetworkRange { first: NetworkIndex(first), count }
    }

    /// Number `number` of them, from 0; after the last comes the first again.
    pub fn nth(self, number: usize) -> NetworkIndex {
        NetworkIndex(self.first.0 + number % self.count)
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = NetworkIndex> {
        (self.first.0..self.first.0 + self.count).map(NetworkIndex)
    }

    /// Whether `network` is one of them.
    pub fn contains(self, network: NetworkIndex) -> bool {
        (self.first.0..self.first.0 + self.count).contains(&network.0)
    }
}

impl From<NetworkIndex> for NetworkRange {
    fn from(first: NetworkIndex) -> Self {
        NetworkRange { first, count: 1 }
    }
}

/// Index into [`Plan::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NodeIndex(pub usize);

/// Index into [`Plan::items`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ItemIndex(pub usize);

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Of the topology.
    pub name: String,
    /// One line, from the file; may be empty.
    pub description: String,
    /// Decides everything random.
    pub seed: u64,
    /// SHA-256 of the file's text, in hexadecimal.
    pub file_hash: String,
    /// The file's text, for the run's directory.
    #[serde(skip)]
    pub source: String,
    /// Every network; one that others are behind comes before them.
    pub networks: Vec<Network>,
    /// Every node that ever runs, the `fresh` ones of retrieve steps last.
    pub nodes: Vec<NodePlan>,
    /// Every item that is stored.
    pub items: Vec<Item>,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// What must hold at the end.
    pub checks: Vec<Check>,
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
    /// From the network outwards.
    pub up: LinkConfig,
    /// From outside into the network.
    pub down: LinkConfig,
}

impl Uplink {
    /// Every address that its NAT has outside.
    pub fn addresses(&self) -> Vec<Ipv4Addr> {
        std::iter::once(self.address).chain(self.pool.iter().copied()).collect()
    }
}

/// A node.
#[derive(Clone, Debug, Serialize)]
pub struct NodePlan {
    /// `a-1`; a group without a count has its own name.
    pub name: String,
    /// As in the file; `fresh` for those of retrieve steps.
    pub group: String,
    /// Where it is.
    pub network: NetworkIndex,
    /// Its address there.
    pub address: Ipv4Addr,
    /// Its IPv6 address there, if the network has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address6: Option<Ipv6Addr>,
    /// Whether it serves as an ambassador.
    pub ambassador: bool,
    /// Ambassadors that it is told of.
    pub join: Vec<NodeIndex>,
    /// Settings that differ from the node's defaults: keys and values of [`Config::set`], already checked.
    pub settings: Vec<(String, String)>,
    /// Whether it runs from the beginning.
    pub from_start: bool,
}

/// A value to store.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// Its length in bytes. Its bytes are [`Item::bytes`].
    pub size: usize,
    /// Decides its bytes.
    pub seed: u64,
    /// Who stores it.
    pub by: NodeIndex,
}

impl Item {
    /// The bytes: random, the same for the same seed.
    pub fn bytes(&self) -> Vec<u8> {
        use rand::{Rng, SeedableRng};
        let mut bytes = vec![0; self.size];
        rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(self.seed).fill_bytes(&mut bytes);
        bytes
    }
}

/// One step, expanded: what is done when, counted from its beginning, and when it ends.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// `join`, `store`, `churn`, `settle`, `retrieve`, `rebind`, `link`, `cross`, `check`.
    pub verb: &'static str,
    /// One line for progress and reports: `churn for 60s, 1/100 of the nodes die each second`.
    pub title: String,
    /// In order of time.
    pub actions: Vec<Timed>,
    /// When it ends.
    pub until: Until,
    /// Line in the file, from 1.
    pub line: usize,
}

/// An action at its time.
#[derive(Clone, Debug, Serialize)]
pub struct Timed {
    /// After the step's beginning.
    pub after: Duration,
    /// What.
    pub act: Act,
}

/// What the timeline does to a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Start a node that does not run. With `fresh` it has a new identity and nothing stored.
    Start {
        /// Which.
        node: NodeIndex,
        /// A new identity and an empty store.
        fresh: bool,
    },
    /// SIGKILL: silence.
    Kill {
        /// Which.
        node: NodeIndex,
    },
    /// Ask it to leave in good order, and wait until it has.
    Stop {
        /// Which.
        node: NodeIndex,
    },
    /// Have an item stored by [`Item::by`].
    Put {
        /// Which.
        item: ItemIndex,
    },
    /// Have an item asked for.
    Get {
        /// Which.
        item: ItemIndex,
        /// Who asks.
        node: NodeIndex,
    },
    /// Have a network's NAT forget every mapping.
    Rebind {
        /// Whose.
        network: NetworkIndex,
        /// Its addresses outside from then on.
        addresses: Vec<Ipv4Addr>,
    },
    /// Change a network's uplink.
    SetLink {
        /// Whose.
        network: NetworkIndex,
        /// From the network outwards.
        up: Box<LinkConfig>,
        /// From outside into the network.
        down: Box<LinkConfig>,
    },
    /// Have two nodes linked as directly as possible, once neither is in another pair.
    Link {
        /// Who asks for the link.
        node: NodeIndex,
        /// To whom.
        peer: NodeIndex,
        /// A link counts that is up, and direct, by then.
        within: Duration,
    },
}

/// When a step ends.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// The known-host graph of all live nodes is one component; the run fails if that takes longer.
    Joined {
        /// How long it may take.
        within: Duration,
    },
    /// This long after its beginning, and all its actions are done.
    Elapsed {
        /// How long.
        time: Duration,
    },
    /// All its actions are done.
    Done {
        /// How long that may take.
        within: Duration,
    },
    /// These checks are evaluated, here and now.
    Checked {
        /// Which.
        checks: Vec<Check>,
    },
}

/// Something that must hold: `retrieval from gamma >= 95%`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// As written in the file.
    pub text: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// What is measured.
    pub measure: Measure,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what: a share as 0..1, a duration in seconds, or a plain number, as the measure has it.
    pub bound: f64,
}

/// How a measured value is compared with its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `>=`
    AtLeast,
    /// `>`
    Above,
    /// `<=`
    AtMost,
    /// `<`
    Below,
    /// `==`
    Equal,
}

/// What a check measures.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of the acknowledged items of which every block is held by a live node.
    Persistence,
    /// Share of the items to be stored whose store was acknowledged.
    Stored,
    /// Mean number of live copies per block of the acknowledged items.
    Copies,
    /// Share of queries answered with the right bytes in time.
    Retrieval {
        /// Only those asked from these networks.
        from: Option<NetworkRange>,
        /// Only those for items stored from these networks.
        to: Option<NetworkRange>,
    },
    /// The same, of the pair of networks where it is least. Those that one entry of the file made count as one.
    RetrievalWorstCell,
    /// A quantile of the time that right answers took, in seconds.
    RetrievalLatency {
        /// 0..1
        quantile: f64,
    },
    /// Mean number of query messages of a right answer.
    RetrievalMessages,
    /// Share of the pairs of nodes that were to be linked and are.
    Linked {
        /// Only links without a relay count.
        direct: bool,
        /// Only pairs of which one node is of this group.
        from: Option<String>,
        /// Only pairs of which the other node is of this group.
        to: Option<String>,
    },
    /// The same, of the pair of node groups where it is least.
    LinkedWorstCell {
        /// Only links without a relay count.
        direct: bool,
    },
    /// A quantile of the time until a pair was linked, in seconds.
    LinkedAfter {
        /// Until it was linked without a relay.
        direct: bool,
        /// 0..1
        quantile: f64,
    },
    /// A metric over the nodes, as sampled: over all samples for min and max, of the last sample for sum and avg.
    Metric {
        /// Metric name.
        name: String,
        /// How the nodes' values become one.
        over: Aggregate,
    },
}

/// How values of many nodes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The greatest.
    Max,
    /// The least.
    Min,
    /// Their mean.
    Avg,
    /// Their sum.
    Sum,
}

impl Plan {
    /// A network.
    pub fn network(&self, index: NetworkIndex) -> &Network {
        &self.networks[index.0]
    }

    /// Whether any network has IPv6.
    pub fn has_ipv6(&self) -> bool {
        self.networks.iter().any(|network| network.ipv6.is_some())
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

    /// A node.
    pub fn node(&self, index: NodeIndex) -> &NodePlan {
        &self.nodes[index.0]
    }

    /// The names of node groups, in order of their first nodes.
    pub fn node_groups(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.nodes.iter().map(|node| node.group.as_str()).filter(|group| seen.insert(*group)).collect()
    }

    /// The addresses of the ambassadors that a node is told of.
    pub fn join_addresses(&self, node: &NodePlan) -> Vec<SocketAddrV4> {
        node.join.iter().map(|&ambassador| SocketAddrV4::new(self.node(ambassador).address, NODE_PORT)).collect()
    }

    /// Addresses of a network that nobody has, the last first.
    pub fn free_addresses(&self, network: NetworkIndex) -> impl Iterator<Item = Ipv4Addr> {
        let here = self.network(network);
        let mut used: BTreeSet<Ipv4Addr> =
            self.nodes.iter().filter(|node| node.network == network).map(|node| node.address).collect();
        used.insert(here.gateway);
        let uplinks = self.networks.iter().filter_map(|other| other.behind.as_ref());
        for uplink in uplinks.filter(|uplink| uplink.to == network) {
            used.extend(uplink.pool.iter().copied().chain([uplink.address]));
        }
        let (first, last) =
            (u32::from(here.subnet.network()) + 1, u32::from(here.subnet.broadcast()).saturating_sub(1));
        (first..=last).rev().map(Ipv4Addr::from).filter(move |address| !used.contains(address))
    }

    /// The configuration of a node, as the core takes it.
    pub fn node_config(&self, node: &NodePlan) -> Config {
        let mut config = Config { ambassador: node.ambassador, ..Config::default() };
        config.join = self.join_addresses(node).into_iter().map(Into::into).collect();
        for (key, value) in &node.settings {
            config.set(key, value).expect("a plan's settings were checked");
        }
        config
    }

    /// Moves a network, and everything that has an address in it, to another subnet of the same size.
    ///
    /// # Panics
    /// If the new subnet has another prefix length.
    pub fn relocate(&mut self, network: NetworkIndex, subnet: Ipv4Net) {
        let old = self.networks[network.0].subnet;
        assert_eq!(old.prefix_len(), subnet.prefix_len(), "a network keeps its size");
        let host = u32::from(old.hostmask());
        let moved = |ip: Ipv4Addr| Ipv4Addr::from(u32::from(subnet.network()) | (u32::from(ip) & host));
        let here = &mut self.networks[network.0];
        here.subnet = subnet;
        here.gateway = moved(here.gateway);
        for forward in here.behind.iter_mut().flat_map(|uplink| &mut uplink.forwards) {
            forward.to.set_ip(moved(*forward.to.ip()));
        }
        // Its IPv6 subnet stays, but hosts make their addresses of what they have in IPv4.
        let subnet6 = here.ipv6.map(|ipv6| ipv6.subnet);
        let mut behind_it = vec![false; self.networks.len()];
        for (inner, is_behind) in self.networks.iter_mut().zip(&mut behind_it) {
            let Some(uplink) = inner.behind.as_mut().filter(|uplink| uplink.to == network) else { continue };
            *is_behind = true;
            uplink.address = moved(uplink.address);
            if let (Some(ipv6), Some(subnet)) = (&mut uplink.ipv6, subnet6) {
                ipv6.address = autoconfigured(subnet, uplink.address);
            }
            uplink.pool.iter_mut().for_each(|address| *address = moved(*address));
        }
        for timed in self.steps.iter_mut().flat_map(|step| &mut step.actions) {
            if let Act::Rebind { network, addresses } = &mut timed.act
                && behind_it[network.0]
            {
                addresses.iter_mut().for_each(|address| *address = moved(*address));
            }
        }
        for node in self.nodes.iter_mut().filter(|node| node.network == network) {
            node.address = moved(node.address);
            node.address6 = subnet6.map(|subnet| autoconfigured(subnet, node.address));
        }
    }
}
