//! What each router is told: its sides, its link, and the ways to networks without a NAT.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::net::link::LinkConfig;
use crate::plan::{NetworkIndex, Plan};
use crate::router::{RouterConfig, Side};

/// TCP port of every router's control proxy and metrics.
pub(crate) const CONTROL_PORT: u16 = 4_090;

/// The configuration of a network's router, which is controlled from `management`.
pub(crate) fn config(plan: &Plan, index: NetworkIndex, management: Side) -> RouterConfig {
    let network = plan.network(index);
    let behind = network.behind.as_ref();
    let outside = behind.map(|uplink| {
        let outer = plan.network(uplink.to);
        Side { subnet: outer.subnet, address: uplink.address, gateway: Some(outer.gateway) }
    });
    RouterConfig {
        inside: Side { subnet: network.subnet, address: network.gateway, gateway: None },
        outside,
        management: Some(management),
        nat: behind.and_then(|uplink| uplink.nat.clone()),
        pool: behind.map_or_else(Vec::new, |uplink| uplink.pool.clone()),
        forwards: behind.map_or_else(Vec::new, |uplink| uplink.forwards.clone()),
        up: behind.map_or_else(LinkConfig::default, |uplink| uplink.up.clone()),
        down: behind.map_or_else(LinkConfig::default, |uplink| uplink.down.clone()),
        routes: routes(plan, index),
        control_port: CONTROL_PORT,
        // Routers of one run differ in their luck; the odd constant spreads neighbouring indices (SplitMix64).
        seed: plan.seed ^ (index.0 as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        neighbours: Vec::new(),
    }
}

/// Networks that are routed plainly, and the router through which: inside, those behind this one; outside, those beside it.
fn routes(plan: &Plan, index: NetworkIndex) -> Vec<(Ipv4Net, Ipv4Addr)> {
    let mut routes = Vec::new();
    let outer = plan.network(index).behind.as_ref().map(|uplink| uplink.to);
    for place in [Some(index), outer].into_iter().flatten() {
        for (sibling, next) in plainly_behind(plan, place).filter(|(sibling, _)| *sibling != index) {
            add_with_descendants(plan, sibling, next, &mut routes);
        }
    }
    routes
}

fn plainly_behind(plan: &Plan, place: NetworkIndex) -> impl Iterator<Item = (NetworkIndex, Ipv4Addr)> {
    plan.networks.iter().enumerate().filter_map(move |(index, network)| {
        let uplink = network.behind.as_ref()?;
        (uplink.to == place && uplink.nat.is_none()).then_some((NetworkIndex(index), uplink.address))
    })
}

/// A network is listed after the one that it is behind, so this ends.
fn add_with_descendants(plan: &Plan, index: NetworkIndex, next: Ipv4Addr, routes: &mut Vec<(Ipv4Net, Ipv4Addr)>) {
    routes.push((plan.network(index).subnet, next));
    for (child, _) in plainly_behind(plan, index).filter(|(child, _)| child.0 > index.0) {
        add_with_descendants(plan, child, next, routes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::fleet::testing;

    fn management() -> Side {
        Side { subnet: "10.64.0.0/24".parse().unwrap(), address: "10.64.0.3".parse().unwrap(), gateway: None }
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
