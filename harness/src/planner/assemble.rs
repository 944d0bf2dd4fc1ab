//! From a checked topology to the plan: addresses, nodes, who joins through whom, the timeline.

use std::net::SocketAddrV4;
use std::time::Duration;

use butter::core::config::Config;
use ipnet::Ipv4Net;

use crate::net::autoconf::autoconfigured;
use crate::net::firewall::Policy;
use crate::net::nat::Forward;
use crate::plan::ipv6::{Network6, Uplink6};
use crate::plan::{Check, Network, NetworkIndex, NodeIndex, NodePlan, Uplink};
use crate::timeline::{self, Timeline, TimelineError};
use crate::topology::addresses::{self, HostAddresses};
use crate::topology::check::{Checked, CheckedNetwork, needs};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, quoted};

use super::{join_check, precondition, scenes};
use crate::topology::roster::NodeRoster;

/// Networks, nodes and the timeline of a plan.
pub(crate) struct Planned {
    pub(crate) networks: Vec<Network>,
    pub(crate) nodes: Vec<NodePlan>,
    pub(crate) timeline: Timeline,
    pub(crate) checks: Vec<Check>,
}

/// Plans everything. `None` if that is impossible; why is among `problems`.
pub(crate) fn plan(checked: &Checked, seed: u64, problems: &mut DiagnosticSink) -> Option<Planned> {
    let fresh_steps = checked.steps.iter().filter(|step| step.asks_fresh()).count();
    let needs = needs(&checked.networks, &checked.groups, fresh_steps as u64);
    let subnets = match addresses::subnets(&checked.networks, &needs) {
        Ok(subnets) => subnets,
        Err(network) => {
            let name = &checked.networks[network].name;
            problems.add(
                Diagnostic::at(&name.span, format!("no free subnet is left for {}", quoted(&name.value)))
                    .help("name subnets yourself, or take fewer or smaller networks"),
            );
            return None;
        }
    };
    let mut hosts: Vec<HostAddresses> =
        subnets.iter().zip(&needs).map(|(subnet, need)| HostAddresses::new(*subnet, *need)).collect();
    let subnets6 = addresses::subnets6(&checked.networks);
    let mut networks = networks(checked, &subnets, &subnets6, &mut hosts);
    let mut roster = NodeRoster::new(checked, &needs, fresh_steps, &mut hosts);
    for node in &mut roster.nodes {
        let subnet = networks[node.network.0].ipv6.map(|ipv6| ipv6.subnet);
        node.address6 = subnet.map(|subnet| autoconfigured(subnet, node.address));
    }
    set_forwards(checked, &roster, &mut networks);
    join_check::check(checked, &roster, problems);
    let scenes = scenes::scenes(checked, &roster, &networks, &mut hosts);
    match timeline::expand(seed, &roster.nodes, longest_deadline(checked), &scenes) {
        Ok(timeline) => {
            precondition::check(checked, &roster.nodes, &timeline, problems);
            let checks = checked.checks.iter().map(|check| check.value.clone()).collect();
            Some(Planned { networks, nodes: roster.nodes, timeline, checks })
        }
        Err((step, error)) => {
            problems.add(Diagnostic {
                help: remedy(&error),
                ..Diagnostic::at(&checked.steps[step].span, error.to_string())
            });
            None
        }
    }
}

fn remedy(error: &TimelineError) -> Option<String> {
    let text = match error {
        TimelineError::NoPair { .. } => "name at least two: among: [a, b]",
        TimelineError::NobodyLeft { .. } => "have churn replace or spare some of them",
        TimelineError::NothingStored => "store before: - store: {items: 60}",
        TimelineError::FewerStored { .. } => "ask for all of them: items: all",
        TimelineError::TooManyPairs => "name fewer nodes: among: [a, b]",
        TimelineError::TooManyActions | TimelineError::TooManyDraws => "take fewer nodes or items, or less time",
    };
    Some(text.to_owned())
}

fn networks(
    checked: &Checked,
    subnets: &[Ipv4Net],
    subnets6: &[Option<Network6>],
    hosts: &mut [HostAddresses],
) -> Vec<Network> {
    let network = |((network, &subnet), &ipv6): ((&CheckedNetwork, &Ipv4Net), &Option<Network6>)| Network {
        name: network.name.value.clone(),
        group: network.group.clone(),
        subnet,
        subnet_allocated: network.subnet.is_none(),
        gateway: HostAddresses::gateway(subnet),
        ipv6,
        behind: network.behind.map(|to| uplink(network, to, &mut hosts[to.0], ipv6.and(subnets6[to.0]))),
        region: network.region.clone(),
    };
    checked.networks.iter().zip(subnets).zip(subnets6).map(network).collect()
}

/// How a network is joined to `to`, whose addresses `hosts` hands out; `outer6` if both have IPv6.
fn uplink(network: &CheckedNetwork, to: NetworkIndex, hosts: &mut HostAddresses, outer6: Option<Network6>) -> Uplink {
    let firewall = network.ipv6.firewall.as_ref().map_or(Policy::Stateful, |firewall| firewall.value);
    let address = hosts.router();
    Uplink {
        to,
        address,
        pool: (1..network.outside_addresses()).map(|_| hosts.router()).collect(),
        forwards: Vec::new(),
        ipv6: outer6.map(|outer| Uplink6 { address: autoconfigured(outer.subnet, address), firewall }),
        nat: network.nat.clone(),
        up: network.up.clone(),
        down: network.down.clone(),
    }
}

/// Ports that always lead to nodes, whose addresses are known only now.
fn set_forwards(checked: &Checked, roster: &NodeRoster, networks: &mut [Network]) {
    for (network, planned) in checked.networks.iter().zip(networks) {
        let Some(uplink) = &mut planned.behind else { continue };
        uplink.forwards = network
            .forwards
            .iter()
            .flat_map(|forward| {
                let to = |node: NodeIndex| SocketAddrV4::new(roster.nodes[node.0].address, forward.to);
                roster.who(checked, &forward.node).into_iter().map(move |node| Forward {
                    protocol: forward.protocol,
                    port: forward.port,
                    to: to(node),
                })
            })
            .collect();
    }
}

/// The longest after which a node gives a put or get up.
fn longest_deadline(checked: &Checked) -> Duration {
    let deadline = |settings: &[(String, String)]| {
        let mut config = Config::default();
        for (key, value) in settings {
            config.set(key, value).expect("settings were checked");
        }
        config.deadline
    };
    let groups = checked.groups.iter().map(|group| deadline(&group.settings));
    groups.fold(deadline(&checked.settings), Duration::max)
}
