use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::*;

const NEAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 3);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);

fn udp(payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ipv6(NEAR.octets(), FAR.octets(), 9).udp(4001, 4002);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, payload).unwrap();
    bytes
}

fn flow_of(bytes: &[u8]) -> Flow6 {
    match Packet6::parse(bytes).unwrap().content {
        Content6::Flow { flow, .. } => flow,
        other => panic!("{other:?}"),
    }
}

/// Puts an extension header before what follows the fixed header.
fn extended(mut bytes: Vec<u8>, kind: u8, mut extension: Vec<u8>) -> Vec<u8> {
    extension[0] = std::mem::replace(&mut bytes[NEXT_HEADER], kind);
    bytes.splice(HEADER_LEN..HEADER_LEN, extension);
    let length = (bytes.len() - HEADER_LEN) as u16;
    bytes[PAYLOAD_LEN..PAYLOAD_LEN + 2].copy_from_slice(&length.to_be_bytes());
    bytes
}

#[test]
fn the_flow_is_found_behind_extension_headers() {
    let plain = udp(b"hello");
    let flow = flow_of(&plain);
    assert_eq!((flow.protocol, flow.source.port(), flow.destination.port()), (Protocol::Udp, 4001, 4002));
    assert_eq!((*flow.source.ip(), *flow.destination.ip()), (NEAR, FAR));
    for (kind, extension) in [
        (HOP_BY_HOP, vec![0; 8]),
        (DESTINATION_OPTIONS, [vec![0, 1], vec![0; 14]].concat()),
        (AUTHENTICATION, [vec![0, 4], vec![0; 22]].concat()),
        (ROUTING, vec![0, 0, 4, 0, 0, 0, 0, 0]),
    ] {
        let bytes = extended(plain.clone(), kind, extension);
        assert_eq!(flow_of(&bytes), flow, "behind {kind}");
        assert_eq!(Packet6::parse(&bytes).unwrap().payload(&bytes)[8..], *b"hello");
    }
}

#[test]
fn fragments_are_told_apart() {
    let fragment = |field: u16| {
        let bytes = extended(udp(b"hello"), FRAGMENT, [vec![0, 0], field.to_be_bytes().to_vec(), vec![0; 4]].concat());
        let packet = Packet6::parse(&bytes).unwrap();
        (packet.fragment, packet.content == Content6::Later)
    };
    assert_eq!(fragment(0), (Fragment::Whole, false));
    assert_eq!(fragment(1), (Fragment::First, false));
    assert_eq!(fragment(8), (Fragment::Later, true));
}

#[test]
fn what_may_not_be_forwarded_is_no_packet() {
    let plain = udp(b"hello");
    let source_route = extended(plain.clone(), ROUTING, vec![0; 8]);
    let mut endless = plain.clone();
    for _ in 0..=EXTENSIONS_MAX {
        endless = extended(endless, DESTINATION_OPTIONS, vec![0; 8]);
    }
    let mut version = plain.clone();
    version[0] = 0x45;
    for bytes in [&source_route, &endless, &version, &plain[..plain.len() - 1].to_vec(), &plain[..39].to_vec()] {
        assert_eq!(Packet6::parse(bytes), Err(Malformed::Header));
    }
    let mut short = udp(b"");
    short[PAYLOAD_LEN + 1] = 7;
    assert_eq!(Packet6::parse(&short), Err(Malformed::Transport));
}

#[test]
fn errors_say_what_they_are_about_and_fit_every_link() {
    let bytes = udp(&[7; 2_000]);
    let packet = Packet6::parse(&bytes).unwrap();
    for (problem, kind) in
        [(PacketError6::NoRoute, 1), (PacketError6::TooBig { mtu: 1_400 }, 2), (PacketError6::TimeExceeded, 3)]
    {
        let error = error_about(&packet, &bytes, ROUTER, problem).unwrap();
        assert_eq!(error.len(), ERROR_MAX);
        let parsed = Packet6::parse(&error).unwrap();
        assert_eq!((parsed.source, parsed.destination, error[HEADER_LEN]), (ROUTER, NEAR, kind));
        assert_eq!(parsed.content, Content6::Error { about: flow_of(&bytes) });
        assert!(is_icmp_intact(&parsed, &error));
        assert_eq!(error_about(&parsed, &error, ROUTER, problem), None, "none about an error");
    }
    let error = error_about(&packet, &bytes, ROUTER, PacketError6::TooBig { mtu: 1_400 }).unwrap();
    assert_eq!(error[HEADER_LEN + 4..HEADER_LEN + 8], 1_400_u32.to_be_bytes());
}

#[test]
fn an_echo_is_answered_with_its_own_data() {
    let mut bytes = Vec::new();
    PacketBuilder::ipv6(NEAR.octets(), ROUTER.octets(), 64)
        .icmpv6_echo_request(7, 1)
        .write(&mut bytes, b"data!")
        .unwrap();
    let packet = Packet6::parse(&bytes).unwrap();
    assert!(is_icmp_intact(&packet, &bytes));
    let reply = echo_reply(&packet, &bytes, ROUTER);
    let parsed = Packet6::parse(&reply).unwrap();
    assert!(is_icmp_intact(&parsed, &reply));
    let Content6::Flow { flow, echo, .. } = parsed.content else { panic!("{parsed:?}") };
    assert_eq!((flow.reversed().source.port(), echo, &reply[HEADER_LEN + 8..]), (7, Some(Echo::Reply), &b"data!"[..]));
    let mut damaged = reply;
    damaged[HEADER_LEN + 9] ^= 1;
    assert!(!is_icmp_intact(&parsed, &damaged));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0_u8..140) {
        if let Some(first) = bytes.first_mut() {
            *first = 6 << 4;
        }
        if bytes.len() > HEADER_LEN {
            let length = (bytes.len() - HEADER_LEN) as u16;
            bytes[PAYLOAD_LEN..PAYLOAD_LEN + 2].copy_from_slice(&length.to_be_bytes());
            bytes[NEXT_HEADER] = kind;
        }
        if let Ok(packet) = Packet6::parse(&bytes) {
            let _ = error_about(&packet, &bytes, ROUTER, PacketError6::NoRoute);
            prop_assert!(packet.header_len <= packet.total_len && packet.total_len <= bytes.len());
        }
    }
}
