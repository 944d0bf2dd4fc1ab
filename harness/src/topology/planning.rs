//! From a checked topology to the plan: addresses, nodes, who joins through whom, the timeline.

use std::net::SocketAddrV4;
use std::time::Duration;

use butter::core::config::Config;
use ipnet::Ipv4Net;

use super::addresses::{self, Hosts};
use super::check::{Checked, CheckedNetwork, needs};
use super::diagnostics::{Problem, Problems, quoted};
use crate::net::autoconf::autoconfigured;
use crate::net::firewall::Policy;
use crate::net::nat::Forward;
use crate::plan::ipv6::{Network6, Uplink6};
use crate::plan::{Check, Network, NetworkIndex, NodeIndex, NodePlan, Uplink};
use crate::timeline::{self, Timeline, TimelineError};

mod cast;
mod measured;
mod meeting;
mod scenes;
mod titles;
mod uplinks;

use cast::Cast;

/// Networks, nodes and the timeline of a plan.
pub(super) struct Planned {
    pub(super) networks: Vec<Network>,
    pub(super) nodes: Vec<NodePlan>,
    pub(super) timeline: Timeline,
    pub(super) checks: Vec<Check>,
}

/// Plans everything. `None` if that is impossible; why is among `problems`.
pub(super) fn plan(checked: &Checked, seed: u64, problems: &mut Problems) -> Option<Planned> {
    let fresh_steps = checked.steps.iter().filter(|step| step.asks_fresh()).count();
    let needs = needs(&checked.networks, &checked.groups, fresh_steps as u64);
    let subnets = match addresses::subnets(&checked.networks, &needs) {
        Ok(subnets) => subnets,
        Err(network) => {
            let name = &checked.networks[network].name;
            problems.add(
                Problem::at(&name.span, format!("no free subnet is left for {}", quoted(&name.value)))
                    .help("name subnets yourself, or take fewer or smaller networks"),
            );
            return None;
        }
    };
    let mut hosts: Vec<Hosts> = subnets.iter().zip(&needs).map(|(subnet, need)| Hosts::new(*subnet, *need)).collect();
    let subnets6 = addresses::subnets6(&checked.networks);
    let mut networks = networks(checked, &subnets, &subnets6, &mut hosts);
    let mut cast = Cast::new(checked, &needs, fresh_steps, &mut hosts);
    for node in &mut cast.nodes {
        let subnet = networks[node.network.0].ipv6.map(|ipv6| ipv6.subnet);
        node.address6 = subnet.map(|subnet| autoconfigured(subnet, node.address));
    }
    set_forwards(checked, &cast, &mut networks);
    meeting::check(checked, &cast, problems);
    let scenes = scenes::scenes(checked, &cast, &networks, &mut hosts);
    match timeline::expand(seed, &cast.nodes, longest_deadline(checked), &scenes) {
        Ok(timeline) => {
            measured::check(checked, &cast.nodes, &timeline, problems);
            let checks = checked.checks.iter().map(|check| check.value.clone()).collect();
            Some(Planned { networks, nodes: cast.nodes, timeline, checks })
        }
        Err((step, error)) => {
            problems.add(Problem { help: remedy(&error), ..Problem::at(&checked.steps[step].span, error.to_string()) });
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
    hosts: &mut [Hosts],
) -> Vec<Network> {
    let network = |((network, &subnet), &ipv6): ((&CheckedNetwork, &Ipv4Net), &Option<Network6>)| Network {
        name: network.name.value.clone(),
        group: network.group.clone(),
        subnet,
        subnet_allocated: network.subnet.is_none(),
        gateway: Hosts::gateway(subnet),
        ipv6,
        behind: network.behind.map(|to| uplink(network, to, &mut hosts[to.0], ipv6.and(subnets6[to.0]))),
        region: network.region.clone(),
    };
    checked.networks.iter().zip(subnets).zip(subnets6).map(network).collect()
}

/// How a network is joined to `to`, whose addresses `hosts` hands out; `outer6` if both have IPv6.
fn uplink(network: &CheckedNetwork, to: NetworkIndex, hosts: &mut Hosts, outer6: Option<Network6>) -> Uplink {
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
fn set_forwards(checked: &Checked, cast: &Cast, networks: &mut [Network]) {
    for (network, planned) in checked.networks.iter().zip(networks) {
        let Some(uplink) = &mut planned.behind else { continue };
        uplink.forwards = network
            .forwards
            .iter()
            .flat_map(|forward| {
                let to = |node: NodeIndex| SocketAddrV4::new(cast.nodes[node.0].address, forward.to);
                cast.who(checked, &forward.node).into_iter().map(move |node| Forward {
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
