//! Through a real router process, real sockets see the NAT that RFC 4787 describes by its row.

use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::thread;

use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::Dependence::{self, *};
use butter_harness::net::nat::NatConfig;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;

use crate::lab::{self, FAR, Lab, NEAR, OUTSIDE};
use crate::netns::{DEADLINE, available, eventually};

/// The far host's four endpoints: two addresses, two ports each.
struct Far {
    sockets: Vec<(SocketAddr, UdpSocket)>,
}

impl Far {
    fn new(lab: &Lab) -> Self {
        let ends = FAR.iter().flat_map(|address| [1_000, 1_001].map(|port| format!("{address}:{port}")));
        Far { sockets: ends.map(|end| (end.parse().unwrap(), lab.far.udp(&end))).collect() }
    }

    /// Sends from the LAN's socket to one of them; returns from where that is seen.
    fn reached(&self, from: &UdpSocket, index: usize) -> SocketAddr {
        let (address, socket) = &self.sockets[index];
        from.send_to(b"hello", address).unwrap();
        let mut buffer = [0; 16];
        let (length, source) = socket.recv_from(&mut buffer).expect("the packet arrives");
        assert_eq!(&buffer[..length], b"hello");
        assert_eq!(source.ip().to_string(), OUTSIDE);
        source
    }
}

fn check_row(name: &str, nat: NatConfig, mapping: Dependence, filtering: Dependence) {
    if !available(name) {
        return;
    }
    let lab = Lab::with_nat(nat);
    let far = Far::new(&lab);
    let allows = |dependence, same_address, same_port| match dependence {
        EndpointIndependent => true,
        AddressDependent => same_address,
        AddressAndPortDependent => same_address && same_port,
    };

    let mapped = lab.near.udp("0.0.0.0:4001");
    let seen: Vec<SocketAddr> = (0..4).map(|index| far.reached(&mapped, index)).collect();
    for (index, (same_address, same_port)) in
        [(true, true), (true, false), (false, true), (false, false)].iter().enumerate()
    {
        assert_eq!(seen[index] == seen[0], allows(mapping, *same_address, *same_port), "RFC 4787 §4.1: {seen:?}");
    }

    let filtered = lab.near.udp("0.0.0.0:4002");
    let outside = far.reached(&filtered, 0);
    // The one that is always let in last: what else was let in has then come before.
    for index in [1, 2, 3, 0] {
        far.sockets[index].1.send_to(&[index as u8], outside).unwrap();
    }
    let mut heard = Vec::new();
    loop {
        let mut buffer = [0; 16];
        let (length, from) = filtered.recv_from(&mut buffer).expect("the answer arrives");
        assert_eq!((length, from), (1, far.sockets[usize::from(buffer[0])].0), "it comes from who sent it");
        heard.push(buffer[0]);
        if buffer[0] == 0 {
            break;
        }
    }
    let expected: Vec<u8> = [(1, (true, false)), (2, (false, true)), (3, (false, false)), (0, (true, true))]
        .into_iter()
        .filter(|&(_, (same_address, same_port))| allows(filtering, same_address, same_port))
        .map(|(index, _)| index)
        .collect();
    assert_eq!(heard, expected, "RFC 4787 §5");
    let refused = 4 - expected.len() as u64;
    eventually("what was filtered is counted", || (lab.dropped("filtered") == refused).then_some(()));

    far.sockets[0].1.send_to(b"nobody", (OUTSIDE, 9)).unwrap();
    eventually("a packet to no mapping is dropped", || (lab.dropped("no_mapping") == 1).then_some(()));
    assert!(lab.metric("butter_router_nat_mappings") >= 2);
}

#[test]
fn full_cone() {
    check_row("full_cone", NatConfig::full_cone(), EndpointIndependent, EndpointIndependent);
}

#[test]
fn address_restricted() {
    check_row("address_restricted", NatConfig::address_restricted(), EndpointIndependent, AddressDependent);
}

#[test]
fn port_restricted() {
    check_row("port_restricted", NatConfig::port_restricted(), EndpointIndependent, AddressAndPortDependent);
}

#[test]
fn symmetric() {
    check_row("symmetric", NatConfig::symmetric(), AddressAndPortDependent, AddressAndPortDependent);
}

#[test]
fn cgnat() {
    check_row("cgnat", NatConfig::cgnat(), EndpointIndependent, EndpointIndependent);
}

