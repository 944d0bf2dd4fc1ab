//! RFC 5382: what TCP asks of a NAT, requirement by requirement.
//!
//! REQ-6 (no application-level gateways): the payload is never read; see `net/packet/tests.rs`. REQ-9 as far as packets go
//! (the quoted packet is translated too): `net/packet/tests.rs` and, with real sockets, `tests/router/nat.rs`.

use super::*;

const A: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 4001);
const ACK: TcpFlags = NONE;

fn out(nat: &mut Nat, now: Time, to: SocketAddrV4, flags: TcpFlags) -> SocketAddrV4 {
    send(nat, now, Protocol::Tcp, A, to, flags)
}

fn back(
    nat: &mut Nat,
    now: Time,
    from: SocketAddrV4,
    to: SocketAddrV4,
    flags: TcpFlags,
) -> Result<SocketAddrV4, NatDrop> {
    answer(nat, now, Protocol::Tcp, from, to, flags)
}

/// Those that are meant to conform; `symmetric` is not.
fn conforming() -> [NatConfig; 4] {
    [NatConfig::full_cone(), NatConfig::address_restricted(), NatConfig::port_restricted(), NatConfig::cgnat()]
}

#[test]
fn req_1_mapping_is_endpoint_independent() {
    for config in conforming() {
        let nat = &mut nat(config);
        let first = out(nat, at(0), remote(1, 80), SYN);
        assert_eq!([out(nat, at(0), remote(1, 81), SYN), out(nat, at(0), remote(2, 80), SYN)], [first; 2]);
    }
}

#[test]
fn req_2_every_valid_sequence_of_segments_passes() {
    for config in conforming().into_iter().chain([NatConfig::symmetric()]) {
        // Three-way handshake, data, close from outside, close from inside.
        let nat = &mut nat(config.clone());
        let peer = remote(1, 80);
        let mapped = out(nat, at(0), peer, SYN);
        for (second, from_inside, flags) in [
            (0, false, SYN),
            (0, true, ACK),
            (9, false, ACK),
            (10, false, FIN),
            (10, true, ACK),
            (11, true, FIN),
            (11, false, ACK),
        ] {
            match from_inside {
                true => assert_eq!(out(nat, at(second), peer, flags), mapped, "{config:?}"),
                false => assert_eq!(back(nat, at(second), peer, mapped, flags), Ok(A), "{config:?}"),
            }
        }
        // Both sides open at once: the SYN from outside comes to a mapping that has sent one.
        let peer = remote(2, 80);
        let mapped = out(nat, at(20), peer, SYN);
        assert_eq!(back(nat, at(20), peer, mapped, SYN), Ok(A), "{config:?}");
        assert_eq!(out(nat, at(20), peer, ACK), mapped);
        assert_eq!(back(nat, at(21), peer, mapped, ACK), Ok(A));
    }
}

#[test]
fn req_3_filtering_is_what_is_configured() {
    for (filtering, other_port, other_address) in [
        (Dependence::EndpointIndependent, true, true),
        (Dependence::AddressDependent, true, false),
        (Dependence::AddressAndPortDependent, false, false),
    ] {
        let nat = &mut nat(NatConfig { filtering, ..NatConfig::full_cone() });
        let mapped = out(nat, at(0), remote(1, 80), SYN);
        assert_eq!(back(nat, at(0), remote(1, 81), mapped, SYN).is_ok(), other_port, "{filtering:?}");
        assert_eq!(back(nat, at(0), remote(2, 80), mapped, SYN).is_ok(), other_address, "{filtering:?}");
    }
}

/// It asks for 6 seconds of silence, so that a SYN of the inside can still meet it: here the silence is for good.
#[test]
fn req_4_an_unsolicited_syn_is_dropped_without_a_word_and_breaks_nothing() {
    let nat = &mut nat(NatConfig::port_restricted());
    let mapped = out(nat, at(0), remote(1, 80), SYN);
    assert_eq!(back(nat, at(1), remote(2, 80), mapped, SYN), Err(NatDrop::Filtered));
    assert_eq!(out(nat, at(3), remote(2, 80), SYN), mapped);
    assert_eq!(back(nat, at(4), remote(2, 80), mapped, SYN), Ok(A), "sent again after the inside has sent its own");
}

#[test]
fn req_5_idle_connections_live_two_hours_and_four_minutes_others_four_minutes() {
    for config in conforming() {
        let nat = &mut nat(config);
        let mapped = out(nat, at(0), remote(1, 80), SYN);
        assert!(back(nat, at(0), remote(1, 80), mapped, SYN).is_ok());
        out(nat, at(0), remote(1, 80), ACK);
        assert_eq!(back(nat, at(7_439), remote(1, 80), mapped, ACK), Ok(A));
        assert_eq!(back(nat, at(7_440), remote(1, 80), mapped, ACK), Err(NatDrop::NoMapping));
        let mapped = out(nat, at(10_000), remote(2, 80), SYN);
        assert_eq!(back(nat, at(10_239), remote(2, 80), mapped, SYN), Ok(A), "the handshake may take so long");
    }
    let short = NatConfig { tcp_timeout: Duration::from_secs(600), ..NatConfig::full_cone() };
    let nat = &mut nat(short);
    let mapped = out(nat, at(0), remote(1, 80), SYN);
    assert!(back(nat, at(0), remote(1, 80), mapped, SYN).is_ok());
    out(nat, at(0), remote(1, 80), ACK);
    assert_eq!(back(nat, at(600), remote(1, 80), mapped, ACK), Err(NatDrop::NoMapping), "it can be configured");
}

#[test]
fn req_7_no_port_is_given_to_two_hosts() {
    let nat = &mut nat(NatConfig::full_cone());
    let first = out(nat, at(0), remote(1, 80), SYN);
    let second = send(nat, at(0), Protocol::Tcp, inside(3, 4001), remote(1, 80), SYN);
    assert_ne!(first.port(), second.port());
}

#[test]
fn req_8_hairpin_shows_the_outside_endpoint() {
    for config in conforming() {
        let nat = &mut nat(NatConfig { filtering: Dependence::EndpointIndependent, ..config });
        let a = out(nat, at(0), remote(1, 80), SYN);
        let b = send(nat, at(0), Protocol::Tcp, inside(3, 5001), remote(1, 80), SYN);
        let flow = Flow { protocol: Protocol::Tcp, source: A, destination: b };
        let seen = Flow { source: a, destination: inside(3, 5001), ..flow };
        assert_eq!(nat.outbound(at(0), flow, SYN), Verdict::Hairpin(seen));
    }
}

#[test]
fn req_9_icmp_errors_find_the_connection() {
    let nat = &mut nat(NatConfig::port_restricted());
    let mapped = out(nat, at(0), remote(1, 80), SYN);
    let quoted = Flow { protocol: Protocol::Tcp, source: mapped, destination: remote(1, 80) };
    assert_eq!(nat.inbound_error(at(0), quoted), Some(Flow { source: A, ..quoted }));
}

#[test]
fn req_10_icmp_errors_end_nothing() {
    let nat = &mut nat(NatConfig::port_restricted());
    let mapped = out(nat, at(0), remote(1, 80), SYN);
    let quoted = Flow { protocol: Protocol::Tcp, source: mapped, destination: remote(1, 80) };
    for _ in 0..10 {
        assert!(nat.inbound_error(at(1), quoted).is_some());
    }
    assert_eq!(back(nat, at(2), remote(1, 80), mapped, SYN), Ok(A));
}
