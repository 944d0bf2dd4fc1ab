//! The configuration of each router: its sides, its link, and the ways to networks without a NAT; and to forget that it was probed.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use ipnet::Ipv4Net;

use super::client::ApiClient;
use super::node_api;
use crate::net::firewall::Policy;
use crate::net::link::LinkConfig;
use crate::net::zone::Zone;
use crate::op::Op;
use crate::plan::partitions::PartitionState;
use crate::plan::{Network, NetworkIndex, NodeIndex, Plan};
use crate::router::{RouterConfig, RouterIpv6Config, SideConfig, SideConfig6};

/// TCP port of every router's control proxy and metrics.
pub(crate) const CONTROL_PORT: u16 = 4_090;

/// Routers that are asked at once.
const AT_ONCE: usize = 32;

/// Has the routers of these networks be as if they had not been probed: no mappings, and counters at zero.
pub(crate) async fn forget_probe(
    routers: &[ApiClient],
    networks: impl Iterator<Item = NetworkIndex>,
) -> anyhow::Result<()> {
    let resets = networks.map(|network| node_api::reset(&routers[network.0]));
    let resets = stream::iter(resets).buffer_unordered(AT_ONCE).try_collect::<()>();
    resets.await.context("having routers forget that they were probed")
}

/// The configuration of a network's router, which is controlled from `management`.
pub(crate) fn config(plan: &Plan, index: NetworkIndex, management: SideConfig) -> RouterConfig {
    let network = plan.network(index);
    let behind = network.behind.as_ref();
    let outside = behind.map(|uplink| {
        let outer = plan.network(uplink.to);
        SideConfig { subnet: outer.subnet, address: uplink.address, gateway: Some(outer.gateway) }
    });
    RouterConfig {
        inside: SideConfig { subnet: network.subnet, address: network.gateway, gateway: None },
        outside,
        management: Some(management),
        nat: behind.and_then(|uplink| uplink.nat.clone()),
        firewall: behind.map(|uplink| uplink.firewall).unwrap_or_default(),
        pool: behind.map_or_else(Vec::new, |uplink| uplink.pool.clone()),
        forwards: behind.map_or_else(Vec::new, |uplink| uplink.forwards.clone()),
        up: behind.map_or_else(LinkConfig::default, |uplink| uplink.up.clone()),
        down: behind.map_or_else(LinkConfig::default, |uplink| uplink.down.clone()),
        routes: routes(plan, index),
        ipv6: ipv6(plan, index),
        control_port: CONTROL_PORT,
        // Routers of one run differ in their luck; the odd constant spreads neighbouring indices (SplitMix64).
        seed: plan.seed ^ (index.0 as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        neighbours: Vec::new(),
        zones: zones(plan, index),
    }
}

/// The zones of the nodes that are on a router's networks or move there. Others are marked by the routers in front of them.
fn zones(plan: &Plan, index: NetworkIndex) -> Vec<(IpAddr, Zone)> {
    let partitions = PartitionState::new(plan);
    if !partitions.is_used() {
        return Vec::new();
    }
    let outside = plan.network(index).behind.as_ref().map(|uplink| uplink.to);
    let first = plan.nodes.iter().zip(0..);
    let first = first.map(|(node, at)| (NodeIndex(at), node.network, node.address, node.address6));
    let later = plan.steps.iter().flat_map(|step| &step.ops).filter_map(|timed| match timed.op {
        Op::Move { node, network, address, address6 } => Some((node, network, address, address6)),
        _ => None,
    });
    let here = first.chain(later).filter(|&(_, network, ..)| network == index || Some(network) == outside);
    here.flat_map(|(node, _, address, address6)| {
        let zone = partitions.zone(node);
        let addresses = [Some(address.into()), address6.map(IpAddr::from)];
        addresses.into_iter().flatten().map(move |address| (address, zone))
    })
    .collect()
}

/// The same for IPv6, if the network has any.
fn ipv6(plan: &Plan, index: NetworkIndex) -> Option<RouterIpv6Config> {
    let network = plan.network(index);
    let here = network.ipv6?;
    let uplink =
        network.behind.as_ref().and_then(|behind| Some((behind.to, plan.network(behind.to).ipv6?, behind.ipv6?)));
    Some(RouterIpv6Config {
        inside: SideConfig6 { subnet: here.subnet, address: here.gateway, gateway: None },
        outside: uplink.map(|(_, outer, uplink)| SideConfig6 {
            subnet: outer.subnet,
            address: uplink.address,
            gateway: Some(outer.gateway),
        }),
        firewall: uplink.map_or(Policy::Stateful, |(.., uplink)| uplink.firewall),
        routes: ways(plan, index, uplink.map(|(to, ..)| to), |network| {
            Some((network.ipv6?.subnet, network.behind.as_ref()?.ipv6?.address))
        }),
    })
}

/// Networks that are routed plainly, and the router through which: inside, those behind this one; outside, those beside it.
fn routes(plan: &Plan, index: NetworkIndex) -> Vec<(Ipv4Net, Ipv4Addr)> {
    let outer = plan.network(index).behind.as_ref().map(|uplink| uplink.to);
    ways(plan, index, outer, |network| {
        let uplink = network.behind.as_ref()?;
        uplink.nat.is_none().then_some((network.subnet, uplink.address))
    })
}

/// Subnets of networks behind this one and behind `outer`, and the routers that lead there: `way` tells of a network its subnet and
/// its router's address outside, if it is reached by its own addresses.
fn ways<N, A: Copy>(
    plan: &Plan,
    index: NetworkIndex,
    outer: Option<NetworkIndex>,
    way: impl Fn(&Network) -> Option<(N, A)>,
) -> Vec<(N, A)> {
    let mut ways = Vec::new();
    // The router that leads to each network from here. A network is listed after the one that it is behind.
    let mut via: Vec<Option<A>> = vec![None; plan.networks.len()];
    for (at, network) in plan.networks.iter().enumerate().filter(|&(at, _)| at != index.0) {
        let (Some((subnet, router)), Some(behind)) = (way(network), &network.behind) else { continue };
        let is_next_door = behind.to == index || Some(behind.to) == outer;
        via[at] = if is_next_door { Some(router) } else { via[behind.to.0] };
        ways.extend(via[at].map(|via| (subnet, via)));
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn management() -> SideConfig {
        SideConfig { subnet: "10.64.0.0/24".parse().unwrap(), address: "10.64.0.3".parse().unwrap(), gateway: None }
    }

    #[track_caller]
    fn check(plan: &Plan, index: usize, expected: &[(&str, &str)]) {
        let routes = config(plan, NetworkIndex(index), management()).routes;
        let texts: Vec<_> = routes.iter().map(|(net, next)| (net.to_string(), next.to_string())).collect();
        let expected: Vec<_> = expected.iter().map(|(net, next)| ((*net).to_owned(), (*next).to_owned())).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn everybody_knows_the_way_to_networks_without_a_nat() {
        let mut plan = testing::plan();
        check(&plan, 0, &[("10.2.0.0/24", "203.0.113.3")]);
        check(&plan, 1, &[("10.2.0.0/24", "203.0.113.3")]);
        check(&plan, 2, &[]);
        let mut inner = plan.networks[2].clone();
        inner.subnet = "10.3.0.0/24".parse().unwrap();
        inner.behind.as_mut().unwrap().to = NetworkIndex(2);
        inner.behind.as_mut().unwrap().address = "10.2.0.3".parse().unwrap();
        plan.networks.push(inner);
        check(&plan, 0, &[("10.2.0.0/24", "203.0.113.3"), ("10.3.0.0/24", "203.0.113.3")]);
        check(&plan, 2, &[("10.3.0.0/24", "10.2.0.3")]);
        check(&plan, 3, &[]);
    }

    #[test]
    fn the_internets_router_has_no_outside_and_a_lans_has() {
        let plan = testing::plan();
        let (internet, alpha) =
            (config(&plan, NetworkIndex(0), management()), config(&plan, NetworkIndex(1), management()));
        assert_eq!(internet.outside, None);
        let outside = alpha.outside.unwrap();
        assert_eq!(
            (outside.address.to_string(), outside.gateway.unwrap()),
            ("203.0.113.2".to_owned(), plan.networks[0].gateway)
        );
        assert_eq!(alpha.management, Some(management()));
        assert_ne!(internet.seed, alpha.seed);
    }
}
