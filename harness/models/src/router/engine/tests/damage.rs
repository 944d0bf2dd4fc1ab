//! Whatever comes: nothing makes a router panic, what it sends is right, and nothing gets in by itself.

use etherparse::checksum::Sum16BitWords;
use etherparse::icmpv4::DestUnreachableHeader;
use etherparse::{Icmpv4Type, Icmpv6Type, icmpv6};
use proptest::prelude::*;

use super::*;
use crate::net::firewall::Policy;
use crate::net::packet::ipv6::Packet6;
use crate::router::config::{RouterIpv6Config, SideConfig6};

/// What a frame carries before it is damaged.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Arp,
    Udp,
    Tcp,
    Echo,
    EchoReply,
    Error,
    FirstFragment,
    LaterFragment,
    Udp6,
    Tcp6,
    Echo6,
    Error6,
    Solicitation6,
}

const KINDS: [Kind; 13] = [
    Kind::Arp,
    Kind::Udp,
    Kind::Tcp,
    Kind::Echo,
    Kind::EchoReply,
    Kind::Error,
    Kind::FirstFragment,
    Kind::LaterFragment,
    Kind::Udp6,
    Kind::Tcp6,
    Kind::Echo6,
    Kind::Error6,
    Kind::Solicitation6,
];

/// A host inside and the router there, a host outside and the router there.
const ENDS: [&str; 4] = ["10.1.0.2", "10.1.0.1", "203.0.113.9", "203.0.113.2"];
const ENDS6: [&str; 4] = ["2001:db8:1::2", "2001:db8:1::1", "2001:db8::9", "2001:db8::2"];

/// A router that has IPv6 too, and a short way outside, for which much has to be cut.
fn narrow() -> RouterEngine {
    let network = |subnet: &str, address: &str| SideConfig6 {
        subnet: subnet.parse().unwrap(),
        address: address.parse().unwrap(),
        gateway: None,
    };
    let ipv6 = RouterIpv6Config {
        inside: network("2001:db8:1::/64", ENDS6[1]),
        outside: Some(network("2001:db8::/64", ENDS6[3])),
        firewall: Policy::Stateful,
        routes: Vec::new(),
    };
    RouterEngine::new(&RouterConfig { ipv6: Some(ipv6), ..config() }, INSIDE, Some(Interface { mtu: 200, ..OUTSIDE }))
}

/// A right frame of that kind, between two of [`ENDS`].
fn right(kind: Kind, side: Side, (from, to): (usize, usize), length: usize) -> Vec<u8> {
    let ipv4 = || to_router(side).ipv4(ip(ENDS[from]).octets(), ip(ENDS[to]).octets(), 64);
    let octets = |end: usize| ENDS6[end].parse::<std::net::Ipv6Addr>().unwrap().octets();
    let ipv6 = |hops| to_router(side).ipv6(octets(from), octets(to), hops);
    let (mut frame, payload) = (Vec::new(), vec![7; length]);
    let quote = &udp(side, (ENDS[to], 1000), (ENDS[from], 4001))[ETHERNET_LEN..];
    match kind {
        Kind::Arp => return arp(side, ArpOperation::REQUEST, (ENDS[from], HOST), ENDS[to]),
        Kind::Udp => ipv4().udp(4001, 1000).write(&mut frame, &payload),
        Kind::Tcp => ipv4().tcp(4001, 1000, 1, 500).syn().write(&mut frame, &payload),
        Kind::Echo => ipv4().icmpv4_echo_request(77, 1).write(&mut frame, &payload),
        Kind::EchoReply => ipv4().icmpv4_echo_reply(77, 1).write(&mut frame, &payload),
        Kind::Error => {
            let port = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);
            ipv4().icmpv4(port).write(&mut frame, quote)
        }
        Kind::FirstFragment | Kind::LaterFragment => {
            ipv4().udp(4001, 1000).write(&mut frame, &payload).unwrap();
            // Three eighths of a datagram into it, or its beginning; others follow.
            let field: u16 = if matches!(kind, Kind::FirstFragment) { 0x2000 } else { 0x2003 };
            frame[ETHERNET_LEN + 6..ETHERNET_LEN + 8].copy_from_slice(&field.to_be_bytes());
            Ok(())
        }
        Kind::Udp6 => ipv6(64).udp(4001, 1000).write(&mut frame, &payload),
        Kind::Tcp6 => ipv6(64).tcp(4001, 1000, 1, 500).syn().write(&mut frame, &payload),
        Kind::Echo6 => ipv6(64).icmpv6_echo_request(77, 1).write(&mut frame, &payload),
        Kind::Error6 => {
            let mut quote = Vec::new();
            let builder = PacketBuilder::ipv6(octets(to), octets(from), 64).udp(1000, 4001);
            builder.write(&mut quote, &[7; 8]).unwrap();
            let port = Icmpv6Type::DestinationUnreachable(icmpv6::DestUnreachableCode::Port);
            ipv6(64).icmpv6(port).write(&mut frame, &quote)
        }
        Kind::Solicitation6 => ipv6(255).icmpv6_raw(135, 0, [0; 4]).write(&mut frame, &octets(to)),
    }
    .unwrap();
    mend(&mut frame);
    frame
}

