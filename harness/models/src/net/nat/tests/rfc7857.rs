//! RFC 7857: what later experience added, section by section.
//!
//! §10 (identifications) also with whole packets: `router/engine/tests/fragments.rs`. An ICMP error quotes the NAT's
//! identification to the inside host; ports tell it which packet is meant.

use super::identification::Identifications;
use super::*;

const A: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 4001);

fn tcp(nat: &mut Nat, now: Time, flags: TcpFlags) -> SocketAddrV4 {
    send(nat, now, Protocol::Tcp, A, remote(1, 80), flags)
}

fn tcp_in(nat: &mut Nat, now: Time, to: SocketAddrV4, flags: TcpFlags) -> Result<SocketAddrV4, NatDrop> {
    answer(nat, now, Protocol::Tcp, remote(1, 80), to, flags)
}

/// §2.1: half-open and closing connections live four minutes.
#[test]
fn section_2_1_transitory_connections_live_four_minutes() {
    let nat = &mut nat(NatConfig::port_restricted());
    let mapped = tcp(nat, at(0), SYN);
    assert!(tcp_in(nat, at(0), mapped, SYN).is_ok());
    tcp(nat, at(0), FIN);
    assert!(tcp_in(nat, at(1), mapped, FIN).is_ok(), "both have closed");
    assert_eq!(tcp_in(nat, at(240), mapped, NONE), Ok(A));
    assert_eq!(tcp_in(nat, at(241), mapped, NONE), Err(NatDrop::NoMapping));
}

/// §2.2: after a RST the connection is kept for four minutes, and lives on if anything but a RST follows.
#[test]
fn section_2_2_a_reset_ends_a_connection_only_if_nothing_follows() {
    for (speaks_on, alive) in [(false, false), (true, true)] {
        let nat = &mut nat(NatConfig::port_restricted());
        let mapped = tcp(nat, at(0), SYN);
        assert!(tcp_in(nat, at(0), mapped, SYN).is_ok());
        tcp(nat, at(0), NONE);
        assert!(tcp_in(nat, at(1), mapped, RST).is_ok());
        if speaks_on {
            tcp(nat, at(100), NONE);
        }
        assert_eq!(tcp_in(nat, at(300), mapped, NONE).is_ok(), alive, "speaks on: {speaks_on}");
    }
}

/// §3: ports overlap only where destinations differ; here they never do.
#[test]
fn section_3_ports_do_not_overlap() {
    // All of them would rather have the same.
    let nat = &mut nat(NatConfig { ports: Ports::Preserve, ..NatConfig::symmetric() });
    let mut seen = std::collections::BTreeSet::new();
    for host in 2..100 {
        assert!(seen.insert(udp(nat, at(0), inside(host, 4001), remote(host, 1))));
    }
    assert!(seen.contains(&end(OUTSIDE.octets(), 4001)), "one of them has it");
}

/// §4: a host has one address for all protocols.
#[test]
fn section_4_pooling_is_paired_across_protocols() {
    let nat = &mut pooled(NatConfig::symmetric(), 4);
    for host in 2..50 {
        let mut address = |protocol| sent_from(nat, protocol, inside(host, 7), remote(1, 7));
        let first = *address(Protocol::Udp).ip();
        assert_eq!([*address(Protocol::Tcp).ip(), *address(Protocol::Echo).ip()], [first; 2]);
    }
}

/// §5 and §6: a mapping and its filter are of one protocol.
#[test]
fn section_5_and_6_mappings_and_filters_are_of_one_protocol() {
    let nat = &mut nat(NatConfig::full_cone());
    let mapped = udp(nat, at(0), A, remote(1, 1));
    assert_eq!(answer(nat, at(0), Protocol::Tcp, remote(1, 1), mapped, SYN), Err(NatDrop::NoMapping));
    tcp(nat, at(0), SYN);
    assert_eq!(tcp_in(nat, at(0), mapped, SYN), Ok(A), "preserved for each by itself");
}

/// §7: what comes in refreshes nothing, unless it is configured to; here it never is.
#[test]
fn section_7_inbound_packets_refresh_nothing() {
    let nat = &mut nat(NatConfig::full_cone());
    let mapped = udp(nat, at(0), A, remote(1, 1));
    for second in 1..120 {
        assert_eq!(udp_in(nat, at(second), remote(9, 9), mapped), Ok(A));
    }
    assert_eq!(udp_in(nat, at(120), remote(9, 9), mapped), Err(NatDrop::NoMapping));
}

