use std::time::Duration;

use etherparse::{ArpEthIpv4Packet, ArpOperation, ArpPacketSlice, EtherType, Ethernet2Header, PacketBuilder};

use super::super::neighbours::{ASK_AGAIN, ASKED_MAX, WAITING_MAX};
use super::super::offload::Segmentation;
use super::*;
use crate::net::link::LinkConfig;
use crate::net::nat::NatConfig;
use crate::net::network_policy::NetworkPolicy;
use crate::net::packet::{Content, Fragment, Packet};

mod damage;
mod firewall;
mod fragments;
mod sources;
mod zones;

const INSIDE: Interface = Interface { mac: [2, 0, 0, 0, 0, 1], mtu: 1_500 };
const OUTSIDE: Interface = Interface { mac: [2, 0, 0, 0, 0, 2], mtu: 1_500 };
const HOST: Mac = [2, 0, 0, 0, 1, 2];
const FAR: Mac = [2, 0, 0, 0, 2, 1];

type Frames = Vec<(Side, Offload, Vec<u8>)>;

fn config() -> RouterConfig {
    let network = |subnet: &str, address: &str| SideConfig {
        subnet: subnet.parse().unwrap(),
        address: address.parse().unwrap(),
        gateway: None,
    };
    RouterConfig {
        inside: network("10.1.0.0/24", "10.1.0.1"),
        outside: Some(network("203.0.113.0/24", "203.0.113.2")),
        management: None,
        nat: Some(NatConfig::port_restricted()),
        firewall: NetworkPolicy::Open,
        pool: Vec::new(),
        forwards: Vec::new(),
        up: LinkConfig::default(),
        down: LinkConfig::default(),
        routes: Vec::new(),
        control_port: 0,
        ipv6: None,
        seed: 1,
        neighbours: vec![(ip("10.1.0.2"), HOST), (ip("203.0.113.9"), FAR)],
        zones: Vec::new(),
    }
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn engine(config: &RouterConfig) -> RouterEngine {
    RouterEngine::new(config, INSIDE, Some(OUTSIDE))
}

fn ms(ms: u64) -> Time {
    Time::from_micros(ms * 1_000)
}

fn receive_with(engine: &mut RouterEngine, now: Time, side: Side, offload: Offload, mut frame: Vec<u8>) -> Frames {
    let mut frames = Vec::new();
    engine.receive(now, side, offload, &mut frame, &mut |side, offload, frame| {
        frames.push((side, offload, frame.to_vec()));
    });
    frames
}

fn receive(engine: &mut RouterEngine, side: Side, frame: Vec<u8>) -> Frames {
    receive_with(engine, Time::ZERO, side, Offload::default(), frame)
}

fn advance(engine: &mut RouterEngine, now: Time) -> Frames {
    let mut frames = Vec::new();
    engine.advance(now, &mut |side, offload, frame| frames.push((side, offload, frame.to_vec())));
    frames
}

fn to_router(side: Side) -> etherparse::PacketBuilderStep<Ethernet2Header> {
    match side {
        Side::Inside => PacketBuilder::ethernet2(HOST, INSIDE.mac),
        Side::Outside => PacketBuilder::ethernet2(FAR, OUTSIDE.mac),
    }
}

fn udp_with(side: Side, from: (&str, u16), to: (&str, u16), ttl: u8, length: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = to_router(side).ipv4(ip(from.0).octets(), ip(to.0).octets(), ttl).udp(from.1, to.1);
    builder.write(&mut frame, &vec![7; length]).unwrap();
    frame
}

fn udp(side: Side, from: (&str, u16), to: (&str, u16)) -> Vec<u8> {
    udp_with(side, from, to, 64, 10)
}

fn outwards() -> Vec<u8> {
    udp(Side::Inside, ("10.1.0.2", 4001), ("203.0.113.9", 1000))
}

fn parsed(frame: &[u8]) -> Packet {
    Packet::parse(&frame[ETHERNET_LEN..]).expect("what a router sends is right")
}

/// The addresses of a frame and its flow, as text.
fn seen((side, _, frame): &(Side, Offload, Vec<u8>)) -> (Side, Mac, String) {
    let to = frame[..6].try_into().unwrap();
    let text = match parsed(frame).content {
        Content::Flow { flow, .. } => format!("{} {}", flow.source, flow.destination),
        other => format!("{other:?}"),
    };
    (*side, to, text)
}

#[test]
fn translates_out_and_in_with_addresses_of_the_link_filled_in() {
    let mut engine = engine(&config());
    let out = receive(&mut engine, Side::Inside, outwards());
    assert_eq!(out.len(), 1);
    assert_eq!(seen(&out[0]), (Side::Outside, FAR, "203.0.113.2:4001 203.0.113.9:1000".to_owned()));
    assert_eq!(out[0].2[6..12], OUTSIDE.mac);
    assert_eq!(parsed(&out[0].2).ttl, 63);
    let answer = udp(Side::Outside, ("203.0.113.9", 1000), ("203.0.113.2", 4001));
    let back = receive(&mut engine, Side::Outside, answer);
    assert_eq!(seen(&back[0]), (Side::Inside, HOST, "203.0.113.9:1000 10.1.0.2:4001".to_owned()));
    let stranger = udp(Side::Outside, ("203.0.113.9", 1001), ("203.0.113.2", 4001));
    assert_eq!(receive(&mut engine, Side::Outside, stranger), []);
    assert_eq!(engine.stats().dropped(DropCause::Filtered), 1);
    let [up, down, within] = &engine.stats().forwarded;
    assert_eq!((up.packets, up.bytes, down.packets, within.packets), (1, 38, 1, 0));
    assert_eq!(engine.mappings(Time::ZERO), Some(1));
}

#[test]
fn a_frame_leaves_when_its_delay_is_over() {
    let mut engine = engine(&RouterConfig {
        up: LinkConfig { latency: Duration::from_millis(10), ..LinkConfig::default() },
        ..config()
    });
    assert_eq!(receive(&mut engine, Side::Inside, outwards()), []);
    assert_eq!(engine.next_due(), ms(10));
    assert_eq!(advance(&mut engine, Time::from_micros(9_999)), []);
    assert_eq!(advance(&mut engine, ms(10)).len(), 1);
    assert_eq!(engine.next_due(), Time::NEVER);
}

#[test]
fn losses_are_counted() {
    let mut engine = engine(&RouterConfig { up: LinkConfig { loss: 1.0, ..LinkConfig::default() }, ..config() });
    assert_eq!(receive(&mut engine, Side::Inside, outwards()), []);
    assert_eq!(engine.stats().dropped(DropCause::Lost), 1);
    assert_eq!(engine.stats().forwarded[0].packets, 0);
}

/// The error that a sender gets for a packet that goes nowhere.
fn check_error(frame: Vec<u8>, cause: DropCause, kind: (u8, u8)) {
    let mut engine = engine(&config());
    let out = receive(&mut engine, Side::Inside, frame);
    assert_eq!(engine.stats().dropped(cause), 1);
    assert_eq!(out.len(), 1, "{cause:?}");
    let (side, _, error) = &out[0];
    let packet = parsed(error);
    assert_eq!((*side, &error[..6]), (Side::Inside, &HOST[..]));
    assert_eq!((packet.source, packet.destination), (ip("10.1.0.1"), ip("10.1.0.2")));
    assert_eq!((error[34], error[35]), kind);
    assert!(matches!(packet.content, Content::Error { about } if about.source.to_string() == "10.1.0.2:4001"));
}

#[test]
fn senders_are_told_why() {
    let from = ("10.1.0.2", 4001);
    check_error(udp_with(Side::Inside, from, ("203.0.113.9", 1), 1, 10), DropCause::TtlExceeded, (11, 0));
    check_error(udp(Side::Inside, from, ("10.2.0.2", 1)), DropCause::NoRoute, (3, 0));
}

/// RFC 4787 REQ-13.
#[test]
fn req_13_who_forbids_cutting_is_told_that_a_packet_is_too_long() {
    // PacketBuilder sets the flag that forbids it.
    let long = udp_with(Side::Inside, ("10.1.0.2", 4001), ("203.0.113.9", 1), 64, 1_473);
    check_error(long, DropCause::TooBig, (3, 4));
}

#[test]
fn errors_are_limited() {
    let mut engine = engine(&config());
    let nowhere = udp(Side::Inside, ("10.1.0.2", 4001), ("10.2.0.2", 1));
    let sent =
        (0..2 * ERRORS_PER_SECOND_MAX).filter(|_| !receive(&mut engine, Side::Inside, nowhere.clone()).is_empty());
    assert_eq!(sent.count(), ERRORS_PER_SECOND_MAX as usize);
    let later = receive_with(&mut engine, ms(1_000), Side::Inside, Offload::default(), nowhere);
    assert_eq!(later.len(), 1);
}

fn arp(side: Side, operation: ArpOperation, sender: (&str, Mac), target: &str) -> Vec<u8> {
    let destination =
        if operation == ArpOperation::REQUEST { BROADCAST } else { [INSIDE.mac, OUTSIDE.mac][side as usize] };
    let ethernet = Ethernet2Header { source: sender.1, destination, ether_type: EtherType::ARP };
    let mut frame = ethernet.to_bytes().to_vec();
    let packet = ArpEthIpv4Packet {
        operation,
        sender_mac: sender.1,
        sender_ipv4: ip(sender.0).octets(),
        target_mac: [0; 6],
        target_ipv4: ip(target).octets(),
    };
    frame.extend_from_slice(&packet.to_bytes());
    frame
}

fn arp_of(frame: &[u8]) -> ArpEthIpv4Packet {
    ArpPacketSlice::from_slice(&frame[ETHERNET_LEN..]).unwrap().to_packet().try_eth_ipv4().unwrap()
}

#[test]
fn answers_for_the_outside_address_and_leaves_the_inside_one_to_the_kernel() {
    let mut engine = engine(&config());
    let asked = arp(Side::Outside, ArpOperation::REQUEST, ("203.0.113.7", FAR), "203.0.113.2");
    let out = receive(&mut engine, Side::Outside, asked);
    let reply = arp_of(&out[0].2);
    assert_eq!(
        (reply.operation, reply.sender_mac, reply.sender_ipv4_addr()),
        (ArpOperation::REPLY, OUTSIDE.mac, ip("203.0.113.2"))
    );
    for (side, sender, target) in [
        (Side::Outside, "203.0.113.7", "203.0.113.3"),
        (Side::Outside, "203.0.113.7", "10.1.0.1"),
        (Side::Inside, "10.1.0.2", "10.1.0.1"),
    ] {
        assert_eq!(receive(&mut engine, side, arp(side, ArpOperation::REQUEST, (sender, FAR), target)), []);
    }
}

#[test]
fn packets_wait_for_the_next_hop() {
    let mut engine = engine(&config());
    let packet = |port| udp(Side::Inside, ("10.1.0.2", port), ("203.0.113.7", 1000));
    let asked = receive(&mut engine, Side::Inside, packet(1));
    assert_eq!(
        (arp_of(&asked[0].2).operation, arp_of(&asked[0].2).target_ipv4_addr()),
        (ArpOperation::REQUEST, ip("203.0.113.7"))
    );
    for port in 2..=WAITING_MAX as u16 + 3 {
        assert_eq!(receive(&mut engine, Side::Inside, packet(port)), [], "asked once");
    }
    assert_eq!(engine.stats().dropped(DropCause::Unresolved), 3, "no more than so many wait");
    let spoofed = arp(Side::Outside, ArpOperation::REPLY, ("203.0.113.7", [1; 6]), "203.0.113.2");
    assert_eq!(receive(&mut engine, Side::Outside, spoofed), [], "a group address belongs to no host");
    let reply = arp(Side::Outside, ArpOperation::REPLY, ("203.0.113.7", [4; 6]), "203.0.113.2");
    let sent = receive(&mut engine, Side::Outside, reply);
    assert_eq!(sent.len(), WAITING_MAX);
    assert!(sent.iter().all(|(side, _, frame)| *side == Side::Outside && frame[..6] == [4; 6]));
    assert_eq!(receive(&mut engine, Side::Inside, packet(1)).len(), 1, "now it is known");
}

#[test]
fn a_router_that_has_another_address_tells_its_neighbours_who_knew_it_as_another_s() {
    let mut rebound = engine(&config());
    rebound.rebind(Time::ZERO, &[ip("203.0.113.7")]);
    let due = rebound.next_due();
    let sent = advance(&mut rebound, due);
    let announcement = arp_of(&sent[0].2);
    assert_eq!(
        (sent.len(), announcement.sender_ipv4_addr(), announcement.target_ipv4_addr(), announcement.sender_mac),
        (1, ip("203.0.113.7"), ip("203.0.113.7"), OUTSIDE.mac)
    );
    assert_eq!(rebound.next_due(), Time::NEVER, "once");

    let (mut other, far) = (engine(&config()), [4; 6]);
    let outwards = || udp(Side::Inside, ("10.1.0.2", 1), ("203.0.113.7", 1000));
    let announced = || sent[0].2.clone();
    assert_eq!(receive(&mut other, Side::Outside, announced()), []);
    assert_eq!(
        arp_of(&receive(&mut other, Side::Inside, outwards())[0].2).operation,
        ArpOperation::REQUEST,
        "who asked?"
    );
    receive(&mut other, Side::Outside, arp(Side::Outside, ArpOperation::REPLY, ("203.0.113.7", far), "203.0.113.2"));
    assert_eq!(receive(&mut other, Side::Inside, outwards())[0].2[..6], far);
    receive(&mut other, Side::Outside, announced());
    assert_eq!(receive(&mut other, Side::Inside, outwards())[0].2[..6], OUTSIDE.mac, "it has moved");
}

#[test]
fn a_next_hop_that_never_answers_is_given_up() {
    let mut engine = engine(&config());
    let packet = || udp(Side::Inside, ("10.1.0.2", 1), ("203.0.113.7", 1000));
    assert_eq!(receive(&mut engine, Side::Inside, packet()).len(), 1);
    let mut asked = 1;
    while engine.next_due() != Time::NEVER {
        let due = engine.next_due();
        asked += advance(&mut engine, due).len();
        assert!(due <= Time::ZERO + ASK_AGAIN * ASKED_MAX);
    }
    assert_eq!((asked, engine.stats().dropped(DropCause::Unresolved)), (ASKED_MAX as usize, 1));
    let again = receive_with(&mut engine, ms(10_000), Side::Inside, Offload::default(), packet());
    assert_eq!(again.len(), 1, "the next packet asks anew");
}

/// A TCP packet of several segments, its checksum left to the network card.
fn offloaded() -> (Offload, Vec<u8>) {
    let mut frame = Vec::new();
    let builder = to_router(Side::Inside).ipv4([10, 1, 0, 2], [203, 0, 113, 9], 64).tcp(4001, 80, 1, 500);
    builder.write(&mut frame, &[7; 4_000]).unwrap();
    (Offload { checksum: Some((34, 16)), segments: Some(Segmentation::new(true, 1_460, 54)) }, frame)
}

#[test]
fn segments_pass_whole_where_the_link_does_not_care() {
    let mut engine = engine(&config());
    let (offload, frame) = offloaded();
    let out = receive_with(&mut engine, Time::ZERO, Side::Inside, offload, frame);
    assert_eq!((out.len(), out[0].1, out[0].2.len()), (1, offload, 4_054));
    let up = engine.stats().forwarded[0];
    assert_eq!((up.packets, up.bytes), (3, 4_000 + 3 * 40));
}

#[test]
fn segments_are_cut_before_a_rate_and_arrive_one_by_one() {
    let up = LinkConfig { rate_bps: Some(8_000_000), ..LinkConfig::default() };
    let mut engine = engine(&RouterConfig { up, ..config() });
    let (offload, frame) = offloaded();
    assert_eq!(receive_with(&mut engine, Time::ZERO, Side::Inside, offload, frame), []);
    let mut lengths = Vec::new();
    while engine.next_due() != Time::NEVER {
        let due = engine.next_due();
        for (_, offload, frame) in advance(&mut engine, due) {
            assert_eq!(offload, Offload { segments: None, checksum: Some((34, 16)) });
            assert_eq!(parsed(&frame).total_len + ETHERNET_LEN, frame.len());
            lengths.push((due.as_micros(), frame.len()));
        }
    }
    assert_eq!(lengths, [(1_500, 1_514), (3_000, 1_514), (4_120, 1_134)]);
}

/// The card's work undone would hide the damage: it would compute the checksum of damaged bytes.
#[test]
fn a_corrupt_packet_has_one_flipped_bit_and_a_checksum_that_tells() {
    let right = {
        let mut engine = engine(&config());
        let (offload, frame) = offloaded();
        let cut = LinkConfig { rate_bps: Some(1_000_000_000_000), ..LinkConfig::default() };
        engine.up = LinkQueue::new(&cut, 1);
        receive_with(&mut engine, Time::ZERO, Side::Inside, offload, frame);
        advance(&mut engine, ms(1))
    };
    let mut engine = engine(&RouterConfig { up: LinkConfig { corrupt: 1.0, ..LinkConfig::default() }, ..config() });
    let (offload, frame) = offloaded();
    assert_eq!(receive_with(&mut engine, Time::ZERO, Side::Inside, offload, frame), []);
    let out = advance(&mut engine, Time::ZERO);
    assert_eq!((out.len(), right.len()), (3, 3));
    for ((_, offload, corrupt), (_, partial, right)) in out.iter().zip(&right) {
        assert_eq!(*offload, Offload::default(), "nothing is left to do");
        let mut right = right.clone();
        let (start, offset) = partial.checksum.unwrap();
        crate::net::packet::complete(&mut right[usize::from(start)..], usize::from(offset));
        let flipped: u32 = corrupt.iter().zip(&right).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!((flipped, corrupt.len()), (1, right.len()));
        assert_eq!(corrupt[..ETHERNET_LEN], right[..ETHERNET_LEN]);
    }
    assert_eq!(engine.stats().altered, [0, 0, 3]);
    assert_eq!(engine.stats().forwarded[0].packets, 3);
}

#[test]
fn a_copy_follows_its_packet() {
    let down = LinkConfig { duplicate: 1.0, latency: Duration::from_millis(2), ..LinkConfig::default() };
    let mut engine = engine(&RouterConfig { down, ..config() });
    receive(&mut engine, Side::Inside, outwards());
    let answer = udp(Side::Outside, ("203.0.113.9", 1000), ("203.0.113.2", 4001));
    assert_eq!(receive(&mut engine, Side::Outside, answer), []);
    let out = advance(&mut engine, ms(2));
    assert_eq!(out.len(), 2);
    assert_eq!(out[0], out[1]);
    assert_eq!(engine.stats().altered, [0, 1, 0]);
    assert_eq!((engine.stats().forwarded[1].packets, engine.stats().forwarded[1].bytes), (2, 76));
}

#[test]
fn what_is_late_is_overtaken_and_nothing_else() {
    let up = LinkConfig { reorder: 0.3, latency: Duration::from_millis(5), ..LinkConfig::default() };
    let mut engine = engine(&RouterConfig { up, ..config() });
    for number in 0..200u16 {
        let frame = udp_with(Side::Inside, ("10.1.0.2", 4001), ("203.0.113.9", 1000), 64, usize::from(number));
        receive_with(&mut engine, ms(number.into()), Side::Inside, Offload::default(), frame);
    }
    let mut arrived = Vec::new();
    while engine.next_due() != Time::NEVER {
        let due = engine.next_due();
        arrived.extend(advance(&mut engine, due).iter().map(|(_, _, frame)| (due, parsed(frame).total_len - 28)));
    }
    assert_eq!(arrived.len(), 200);
    assert!(arrived.is_sorted_by_key(|(due, _)| *due));
    let late = arrived.iter().filter(|(due, number)| *due == ms(*number as u64 + 15)).count() as u64;
    let in_time = arrived.iter().filter(|(due, number)| *due == ms(*number as u64 + 5)).count() as u64;
    assert_eq!((late, in_time), (engine.stats().altered[0], 200 - late));
    assert!((30..90).contains(&late), "{late}");
}

#[test]
fn a_changed_link_is_another_and_what_is_on_it_still_arrives() {
    let up = LinkConfig { latency: Duration::from_millis(50), ..LinkConfig::default() };
    let mut link_queue = LinkQueue::new(&up, 1);
    let frame = outwards();
    let send = |link_queue: &mut LinkQueue, now| {
        link_queue.send(now, 38, ip("203.0.113.9").into(), Offload::default(), &frame)
    };
    assert!(matches!(send(&mut link_queue, ms(0)), Ok(LinkVerdict::Queued(_))));
    link_queue.change(&LinkConfig { latency: Duration::from_millis(1), loss: 0.0, ..LinkConfig::default() });
    assert!(matches!(send(&mut link_queue, ms(1)), Ok(LinkVerdict::Queued(_))));
    assert_eq!(link_queue.next_due(), ms(2), "it overtakes");
    assert!(
        link_queue.arrived(ms(2)).is_some()
            && link_queue.arrived(ms(49)).is_none()
            && link_queue.arrived(ms(50)).is_some()
    );
}

#[test]
fn offloads_that_do_not_fit_the_packet_are_refused() {
    let (offload, frame) = offloaded();
    for (wrong, cause) in [
        (Offload { checksum: Some((34, 6)), ..offload }, DropCause::Offload),
        (Offload { checksum: Some((12, 16)), ..offload }, DropCause::Malformed),
        (Offload { checksum: None, ..offload }, DropCause::Offload),
        (Offload { segments: Some(Segmentation::new(false, 1_460, 54)), ..offload }, DropCause::Malformed),
        (Offload { segments: None, ..offload }, DropCause::TooBig),
        (Offload { segments: Some(Segmentation::new(true, 1_461, 54)), ..offload }, DropCause::TooBig),
    ] {
        let mut engine = engine(&config());
        let out = receive_with(&mut engine, Time::ZERO, Side::Inside, wrong, frame.clone());
        assert!(out.iter().all(|(side, ..)| *side == Side::Inside), "{wrong:?}");
        assert_eq!(engine.stats().dropped(cause), 1, "{wrong:?}: {:?}", engine.stats());
    }
}

#[test]
fn pings_go_out_and_come_back_but_do_not_come_in() {
    let ping = |side, from: &str, to: &str, reply: bool| {
        let ip = to_router(side).ipv4(ip(from).octets(), ip(to).octets(), 64);
        let builder = if reply { ip.icmpv4_echo_reply(77, 1) } else { ip.icmpv4_echo_request(77, 1) };
        let mut frame = Vec::new();
        builder.write(&mut frame, &[1; 8]).unwrap();
        frame
    };
    let mut engine = engine(&config());
    assert_eq!(receive(&mut engine, Side::Inside, ping(Side::Inside, "10.1.0.2", "203.0.113.9", false)).len(), 1);
    let back = receive(&mut engine, Side::Outside, ping(Side::Outside, "203.0.113.9", "203.0.113.2", true));
    assert_eq!(seen(&back[0]), (Side::Inside, HOST, "203.0.113.9:77 10.1.0.2:77".to_owned()));
    assert_eq!(receive(&mut engine, Side::Outside, ping(Side::Outside, "203.0.113.9", "203.0.113.2", false)), []);
    assert_eq!(engine.stats().dropped(DropCause::Untranslatable), 1);
}

#[test]
fn what_is_for_others_is_left_alone() {
    let mut engine = engine(&config());
    let mut elsewhere = outwards();
    elsewhere[..6].copy_from_slice(&[9; 6]);
    let group = udp(Side::Inside, ("10.1.0.2", 1), ("239.1.2.3", 1));
    let broadcast = udp(Side::Inside, ("10.1.0.2", 1), ("10.1.0.255", 1));
    let gateway = udp(Side::Inside, ("10.1.0.2", 1), ("10.1.0.1", 1));
    for frame in [elsewhere, group, broadcast, gateway] {
        assert_eq!(receive(&mut engine, Side::Inside, frame), []);
    }
    assert_eq!(*engine.stats(), RouterStats::default());
}

#[test]
fn without_a_nat_packets_pass_as_they_are() {
    let routes = vec![("10.3.0.0/24".parse().unwrap(), ip("203.0.113.9"))];
    let mut engine = engine(&RouterConfig { nat: None, routes, ..config() });
    let out = receive(&mut engine, Side::Inside, udp(Side::Inside, ("10.1.0.2", 1), ("10.3.0.4", 2)));
    assert_eq!(seen(&out[0]), (Side::Outside, FAR, "10.1.0.2:1 10.3.0.4:2".to_owned()));
    let back = receive(&mut engine, Side::Outside, udp(Side::Outside, ("10.3.0.4", 2), ("10.1.0.2", 1)));
    assert_eq!(seen(&back[0]), (Side::Inside, HOST, "10.3.0.4:2 10.1.0.2:1".to_owned()));
    let loop_back = udp(Side::Outside, ("203.0.113.8", 2), ("10.3.0.4", 1));
    assert_eq!(receive(&mut engine, Side::Outside, loop_back), []);
    assert_eq!(engine.stats().dropped(DropCause::NoRoute), 1, "what comes from outside does not go back there");
}
