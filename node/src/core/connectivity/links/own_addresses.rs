//! Where a node is, and which of a peer's addresses are worth a dial from there.

use std::net::{IpAddr, SocketAddr};

use crate::core::contact::Contact;
use crate::core::io::LocalAddress;

/// Where this node is, as far as it knows: decides which of a peer's addresses are worth a dial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnAddresses {
    /// Addresses of this node on its own networks.
    pub local: Vec<LocalAddress>,
    /// Own address as ambassadors see it.
    pub external_address: Option<SocketAddr>,
    /// Own address that a NAT was asked to forward.
    pub mapped: Option<SocketAddr>,
}

impl OwnAddresses {
    /// Whether a NAT sits between this node and its ambassador.
    pub fn is_behind_nat(&self) -> bool {
        self.external_address.is_some_and(|external_address| !self.has(external_address))
    }

    /// Whether this node is seen from outside at an address of its own.
    pub fn is_public(&self) -> bool {
        self.external_address.is_some_and(|external_address| self.has(external_address))
    }

    /// Whether this node listens at `address` itself.
    fn has(&self, address: SocketAddr) -> bool {
        self.local.iter().any(|own| own.address == address)
    }

    /// Whether `address` is on one of this node's own networks.
    pub fn is_near(&self, address: SocketAddr) -> bool {
        self.local.iter().any(|own| own.is_near(address.ip()))
    }

    /// The addresses of `contact` that may be dialled from here, best first.
    pub(super) fn dialable(&self, contact: &Contact) -> Vec<SocketAddr> {
        let outside_ip = |address: Option<SocketAddr>| address.map(|address| address.ip());
        let same_nat = match (outside_ip(self.external_address), outside_ip(contact.external_address)) {
            (Some(own), Some(other)) => own == other,
            // One of the two has not met an ambassador yet.
            _ => true,
        };
        let near = contact.local.iter().copied().filter(|&address| self.is_near(address) && same_nat);
        let near: Vec<SocketAddr> = near.collect();
        if !near.is_empty() {
            let ipv4: Vec<SocketAddr> = near.iter().copied().filter(SocketAddr::is_ipv4).collect();
            return if ipv4.is_empty() { near } else { ipv4 };
        }
        let mut addresses = Vec::new();
        if self.local.iter().any(|own| is_ipv6_host(&own.address)) {
            // Nothing translates between them: the best way between networks, if something lets it pass.
            addresses.extend(contact.local.iter().copied().filter(is_ipv6_host));
        }
        if self.is_behind_nat() && outside_ip(self.external_address) == outside_ip(contact.external_address) {
            // Behind one NAT: on one LAN, however large, if that NAT is the only one.
            addresses.extend(contact.local.iter().copied().filter(SocketAddr::is_ipv4));
        }
        let beyond = addresses.len();
        addresses.extend(contact.mapped);
        addresses.extend(contact.external_address.filter(|external_address| contact.mapped != Some(*external_address)));
        if addresses.len() == beyond && !self.is_behind_nat() {
            addresses.extend(contact.local.iter().copied().filter(SocketAddr::is_ipv4));
        }
        addresses
    }
}

