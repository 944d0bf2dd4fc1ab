//! What a network's firewall stops, and what a link's MTU does.

use super::*;
use crate::net::link::{LinkConfig, LinkMtu};

fn tcp(side: Side, from: (&str, u16), to: (&str, u16)) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = to_router(side).ipv4(ip(from.0).octets(), ip(to.0).octets(), 64).tcp(from.1, to.1, 1, 1_024).syn();
    builder.write(&mut frame, &[]).unwrap();
    frame
}

const INNER: (&str, u16) = ("10.1.0.2", 4001);
const PEER: (&str, u16) = ("203.0.113.9", 1000);

/// How many of these get out: UDP, TCP to a port of the web, TCP to another.
fn let_out(engine: &mut RouterEngine) -> [usize; 3] {
    let web = (PEER.0, 443);
    [udp(Side::Inside, INNER, PEER), tcp(Side::Inside, INNER, web), tcp(Side::Inside, INNER, PEER)]
        .map(|frame| receive(engine, Side::Inside, frame).len())
}

#[test]
fn a_firewall_stops_what_its_policy_says_before_the_nat_sees_it() {
    let of = |firewall| engine(&RouterConfig { firewall, ..config() });
    for (policy, expected, mappings) in [
        (NetworkPolicy::Stateful, [1, 1, 1], 3),
        (NetworkPolicy::UdpBlocked, [0, 1, 1], 2),
        (NetworkPolicy::WebOnly, [0, 1, 0], 1),
        (NetworkPolicy::Captive { lets_in_after: None }, [0, 0, 0], 0),
    ] {
        let mut engine = of(policy);
        assert_eq!(let_out(&mut engine), expected, "{policy:?}");
        assert!(engine.mappings(Time::ZERO).unwrap() <= mappings, "{policy:?}");
        assert_eq!(engine.stats().dropped(DropCause::Filtered), 3 - expected.iter().sum::<usize>() as u64);
    }
}

#[test]
fn another_policy_takes_effect_at_once() {
    let mut engine = engine(&RouterConfig { firewall: NetworkPolicy::UdpBlocked, ..config() });
    assert_eq!(receive(&mut engine, Side::Inside, outwards()), []);
    engine.set_firewall(NetworkPolicy::Open);
    assert_eq!(receive(&mut engine, Side::Inside, outwards()).len(), 1);
    engine.set_firewall(NetworkPolicy::UdpBlocked);
    let answer = udp(Side::Outside, PEER, ("203.0.113.2", 4001));
    assert_eq!(receive(&mut engine, Side::Outside, answer), [], "the NAT knows it, and the firewall stops it");
}

#[test]
fn without_a_nat_a_stateful_firewall_lets_only_answers_in() {
    let mut engine = engine(&RouterConfig { firewall: NetworkPolicy::Stateful, nat: None, ..config() });
    let answer = || udp(Side::Outside, PEER, INNER);
    assert_eq!(receive(&mut engine, Side::Outside, answer()), []);
    assert_eq!(receive(&mut engine, Side::Inside, outwards()).len(), 1);
    assert_eq!(receive(&mut engine, Side::Outside, answer()).len(), 1);
    let stranger = udp(Side::Outside, (PEER.0, 1001), INNER);
    assert_eq!(receive(&mut engine, Side::Outside, stranger), []);
}

fn long(dont_fragment: bool) -> Vec<u8> {
    let mut frame = udp_with(Side::Inside, INNER, PEER, 64, 1_400);
    let mut header = etherparse::Ipv4Header::from_slice(&frame[ETHERNET_LEN..]).unwrap().0;
    header.dont_fragment = dont_fragment;
    header.header_checksum = header.calc_header_checksum();
    frame[ETHERNET_LEN..ETHERNET_LEN + 20].copy_from_slice(&header.to_bytes());
    frame
}

#[test]
fn a_packet_longer_than_the_link_is_cut_or_refused_with_the_mtu_or_vanishes() {
    let with = |is_black_hole| {
        let up = LinkConfig { mtu: Some(LinkMtu { bytes: 1_300, is_black_hole }), ..LinkConfig::default() };
        engine(&RouterConfig { up, ..config() })
    };
    let mut telling = with(false);
    let cut = receive(&mut telling, Side::Inside, long(false));
    assert_eq!(cut.len(), 2);
    assert!(cut.iter().all(|(side, _, frame)| *side == Side::Outside && frame.len() <= ETHERNET_LEN + 1_300));
    let refused = receive(&mut telling, Side::Inside, long(true));
    let [(Side::Inside, _, error)] = &refused[..] else { panic!("{refused:?}") };
    // Type 3, code 4, and the MTU in the last two bytes of the header (RFC 1191).
    let icmp = &error[ETHERNET_LEN + 20..];
    assert_eq!((icmp[0], icmp[1], u16::from_be_bytes([icmp[6], icmp[7]])), (3, 4, 1_300));
    let mut hole = with(true);
    assert_eq!(receive(&mut hole, Side::Inside, long(true)), []);
    assert_eq!(hole.stats().dropped(DropCause::TooBig), 1);
    assert_eq!(receive(&mut hole, Side::Inside, outwards()).len(), 1);
}
