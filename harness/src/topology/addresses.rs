//! Subnets for networks that name none, and every address within them. The same file always gets the same ones.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv6Net};

use super::check::{AddressNeed, NetworkModel, hosts};
use super::fields::Spanned;
use crate::plan::ipv6::{Network6, PREFIX_LEN};

/// Where free subnets are taken from.
const POOL: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8);
/// Free subnets begin on such boundaries while there are any: 10.1.0.0, 10.2.0.0, …
const ROOMY_PREFIX: u8 = 16;
/// Size of a free subnet unless more is needed.
const USUAL_PREFIX: u8 = 24;
/// Where IPv6 subnets are taken from: the beginning of 2001:db8::/32.
const POOL6: u128 = 0x2001_0db8 << 96;
/// Bits of an address behind those that name a site.
const SITE_SHIFT: u32 = 80;
/// Where nodes begin in a subnet that has the room: below are addresses for people.
const FIRST_NODE: u32 = 10;

/// The subnet of every network, taken where the file names none. `None` if the pool is exhausted: the network for which it was.
pub(crate) fn subnets(networks: &[NetworkModel], needs: &[AddressNeed]) -> Result<Vec<Ipv4Net>, usize> {
    let mut taken = TakenSubnets::default();
    for network in networks {
        if let Some(subnet) = &network.subnet {
            taken.add(subnet.value);
        }
    }
    let mut all = Vec::with_capacity(networks.len());
    for (index, (network, need)) in networks.iter().zip(needs).enumerate() {
        all.push(match &network.subnet {
            Some(subnet) => subnet.value,
            None => taken.take(need.hosts()).ok_or(index)?,
        });
    }
    Ok(all)
}

/// The IPv6 subnet of every network that has one, taken where the file names none: 2001:db8:1::/64, 2001:db8:2::/64, …, of
/// the prefix for documentation (RFC 3849), which is routed nowhere. Each is in a /48 of its own, as homes are given them.
pub(crate) fn subnets6(networks: &[NetworkModel]) -> Vec<Option<Network6>> {
    let named: BTreeSet<u128> = networks.iter().filter_map(|network| network.ipv6.subnet.as_ref()).map(site).collect();
    // Fewer networks than there are sites: see `NETWORKS_MAX`.
    let mut free = (1..).map(|site| POOL6 | site << SITE_SHIFT).filter(|at| !named.contains(&(at >> SITE_SHIFT)));
    let mut take = || Ipv6Net::new_assert(free.next().unwrap_or(POOL6).into(), PREFIX_LEN);
    let subnet = |network: &NetworkModel| match &network.ipv6.subnet {
        _ if !network.ipv6.is_on() => None,
        Some(subnet) => Some(Network6::new(subnet.value, false)),
        None => Some(Network6::new(take(), true)),
    };
    networks.iter().map(subnet).collect()
}

/// The first 48 bits of a subnet.
fn site(subnet: &Spanned<Ipv6Net>) -> u128 {
    u128::from(subnet.value.network()) >> SITE_SHIFT
}

/// Subnets in use: first address to last.
#[derive(Default)]
struct TakenSubnets {
    ranges: BTreeMap<u32, u32>,
}

impl TakenSubnets {
    fn add(&mut self, net: Ipv4Net) {
        self.ranges.insert(net.network().into(), net.broadcast().into());
    }

    fn take(&mut self, need: u64) -> Option<Ipv4Net> {
        let prefix = (POOL.prefix_len()..=USUAL_PREFIX).rev().find(|&prefix| hosts(prefix) >= need)?;
        let length = 1_u64 << (32 - prefix);
        // 10.0.0.0/16 stays free for whoever runs this: many machines have it.
        let roomy = self.free(length, length.max(1 << (32 - ROOMY_PREFIX)), 1 << (32 - ROOMY_PREFIX));
        let start = roomy.or_else(|| self.free(length, length, 0))?;
        let net = Ipv4Net::new_assert(start.into(), prefix);
        self.add(net);
        Some(net)
    }

