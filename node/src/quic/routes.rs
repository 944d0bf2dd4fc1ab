//! Virtual addresses: QUIC knows peers by socket address, so that a peer behind a relay gets one from a block that no network
//! routes (240.0.0.0/8, reserved by RFC 1112).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::core::identity::NodeId;

/// First octet of every virtual address.
const VIRTUAL_BLOCK: u8 = 240;
/// Port of every virtual address: any but 0.
const VIRTUAL_PORT: u16 = 1;
/// Virtual addresses per relay; the one unused for longest is given up for a new one.
const ROUTES_PER_RELAY_MAX: usize = 512;
/// Virtual addresses in all; beyond, the relay that has most of them gives one up.
const ROUTES_MAX: usize = 4_096;

/// Where a virtual address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayRoute {
    /// The ambassador that carries.
    pub relay: NodeId,
    /// Who is on its other side.
    pub peer: NodeId,
}

/// Which virtual address stands for which route.
#[derive(Debug, Default)]
pub struct RelayRoutes(Mutex<RouteTable>);

#[derive(Debug, Default)]
struct RouteTable {
    /// By relay and by who is on its other side.
    addresses: BTreeMap<NodeId, BTreeMap<NodeId, Used>>,
    routes: BTreeMap<u32, RelayRoute>,
    last: u32,
    clock: u64,
}

#[derive(Debug)]
struct Used {
    index: u32,
    at: u64,
}

/// Whether `address` is a virtual one. No real packet may come from there or go there.
pub fn is_virtual(address: SocketAddr) -> bool {
    index_of(address).is_some()
}

fn index_of(address: SocketAddr) -> Option<u32> {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) if ip.octets()[0] == VIRTUAL_BLOCK => Some(u32::from(ip) & 0x00ff_ffff),
        _ => None,
    }
}

impl RelayRoutes {
    /// The virtual address of `route`, made if there is none.
    pub fn address(&self, route: RelayRoute) -> SocketAddr {
        self.table().address(route)
    }

    /// Where `address` leads.
    pub fn route(&self, address: SocketAddr) -> Option<RelayRoute> {
        self.table().routes.get(&index_of(address)?).copied()
    }

    /// Gives up every route through `relay`.
    pub fn forget(&self, relay: NodeId) {
        self.table().forget(relay);
    }

    fn table(&self) -> MutexGuard<'_, RouteTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RouteTable {
    fn address(&mut self, route: RelayRoute) -> SocketAddr {
        self.clock += 1;
        let known = self.addresses.get_mut(&route.relay).and_then(|peers| peers.get_mut(&route.peer));
        if let Some(used) = known {
            used.at = self.clock;
            return virtual_address(used.index);
        }
        self.make_room(route.relay);
        // Indices come back only after 16 million others: no live connection still has this one.
        self.last = (self.last + 1) & 0x00ff_ffff;
        self.routes.insert(self.last, route);
        let used = Used { index: self.last, at: self.clock };
        self.addresses.entry(route.relay).or_default().insert(route.peer, used);
        virtual_address(self.last)
    }

    /// Several relays that flood together take from each other, not from one with few routes.
    fn make_room(&mut self, relay: NodeId) {
        if self.addresses.get(&relay).is_some_and(|peers| peers.len() >= ROUTES_PER_RELAY_MAX) {
            self.give_up_oldest(relay);
        } else if self.routes.len() >= ROUTES_MAX {
            let most = self.addresses.iter().max_by_key(|(_, peers)| peers.len()).map(|(&relay, _)| relay);
            most.into_iter().for_each(|relay| self.give_up_oldest(relay));
        }
    }

    fn give_up_oldest(&mut self, relay: NodeId) {
        let Some(peers) = self.addresses.get_mut(&relay) else { return };
        let oldest = peers.iter().min_by_key(|(_, used)| used.at).map(|(&peer, _)| peer);
        if let Some(used) = oldest.and_then(|peer| peers.remove(&peer)) {
            self.routes.remove(&used.index);
        }
        if peers.is_empty() {
            self.addresses.remove(&relay);
        }
    }

    fn forget(&mut self, relay: NodeId) {
        for used in self.addresses.remove(&relay).unwrap_or_default().into_values() {
            self.routes.remove(&used.index);
        }
    }
}

fn virtual_address(index: u32) -> SocketAddr {
    let ip = Ipv4Addr::from((u32::from(VIRTUAL_BLOCK) << 24) | index);
    SocketAddr::new(ip.into(), VIRTUAL_PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u32) -> NodeId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        NodeId(id)
    }

    #[test]
    fn an_address_leads_back_to_its_route() {
        let routes = RelayRoutes::default();
        let first = RelayRoute { relay: node(1), peer: node(2) };
        let second = RelayRoute { relay: node(3), peer: node(2) };
        let address = routes.address(first);
        assert!(is_virtual(address));
        assert_ne!(routes.address(second), address);
        assert_eq!(routes.address(first), address);
        assert_eq!(routes.route(address), Some(first));
        assert_eq!(routes.route("192.0.2.1:1".parse().unwrap()), None);
    }

    #[test]
    fn a_relay_that_floods_only_loses_its_own_oldest() {
        let routes = RelayRoutes::default();
        let honest = RelayRoute { relay: node(1), peer: node(2) };
        let address = routes.address(honest);
        let first = RelayRoute { relay: node(9), peer: node(0) };
        let gone = routes.address(first);
        for peer in 1..=ROUTES_PER_RELAY_MAX as u32 {
            routes.address(RelayRoute { relay: node(9), peer: node(peer) });
        }
        assert_eq!(routes.route(address), Some(honest));
        assert_eq!(routes.route(gone), None);
        assert_ne!(routes.address(first), gone, "a new one, so that packets of the old are not mistaken");
    }

    #[test]
    fn relays_that_flood_together_leave_one_with_few_routes_what_it_has_and_needs() {
        let routes = RelayRoutes::default();
        let honest = |peer| RelayRoute { relay: node(1), peer: node(peer) };
        let before = routes.address(honest(1));
        let flood = || {
            for i in 0..2 * ROUTES_MAX as u32 {
                routes.address(RelayRoute { relay: node(100 + i % 10), peer: node(i) });
            }
        };
        flood();
        let after = routes.address(honest(2));
        flood();
        assert_eq!((routes.route(before), routes.route(after)), (Some(honest(1)), Some(honest(2))));
        assert_eq!(routes.table().routes.len(), ROUTES_MAX);
        assert_eq!(routes.table().addresses.values().map(BTreeMap::len).sum::<usize>(), ROUTES_MAX);
    }

    #[test]
    fn a_relay_that_is_gone_leaves_no_route() {
        let routes = RelayRoutes::default();
        let kept = RelayRoute { relay: node(2), peer: node(1) };
        let (gone, stays) = (routes.address(RelayRoute { relay: node(1), peer: node(1) }), routes.address(kept));
        routes.forget(node(1));
        assert_eq!((routes.route(gone), routes.route(stays)), (None, Some(kept)));
        let table = routes.table();
        assert_eq!((table.routes.len(), table.addresses.len()), (1, 1));
    }

    #[test]
    fn a_mapped_virtual_address_is_virtual() {
        assert!(is_virtual("[::ffff:240.0.0.1]:1".parse().unwrap()));
        assert!(!is_virtual("[fd62::1]:1".parse().unwrap()));
        assert!(!is_virtual("203.0.113.1:4001".parse().unwrap()));
    }
}
