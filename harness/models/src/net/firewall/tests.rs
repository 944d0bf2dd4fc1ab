//! RFC 6092, recommendation by recommendation.

use std::net::Ipv6Addr;

use super::*;

const SYN: TcpFlags = TcpFlags { syn: true, fin: false, rst: false };
const FIN: TcpFlags = TcpFlags { syn: false, fin: true, rst: false };
const RST: TcpFlags = TcpFlags { syn: false, fin: false, rst: true };
const ACK: TcpFlags = TcpFlags { syn: false, fin: false, rst: false };

fn end(host: u16, port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(Ipv6Addr::new(0x2001, 0xdb8, host >> 8, 0, 0, 0, 0, host & 0xff), port, 0, 0)
}

fn flow(protocol: Protocol, inside: u16, outside: u16) -> Flow6 {
    Flow6 { protocol, source: end(0x101, inside), destination: end(0x202, outside) }
}

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

fn minutes(minutes: u64) -> Time {
    at(60 * minutes)
}

const REFUSED: Result<(), FirewallDrop> = Err(FirewallDrop::Unsolicited);

/// REC-17, REC-33: only the endpoint that was sent to may answer, and only to the endpoint that sent.
#[test]
fn rec_17_and_33_only_whom_somebody_inside_wrote_to_may_answer() {
    for (protocol, first) in [(Protocol::Udp, ACK), (Protocol::Tcp, SYN), (Protocol::Echo, ACK)] {
        let mut wall = Firewall::new(1);
        let out = flow(protocol, 4001, 4001);
        assert_eq!(wall.inbound(at(0), out.reversed(), first), REFUSED);
        wall.outbound(at(0), out, first).unwrap();
        assert_eq!(wall.inbound(at(0), out.reversed(), ACK), Ok(()));
        for other in [
            Flow6 { destination: end(0x202, 4002), ..out },
            Flow6 { destination: end(0x203, 4001), ..out },
            Flow6 { source: end(0x101, 4002), ..out },
            Flow6 { source: end(0x102, 4001), ..out },
        ] {
            assert_eq!(wall.inbound(at(0), other.reversed(), first), REFUSED, "{protocol:?} {other:?}");
        }
        let protocols = [Protocol::Udp, Protocol::Tcp, Protocol::Echo];
        for protocol in protocols.into_iter().filter(|other| *other != protocol) {
            assert_eq!(wall.inbound(at(0), Flow6 { protocol, ..out }.reversed(), first), REFUSED);
        }
    }
}

/// REC-14: five minutes, where at least two are asked for; REC-16: what goes out and what comes in both keep it alive.
#[test]
fn rec_14_and_16_an_idle_udp_flow_is_remembered_for_five_minutes() {
    let mut wall = Firewall::new(1);
    let out = flow(Protocol::Udp, 4001, 4001);
    wall.outbound(at(0), out, ACK).unwrap();
    assert_eq!(wall.inbound(minutes(4), out.reversed(), ACK), Ok(()));
    wall.outbound(minutes(8), out, ACK).unwrap();
    assert_eq!(wall.inbound(minutes(12), out.reversed(), ACK), Ok(()));
    assert_eq!(wall.inbound(minutes(17), out.reversed(), ACK), REFUSED);
    assert_eq!(wall.flows(), 0);
}

/// REC-12: at least two minutes for what is neither UDP nor TCP.
#[test]
fn rec_12_an_idle_echo_is_remembered_for_two_minutes() {
    let mut wall = Firewall::new(1);
    let out = flow(Protocol::Echo, 7, 7);
    wall.outbound(at(0), out, ACK).unwrap();
    assert_eq!(wall.inbound(at(119), out.reversed(), ACK), Ok(()));
    assert_eq!(wall.inbound(at(119 + 120), out.reversed(), ACK), REFUSED);
}

/// REC-31: the handshake, and a simultaneous open, in which the other side's SYN comes in.
#[test]
fn rec_31_tcp_opens_by_handshake_and_by_both_sides_at_once() {
    for answer in [ACK, SYN] {
        let mut wall = Firewall::new(1);
        let out = flow(Protocol::Tcp, 50_000, 80);
        assert_eq!(wall.inbound(at(0), out.reversed(), SYN), REFUSED);
        wall.outbound(at(1), out, SYN).unwrap();
        assert_eq!(wall.inbound(at(1), out.reversed(), answer), Ok(()));
    }
}

