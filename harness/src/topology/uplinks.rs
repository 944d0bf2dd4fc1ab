//! What steps change of networks' uplinks, one after the other.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

use crate::net::autoconf::autoconfigured;
use crate::net::link::LinkConfig;
use crate::op::Op;
use crate::plan::{Network, NetworkIndex, Uplink};
use crate::topology::addresses::HostAddresses;
use crate::topology::raw::link::LinkChange;

/// How each network is joined to the one that it is behind, as the steps before have left it.
pub(crate) struct UplinkStates<'h> {
    /// By network.
    now: Vec<Option<UplinkState>>,
    subnets6: Vec<Option<Ipv6Net>>,
    hosts: &'h mut [HostAddresses],
}

/// What steps can change of an uplink.
struct UplinkState {
    to: NetworkIndex,
    /// The NAT's.
    addresses: Vec<Ipv4Addr>,
    up: LinkConfig,
    down: LinkConfig,
}

impl<'h> UplinkStates<'h> {
    pub(crate) fn new(networks: &[Network], hosts: &'h mut [HostAddresses]) -> Self {
        let joined = |uplink: &Uplink| UplinkState {
            to: uplink.to,
            addresses: uplink.addresses(),
            up: uplink.up.clone(),
            down: uplink.down.clone(),
        };
        UplinkStates {
            now: networks.iter().map(|network| network.behind.as_ref().map(joined)).collect(),
            subnets6: networks.iter().map(|network| network.ipv6.map(|ipv6| ipv6.subnet)).collect(),
            hosts,
        }
    }

    /// The addresses of a node that comes to a network; `None` if no more are left for such nodes.
    pub(crate) fn arrival(&mut self, network: NetworkIndex) -> Option<(Ipv4Addr, Option<Ipv6Addr>)> {
        let address = self.hosts[network.0].arrival()?;
        Some((address, self.subnets6[network.0].map(|subnet| autoconfigured(subnet, address))))
    }

    pub(crate) fn rebind(&mut self, network: NetworkIndex, same_address: bool) -> Op {
        let UplinkState { to, addresses, .. } =
            self.now[network.0].as_mut().expect("what has a NAT is behind something");
        if !same_address {
            addresses.iter_mut().for_each(|address| *address = self.hosts[to.0].router());
        }
        Op::Rebind { network, addresses: addresses.clone() }
    }

    pub(crate) fn change(&mut self, network: NetworkIndex, link: &LinkChange) -> Op {
        let UplinkState { up, down, .. } = self.now[network.0].as_mut().expect("what has a link is behind something");
        (*up, *down) = link.over((up, down));
        Op::SetLink { network, up: Box::new(up.clone()), down: Box::new(down.clone()) }
    }

    /// Operations that have an uplink lose everything, and that make it what it is now.
    pub(crate) fn cut(&self, network: NetworkIndex) -> (Op, Op) {
        let UplinkState { up, down, .. } = self.now[network.0].as_ref().expect("what has a link is behind something");
        let set = |up: LinkConfig, down: LinkConfig| Op::SetLink { network, up: Box::new(up), down: Box::new(down) };
        (set(up.losing_all(), down.losing_all()), set(up.clone(), down.clone()))
    }
}
