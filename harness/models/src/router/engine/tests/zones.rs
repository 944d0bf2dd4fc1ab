//! The zone of a packet's sender is in its header behind the router, whatever the NAT did to its addresses.

use super::*;
use crate::net::zone::Zone;

fn marking() -> RouterConfig {
    let zone = |number| Zone::new(number).unwrap();
    let zones = vec![(ip("10.1.0.2").into(), zone(63)), (ip("203.0.113.9").into(), zone(5))];
    RouterConfig { nat: Some(NatConfig::full_cone()), zones, ..config() }
}

/// The byte of a frame's IPv4 header with DSCP and congestion bits.
fn service(frame: &[u8]) -> u8 {
    frame[ETHERNET_LEN + 1]
}

fn with_service(mut frame: Vec<u8>, service: u8) -> Vec<u8> {
    let mut header = etherparse::Ipv4Header::from_slice(&frame[ETHERNET_LEN..]).unwrap().0;
    header.dscp = etherparse::IpDscp::try_new(service >> 2).unwrap();
    header.ecn = etherparse::IpEcn::try_new(service & 3).unwrap();
    header.header_checksum = header.calc_header_checksum();
    frame[ETHERNET_LEN..ETHERNET_LEN + 20].copy_from_slice(&header.to_bytes());
    frame
}

#[test]
fn hosts_on_both_sides_are_marked_and_congestion_bits_stay() {
    let mut engine = engine(&marking());
    let out = receive(&mut engine, Side::Inside, with_service(outwards(), 0b10));
    assert_eq!(seen(&out[0]).2, "203.0.113.2:4001 203.0.113.9:1000");
    assert_eq!(service(&out[0].2), 63 << 2 | 0b10);
    let back = udp(Side::Outside, ("203.0.113.9", 1000), ("203.0.113.2", 4001));
    let back = receive(&mut engine, Side::Outside, back);
    assert_eq!(service(&back[0].2), 5 << 2);
}

#[test]
fn a_mark_of_another_router_passes_and_one_of_a_host_does_not() {
    let mut engine = engine(&marking());
    let forged = with_service(outwards(), 9 << 2);
    assert_eq!(service(&receive(&mut engine, Side::Inside, forged)[0].2), 63 << 2);
    let translated = with_service(udp(Side::Outside, ("203.0.113.7", 1000), ("203.0.113.2", 4001)), 9 << 2);
    assert_eq!(service(&receive(&mut engine, Side::Outside, translated)[0].2), 9 << 2);
}
