//! Which way leads to an address.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::config::{RouterConfig, RouterIpv6Config};
use super::frame::Side;

/// Where a packet goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The side that the packet leaves by.
    pub side: Side,
    /// Address of the next hop there.
    pub next: Ipv4Addr,
}

/// The routes of a router.
#[derive(Debug)]
pub struct Routes {
    /// The longest prefix first; `None` is reached directly.
    routes: Vec<(Ipv4Net, Side, Option<Ipv4Addr>)>,
    subnets: Vec<Ipv4Net>,
}

impl Routes {
    /// The two sides, the routes as configured, and the way outwards.
    pub fn new(config: &RouterConfig) -> Self {
        let inside = config.inside.subnet;
        let outside = config.outside.map(|side| side.subnet);
        let mut routes = vec![(inside, Side::Inside, None)];
        routes.extend(outside.map(|subnet| (subnet, Side::Outside, None)));
        for &(subnet, via) in &config.routes {
            let side = if inside.contains(&via) { Side::Inside } else { Side::Outside };
            routes.push((subnet, side, Some(via)));
        }
        let gateway = config.outside.and_then(|side| side.gateway);
        routes.extend(gateway.map(|gateway| (Ipv4Net::default(), Side::Outside, Some(gateway))));
        routes.sort_by_key(|(subnet, ..)| std::cmp::Reverse(subnet.prefix_len()));
        Routes { routes, subnets: std::iter::once(inside).chain(outside).collect() }
    }

    /// The way to an address.
    pub fn find(&self, destination: Ipv4Addr) -> Option<NextHop> {
        let (_, side, via) = self.routes.iter().find(|(subnet, ..)| subnet.contains(&destination))?;
        Some(NextHop { side: *side, next: via.unwrap_or(destination) })
    }

    /// Whether an address means every host of a side.
    pub fn is_broadcast(&self, ip: Ipv4Addr) -> bool {
        self.subnets
            .iter()
            .any(|subnet| subnet.prefix_len() < 31 && (ip == subnet.broadcast() || ip == subnet.network()))
    }
}

/// Where an IPv6 packet goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop6 {
    /// The side that the packet leaves by.
    pub side: Side,
    /// Address of the next hop there.
    pub next: Ipv6Addr,
}

/// The IPv6 routes of a router.
#[derive(Debug)]
pub struct Routes6 {
    /// The longest prefix first; `None` is reached directly.
    routes: Vec<(Ipv6Net, Side, Option<Ipv6Addr>)>,
}

impl Routes6 {
    /// The two sides, the routes as configured, and the way outwards.
    pub fn new(config: &RouterIpv6Config) -> Self {
        let inside = config.inside.subnet;
        let mut routes = vec![(inside, Side::Inside, None)];
        routes.extend(config.outside.map(|side| (side.subnet, Side::Outside, None)));
        for &(subnet, via) in &config.routes {
            let side = if inside.contains(&via) { Side::Inside } else { Side::Outside };
            routes.push((subnet, side, Some(via)));
        }
        let gateway = config.outside.and_then(|side| side.gateway);
        routes.extend(gateway.map(|gateway| (Ipv6Net::default(), Side::Outside, Some(gateway))));
        routes.sort_by_key(|(subnet, ..)| std::cmp::Reverse(subnet.prefix_len()));
        Routes6 { routes }
    }

    /// The way to an address.
    pub fn find(&self, destination: Ipv6Addr) -> Option<NextHop6> {
        let (_, side, via) = self.routes.iter().find(|(subnet, ..)| subnet.contains(&destination))?;
        Some(NextHop6 { side: *side, next: via.unwrap_or(destination) })
    }
}