/// REC-35: 2 hours 4 minutes once established; 4 minutes while it is being opened, and after its end.
#[test]
fn rec_35_tcp_is_remembered_for_as_long_as_its_state_needs() {
    let out = flow(Protocol::Tcp, 50_000, 80);
    let remembered = |segments: &[(bool, TcpFlags)], after: Time| {
        let mut wall = Firewall::new(1);
        for &(outwards, flags) in segments {
            match outwards {
                true => wall.outbound(at(0), out, flags).unwrap(),
                false => wall.inbound(at(0), out.reversed(), flags).unwrap(),
            }
        }
        wall.knows(after, out)
    };
    let opened: &[_] = &[(true, SYN), (false, SYN), (true, ACK)];
    assert!(remembered(opened, minutes(123)) && !remembered(opened, minutes(124)));
    assert!(remembered(&opened[..1], at(239)) && !remembered(&opened[..1], minutes(4)));
    for outwards in [true, false] {
        let half_closed = [opened, &[(outwards, FIN), (!outwards, ACK)]].concat();
        assert!(remembered(&half_closed, minutes(123)), "the other side may go on for as long as it likes");
        for ending in [&[(outwards, FIN), (!outwards, FIN), (outwards, ACK)][..], &[(outwards, RST)]] {
            let ended = [opened, ending].concat();
            assert!(remembered(&ended, at(239)) && !remembered(&ended, minutes(4)), "{ending:?}");
            let begun = [&ended[..], &[(true, SYN)]].concat();
            assert!(!remembered(&begun, minutes(4)), "the new connection has no answer");
            let again = [&begun[..], &[(false, SYN)]].concat();
            assert!(remembered(&again, minutes(123)), "a new connection between the same ends");
        }
    }
}

/// REC-10, REC-18, REC-36: errors about known flows pass; REC-19, REC-37: and end none.
#[test]
fn rec_10_18_and_19_errors_are_matched_and_change_nothing() {
    let mut wall = Firewall::new(1);
    let out = flow(Protocol::Udp, 4001, 4001);
    assert!(!wall.knows(at(0), out));
    wall.outbound(at(0), out, ACK).unwrap();
    assert!(wall.knows(at(0), out) && !wall.knows(at(0), out.reversed()));
    assert_eq!(wall.inbound(minutes(4), out.reversed(), ACK), Ok(()));
    assert!(wall.knows(minutes(8), out), "an error does not refresh a flow, and does not end it");
    assert!(!wall.knows(minutes(9), out));
}

#[test]
fn two_such_filters_are_crossed_by_sending_at_the_same_time() {
    let (mut left, mut right) = (Firewall::new(1), Firewall::new(2));
    let there = flow(Protocol::Udp, 4001, 4001);
    let back = there.reversed();
    left.outbound(at(0), there, ACK).unwrap();
    assert_eq!(right.inbound(at(0), there, ACK), REFUSED, "the first one comes too early");
    right.outbound(at(0), back, ACK).unwrap();
    assert_eq!(left.inbound(at(0), back, ACK), Ok(()));
    left.outbound(at(1), there, ACK).unwrap();
    assert_eq!(right.inbound(at(1), there, ACK), Ok(()));
}

#[test]
fn the_table_is_bounded_and_what_has_ended_makes_room() {
    let mut wall = Firewall::new(1);
    let nth = |n: usize| flow(Protocol::Udp, (n % 60_000) as u16, 1 + (n / 60_000) as u16);
    for n in 0..FLOWS_MAX {
        wall.outbound(at(0), nth(n), ACK).unwrap();
    }
    assert_eq!(wall.outbound(at(1), nth(FLOWS_MAX), ACK), Err(FirewallDrop::Full));
    assert_eq!(wall.outbound(at(1), nth(0), ACK), Ok(()), "a known one goes on");
    assert_eq!(wall.outbound(minutes(5), nth(FLOWS_MAX), ACK), Ok(()));
    assert_eq!(wall.flows(), 2);
}
