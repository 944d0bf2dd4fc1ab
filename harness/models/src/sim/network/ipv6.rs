//! IPv6 between the networks: no translation, and past a router's filter if it has one.
//!
//! Inside the simulator a node's IPv6 address is a *label*: an IPv4 address of 0.0.0.0/8, which no network has, that numbers the
//! IPv6 addresses of the plan: those that nodes begin with, by their seats, then those to which nodes move. So packets are of one
//! kind, and those of IPv4 cost no more than they would without.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use butter::core::time::Time;

use super::{Networks, NodeSlot, PacketStop, Router, Way};
use crate::net::firewall::{Firewall, Flow6, Policy};
use crate::net::nat::{Flow, TcpFlags};
use crate::op::Op;
use crate::plan::{Network, NodePlan, Plan};

/// What stands for the IPv6 address of this number. Plans have fewer than 2^24 of them.
pub fn label(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(number + 1)
}

/// The number of the IPv6 address that a label stands for; nothing for any other address.
pub fn labelled(address: Ipv4Addr) -> Option<u32> {
    match u32::from(address) {
        0 => None,
        number => is_label(address).then(|| number - 1),
    }
}

/// Whether an address is a label.
#[inline]
pub fn is_label(address: Ipv4Addr) -> bool {
    address.octets()[0] == 0
}

/// IPv6 of a router that has it outside as well as inside.
#[derive(Debug)]
pub(super) struct PacketFate6 {
    /// `None` lets everything in.
    pub(super) firewall: Option<Firewall>,
}

impl PacketFate6 {
    pub(super) fn of(network: &Network) -> Option<Self> {
        let uplink = network.behind.as_ref()?.ipv6?;
        Some(PacketFate6 { firewall: (uplink.firewall == Policy::Stateful).then(|| Firewall::new(0)) })
    }
}

/// The IPv6 addresses of a plan by their numbers: nodes without one have a number, too.
pub fn addresses(plan: &Plan) -> Vec<Option<Ipv6Addr>> {
    let later = plan.steps.iter().flat_map(|step| &step.ops).filter_map(|timed| match timed.op {
        Op::Move { address6, .. } => address6,
        _ => None,
    });
    plan.nodes.iter().map(|node| node.address6).chain(later.map(Some)).collect()
}

/// Where an IPv6 address is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) network: u32,
    pub(super) slot: NodeSlot,
}

/// Who has each IPv6 address by now; empty where nodes have none.
pub(super) fn homes(plan: &Plan) -> Vec<Option<Home>> {
    if !plan.has_ipv6() {
        return Vec::new();
    }
    let home =
        |(node, slot): (&NodePlan, NodeSlot)| node.address6.map(|_| Home { network: node.network.0 as u32, slot });
    let mut homes: Vec<_> = plan.nodes.iter().zip(0..).map(home).collect();
    homes.resize(addresses(plan).len(), None);
    homes
}

impl Networks {
    /// Where a packet for a label goes from a network.
    pub(super) fn next_device6(&self, on: usize, to: Ipv4Addr) -> Option<PacketStop> {
        let Home { network, slot } = (*self.homes.get(labelled(to)? as usize)?)?;
        let mut inner = network as usize;
        if inner == on {
            return Some(PacketStop::Node(slot));
        }
        // From its network outwards: is this one on the way?
        while let Some(router) = self.networks[inner].router.as_ref().filter(|router| router.ipv6.is_some()) {
            if router.outside == on {
                return Some(PacketStop::Inwards(inner));
            }
            inner = router.outside;
        }
        let here = self.networks[on].router.as_ref()?;
        here.ipv6.is_some().then_some(PacketStop::Outwards(on))
    }
}

