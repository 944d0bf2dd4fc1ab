//! RFC 4787 REQ-14: fragments pass a NAT in whatever order they come, and none of it costs anybody else anything. RFC 7857 §10:
//! those of different hosts are not mixed up. RFC 4787 REQ-13: what is too long is cut, if its sender lets it.

use etherparse::{IpFragOffset, Ipv4Header, SlicedPacket, TransportSlice};

use super::*;
use crate::net::packet::fragments::{HELD_FOR, HELD_MAX};

const LOCAL: (&str, u16) = ("10.1.0.2", 4001);
const REMOTE: (&str, u16) = ("203.0.113.9", 1000);
const PUBLIC: (&str, u16) = ("203.0.113.2", 4001);

/// The three fragments of a UDP datagram.
fn fragments(side: Side, from: (&str, u16), to: (&str, u16), identification: u16) -> [Vec<u8>; 3] {
    let whole = udp_with(side, from, to, 64, 40);
    let datagram = ETHERNET_LEN + Ipv4Header::MIN_LEN;
    [0, 16, 32].map(|at| {
        let begin = datagram + at;
        let fragment = &whole[begin..whole.len().min(begin + 16)];
        with_header(&[&whole[..datagram], fragment].concat(), |header| {
            header.identification = identification;
            header.dont_fragment = false;
            header.more_fragments = at < 32;
            header.fragment_offset = IpFragOffset::try_new(at as u16 / 8).unwrap();
            header.set_payload_len(fragment.len()).unwrap();
        })
    })
}

/// A frame with another IP header.
fn with_header(frame: &[u8], change: impl FnOnce(&mut Ipv4Header)) -> Vec<u8> {
    let mut header = Ipv4Header::from_slice(&frame[ETHERNET_LEN..]).unwrap().0;
    change(&mut header);
    let mut changed = frame[..ETHERNET_LEN].to_vec();
    header.write(&mut changed).unwrap();
    changed.extend_from_slice(&frame[ETHERNET_LEN + Ipv4Header::MIN_LEN..]);
    changed
}

/// The datagram that these frames, whose first is its first fragment, are all of: where it goes, and its identification.
fn reassembled(frames: &[(Side, Offload, Vec<u8>)]) -> (String, u16) {
    let cut = |frame: &[u8]| {
        let (header, fragment) = Ipv4Header::from_slice(&frame[ETHERNET_LEN..]).unwrap();
        (header, fragment.to_vec())
    };
    let mut fragments: Vec<_> = frames.iter().map(|(_, _, frame)| cut(frame)).collect();
    let whole = fragments[0].0.clone();
    assert!(fragments.iter().all(|(header, _)| header.identification == whole.identification));
    fragments.sort_by_key(|(header, _)| header.fragment_offset);
    let mut header = Ipv4Header { more_fragments: false, ..whole };
    let datagram: Vec<u8> = fragments.into_iter().flat_map(|(_, fragment)| fragment).collect();
    header.set_payload_len(datagram.len()).unwrap();
    let mut packet = Vec::new();
    header.write(&mut packet).unwrap();
    packet.extend_from_slice(&datagram);
    let sliced = SlicedPacket::from_ip(&packet).unwrap();
    let Some(TransportSlice::Udp(udp)) = sliced.transport else { panic!("{sliced:?}") };
    let checksum = udp.to_header().calc_checksum_ipv4_raw(header.source, header.destination, udp.payload()).unwrap();
    assert_eq!(udp.checksum(), checksum, "the checksum covers all of it");
    let [source, destination] = [header.source, header.destination].map(Ipv4Addr::from);
    let text = format!("{source}:{} {destination}:{}", udp.source_port(), udp.destination_port());
    (text, header.identification)
}

/// An engine whose host has spoken to the remote one.
fn mapped(latency: Duration) -> RouterEngine {
    let link = LinkConfig { latency, ..LinkConfig::default() };
    let mut engine = engine(&RouterConfig { up: link.clone(), down: link, ..config() });
    receive(&mut engine, Side::Inside, outwards());
    advance(&mut engine, Time::ZERO + latency);
    engine
}