/// Makes the checksums of IPv4's header and of ICMP right again, as a liar would.
fn mend(frame: &mut [u8]) {
    let write = |bytes: &mut [u8], at: usize, sum: Sum16BitWords| {
        bytes[at..at + 2].fill(0);
        let sum = sum.add_slice(bytes).ones_complement();
        bytes[at..at + 2].copy_from_slice(&sum.to_ne_bytes());
    };
    let kind = [frame[12], frame[13]];
    let packet = &mut frame[ETHERNET_LEN..];
    if kind == TYPE_IPV4 && packet.len() >= 20 {
        let header_len = usize::from(packet[0] & 15) * 4;
        let total_len = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        if (20..=packet.len()).contains(&header_len) {
            write(&mut packet[..header_len], 10, Sum16BitWords::new());
        }
        if packet[9] == 1 && total_len <= packet.len() && header_len + 4 <= total_len {
            write(&mut packet[header_len..total_len], 2, Sum16BitWords::new());
        }
    }
    if kind == TYPE_IPV6 && packet.len() >= 44 && packet[6] == 58 {
        let length = u16::from_be_bytes([packet[4], packet[5]]);
        let end = 40 + usize::from(length);
        if (44..=packet.len()).contains(&end) {
            let (header, message) = packet[..end].split_at_mut(40);
            let addresses = Sum16BitWords::new().add_slice(&header[8..40]);
            write(message, 2, addresses.add_2bytes(length.to_be_bytes()).add_2bytes([0, 58]));
        }
    }
}

fn offloads() -> impl Strategy<Value = Offload> {
    let segments = (any::<bool>(), any::<bool>(), 1u16..300, 40u16..80).prop_map(|(tcp, ipv6, size, header_len)| {
        let mut segments = Segmentation::new(tcp, size, header_len);
        segments.tcp_over_ipv6 = tcp && ipv6;
        segments
    });
    let starts = prop_oneof![Just(34u16), Just(54), any::<u16>()];
    let checksum = (starts, prop_oneof![Just(6u16), Just(16), any::<u16>()]);
    let some = (prop::option::of(checksum), prop::option::of(segments));
    prop_oneof![3 => Just(Offload::default()), 1 => some.prop_map(|(checksum, segments)| Offload { checksum, segments })]
}

