use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::errors::Problem;
use super::*;

fn end(text: &str) -> SocketAddrV4 {
    text.parse().unwrap()
}

fn flow(protocol: Protocol, source: SocketAddrV4, destination: SocketAddrV4) -> Flow {
    Flow { protocol, source, destination }
}

/// A right packet of a flow, as etherparse builds it.
fn build(flow: Flow, payload: &[u8]) -> Vec<u8> {
    let ip = PacketBuilder::ipv4(flow.source.ip().octets(), flow.destination.ip().octets(), 61);
    let mut bytes = Vec::new();
    let (from, to) = (flow.source.port(), flow.destination.port());
    match flow.protocol {
        Protocol::Udp => ip.udp(from, to).write(&mut bytes, payload),
        Protocol::Tcp => ip.tcp(from, to, 0x0102_0304, 500).psh().fin().ack(9).write(&mut bytes, payload),
        Protocol::Echo => ip.icmpv4_echo_request(from, 3).write(&mut bytes, payload),
    }
    .unwrap();
    bytes
}

/// The same, its checksum left to the network card.
fn build_partial(flow: Flow, payload: &[u8]) -> Vec<u8> {
    let mut bytes = build(flow, payload);
    let packet = Packet::parse(&bytes).unwrap();
    let at = packet.header_len + packet.checksum_at().unwrap();
    let length = (packet.total_len - packet.header_len) as u16;
    let sum = checksum::pseudo_header(bytes[12..20].try_into().unwrap(), packet.protocol, length);
    bytes[at..at + 2].copy_from_slice(&sum);
    bytes
}

/// What the network card does.
fn complete(bytes: &mut [u8]) {
    let packet = Packet::parse(bytes).unwrap();
    let at = packet.checksum_at().unwrap();
    let transport = &mut bytes[packet.header_len..packet.total_len];
    let sum = checksum::of(transport);
    transport[at..at + 2].copy_from_slice(&sum);
    if packet.protocol == IpNumber::UDP.0 && sum == [0, 0] {
        transport[at..at + 2].copy_from_slice(&[0xff, 0xff]);
    }
}

fn translated(bytes: &[u8], to: Flow, kind: Checksum) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    Packet::parse(&bytes).unwrap().translate(&mut bytes, to, kind);
    bytes
}

fn protocols() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::Udp), Just(Protocol::Tcp), Just(Protocol::Echo)]
}

fn ends() -> impl Strategy<Value = SocketAddrV4> {
    (any::<u32>(), any::<u16>()).prop_map(|(ip, port)| SocketAddrV4::new(ip.into(), port))
}

/// An echo has one identifier for both sides.
fn echo_flow(flow: Flow) -> Flow {
    match flow.protocol {
        Protocol::Echo => Flow { destination: SocketAddrV4::new(*flow.destination.ip(), flow.source.port()), ..flow },
        _ => flow,
    }
}

/// Equal up to the two ways of writing zero in ones' complement arithmetic.
fn same_packet(a: &[u8], b: &[u8]) -> bool {
    let normal = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let packet = Packet::parse(&bytes).unwrap();
        let at = packet.header_len + packet.checksum_at().unwrap_or(ICMP_CHECKSUM);
        if bytes[at..at + 2] == [0xff, 0xff] {
            bytes[at..at + 2].fill(0);
        }
        bytes
    };
    normal(a) == normal(b)
}

