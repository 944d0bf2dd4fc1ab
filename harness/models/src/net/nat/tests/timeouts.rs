//! When mappings and permissions end: RFC 4787 §4.3, RFC 5382 §5, RFC 5508 REQ-2.

use super::*;

fn config() -> NatConfig {
    NatConfig {
        udp_timeout: Duration::from_secs(100),
        tcp_timeout: Duration::from_secs(10_000),
        ..NatConfig::address_restricted()
    }
}

const A: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 4001);

#[test]
fn udp_mappings_end_when_nothing_is_sent() {
    let nat = &mut nat(config());
    let mapped = udp(nat, at(0), A, remote(1, 1));
    udp(nat, at(60), A, remote(1, 1));
    assert_eq!(udp_in(nat, at(159), remote(1, 1), mapped), Ok(A), "sending refreshes it");
    assert_eq!(udp_in(nat, at(160), remote(1, 1), mapped), Err(NatDrop::NoMapping), "being sent to does not");
    assert_eq!(nat.mappings(), 0);
}

#[test]
fn permissions_end_one_by_one() {
    let nat = &mut nat(config());
    let mapped = udp(nat, at(0), A, remote(1, 1));
    udp(nat, at(50), A, remote(2, 1));
    assert_eq!(udp_in(nat, at(99), remote(1, 1), mapped), Ok(A));
    assert_eq!(
        udp_in(nat, at(100), remote(1, 1), mapped),
        Err(NatDrop::Filtered),
        "the mapping lives, this permission not"
    );
    assert_eq!(udp_in(nat, at(149), remote(2, 1), mapped), Ok(A));
    assert_eq!(udp_in(nat, at(150), remote(2, 1), mapped), Err(NatDrop::NoMapping));
}

#[test]
fn echo_mappings_live_a_minute_at_least() {
    let nat = &mut nat(NatConfig { udp_timeout: Duration::from_secs(5), ..config() });
    let mapped = send(nat, at(0), Protocol::Echo, A, remote(1, 0), NONE);
    assert!(answer(nat, at(59), Protocol::Echo, remote(1, 0), mapped, NONE).is_ok());
    assert!(answer(nat, at(60), Protocol::Echo, remote(1, 0), mapped, NONE).is_err());
}

fn tcp(nat: &mut Nat, now: Time, flags: TcpFlags) -> SocketAddrV4 {
    send(nat, now, Protocol::Tcp, A, remote(1, 80), flags)
}

fn tcp_in(nat: &mut Nat, now: Time, to: SocketAddrV4, flags: TcpFlags) -> Result<SocketAddrV4, NatDrop> {
    answer(nat, now, Protocol::Tcp, remote(1, 80), to, flags)
}

#[test]
fn an_unanswered_syn_is_transitory() {
    let nat = &mut nat(config());
    let mapped = tcp(nat, at(0), SYN);
    assert!(tcp_in(nat, at(240), mapped, SYN).is_err());
}

#[test]
fn an_established_connection_lives_long_and_a_closed_one_four_minutes() {
    let nat = &mut nat(config());
    let mapped = tcp(nat, at(0), SYN);
    tcp_in(nat, at(0), mapped, SYN).unwrap();
    assert_eq!(tcp_in(nat, at(9_999), mapped, NONE), Ok(A));
    assert_eq!(tcp(nat, at(9_999), FIN), mapped);
    assert_eq!(tcp_in(nat, at(9_999 + 9_999), mapped, NONE), Ok(A), "half closed is not closed");
    tcp_in(nat, at(19_998), mapped, FIN).unwrap();
    tcp(nat, at(19_998), NONE);
    assert_eq!(tcp_in(nat, at(19_998 + 239), mapped, NONE), Ok(A));
    assert_eq!(tcp_in(nat, at(19_998 + 240), mapped, NONE), Err(NatDrop::NoMapping));
    assert_eq!(nat.mappings(), 0);
}

#[test]
fn a_reset_is_transitory_until_something_follows_it() {
    let nat = &mut nat(config());
    let mapped = tcp(nat, at(0), SYN);
    tcp_in(nat, at(0), mapped, SYN).unwrap();
    tcp_in(nat, at(0), mapped, RST).unwrap();
    assert_eq!(tcp(nat, at(200), NONE), mapped, "it was forged: the connection goes on");
    assert_eq!(tcp_in(nat, at(9_000), mapped, NONE), Ok(A));
    tcp(nat, at(9_000), RST);
    assert!(tcp_in(nat, at(9_240), mapped, NONE).is_err());
}

#[test]
fn a_connection_to_the_same_endpoint_may_follow() {
    let nat = &mut nat(config());
    let mapped = tcp(nat, at(0), SYN);
    tcp_in(nat, at(0), mapped, SYN).unwrap();
    tcp(nat, at(1), FIN);
    tcp_in(nat, at(1), mapped, FIN).unwrap();
    assert_eq!(tcp(nat, at(2), SYN), mapped);
    tcp_in(nat, at(2), mapped, SYN).unwrap();
    assert_eq!(tcp_in(nat, at(5_000), mapped, NONE), Ok(A));
}

#[test]
fn a_mapping_lives_as_long_as_its_longest_connection() {
    let nat = &mut nat(config());
    let mapped = tcp(nat, at(0), SYN);
    tcp_in(nat, at(0), mapped, SYN).unwrap();
    let other = send(nat, at(10), Protocol::Tcp, A, remote(2, 80), SYN);
    assert_eq!(other, mapped);
    tcp(nat, at(20), FIN);
    tcp_in(nat, at(20), mapped, FIN).unwrap();
    assert_eq!(nat.mappings(), 1);
    nat.expire(at(259));
    assert_eq!(nat.mappings(), 1);
    nat.expire(at(260));
    assert_eq!(nat.mappings(), 0);
}

/// RFC 5382 REQ-1 and §4.3: a stranger may open a connection where filtering is endpoint-independent, but does not keep the
/// mapping alive by that, and gets nowhere with a segment out of the blue.
#[test]
fn strangers_open_connections_but_hold_nothing_open() {
    let nat = &mut nat(NatConfig { filtering: Dependence::EndpointIndependent, ..config() });
    let mapped = tcp(nat, at(0), SYN);
    let from = |nat: &mut Nat, now, flags| answer(nat, now, Protocol::Tcp, remote(9, 9), mapped, flags);
    assert_eq!(from(nat, at(200), NONE), Err(NatDrop::Filtered));
    assert_eq!(from(nat, at(200), SYN), Ok(A));
    assert_eq!(from(nat, at(239), NONE), Ok(A), "it is now a known connection");
    assert_eq!(from(nat, at(240), NONE), Err(NatDrop::NoMapping));
}