#[test]
fn req_14_fragments_pass_in_any_order_and_the_first_goes_first() {
    for latency in [Duration::ZERO, Duration::from_millis(5)] {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut engine = mapped(latency);
            let now = Time::ZERO + latency;
            for (side, from, to, seen) in [
                (Side::Inside, LOCAL, REMOTE, "203.0.113.2:4001 203.0.113.9:1000"),
                (Side::Outside, REMOTE, PUBLIC, "203.0.113.9:1000 10.1.0.2:4001"),
            ] {
                let fragments = fragments(side, from, to, 77);
                let came = order.map(|n| fragments[n].clone());
                let mut out: Frames = Vec::new();
                for frame in came {
                    out.extend(receive_with(&mut engine, now, side, Offload::default(), frame));
                }
                out.extend(advance(&mut engine, now + latency));
                assert_eq!(parsed(&out[0].2).fragment, Fragment::First, "{order:?}");
                assert_eq!((out.len(), reassembled(&out).0.as_str()), (3, seen), "{order:?}");
                assert!(out.iter().all(|(_, _, frame)| parsed(frame).ttl == 63), "each made one hop");
            }
            assert_eq!((engine.stats().dropped.iter().sum::<u64>(), engine.next_due()), (0, Time::NEVER));
        }
    }
}

/// REQ-14a: a flood of fragments whose first never comes leaves others alone.
#[test]
fn req_14_early_fragments_are_bounded_and_others_pass_them_by() {
    for (side, from, to) in [(Side::Inside, LOCAL, REMOTE), (Side::Outside, REMOTE, PUBLIC)] {
        let mut engine = mapped(Duration::ZERO);
        for identification in 1_000..1_005 + HELD_MAX as u16 {
            let [_, later, _] = fragments(side, from, to, identification);
            assert_eq!(receive(&mut engine, side, later), []);
        }
        assert_eq!(engine.stats().dropped(DropCause::Fragment), 5, "the oldest make room");
        assert_eq!(receive(&mut engine, side, udp(side, from, to)).len(), 1);
        let sent: usize =
            fragments(side, from, to, 77).map(|frame| receive(&mut engine, side, frame).len()).iter().sum();
        assert_eq!((sent, engine.stats().dropped(DropCause::Fragment)), (3, 5));
        let [first, ..] = fragments(side, from, to, 1_005);
        assert_eq!(receive(&mut engine, side, first).len(), 2, "the oldest that is left still waits");
    }
}

#[test]
fn req_14_early_fragments_are_given_up_after_a_second() {
    for (side, from, to) in [(Side::Inside, LOCAL, REMOTE), (Side::Outside, REMOTE, PUBLIC)] {
        let mut engine = mapped(Duration::ZERO);
        let [first, second, third] = fragments(side, from, to, 77);
        assert_eq!(receive(&mut engine, side, third), []);
        assert_eq!(receive_with(&mut engine, ms(400), side, Offload::default(), second), []);
        assert_eq!(engine.next_due(), Time::ZERO + HELD_FOR);
        assert_eq!(advance(&mut engine, Time::ZERO + HELD_FOR), []);
        assert_eq!((engine.stats().dropped(DropCause::Fragment), engine.next_due()), (1, ms(400) + HELD_FOR));
        assert_eq!(receive_with(&mut engine, ms(1_100), side, Offload::default(), first).len(), 2);
        assert_eq!((engine.stats().dropped(DropCause::Fragment), engine.next_due()), (1, Time::NEVER));
    }
}

#[test]
fn req_14_early_fragments_go_down_with_a_first_one_that_is_refused() {
    for (side, from, to, cause) in [
        (Side::Inside, LOCAL, ("203.0.113.2", 5000), DropCause::NoMapping),
        (Side::Outside, ("203.0.113.9", 1001), PUBLIC, DropCause::Filtered),
        (Side::Outside, REMOTE, ("203.0.113.2", 5000), DropCause::NoMapping),
    ] {
        let mut engine = mapped(Duration::ZERO);
        let [first, second, third] = fragments(side, from, to, 77);
        for frame in [third, second, first] {
            assert_eq!(receive(&mut engine, side, frame), []);
        }
        assert_eq!((engine.stats().dropped(cause), engine.stats().dropped(DropCause::Fragment)), (1, 2), "{cause:?}");
        assert_eq!(engine.next_due(), Time::NEVER);
    }
}

