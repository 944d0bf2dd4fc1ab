//! IPv6 of a plan: beside IPv4, never instead of it, and never translated.
//!
//! Nodes take their addresses as those of real homes do: the router advertises a prefix (RFC 4861), and each host appends an
//! identifier made of its link-layer address (RFC 4862, RFC 4291 appendix A). Link-layer addresses follow from IPv4 addresses,
//! so the plan knows them all.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use serde::Serialize;

use crate::net::firewall::Policy;

/// Prefix length of every network with IPv6: what autoconfiguration needs.
pub const PREFIX_LEN: u8 = 64;

/// IPv6 on a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Network6 {
    /// Its addresses: a /64.
    pub subnet: Ipv6Net,
    /// Whether the file left the subnet open.
    pub subnet_allocated: bool,
    /// Address of its router on the inside. The first of the subnet.
    pub gateway: Ipv6Addr,
}

impl Network6 {
    /// The IPv6 side of a network with this subnet.
    pub fn new(subnet: Ipv6Net, subnet_allocated: bool) -> Self {
        Network6 { subnet, subnet_allocated, gateway: (u128::from(subnet.network()) | 1).into() }
    }
}

/// IPv6 between a network and the one that it is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Uplink6 {
    /// The router's address on the outside.
    pub address: Ipv6Addr,
    /// What it lets in.
    pub firewall: Policy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_has_the_first_address_of_the_subnet() {
        let subnet = "2001:db8:7::/64".parse().unwrap();
        assert_eq!(Network6::new(subnet, false).gateway.to_string(), "2001:db8:7::1");
    }
}
