//! Looks every name up and judges what only shows when the parts are put together.

use std::path::Path;

use ipnet::Ipv4Net;

use super::diagnostics::DiagnosticSink;
use super::fields::Spanned;
use super::raw::RawTopology;
use super::raw::network::{RawIpv6, RawNetwork};
use crate::net::link::LinkConfig;
use crate::net::nat::{NatConfig, Protocol};
use crate::net::network_policy::NetworkPolicy;
use crate::plan::{NetworkIndex, NetworkRange};

mod groups;
mod ipv6;
mod names;
mod needs;
mod network_names;
mod networks;

pub(crate) use names::{NameTable, NamedNetworks};

pub(crate) use groups::GroupModel;
pub(crate) use needs::{AddressNeed, needs};
pub(crate) use network_names::NetworkNames;
pub(crate) use networks::hosts;

/// Most networks of a topology.
pub(crate) const NETWORKS_MAX: usize = 4_096;
/// Most networks that one may be behind, one behind the other.
///
/// HostAddresses send packets with a TTL of 64, so that they pass 63 routers at most: then two networks so deep reach each other.
pub const NESTED_MAX: usize = 31;
/// Names that mean something else where a network or a node group is named.
const RESERVED: [&str; 2] = ["all", "fresh"];
/// Nodes that join for a retrieve step are named so.
pub(crate) const FRESH: &str = "fresh";

/// A topology in which every name is known.
#[derive(Debug)]
pub(crate) struct TopologyModel {
    /// One that others are behind comes before them.
    pub(crate) networks: Vec<NetworkModel>,
    pub(crate) groups: Vec<GroupModel>,
    /// Settings of nodes that belong to no group.
    pub(crate) settings: Vec<(String, String)>,
    /// Steps for which a node joins on every network.
    pub(crate) fresh_steps: u64,
    /// Whether the file says which nodes are neighbours.
    pub(crate) prescribes_graph: bool,
}

/// A network with its place in the tree.
#[derive(Debug)]
pub(crate) struct NetworkModel {
    /// With its number, if it has one.
    pub(crate) name: Spanned<String>,
    /// As in the file.
    pub(crate) group: String,
    pub(crate) subnet: Option<Spanned<Ipv4Net>>,
    pub(crate) ipv6: RawIpv6,
    pub(crate) behind: Option<NetworkIndex>,
    pub(crate) nat: Option<NatConfig>,
    pub(crate) firewall: NetworkPolicy,
    pub(crate) forwards: Vec<ForwardModel>,
    /// How often it gets new addresses outside.
    pub(crate) rebinds: u64,
    /// How many nodes move there.
    pub(crate) arrivals: u64,
    pub(crate) up: LinkConfig,
    pub(crate) down: LinkConfig,
    pub(crate) region: Option<String>,
    /// Log filter of its router.
    pub(crate) log: Option<String>,
}

/// A port that always leads to a node.
#[derive(Debug)]
pub(crate) struct ForwardModel {
    pub(crate) node: NodeSelector,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    pub(crate) to: u16,
}

/// Nodes, by a name of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeSelector {
    All,
    Fresh,
    Networks(NetworkRange),
    /// Index into [`TopologyModel::groups`].
    Group(usize),
    /// One node of a group, counted from 0.
    Node(usize, u64),
}

/// The parts of a file beside each other: the tree of networks, and the node groups on it.
pub(crate) struct Outline {
    tree: networks::Tree,
    groups: Vec<GroupModel>,
    settings: Vec<(String, String)>,
}

/// What the steps of a file need of its networks.
#[derive(Debug, Default)]
pub(crate) struct StepDemands {
    /// Steps for which a node joins on every network.
    pub(crate) fresh_steps: u64,
    /// Networks whose routers take new external addresses, each as often as they do.
    pub(crate) readdressed: Vec<NetworkIndex>,
    /// Networks that nodes move to, and how many at most.
    pub(crate) arrivals: Vec<(NetworkIndex, u64)>,
}

impl Outline {
    /// Checks networks and groups. `None` if there are too many networks to go on.
    pub(crate) fn new(raw: &RawTopology, problems: &mut DiagnosticSink) -> Option<Self> {
        let tree = networks::order(&raw.networks, problems)?;
        let settings = groups::settings(&[&raw.config]);
        let groups = groups::check(raw, &tree.places, problems);
        Some(Outline { tree, groups, settings })
    }

    /// Everything that steps, checks and forwards can name.
    pub(crate) fn names<'c>(&'c self, raw: &RawTopology, source: &'c str, folder: &'c Path) -> NameTable<'c> {
        NameTable::new(&raw.networks, &self.tree.places, &self.groups, (source, folder))
    }

    /// The model, with room on every network for what the steps need. `None` if anything in the file is wrong: nothing is
    /// planned from a part of a file.
    pub(crate) fn into_model(
        self,
        raw: RawTopology,
        (source, folder): (&str, &Path),
        demands: &StepDemands,
        problems: &mut DiagnosticSink,
    ) -> Option<TopologyModel> {
        let prescribes_graph = raw.graph.is_some();
        let names = self.names(&raw, source, folder);
        let forwards: Vec<_> = raw.networks.iter().flat_map(|network| names.forwards(network, problems)).collect();
        let Outline { tree, groups, settings } = self;
        let mut networks = networks::in_order(raw.networks, &tree);
        forwards.into_iter().for_each(|(network, forward)| networks[network.0].forwards.push(forward));
        for network in &demands.readdressed {
            networks[network.0].rebinds += 1;
        }
        for &(network, nodes) in &demands.arrivals {
            networks[network.0].arrivals += nodes;
        }
        networks::capacities(&networks, &groups, demands.fresh_steps, problems);
        let fresh_steps = demands.fresh_steps;
        problems.none().then_some(TopologyModel { networks, groups, settings, fresh_steps, prescribes_graph })
    }
}

impl NetworkModel {
    /// Number `number` of those that `raw` makes, counted from 0.
    fn new(raw: &RawNetwork, number: usize, behind: Option<NetworkIndex>) -> Self {
        let RawNetwork { name, subnet, ipv6, nat, firewall, link, region, log, count, .. } = raw.clone();
        let (up, down) = link.over((&LinkConfig::default(), &LinkConfig::default()));
        let group = name.value.clone();
        let value = if count.is_some() { format!("{group}-{}", number + 1) } else { name.value };
        let name = Spanned { value, span: name.span };
        NetworkModel {
            name,
            group,
            subnet,
            ipv6,
            behind,
            nat,
            firewall,
            forwards: Vec::new(),
            rebinds: 0,
            arrivals: 0,
            up,
            down,
            region,
            log,
        }
    }
}

/// `a-3` is number 3 of `a`.
fn numbered(name: &str) -> Option<(&str, u64)> {
    let (group, number) = name.rsplit_once('-')?;
    let plain = !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit());
    number.parse().ok().filter(|_| plain).map(|number| (group, number))
}
