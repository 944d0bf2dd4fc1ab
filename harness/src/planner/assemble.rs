//! From a model topology to the plan: addresses, nodes, their ambassadors, the timeline.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use butter::config::NodeConfig;
use ipnet::Ipv4Net;

use crate::net::autoconf::autoconfigured;
use crate::net::firewall::Policy;
use crate::net::nat::Forward;
use crate::plan::ipv6::{Network6, Uplink6};
use crate::plan::{Item, Network, NetworkIndex, NodeIndex, NodePlan, Step, Uplink};
use crate::steps::state::{HeldNode, PlanState};
use crate::steps::{self, StepEntry};
use crate::topology::addresses::{self, HostAddresses};
use crate::topology::check::{NetworkModel, TopologyModel, needs};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, quoted};
use crate::topology::roster::NodeRoster;
use crate::topology::uplinks::UplinkStates;

/// Networks, nodes and steps of a plan.
pub(crate) struct Assembled {
    pub(crate) networks: Vec<Network>,
    pub(crate) nodes: Vec<NodePlan>,
    pub(crate) items: Vec<Item>,
    pub(crate) steps: Vec<Step>,
}

/// Assembles everything. `None` if that is impossible; why is among `problems`. Nodes of a lab that is up are as `held` says.
pub(crate) fn assemble(
    model: &TopologyModel,
    entries: &[StepEntry],
    seed: u64,
    held: &BTreeMap<String, HeldNode>,
    problems: &mut DiagnosticSink,
) -> Option<Assembled> {
    let needs = needs(&model.networks, &model.groups, model.fresh_steps);
    let subnets = match addresses::subnets(&model.networks, &needs) {
        Ok(subnets) => subnets,
        Err(network) => {
            let name = &model.networks[network].name;
            problems.add(
                Diagnostic::at(&name.span, format!("no free subnet is left for {}", quoted(&name.value)))
                    .help("name subnets yourself, or use fewer or smaller networks"),
            );
            return None;
        }
    };
    let room = subnets.iter().zip(&needs);
    let mut hosts: Vec<HostAddresses> = room.map(|(subnet, need)| HostAddresses::new(*subnet, *need)).collect();
    let subnets6 = addresses::subnets6(&model.networks);
    let mut networks = networks(model, &subnets, &subnets6, &mut hosts);
    let mut roster = NodeRoster::new(model, &needs, model.fresh_steps as usize, &mut hosts);
    for node in &mut roster.nodes {
        let subnet = networks[node.network.0].ipv6.map(|ipv6| ipv6.subnet);
        node.address6 = subnet.map(|subnet| autoconfigured(subnet, node.address));
    }
    set_forwards(model, &roster, &mut networks);
    for entry in entries {
        entry.spec.validate_nodes(&entry.span, model, &roster, problems);
    }
    let uplinks = UplinkStates::new(&networks, &mut hosts);
    let mut state = PlanState::new(model, &roster, uplinks, longest_deadline(model));
    for (index, node) in roster.nodes.iter().enumerate() {
        let Some(now) = held.get(&node.name) else { continue };
        state.set_life(NodeIndex(index), now.life);
        // The others are the lab's spare ones, whose names say nothing of those of the file.
        if let Some(network) = networks.iter().position(|network| node.from_start && network.name == now.network) {
            state.set_place(NodeIndex(index), NetworkIndex(network));
        }
    }
    let scheduled = steps::schedule(entries, seed, &mut state);
    let items = std::mem::take(&mut state.items);
    match scheduled {
        Ok(steps) => Some(Assembled { networks, nodes: roster.nodes, items, steps }),
        Err((step, error)) => {
            problems.add(Diagnostic::at(&entries[step].span, error.to_string()).help(error.remedy()));
            None
        }
    }
}

fn networks(
    model: &TopologyModel,
    subnets: &[Ipv4Net],
    subnets6: &[Option<Network6>],
    hosts: &mut [HostAddresses],
) -> Vec<Network> {
    let network = |((network, &subnet), &ipv6): ((&NetworkModel, &Ipv4Net), &Option<Network6>)| Network {
        name: network.name.value.clone(),
        group: network.group.clone(),
        subnet,
        subnet_allocated: network.subnet.is_none(),
        gateway: HostAddresses::gateway(subnet),
        ipv6,
        behind: network.behind.map(|to| uplink(network, to, &mut hosts[to.0], ipv6.and(subnets6[to.0]))),
        region: network.region.clone(),
        log: network.log.clone(),
    };
    model.networks.iter().zip(subnets).zip(subnets6).map(network).collect()
}

/// How a network is joined to `to`, whose addresses `hosts` hands out; `outer6` if both have IPv6.
fn uplink(network: &NetworkModel, to: NetworkIndex, hosts: &mut HostAddresses, outer6: Option<Network6>) -> Uplink {
    let firewall = network.ipv6.firewall.as_ref().map_or(Policy::Stateful, |firewall| firewall.value);
    let address = hosts.router();
    Uplink {
        to,
        address,
        pool: (1..network.outside_addresses()).map(|_| hosts.router()).collect(),
        forwards: Vec::new(),
        ipv6: outer6.map(|outer| Uplink6 { address: autoconfigured(outer.subnet, address), firewall }),
        nat: network.nat.clone(),
        firewall: network.firewall,
        up: network.up.clone(),
        down: network.down.clone(),
    }
}

/// Ports that always lead to nodes, whose addresses are known only now.
fn set_forwards(model: &TopologyModel, roster: &NodeRoster, networks: &mut [Network]) {
    for (network, planned) in model.networks.iter().zip(networks) {
        let Some(uplink) = &mut planned.behind else { continue };
        uplink.forwards = network
            .forwards
            .iter()
            .flat_map(|forward| {
                let to = |node: NodeIndex| SocketAddrV4::new(roster.nodes[node.0].address, forward.to);
                roster.who(model, &forward.node).into_iter().map(move |node| Forward {
                    protocol: forward.protocol,
                    port: forward.port,
                    to: to(node),
                })
            })
            .collect();
    }
}

/// The longest after which a node gives a put or get up.
fn longest_deadline(model: &TopologyModel) -> Duration {
    let deadline = |settings: &[(String, String)]| {
        let mut config = NodeConfig::default();
        for (key, value) in settings {
            config.set(key, value).expect("settings were model");
        }
        config.core.deadline
    };
    let groups = model.groups.iter().map(|group| deadline(&group.settings));
    groups.fold(deadline(&model.settings), Duration::max)
}