/// A frame of any kind, some of its bytes changed behind the first header and its checksums made right for that, or cut off.
fn frames() -> impl Strategy<Value = (Side, Offload, Vec<u8>)> {
    let side = prop_oneof![Just(Side::Inside), Just(Side::Outside)];
    let damage = prop::collection::vec((ETHERNET_LEN..120, any::<u8>()), 0..4);
    let cut = prop_oneof![4 => Just(usize::MAX), 1 => 0usize..120];
    let what = (prop::sample::select(&KINDS[..]), (0..4usize, 0..4usize), 8usize..600);
    (side, offloads(), what, damage, cut).prop_map(|(side, offload, (kind, ends, length), damage, cut)| {
        let mut frame = right(kind, side, ends, length);
        for (at, value) in damage {
            let at = at.min(frame.len() - 1);
            frame[at] = value;
        }
        mend(&mut frame);
        frame.truncate(cut);
        (side, offload, frame)
    })
}

proptest! {
    #[test]
    fn damaged_frames_never_panic_and_what_is_sent_is_right(
        frames in prop::collection::vec(frames(), 1..20),
    ) {
        let mut engine = narrow();
        for (n, (side, offload, frame)) in frames.into_iter().enumerate() {
            let now = ms(100 * n as u64);
            let mut sent = receive_with(&mut engine, now, side, offload, frame);
            sent.extend(advance(&mut engine, now));
            for (_, _, frame) in sent {
                match [frame[12], frame[13]] {
                    TYPE_IPV4 => prop_assert!(Packet::parse(&frame[ETHERNET_LEN..]).is_ok()),
                    TYPE_IPV6 => prop_assert!(Packet6::parse(&frame[ETHERNET_LEN..]).is_ok()),
                    other => prop_assert_eq!(other, TYPE_ARP),
                }
            }
        }
    }

    #[test]
    fn noise_never_panics(
        frames in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..120)), 1..20),
    ) {
        let mut engine = narrow();
        for (inside, mut frame) in frames {
            let side = if inside { Side::Inside } else { Side::Outside };
            if frame.len() >= ETHERNET_LEN {
                frame[..6].copy_from_slice(&[INSIDE.mac, OUTSIDE.mac][side as usize]);
                let kind = [TYPE_ARP, TYPE_IPV4, TYPE_IPV6][usize::from(frame[6] % 3)];
                frame[12..ETHERNET_LEN].copy_from_slice(&kind);
                mend(&mut frame);
            }
            receive(&mut engine, side, frame);
        }
    }

    /// Whatever comes from outside before anything has gone out: nothing gets in.
    #[test]
    fn nothing_gets_in_by_itself(from: u32, to_us: bool, to: u32, ports: (u16, u16), ttl: u8) {
        let mut engine = engine(&config());
        let to = if to_us { ip("203.0.113.2") } else { to.into() };
        let mut frame = Vec::new();
        let builder = to_router(Side::Outside).ipv4(from.to_be_bytes(), to.octets(), ttl).udp(ports.0, ports.1);
        builder.write(&mut frame, &[]).unwrap();
        let out = receive(&mut engine, Side::Outside, frame);
        prop_assert!(out.iter().all(|(side, ..)| *side == Side::Outside));
    }
}

/// What is to be damaged gets everywhere as long as it is not.
#[test]
fn right_frames_are_not_refused_for_their_headers() {
    for kind in KINDS {
        let mut engine = narrow();
        for (side, ends) in [(Side::Inside, (0, 2)), (Side::Outside, (2, 3))] {
            let sent = receive(&mut engine, side, right(kind, side, ends, 100));
            let dropped = engine.stats().dropped(DropCause::Malformed);
            assert_eq!(dropped, 0, "{kind:?} {side:?}");
            let starts =
                matches!(kind, Kind::Udp | Kind::Tcp | Kind::Echo | Kind::FirstFragment | Kind::Udp6 | Kind::Tcp6);
            if side == Side::Inside && (starts || matches!(kind, Kind::Echo6)) {
                assert_eq!(sent.len(), 1, "{kind:?}: it, or the question for its next hop");
            }
        }
    }
}
