//! Which of a peer's addresses are worth a dial, from where.

use super::*;

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn check(own: (&[&str], Option<&str>), peer: (&[&str], Option<&str>), expected: &[&str]) {
    let place = Place { local: addresses(own.0), outside: own.1.map(|text| text.parse().unwrap()), mapped: None };
    let mut contact = Contact::at(NodeId([2; 32]), "10.9.9.9:1".parse().unwrap());
    std::sync::Arc::make_mut(&mut contact.reach).local = addresses(peer.0);
    contact.set_reach(peer.1.map(|text| text.parse().unwrap()), None);
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
fn addresses_that_mean_nothing_elsewhere_are_not_dialled() {
    check((&[HERE4, HERE6], Some(NAT_HERE)), (&["[fe80::3]:4001", "[::1]:4001"], Some(NAT_THERE)), &[NAT_THERE]);
    check((&[HERE4, "[fe80::2]:4001"], Some(NAT_HERE)), (&[THERE4, THERE6], Some(NAT_THERE)), &[NAT_THERE]);
}