#[test]
fn early_fragments_do_not_outlive_the_address_that_they_were_for() {
    let mut engine = mapped(Duration::ZERO);
    let [_, later, _] = fragments(Side::Outside, REMOTE, PUBLIC, 77);
    assert_eq!(receive(&mut engine, Side::Outside, later), []);
    engine.rebind(Time::ZERO, &[ip("203.0.113.7")]);
    assert_eq!(engine.stats().dropped(DropCause::Fragment), 1);
}

#[test]
fn section_10_fragments_of_different_hosts_are_told_apart() {
    for order in [[0, 1, 2], [2, 1, 0]] {
        let mut engine = mapped(Duration::ZERO);
        let hosts = ["10.1.0.2", "10.1.0.3"].map(|host| fragments(Side::Inside, (host, 4001), REMOTE, 77));
        let mut sent = [Frames::new(), Frames::new()];
        for n in order {
            for (host, sent) in hosts.iter().zip(&mut sent) {
                sent.extend(receive(&mut engine, Side::Inside, host[n].clone()));
            }
        }
        let [(near, identification), (other, another)] = [&sent[0], &sent[1]].map(|frames| reassembled(frames));
        assert_eq!(near, "203.0.113.2:4001 203.0.113.9:1000");
        assert!(other.starts_with("203.0.113.2:") && other.ends_with(" 203.0.113.9:1000") && other != near);
        assert_ne!(identification, another);
        let copy = receive(&mut engine, Side::Inside, hosts[0][0].clone());
        assert_eq!(parsed(&copy[0].2).identification, identification, "a copy is of the same datagram");
    }
}

/// An engine whose host has spoken to the remote one, and whose sides take packets of so many bytes.
fn narrow(inside: u32, outside: u32) -> RouterEngine {
    let mut engine = mapped(Duration::ZERO);
    engine.inside.interface.mtu = inside;
    engine.outside.as_mut().unwrap().interface.mtu = outside;
    engine
}

/// A UDP datagram of so many bytes that may be cut.
fn may_be_cut(side: Side, from: (&str, u16), to: (&str, u16), length: usize) -> Vec<u8> {
    with_header(&udp_with(side, from, to, 64, length), |header| {
        header.dont_fragment = false;
        header.identification = 77;
    })
}

/// What is sent of a frame: each part in order, none longer than that.
fn pieces_of(engine: &mut RouterEngine, side: Side, offload: Offload, frame: Vec<u8>, longest: usize) -> Frames {
    let out = receive_with(engine, Time::ZERO, side, offload, frame);
    let offset = |frame: &[u8]| Ipv4Header::from_slice(&frame[ETHERNET_LEN..]).unwrap().0.fragment_offset.value();
    assert!(out.iter().all(|(to, _, frame)| *to != side && frame.len() <= ETHERNET_LEN + longest));
    assert!(out.is_sorted_by_key(|(_, _, frame)| offset(frame)));
    out
}

#[test]
fn req_13_what_is_too_long_is_cut_and_sent_in_order() {
    for (side, from, to, seen) in [
        (Side::Inside, LOCAL, REMOTE, "203.0.113.2:4001 203.0.113.9:1000"),
        (Side::Outside, REMOTE, PUBLIC, "203.0.113.9:1000 10.1.0.2:4001"),
    ] {
        let mut engine = narrow(600, 600);
        let long = may_be_cut(side, from, to, 1_400);
        let out = pieces_of(&mut engine, side, Offload::default(), long.clone(), 600);
        let (text, identification) = reassembled(&out);
        assert_eq!((out.len(), text.as_str()), (3, seen));
        assert!(out.iter().all(|(_, _, frame)| parsed(frame).ttl == 63 && !parsed(frame).dont_fragment));
        assert_eq!(engine.stats().dropped.iter().sum::<u64>(), 0);
        let forwarded = engine.stats().forwarded[usize::from(side == Side::Outside)];
        assert_eq!(forwarded.packets, 3 + u64::from(side == Side::Inside), "each is a packet, beside the one before");
        let (_, next) = reassembled(&pieces_of(&mut engine, side, Offload::default(), long, 600));
        let own = if side == Side::Inside { identification.wrapping_add(1) } else { 77 };
        assert_eq!(next, own, "a datagram from inside has one identification of the NAT's");
    }
}