impl Router {
    /// Lets a packet between labels pass, or drops it.
    pub(super) fn lets_pass(&mut self, now: Time, flow: Flow, ahead: Way) -> bool {
        let Some(ipv6) = &mut self.ipv6 else { return false };
        let Some(wall) = &mut ipv6.firewall else { return true };
        let end = |end: SocketAddrV4| SocketAddrV6::new(end.ip().to_ipv6_mapped(), end.port(), 0, 0);
        let seen = Flow6 { protocol: flow.protocol, source: end(flow.source), destination: end(flow.destination) };
        let flags = TcpFlags::default();
        let passed = if ahead == Way::Up { wall.outbound(now, seen, flags) } else { wall.inbound(now, seen, flags) };
        if let Err(why) = passed {
            self.stats.drop(why.into());
        }
        passed.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use butter::core::identity::NodeId;
    use butter::core::io::{DialId, DialTarget};

    use super::*;
    use crate::net::autoconf::autoconfigured;
    use crate::net::link::LinkConfig;
    use crate::net::nat::NatConfig;
    use crate::plan::NetworkIndex;
    use crate::plan::builder::PlanBuilder;
    use crate::plan::ipv6::{Network6, Uplink6};
    use crate::sim::transport::Transport;
    use butter::core::transport::TransportEvent;

    /// Nodes in LANs of these policies behind symmetric NATs; `None` is a LAN without IPv6.
    fn plan(policies: &[Option<Policy>]) -> Plan {
        let mut builder = PlanBuilder::new(7);
        for _ in policies {
            let lan = builder.network(PlanBuilder::INTERNET, Some(NatConfig::symmetric()), LinkConfig::default());
            builder.node(lan);
        }
        let mut plan = builder.into_plan();
        let subnet = |index: usize| format!("2001:db8:{index:x}::/64").parse().unwrap();
        plan.networks[0].ipv6 = Some(Network6::new(subnet(0), true));
        for (index, &policy) in (1..).zip(policies) {
            let Some(firewall) = policy else { continue };
            plan.networks[index].ipv6 = Some(Network6::new(subnet(index), true));
            let uplink = plan.networks[index].behind.as_mut().unwrap();
            uplink.ipv6 = Some(Uplink6 { address: autoconfigured(subnet(0), uplink.address), firewall });
        }
        for node in &mut plan.nodes {
            let subnet = plan.networks[node.network.0].ipv6.map(|ipv6| ipv6.subnet);
            node.address6 = subnet.map(|subnet| autoconfigured(subnet, node.address));
        }
        plan
    }

    /// Which of the nodes 0 and 1 have a link after both (or the first alone) have dialled the other's IPv6 address.
    fn linked(policies: [Option<Policy>; 2], both: bool) -> [Option<SocketAddr>; 2] {
        let plan = plan(&policies);
        let address = |slot: usize| plan.nodes[slot].address6.map(|ip| SocketAddr::new(ip.into(), 4_001));
        let mut transport = Transport::<butter::core::blob::Blob>::new(&plan);
        let ids = [NodeId([1; 32]), NodeId([2; 32])];
        (0..2).for_each(|slot| transport.start(slot as NodeSlot, ids[slot]));
        let nowhere = "[2001:db8:ffff::1]:4001".parse().unwrap();
        for slot in 0..if both { 2 } else { 1 } {
            let to = DialTarget::Address(address(1 - slot).unwrap_or(nowhere));
            transport.dial(slot as NodeSlot, DialId(1), Some(ids[1 - slot]), to);
        }
        let mut remotes = [None, None];
        while let Some((slot, arrival)) = transport.next(Time::from_micros(8_000_000)) {
            if let TransportEvent::LinkUp { remote, .. } = arrival {
                remotes[slot as usize] = remote;
            }
        }
        assert_eq!(transport.networks().router(NetworkIndex(1).0).unwrap().1, Some(0), "no NAT has a part in it");
        let seen = [address(1), address(0)];
        assert!((0..2).all(|slot| remotes[slot].is_none() || remotes[slot] == seen[slot]), "{remotes:?}");
        remotes
    }

    #[test]
    fn a_filter_lets_in_answers_and_dials_that_cross_but_no_strangers() {
        let (open, stateful) = (Some(Policy::Open), Some(Policy::Stateful));
        let is_linked = |policies, both| linked(policies, both).iter().all(Option::is_some);
        assert!(is_linked([stateful, open], false));
        assert!(!is_linked([open, stateful], false));
        assert!(is_linked([open, stateful], true));
        assert!(is_linked([stateful, stateful], true));
        assert!(!is_linked([stateful, None], true), "without IPv6 no host is there");
    }

    #[test]
    fn labels_are_told_from_addresses() {
        assert_eq!([0, 70_000].map(|slot| labelled(label(slot))), [Some(0), Some(70_000)]);
        assert_eq!(labelled(Ipv4Addr::new(10, 0, 0, 1)), None);
        assert_eq!(labelled(Ipv4Addr::UNSPECIFIED), None);
    }
}
