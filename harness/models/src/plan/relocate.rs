//! A plan moves to other subnets, where those of the file are taken.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{NetworkIndex, Plan};
use crate::net::autoconf::autoconfigured;
use crate::op::Op;

impl Plan {
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
        for timed in self.steps.iter_mut().flat_map(|step| &mut step.ops) {
            match &mut timed.op {
                Op::Rebind { network, addresses } if behind_it[network.0] => {
                    addresses.iter_mut().for_each(|address| *address = moved(*address));
                }
                Op::Move { network: to, address, address6, .. } if *to == network => {
                    *address = moved(*address);
                    *address6 = address6.and(subnet6).map(|subnet| autoconfigured(subnet, *address));
                }
                _ => {}
            }
        }
        for node in self.nodes.iter_mut().filter(|node| node.network == network) {
            node.address = moved(node.address);
            node.address6 = subnet6.map(|subnet| autoconfigured(subnet, node.address));
        }
    }
}