#[test]
fn hosts_behind_one_nat_meet_by_hairpin() {
    if !available("hosts_behind_one_nat_meet_by_hairpin") {
        return;
    }
    let lab = Lab::with_nat(NatConfig::port_restricted());
    let far = Far::new(&lab);
    let (a, b) = (lab.near.udp("0.0.0.0:4001"), lab.near.udp("0.0.0.0:4002"));
    let (a_outside, b_outside) = (far.reached(&a, 0), far.reached(&b, 0));
    a.send_to(b"punch", b_outside).unwrap();
    eventually("b's filter drops it", || (lab.dropped("filtered") == 1).then_some(()));
    b.send_to(b"through", a_outside).unwrap();
    let mut buffer = [0; 16];
    let (length, from) = a.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from), (&b"through"[..], b_outside));
}

/// 2 MiB each way over TCP: whole offloaded segments on a perfect link, cut ones on a lossy link.
fn check_tcp(name: &str, link: LinkConfig) {
    if !available(name) {
        return;
    }
    let lab = Lab::start(lab::config(Some(NatConfig::port_restricted()), link.clone(), link));
    let listener = lab.far.listen("203.0.113.11:80");
    let data: Vec<u8> = (0..2u32 << 20).map(|n| (n.wrapping_mul(0x9E37_79B9) >> 24) as u8).collect();
    let near = lab.near.connect("203.0.113.11:80".parse().unwrap(), DEADLINE).unwrap();
    let (far, source) = listener.accept().unwrap();
    assert_eq!(source.ip().to_string(), OUTSIDE);
    far.set_read_timeout(Some(DEADLINE)).unwrap();
    for (from, to) in [(&near, &far), (&far, &near)] {
        let (mut from, mut to) = (from, to);
        let mut received = vec![0; data.len()];
        thread::scope(|scope| {
            scope.spawn(|| from.write_all(&data).unwrap());
            to.read_exact(&mut received).unwrap();
        });
        assert!(received == data, "the stream arrives as it was sent");
    }
}

#[test]
fn tcp_passes_with_its_segments_whole() {
    check_tcp("tcp_passes_with_its_segments_whole", LinkConfig::default());
}

#[test]
fn tcp_passes_a_lossy_link_in_segments() {
    check_tcp("tcp_passes_a_lossy_link_in_segments", LinkConfig { loss: 0.001, ..LinkConfig::default() });
}

/// A datagram that comes in fragments goes out in fragments, its ports translated.
#[test]
fn fragments_pass() {
    if !available("fragments_pass") {
        return;
    }
    let lab = Lab::with_nat(NatConfig::port_restricted());
    let far = Far::new(&lab);
    let near = lab.near.udp("0.0.0.0:4001");
    let outside = far.reached(&near, 0);
    let data: Vec<u8> = (0..8_000u32).map(|n| n as u8).collect();
    let mut buffer = vec![0; 10_000];
    near.send_to(&data, far.sockets[0].0).unwrap();
    let (length, from) = far.sockets[0].1.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from), (&data[..], outside));
    far.sockets[0].1.send_to(&data, outside).unwrap();
    let (length, from) = near.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from), (&data[..], far.sockets[0].0));
}

/// What QUIC does to send faster: one call, ten datagrams, cut by the kernel as late as it can be.
fn check_udp_segments(name: &str, up: LinkConfig) {
    if !available(name) {
        return;
    }
    let lab = Lab::start(lab::config(Some(NatConfig::port_restricted()), up, LinkConfig::default()));
    let (near, far) = (lab.near.udp("0.0.0.0:4001"), lab.far.udp("203.0.113.11:1000"));
    setsockopt(&near, UdpGsoSegment, &1_200).expect("a kernel since 4.18 has it");
    let data: Vec<u8> = (0..12_000u32).map(|n| (n / 7) as u8).collect();
    near.send_to(&data, "203.0.113.11:1000").unwrap();
    let mut buffer = [0; 2_000];
    for expected in data.chunks(1_200) {
        let length = far.recv(&mut buffer).expect("the datagram arrives");
        assert!(&buffer[..length] == expected, "each datagram by itself, in order");
    }
}

#[test]
fn udp_segments_pass_whole() {
    check_udp_segments("udp_segments_pass_whole", LinkConfig::default());
}

#[test]
fn udp_segments_are_cut_before_a_rate() {
    let up = LinkConfig { rate_bps: Some(10_000_000), ..LinkConfig::default() };
    check_udp_segments("udp_segments_are_cut_before_a_rate", up);
}

/// RFC 4787 REQ-12: an ICMP error about a mapped flow reaches the socket inside, translated.
#[test]
fn icmp_errors_find_their_way_in() {
    if !available("icmp_errors_find_their_way_in") {
        return;
    }
    let lab = Lab::with_nat(NatConfig::port_restricted());
    let near = lab.near.udp(&format!("{NEAR}:4001"));
    near.connect("203.0.113.11:9").unwrap();
    near.send(b"to a closed port").unwrap();
    let error = near.recv(&mut [0; 16]).expect_err("no answer but an error");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}