/// Whether an address is one of IPv6 that other networks may reach: global unicast, or unique local (RFC 4193).
pub(in crate::core) fn is_ipv6_host(address: &SocketAddr) -> bool {
    matches!(address.ip(), IpAddr::V6(ip) if ip.segments()[0] & 0xe000 == 0x2000 || ip.is_unique_local())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::identity::NodeId;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn check(own: (&[&str], Option<&str>), peer: (&[&str], Option<&str>), expected: &[&str]) {
        let place = OwnAddresses {
            local: addresses(own.0).into_iter().map(LocalAddress::from).collect(),
            external_address: own.1.map(|text| text.parse().unwrap()),
            mapped: None,
        };
        let mut contact = Contact::at(NodeId([2; 32]), "10.9.9.9:1".parse().unwrap());
        std::sync::Arc::make_mut(&mut contact.addresses).local = addresses(peer.0);
        contact.set_external(peer.1.map(|text| text.parse().unwrap()), None);
        assert_eq!(place.dialable(&contact), addresses(expected), "{own:?} to {peer:?}");
    }

    const HERE4: &str = "10.1.0.2:4001";
    const HERE6: &str = "[2001:db8:1::2]:4001";
    const THERE4: &str = "10.2.0.2:4001";
    const THERE6: &str = "[2001:db8:2::2]:4001";
    const NAT_HERE: &str = "203.0.113.1:50000";
    const NAT_THERE: &str = "203.0.113.2:50000";

    #[test]
    fn between_networks_ipv6_comes_first_where_both_have_it() {
        check((&[HERE4, HERE6], Some(NAT_HERE)), (&[THERE4, THERE6], Some(NAT_THERE)), &[THERE6, NAT_THERE]);
        check((&[HERE4], Some(NAT_HERE)), (&[THERE4, THERE6], Some(NAT_THERE)), &[NAT_THERE]);
        check((&[HERE4, HERE6], Some(NAT_HERE)), (&[THERE4], Some(NAT_THERE)), &[NAT_THERE]);
        check((&[HERE6], None), (&[THERE6], None), &[THERE6]);
    }

    #[test]
    fn a_public_node_tries_all_that_a_peer_without_a_nat_has() {
        let public = "198.51.100.7:4001";
        check((&[public, HERE6], Some(public)), (&[THERE4, THERE6], None), &[THERE6, THERE4]);
        check((&[HERE4, HERE6], Some(NAT_HERE)), (&[THERE4, THERE6], None), &[THERE6]);
    }

    #[test]
    fn on_one_lan_one_kind_of_address_is_enough() {
        let (beside4, beside6) = ("10.1.0.3:4001", "[2001:db8:1::3]:4001");
        check((&[HERE4, HERE6], Some(NAT_HERE)), (&[beside4, beside6], Some(NAT_HERE)), &[beside4]);
        check((&[HERE6], None), (&[beside6], None), &[beside6]);
    }

    #[test]
    fn behind_one_nat_a_lan_may_be_larger_than_it_looks() {
        check((&["10.1.0.2:4001"], Some(NAT_HERE)), (&["10.1.7.3:4001"], Some(NAT_HERE)), &["10.1.7.3:4001", NAT_HERE]);
    }

    #[test]
    fn addresses_that_mean_nothing_elsewhere_are_not_dialled() {
        check((&[HERE4, HERE6], Some(NAT_HERE)), (&["[fe80::3]:4001", "[::1]:4001"], Some(NAT_THERE)), &[NAT_THERE]);
        check((&[HERE4, "[fe80::2]:4001"], Some(NAT_HERE)), (&[THERE4, THERE6], Some(NAT_THERE)), &[NAT_THERE]);
    }

    #[test]
    fn addresses_are_near_as_far_as_the_prefix_of_the_network_reaches() {
        let near = |own: &str, prefix_len: u8, other: &str| {
            let own = LocalAddress { address: own.parse().unwrap(), prefix_len };
            own.is_near(other.parse().unwrap())
        };
        assert!(near("10.1.0.2:4001", 16, "10.1.7.3") && near("10.1.0.2:4001", 23, "10.1.1.3"));
        assert!(!near("10.1.0.2:4001", 24, "10.1.7.3") && !near("10.1.0.2:4001", 25, "10.1.0.200"));
        assert!(near("10.1.0.2:4001", 32, "10.1.0.2") && !near("10.1.0.2:4001", 32, "10.1.0.3"));
        assert!(near("10.1.0.2:4001", 0, "192.0.2.1") && !near("10.1.0.2:4001", 0, "2001:db8::1"));
        assert!(near("[2001:db8:1::2]:4001", 48, "2001:db8:1:7::3"));
        assert!(!near("[2001:db8:1::2]:4001", 64, "2001:db8:1:7::3"));
        assert!(near("127.0.0.1:4001", 32, "127.9.9.9"));
    }

    #[test]
    fn peer_on_a_large_lan_is_dialled_at_its_lan_address_only() {
        let own = LocalAddress { address: "10.1.0.2:4001".parse().unwrap(), prefix_len: 16 };
        let place = OwnAddresses { local: vec![own], external_address: None, mapped: None };
        let mut contact = Contact::at(NodeId([2; 32]), "10.1.7.3:4001".parse().unwrap());
        contact.set_external("203.0.113.2:50000".parse().ok(), None);
        assert_eq!(place.dialable(&contact), addresses(&["10.1.7.3:4001"]));
    }
}