/// REQ-13 and REQ-14 together: what is a fragment already, first or later, is cut further.
#[test]
fn req_13_fragments_are_cut_further() {
    let mut engine = narrow(1_500, 68);
    let whole = may_be_cut(Side::Inside, LOCAL, REMOTE, 1_000);
    let mut cutting = narrow(1_500, 600);
    cutting.nat = None;
    let came = pieces_of(&mut cutting, Side::Inside, Offload::default(), whole, 600);
    let mut out = Frames::new();
    for (_, _, mut frame) in came {
        frame[..6].copy_from_slice(&INSIDE.mac);
        out.extend(pieces_of(&mut engine, Side::Inside, Offload::default(), frame, 68));
    }
    assert_eq!((out.len(), reassembled(&out).0.as_str()), (21, "203.0.113.2:4001 203.0.113.9:1000"));
    assert!(out.iter().all(|(_, _, frame)| parsed(frame).ttl == 62));
}

/// What a host has left to its network card is done before: the checksum covers all fragments, and each segment is cut by itself.
#[test]
fn req_13_checksums_and_segments_are_finished_before_the_cut() {
    let mut long = may_be_cut(Side::Inside, LOCAL, REMOTE, 1_400);
    let start = ETHERNET_LEN + Ipv4Header::MIN_LEN;
    let right = parsed(&long);
    let pseudo_header = etherparse::checksum::Sum16BitWords::new()
        .add_4bytes(right.source.octets())
        .add_4bytes(right.destination.octets())
        .add_2bytes([0, right.protocol])
        .add_2bytes(1_408u16.to_be_bytes());
    let sum = !pseudo_header.ones_complement();
    long[start + 6..start + 8].copy_from_slice(&sum.to_ne_bytes());
    let checksum = Some((start as u16, 6));
    for (segments, datagrams) in [(None, 1), (Some(Segmentation::new(false, 700, 42)), 2)] {
        let mut engine = narrow(1_500, 600);
        let out = pieces_of_all(&mut engine, Offload { checksum, segments }, long.clone());
        assert_eq!(out.len(), datagrams);
        for datagram in out {
            assert!(datagram.len() > 1 && datagram.iter().all(|(_, offload, _)| *offload == Offload::default()));
            assert_eq!(reassembled(&datagram).0, "203.0.113.2:4001 203.0.113.9:1000");
        }
    }
}

/// What is sent of a frame from inside, by datagram.
fn pieces_of_all(engine: &mut RouterEngine, offload: Offload, frame: Vec<u8>) -> Vec<Frames> {
    let mut datagrams: Vec<Frames> = Vec::new();
    for fragment in receive_with(engine, Time::ZERO, Side::Inside, offload, frame) {
        match parsed(&fragment.2).fragment {
            Fragment::Later => datagrams.last_mut().expect("the first comes first").push(fragment),
            _ => datagrams.push(vec![fragment]),
        }
    }
    datagrams
}

/// The identification with which a packet leaves that had 77.
fn identified(engine: &mut RouterEngine, side: Side, offload: Offload, frame: &[u8], dont_fragment: bool) -> u16 {
    let frame = with_header(frame, |header| {
        header.identification = 77;
        header.dont_fragment = dont_fragment;
    });
    let out = receive_with(engine, Time::ZERO, side, offload, frame);
    assert_eq!(out.len(), 1);
    parsed(&out[0].2).identification
}

#[test]
fn section_10_identifications_are_the_nats_own_where_they_mean_anything() {
    let whole = Offload::default();
    let (segmented, tcp) = offloaded();
    let mut engine = mapped(Duration::ZERO);
    let first = identified(&mut engine, Side::Inside, whole, &outwards(), false);
    assert_eq!(identified(&mut engine, Side::Inside, whole, &outwards(), false), first.wrapping_add(1));
    assert_eq!(identified(&mut engine, Side::Inside, whole, &outwards(), true), 77, "RFC 6864: it is in one fragment");
    assert_eq!(identified(&mut engine, Side::Outside, whole, &udp(Side::Outside, REMOTE, PUBLIC), false), 77);
    let cut = identified(&mut engine, Side::Inside, segmented, &tcp, false);
    let after = identified(&mut engine, Side::Inside, segmented, &tcp, false);
    assert_eq!(after, cut.wrapping_add(3), "each segment has its own");

    let mut plain = super::engine(&RouterConfig { nat: None, ..config() });
    assert_eq!(identified(&mut plain, Side::Inside, whole, &outwards(), false), 77, "nothing is translated");
}