/// §7.1: neither do ICMP errors and resets with which the inside refuses what it has not asked for.
#[test]
fn section_7_1_refusals_refresh_nothing() {
    let nat = &mut nat(NatConfig::full_cone());
    let mapped = udp(nat, at(0), A, remote(1, 1));
    for second in 1..120 {
        assert_eq!(udp_in(nat, at(second), remote(9, 9), mapped), Ok(A));
        let refused = Flow { protocol: Protocol::Udp, source: remote(9, 9), destination: A };
        assert!(nat.outbound_error(at(second), refused).is_some());
    }
    assert_eq!(udp_in(nat, at(120), remote(9, 9), mapped), Err(NatDrop::NoMapping));

    let mapped = tcp(nat, at(1_000), SYN);
    for second in 1_001..1_240 {
        let stranger = remote(9, 1_000 + (second % 100) as u16);
        assert_eq!(answer(nat, at(second), Protocol::Tcp, stranger, mapped, SYN), Ok(A));
        send(nat, at(second), Protocol::Tcp, A, stranger, RST);
    }
    assert_eq!(answer(nat, at(1_240), Protocol::Tcp, remote(9, 9), mapped, SYN), Err(NatDrop::NoMapping));
}

/// §8: parity need not be kept; it is where ports are preserved.
#[test]
fn section_8_parity_is_kept_where_ports_are() {
    let nat = &mut nat(NatConfig::full_cone());
    assert_eq!((4001..4010).map(|port| udp(nat, at(0), inside(2, port), remote(1, 1)).port() % 2).sum::<u16>(), 5);
}

/// §9: where ports are chosen at random, one tells nothing of the next.
#[test]
fn section_9_random_ports_are_spread_over_all() {
    let nat = &mut nat(NatConfig::symmetric());
    let ports: Vec<u16> = (0..2_000).map(|n| udp(nat, at(0), A, remote(1, n)).port()).collect();
    let mut thirds = [0; 3];
    ports.iter().for_each(|&port| thirds[usize::from((port - PORT_MIN) / 21_504)] += 1);
    assert!(thirds.iter().all(|&third| (580..750).contains(&third)), "{thirds:?}");
    let near = ports.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 64).count();
    assert!(near < 20, "{near} of 1,999 are near the one before; 4 would be by chance");
}

/// §10: two hosts behind one address never have the same identification towards a third, and state is bounded.
#[test]
fn section_10_identifications_come_again_only_when_all_were_used() {
    let mut all = Identifications::new(7);
    let to = *remote(1, 1).ip();
    let mut seen = std::collections::BTreeSet::new();
    // As of a packet that will be cut, now and then.
    for count in [1, 1, 44].into_iter().cycle().take(4_200) {
        let first = all.take(OUTSIDE, to, 17, count);
        assert!((0..count).all(|n| seen.insert(first.wrapping_add(n))), "{first}");
    }
    let begin = |seed| Identifications::new(seed).take(OUTSIDE, to, 17, 1);
    let begins: std::collections::BTreeSet<u16> = (0..100).map(begin).collect();
    assert!(begins.len() > 95, "hosts outside cannot guess where they begin");
    assert_eq!(begin(7), begin(7));
}

/// §11: a mapping of echoes lives a minute at least.
#[test]
fn section_11_echo_mappings_live_a_minute() {
    let nat = &mut nat(NatConfig { udp_timeout: Duration::from_secs(5), ..NatConfig::port_restricted() });
    let mapped = send(nat, at(0), Protocol::Echo, A, remote(1, 0), NONE);
    assert_eq!(answer(nat, at(59), Protocol::Echo, remote(1, 0), mapped, NONE), Ok(A));
}

/// §12: errors about hairpinned packets go back by hairpin, each side in terms that it knows.
#[test]
fn section_12_icmp_errors_pass_the_hairpin() {
    let nat = &mut nat(NatConfig::full_cone());
    let b = inside(3, 5001);
    let [a_outside, b_outside] = [A, b].map(|host| udp(nat, at(0), host, remote(1, 1)));
    let sent = Flow { protocol: Protocol::Udp, source: A, destination: b_outside };
    let Verdict::Hairpin(came) = nat.outbound(at(0), sent, NONE) else { panic!("it goes back inside") };
    assert_eq!((came.source, came.destination), (a_outside, b));
    assert_eq!(nat.hairpin_error(at(0), came), Some(sent));
    let forged = Flow { source: end(OUTSIDE.octets(), 9), ..came };
    assert_eq!(nat.hairpin_error(at(0), forged), None);
}