    /// First free stretch of the pool on a multiple of `step`, not before `skip` addresses.
    fn free(&self, length: u64, step: u64, skip: u64) -> Option<u32> {
        let (first, last) = (u64::from(u32::from(POOL.network())), u64::from(u32::from(POOL.broadcast())));
        let aligned = |at: u64| first + (at - first).div_ceil(step) * step;
        let mut at = aligned(first + skip);
        while at + length - 1 <= last {
            match self.in_the_way(at, at + length - 1) {
                None => return u32::try_from(at).ok(),
                Some(end) => at = aligned((u64::from(end) + 1).max(at + 1)),
            }
        }
        None
    }

    fn in_the_way(&self, start: u64, end: u64) -> Option<u32> {
        let end = u32::try_from(end).ok()?;
        let (_, &last) = self.ranges.range(..=end).next_back()?;
        (u64::from(last) >= start).then_some(last)
    }
}

/// Hands out the addresses of one subnet: its router first, nodes upwards, routers of inner networks downwards.
#[derive(Debug)]
pub(crate) struct HostAddresses {
    next_node: u32,
    next_router: u32,
    /// Addresses that are set aside for nodes that move here.
    arrivals_left: u64,
}

impl HostAddresses {
    /// Of a subnet that has room for `need`.
    pub(crate) fn new(subnet: Ipv4Net, need: AddressNeed) -> Self {
        let first = u32::from(subnet.network());
        let spare = hosts(subnet.prefix_len()).saturating_sub(need.hosts());
        let begin = if spare >= u64::from(FIRST_NODE - 2) { FIRST_NODE } else { 2 };
        HostAddresses {
            next_node: first + begin,
            next_router: u32::from(subnet.broadcast()) - 1,
            arrivals_left: need.arrivals,
        }
    }

    /// The address of a subnet's own router.
    pub(crate) fn gateway(subnet: Ipv4Net) -> Ipv4Addr {
        (u32::from(subnet.network()) + 1).into()
    }

    pub(crate) fn node(&mut self) -> Ipv4Addr {
        self.next_node += 1;
        (self.next_node - 1).into()
    }

    /// For a node that moves here; `None` if more do than were announced.
    pub(crate) fn arrival(&mut self) -> Option<Ipv4Addr> {
        self.arrivals_left = self.arrivals_left.checked_sub(1)?;
        Some(self.node())
    }

    pub(crate) fn router(&mut self) -> Ipv4Addr {
        self.next_router -= 1;
        (self.next_router + 1).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_subnets_avoid_those_in_use_and_are_as_large_as_needed() {
        let mut taken = TakenSubnets::default();
        taken.add("10.1.0.0/17".parse().unwrap());
        let mut take = |need| taken.take(need).unwrap().to_string();
        assert_eq!(take(17), "10.2.0.0/24");
        assert_eq!(take(254), "10.3.0.0/24");
        assert_eq!(take(255), "10.4.0.0/23");
        assert_eq!(take(100_000), "10.6.0.0/15");
        assert_eq!(take(1), "10.5.0.0/24");
    }

    #[test]
    fn the_pool_is_used_to_its_end_and_no_further() {
        let mut taken = TakenSubnets::default();
        let mut nets = std::collections::BTreeSet::new();
        for _ in 0..1_000 {
            assert!(nets.insert(taken.take(100).unwrap()));
        }
        assert!(taken.take(9_000_000).is_none());
        assert!(TakenSubnets::default().take(20_000_000).is_none());
    }

    #[test]
    fn nodes_begin_at_ten_where_there_is_room() {
        let hosts = |subnet: &str, nodes| {
            HostAddresses::new(subnet.parse().unwrap(), AddressNeed { nodes, routers: 1, arrivals: 0 }).node().octets()
                [3]
        };
        assert_eq!(hosts("10.1.0.0/24", 5), 10);
        assert_eq!(hosts("10.1.0.0/24", 244), 10);
        assert_eq!(hosts("10.1.0.0/24", 245), 2);
        assert_eq!(hosts("10.1.0.0/29", 4), 2);
    }
}