proptest! {
    #[test]
    fn a_translated_packet_is_the_packet_built_with_those_addresses(
        protocol in protocols(), a in ends(), b in ends(), c in ends(), d in ends(),
        payload in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let from = echo_flow(flow(protocol, a, b));
        let to = echo_flow(flow(protocol, c, d));
        let bytes = translated(&build(from, &payload), to, Checksum::Complete);
        prop_assert!(same_packet(&bytes, &build(to, &payload)));
        prop_assert_eq!(Packet::parse(&bytes).unwrap().source, *c.ip());
    }

    #[test]
    fn partial_checksums_stay_right(
        tcp: bool, a in ends(), b in ends(), c in ends(), d in ends(),
        payload in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let protocol = if tcp { Protocol::Tcp } else { Protocol::Udp };
        let to = flow(protocol, c, d);
        let mut bytes = translated(&build_partial(flow(protocol, a, b), &payload), to, Checksum::Partial);
        complete(&mut bytes);
        prop_assert!(same_packet(&bytes, &build(to, &payload)));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        exercise(bytes);
    }

    /// Right packets with a few bytes changed get further than noise.
    #[test]
    fn damaged_packets_never_panic(
        protocol in protocols(), quoted: bool, cut in 0usize..120,
        damage in prop::collection::vec((0usize..100, any::<u8>()), 0..4),
    ) {
        let about = flow(protocol, end("10.0.0.2:4001"), end("198.51.100.1:80"));
        let mut bytes = build(about, &[7; 40]);
        if quoted {
            let packet = Packet::parse(&bytes).unwrap();
            bytes = errors::about(&packet, &bytes, "198.51.100.1".parse().unwrap(), Problem::NetworkUnreachable).unwrap();
        }
        for (at, value) in damage {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        // Damage past the checksum, too: a liar can compute one.
        let header_len = usize::from(bytes[0] & 15) * 4;
        if (20..=bytes.len()).contains(&header_len) {
            checksum::write(&mut bytes[..header_len], IP_CHECKSUM);
            if quoted && bytes.len() >= header_len + 8 {
                checksum::write(&mut bytes[header_len..], ICMP_CHECKSUM);
            }
        }
        bytes.truncate(cut.max(1));
        exercise(bytes);
    }
}

/// Everything that a router may do to a packet from anybody.
fn exercise(mut bytes: Vec<u8>) {
    let Ok(packet) = Packet::parse(&bytes) else { return };
    let to = |protocol| flow(protocol, end("1.2.3.4:5"), end("6.7.8.9:10"));
    let _ = errors::about(&packet, &bytes, Ipv4Addr::LOCALHOST, Problem::TooBig { mtu: 1_400 });
    if let Some(mut segments) = segments::cut(&packet, &bytes, 16) {
        let mut segment = Vec::new();
        while segments.next_into(&mut segment, 0) {
            assert!(Packet::parse(&segment).is_ok());
        }
    }
    match packet.content {
        Content::Flow { flow, .. } => packet.translate(&mut bytes, to(flow.protocol), Checksum::Complete),
        Content::Error { about } => {
            packet.translate_error(&mut bytes, to(about.protocol), Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST);
        }
        Content::Later | Content::Other => packet.readdress(&mut bytes, Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST),
    }
    if packet.ttl > 0 {
        decrement_ttl(&mut bytes);
    }
    let after = Packet::parse(&bytes).expect("what was rewritten is still right");
    assert_eq!((after.total_len, after.header_len), (packet.total_len, packet.header_len));
}

#[test]
fn parses_flows() {
    let udp = flow(Protocol::Udp, end("10.0.0.2:4001"), end("198.51.100.1:53"));
    let packet = Packet::parse(&build(udp, b"hello")).unwrap();
    assert_eq!(packet.content, Content::Flow { flow: udp, tcp: TcpFlags::default(), echo: None });
    assert_eq!((packet.ttl, packet.header_len, packet.total_len), (61, 20, 33));

    let tcp = Flow { protocol: Protocol::Tcp, ..udp };
    let flags = TcpFlags { fin: true, ..TcpFlags::default() };
    assert_eq!(Packet::parse(&build(tcp, b"")).unwrap().content, Content::Flow { flow: tcp, tcp: flags, echo: None });

    let echo = echo_flow(Flow { protocol: Protocol::Echo, ..udp });
    let content = Content::Flow { flow: echo, tcp: TcpFlags::default(), echo: Some(Echo::Request) };
    assert_eq!(Packet::parse(&build(echo, b"")).unwrap().content, content);
}

#[test]
fn refuses_what_is_wrong() {
    let right = build(flow(Protocol::Udp, end("10.0.0.2:4001"), end("198.51.100.1:53")), b"hello");
    let wrong = |at: usize, value: u8| {
        let mut bytes = right.clone();
        bytes[at] = value;
        Packet::parse(&bytes).unwrap_err()
    };
    assert_eq!(wrong(0, 0x65), Malformed::Header, "version 6");
    assert_eq!(wrong(0, 0x44), Malformed::Header, "a header of 16 bytes");
    assert_eq!(wrong(2, 9), Malformed::Header, "longer than it is");
    assert_eq!(wrong(8, 1), Malformed::HeaderChecksum);
    assert_eq!(Packet::parse(&[]), Err(Malformed::Header));
    let mut short = build(flow(Protocol::Udp, end("10.0.0.2:4001"), end("198.51.100.1:53")), b"");
    short[3] = 24;
    checksum::write(&mut short[..20], IP_CHECKSUM);
    assert_eq!(Packet::parse(&short), Err(Malformed::Transport), "half a UDP header");
}

#[test]
fn padding_of_the_link_is_no_part_of_a_packet() {
    let mut bytes = build(flow(Protocol::Udp, end("10.0.0.2:4001"), end("198.51.100.1:53")), b"");
    bytes.resize(46, 0xaa);
    assert_eq!(Packet::parse(&bytes).unwrap().total_len, 28);
}

#[test]
fn a_udp_packet_without_a_checksum_stays_so() {
    let to = flow(Protocol::Udp, end("1.2.3.4:5"), end("6.7.8.9:10"));
    let mut bytes = build(flow(Protocol::Udp, end("10.0.0.2:4001"), end("198.51.100.1:53")), b"x");
    bytes[26..28].fill(0);
    assert_eq!(translated(&bytes, to, Checksum::Complete)[26..28], [0, 0]);
}

#[test]
fn a_hop_keeps_the_header_right() {
    let mut bytes = build(flow(Protocol::Udp, end("10.0.0.2:4001"), end("198.51.100.1:53")), b"x");
    for ttl in (0..61).rev() {
        decrement_ttl(&mut bytes);
        assert_eq!(Packet::parse(&bytes).unwrap().ttl, ttl);
    }
}

#[test]
fn errors_quote_and_are_translated_inside_and_out() {
    for protocol in [Protocol::Udp, Protocol::Tcp, Protocol::Echo] {
        let outside = echo_flow(flow(protocol, end("203.0.113.1:2000"), end("198.51.100.1:53")));
        let inside = echo_flow(flow(protocol, end("10.0.0.2:4001"), end("198.51.100.1:53")));
        let sent = build(outside, b"hello");
        let hop = "198.51.100.254".parse().unwrap();
        let mut error = errors::about(&Packet::parse(&sent).unwrap(), &sent, hop, Problem::TimeExceeded).unwrap();
        let packet = Packet::parse(&error).unwrap();
        assert_eq!((packet.source, packet.destination), (hop, *outside.source.ip()));
        assert_eq!(packet.content, Content::Error { about: outside });

        packet.translate_error(&mut error, inside, hop, *inside.source.ip());
        let packet = Packet::parse(&error).unwrap();
        assert_eq!((packet.source, packet.destination), (hop, *inside.source.ip()));
        assert_eq!(packet.content, Content::Error { about: inside });
        assert!(same_packet(&error[28..], &build(inside, b"hello")), "the quoted packet is as it was sent");
    }
}

#[test]
fn an_error_may_quote_less_than_eight_bytes_of_what_has_no_more() {
    let mut sent = Vec::new();
    let builder = PacketBuilder::ipv4([10, 1, 0, 2], [203, 0, 113, 9], 1);
    builder.write(&mut sent, IpNumber(151), &[1, 2]).unwrap();
    let packet = Packet::parse(&sent).unwrap();
    let error = errors::about(&packet, &sent, "10.1.0.1".parse().unwrap(), Problem::TimeExceeded).unwrap();
    assert_eq!(Packet::parse(&error).unwrap().content, Content::Other);
}

#[test]
fn no_errors_about_errors() {
    let sent = build(flow(Protocol::Udp, end("10.0.0.2:4001"), end("198.51.100.1:53")), b"hello");
    let from = "10.0.0.1".parse().unwrap();
    let error = errors::about(&Packet::parse(&sent).unwrap(), &sent, from, Problem::NetworkUnreachable).unwrap();
    assert_eq!(errors::about(&Packet::parse(&error).unwrap(), &error, from, Problem::TimeExceeded), None);
    let multicast = build(flow(Protocol::Udp, end("10.0.0.2:4001"), end("224.0.0.251:53")), b"hello");
    assert_eq!(errors::about(&Packet::parse(&multicast).unwrap(), &multicast, from, Problem::TimeExceeded), None);
}

#[test]
fn long_packets_are_quoted_in_part() {
    let sent = build(flow(Protocol::Udp, end("10.0.0.2:4001"), end("198.51.100.1:53")), &[0; 1_400]);
    let from = "10.0.0.1".parse().unwrap();
    let error = errors::about(&Packet::parse(&sent).unwrap(), &sent, from, Problem::TooBig { mtu: 1_280 }).unwrap();
    assert_eq!(error.len(), 576);
    assert_eq!(error[26..28], 1_280u16.to_be_bytes());
}

#[test]
fn cut_tcp_is_the_stream() {
    let data: Vec<u8> = (0..3_500u32).map(|n| n as u8).collect();
    let whole = build_partial(flow(Protocol::Tcp, end("10.0.0.2:4001"), end("198.51.100.1:53")), &data);
    let packet = Packet::parse(&whole).unwrap();
    let mut segments = segments::cut(&packet, &whole, 1_448).unwrap();
    let (mut segment, mut stream, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    while segments.next_into(&mut segment, 0) {
        complete(&mut segment);
        assert_eq!(checksum_by_etherparse(&segment), [segment[36], segment[37]]);
        let sequence = u32::from_be_bytes(segment[24..28].try_into().unwrap());
        assert_eq!(sequence, 0x0102_0304 + stream.len() as u32);
        stream.extend_from_slice(&segment[40..]);
        lengths.push(segment.len() - 40);
        let last = stream.len() == data.len();
        let Content::Flow { tcp, .. } = Packet::parse(&segment).unwrap().content else { panic!() };
        assert_eq!(tcp.fin, last, "FIN ends the last segment only");
    }
    assert_eq!(lengths, [1_448, 1_448, 604]);
    assert_eq!(stream, data);
}

#[test]
fn cut_udp_is_datagrams() {
    let data: Vec<u8> = (0..2_500u32).map(|n| n as u8).collect();
    let to = flow(Protocol::Udp, end("10.0.0.2:4001"), end("198.51.100.1:53"));
    let whole = build_partial(to, &data);
    let mut segments = segments::cut(&Packet::parse(&whole).unwrap(), &whole, 1_200).unwrap();
    let mut segment = Vec::new();
    for (index, part) in data.chunks(1_200).enumerate() {
        assert!(segments.next_into(&mut segment, 0));
        complete(&mut segment);
        let mut expected = build(to, part);
        expected[4..6].copy_from_slice(&(index as u16).to_be_bytes());
        checksum::write(&mut expected[..20], IP_CHECKSUM);
        assert_eq!(segment, expected);
    }
    assert!(!segments.next_into(&mut segment, 0));
}

fn checksum_by_etherparse(bytes: &[u8]) -> [u8; 2] {
    let slice = etherparse::SlicedPacket::from_ip(bytes).unwrap();
    let Some(etherparse::TransportSlice::Tcp(tcp)) = slice.transport else { panic!("no TCP") };
    let (header, payload) = (tcp.to_header(), tcp.payload());
    let raw = |range: std::ops::Range<usize>| bytes[range].try_into().unwrap();
    header.calc_checksum_ipv4_raw(raw(12..16), raw(16..20), payload).unwrap().to_be_bytes()
}
