//! Looks every name up and judges what only shows when the parts are put together.

use std::time::Duration;

use ipnet::Ipv4Net;

use super::diagnostics::{DiagnosticSink, Span};
use super::fields::Spanned;
use super::raw::RawTopology;
use super::raw::link::RawLink;
use super::raw::network::{RawIpv6, RawNetwork};
use super::raw::step::Items;
use super::units::Sizes;
use crate::net::link::LinkConfig;
use crate::net::nat::{NatConfig, Protocol};
use crate::plan::{Check, NetworkIndex, NetworkRange};
use crate::timeline::Replace;

mod groups;
mod ipv6;
mod names;
mod needs;
mod network_names;
mod networks;

use names::Names;

pub(crate) use groups::CheckedGroup;
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
pub(crate) struct Checked {
    /// One that others are behind comes before them.
    pub(crate) networks: Vec<CheckedNetwork>,
    pub(crate) groups: Vec<CheckedGroup>,
    /// Settings of nodes that belong to no group.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) steps: Vec<CheckedStep>,
    pub(crate) checks: Vec<Spanned<Check>>,
}

/// A network with its place in the tree.
#[derive(Debug)]
pub(crate) struct CheckedNetwork {
    /// With its number, if it has one.
    pub(crate) name: Spanned<String>,
    /// As in the file.
    pub(crate) group: String,
    pub(crate) subnet: Option<Spanned<Ipv4Net>>,
    pub(crate) ipv6: RawIpv6,
    pub(crate) behind: Option<NetworkIndex>,
    pub(crate) nat: Option<NatConfig>,
    pub(crate) forwards: Vec<CheckedForward>,
    /// How often it gets new addresses outside.
    pub(crate) rebinds: u64,
    pub(crate) up: LinkConfig,
    pub(crate) down: LinkConfig,
    pub(crate) region: Option<String>,
}

/// A port that always leads to a node.
#[derive(Debug)]
pub(crate) struct CheckedForward {
    pub(crate) node: NodeSelector,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    pub(crate) to: u16,
}

/// A step whose names are known.
#[derive(Debug)]
pub(crate) struct CheckedStep {
    pub(crate) span: Span,
    pub(crate) line: usize,
    pub(crate) verb: Verb,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Verb {
    Join {
        within: Duration,
    },
    Store {
        items: u64,
        sizes: Sizes,
        from: Vec<NodeSelector>,
    },
    Churn {
        time: Duration,
        die: f64,
        graceful: f64,
        replace: Replace,
        only: Vec<NodeSelector>,
        spare: Vec<NodeSelector>,
    },
    Settle {
        time: Duration,
    },
    Retrieve {
        items: Items,
        from: Vec<NodeSelector>,
    },
    Rebind {
        networks: Vec<NetworkRange>,
        same_address: bool,
    },
    Cross {
        within: Duration,
        pairs: Option<u64>,
        among: Vec<NodeSelector>,
    },
    Link {
        networks: Vec<NetworkRange>,
        link: Box<RawLink>,
    },
    Check {
        checks: Vec<Spanned<Check>>,
    },
}

/// Nodes, by a name of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeSelector {
    All,
    Fresh,
    Networks(NetworkRange),
    /// Index into [`Checked::groups`].
    Group(usize),
    /// One node of a group, counted from 0.
    Node(usize, u64),
}

/// Checks everything. `None` if that was not possible; why is among `problems`.
pub(crate) fn check(raw: RawTopology, source: &str, problems: &mut DiagnosticSink) -> Option<Checked> {
    let tree = networks::order(&raw.networks, problems)?;
    let settings = groups::settings(&[&raw.config]);
    let groups = groups::check(&raw, &tree.places, problems);
    let names = Names::new(&raw.networks, &tree.places, &groups, source);
    let steps: Vec<_> = raw.steps.into_iter().map(|step| names.step(step, problems)).collect();
    let checks = names.checks(&raw.checks, problems);
    let forwards: Vec<_> = raw.networks.iter().flat_map(|network| names.forwards(network, problems)).collect();
    let fresh_steps = steps.iter().flatten().filter(|step| step.asks_fresh()).count() as u64;
    let mut networks = networks::in_order(raw.networks, &tree);
    forwards.into_iter().for_each(|(network, forward): (NetworkIndex, _)| networks[network.0].forwards.push(forward));
    for network in steps.iter().flatten().flat_map(CheckedStep::readdresses) {
        networks[network.0].rebinds += 1;
    }
    networks::capacities(&networks, &groups, fresh_steps, problems);
    // Whatever is missing here has been reported: nothing is planned from a part of a file.
    problems.none().then(|| Checked {
        networks,
        groups,
        settings,
        steps: steps.into_iter().flatten().collect(),
        checks,
    })
}

impl CheckedStep {
    /// Whether nodes join for it.
    pub(crate) fn asks_fresh(&self) -> bool {
        matches!(&self.verb, Verb::Retrieve { from, .. } if from.contains(&NodeSelector::Fresh))
    }

    /// The networks whose NATs get new addresses.
    fn readdresses(&self) -> impl Iterator<Item = NetworkIndex> {
        let networks = match &self.verb {
            Verb::Rebind { networks, same_address: false } => networks.as_slice(),
            _ => &[],
        };
        networks.iter().flat_map(|networks| networks.iter())
    }
}

impl CheckedNetwork {
    /// Number `number` of those that `raw` makes, counted from 0.
    fn new(raw: &RawNetwork, number: usize, behind: Option<NetworkIndex>) -> Self {
        let RawNetwork { name, subnet, ipv6, nat, link, region, count, .. } = raw.clone();
        let (up, down) = link.over((&LinkConfig::default(), &LinkConfig::default()));
        let group = name.value.clone();
        let value = if count.is_some() { format!("{group}-{}", number + 1) } else { name.value };
        let name = Spanned { value, span: name.span };
        CheckedNetwork { name, group, subnet, ipv6, behind, nat, forwards: Vec::new(), rebinds: 0, up, down, region }
    }
}

/// `a-3` is number 3 of `a`.
fn numbered(name: &str) -> Option<(&str, u64)> {
    let (group, number) = name.rsplit_once('-')?;
    let plain = !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit());
    number.parse().ok().filter(|_| plain).map(|number| (group, number))
}
