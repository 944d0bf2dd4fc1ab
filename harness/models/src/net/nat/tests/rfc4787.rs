//! RFC 4787: what UDP asks of a NAT, requirement by requirement.
//!
//! REQ-4 (parity) is not kept: RFC 7857 §8. REQ-10 (no application-level gateways): the payload is never read; see
//! `net/packet/tests.rs`. REQ-13 (too long packets cause an error or are fragmented): `router/engine/tests.rs` and `tests/fragments.rs` there.
//! REQ-14 (fragments in whatever order): `router/engine/tests/fragments.rs`.

use super::*;

fn config(mapping: Dependence, filtering: Dependence) -> NatConfig {
    NatConfig { mapping, filtering, ..NatConfig::full_cone() }
}

/// §4.1: which of two sends from one inside endpoint share an outside endpoint, for both of the other side's changes.
#[test]
fn req_1_mapping_is_what_is_configured() {
    for filtering in ALL {
        for (mapping, same_for_port, same_for_address) in [
            (Dependence::EndpointIndependent, true, true),
            (Dependence::AddressDependent, true, false),
            (Dependence::AddressAndPortDependent, false, false),
        ] {
            for (protocol, tcp) in [(Protocol::Udp, NONE), (Protocol::Tcp, SYN)] {
                let nat = &mut nat(config(mapping, filtering));
                let mut to = |remote| send(nat, at(0), protocol, inside(2, 4001), remote, tcp);
                let first = to(remote(1, 1000));
                assert_eq!(first == to(remote(1, 1001)), same_for_port, "{mapping:?} {protocol:?}");
                assert_eq!(first == to(remote(2, 1000)), same_for_address, "{mapping:?} {protocol:?}");
                assert_eq!(first, to(remote(1, 1000)), "the same flow keeps its mapping");
            }
        }
    }
}

/// §5: who reaches a mapping that was made by sending to 198.51.100.1:1000, under each mapping behaviour.
#[test]
fn req_8_filtering_is_what_is_configured() {
    for mapping in ALL {
        for (filtering, other_port, other_address) in [
            (Dependence::EndpointIndependent, true, true),
            (Dependence::AddressDependent, true, false),
            (Dependence::AddressAndPortDependent, false, false),
        ] {
            for (protocol, tcp) in [(Protocol::Udp, NONE), (Protocol::Tcp, SYN)] {
                let nat = &mut nat(config(mapping, filtering));
                let mapped = send(nat, at(0), protocol, inside(2, 4001), remote(1, 1000), tcp);
                for (from, admitted) in
                    [(remote(1, 1000), true), (remote(1, 1001), other_port), (remote(2, 1000), other_address)]
                {
                    let expected = if admitted { Ok(inside(2, 4001)) } else { Err(NatDrop::Filtered) };
                    assert_eq!(
                        answer(nat, at(0), protocol, from, mapped, tcp),
                        expected,
                        "{filtering:?} {protocol:?} {from}"
                    );
                }
            }
        }
    }
}

/// §5: each send opens the filter a little further.
#[test]
fn req_8_filters_remember_every_peer() {
    for (filtering, ports) in [(Dependence::AddressDependent, 1), (Dependence::AddressAndPortDependent, 4)] {
        let nat = &mut nat(config(Dependence::EndpointIndependent, filtering));
        for host in 1..=200 {
            for port in 0..ports {
                let mapped = udp(nat, at(0), inside(2, 4001), remote(host, 1000 + port));
                assert_eq!(mapped.port(), 4001);
            }
        }
        for host in 1..=200 {
            for port in 0..ports {
                assert!(udp_in(nat, at(0), remote(host, 1000 + port), end(OUTSIDE.octets(), 4001)).is_ok());
            }
        }
        assert_eq!(udp_in(nat, at(0), remote(201, 1000), end(OUTSIDE.octets(), 4001)), Err(NatDrop::Filtered));
    }
}

/// Bounded: the peer that would be forgotten first makes room.
#[test]
fn req_8_filters_forget_the_oldest_peer_when_full() {
    let nat = &mut nat(NatConfig::port_restricted());
    let peer = |n: usize| end([198, 18, (n / 250) as u8, (n % 250) as u8], 1000);
    let mut mapped = end([0; 4], 0);
    for n in 0..=mapping::PEERS_MAX {
        mapped = udp(nat, Time::from_micros(n as u64), inside(2, 4001), peer(n));
    }
    let now = at(1);
    assert_eq!(udp_in(nat, now, peer(0), mapped), Err(NatDrop::Filtered));
    assert!((1..=mapping::PEERS_MAX).all(|n| udp_in(nat, now, peer(n), mapped).is_ok()));
}

/// §4.2.1: ports.
#[test]
fn req_3_ports_are_chosen_as_configured() {
    let with = |ports| nat(NatConfig { ports, ..NatConfig::symmetric() });
    let mut preserve = with(Ports::Preserve);
    assert_eq!(udp(&mut preserve, at(0), inside(2, 53), remote(1, 1)).port(), 53, "kept even below 1024");
    let second = udp(&mut preserve, at(0), inside(3, 53), remote(1, 1)).port();
    assert!(second >= PORT_MIN, "taken: any other, but none that is privileged");

    let mut sequential = with(Ports::Sequential);
    let ports: Vec<u16> = (1..=9).map(|n| udp(&mut sequential, at(0), inside(2, 4001), remote(n, 1)).port()).collect();
    assert!(
        ports.windows(2).all(|pair| pair[1] == if pair[0] == u16::MAX { PORT_MIN } else { pair[0] + 1 }),
        "{ports:?}"
    );

    let mut random = with(Ports::Random);
    let ports: Vec<u16> = (1..=9).map(|n| udp(&mut random, at(0), inside(2, 4001), remote(n, 1)).port()).collect();
    assert!(ports.windows(2).all(|pair| pair[0].abs_diff(pair[1]) > 1), "{ports:?}");
    let mut again = with(Ports::Random);
    let same: Vec<u16> = (1..=9).map(|n| udp(&mut again, at(0), inside(2, 4001), remote(n, 1)).port()).collect();
    assert_eq!(ports, same, "a seed decides");
}

/// Every mapping has its own port, and when none is left nothing goes out until one is free again.
#[test]
fn req_3_no_port_is_given_twice() {
    for ports in [Ports::Preserve, Ports::Sequential, Ports::Random] {
        let nat = &mut nat(NatConfig { ports, ..NatConfig::full_cone() });
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..MAPPINGS_MAX {
            let from = end([10, 0, (n >> 8) as u8, n as u8], 4001);
            assert!(seen.insert(udp(nat, at(0), from, remote(1, 1)).port()));
        }
        let flow = Flow { protocol: Protocol::Udp, source: inside(250, 1), destination: remote(1, 1) };
        assert_eq!(nat.outbound(at(0), flow, NONE), Verdict::Drop(NatDrop::NoPort));
        assert_eq!(nat.mappings(), MAPPINGS_MAX);
        let later = Time::ZERO + NatConfig::full_cone().udp_timeout;
        assert!(matches!(nat.outbound(later, flow, NONE), Verdict::Pass(_)));
        assert_eq!(nat.mappings(), 1);
    }
}

/// §6 and REQ-9: inside hosts reach each other through the outside, and see the outside endpoint.
#[test]
fn req_9_hairpin_shows_the_outside_endpoint() {
    let nat = &mut nat(NatConfig::port_restricted());
    let a = udp(nat, at(0), inside(2, 4001), remote(1, 1));
    let b = udp(nat, at(0), inside(3, 5001), remote(1, 1));
    let hairpin = |nat: &mut Nat, from, to| {
        nat.outbound(at(0), Flow { protocol: Protocol::Udp, source: from, destination: to }, NONE)
    };
    assert_eq!(hairpin(nat, inside(2, 4001), b), Verdict::Drop(NatDrop::Filtered), "b has not sent to a yet");
    let through = |source, destination| Verdict::Hairpin(Flow { protocol: Protocol::Udp, source, destination });
    assert_eq!(hairpin(nat, inside(3, 5001), a), through(b, inside(2, 4001)), "a has: the filter lets b in");
    assert_eq!(hairpin(nat, inside(2, 4001), b), through(a, inside(3, 5001)));
    assert_eq!(hairpin(nat, inside(2, 4001), end(OUTSIDE.octets(), 9)), Verdict::Drop(NatDrop::NoMapping));
}

#[test]
fn req_9_hairpin_can_be_off() {
    let nat = &mut nat(NatConfig { hairpin: false, ..NatConfig::full_cone() });
    let b = udp(nat, at(0), inside(3, 5001), remote(1, 1));
    let flow = Flow { protocol: Protocol::Udp, source: inside(2, 4001), destination: b };
    assert_eq!(nat.outbound(at(0), flow, NONE), Verdict::Drop(NatDrop::NoHairpin));
}

/// REQ-12: an ICMP error about a mapped flow finds it, one about anything else does not, and neither changes anything.
#[test]
fn req_12_icmp_errors_find_their_flow_and_end_nothing() {
    for (mapping, filtering) in ALL.into_iter().flat_map(|mapping| ALL.map(|filtering| (mapping, filtering))) {
        let nat = &mut nat(config(mapping, filtering));
        let mapped = udp(nat, at(0), inside(2, 4001), remote(1, 1000));
        let quoted = |source, destination| Flow { protocol: Protocol::Udp, source, destination };
        for stranger in [remote(1, 1000), remote(1, 1001), remote(2, 1000)] {
            let admitted = udp_in(nat, at(0), stranger, mapped).is_ok();
            let case = format!("{mapping:?} {filtering:?} {stranger}");
            let known = nat.inbound_error(at(0), quoted(mapped, stranger));
            assert_eq!(known, admitted.then_some(quoted(inside(2, 4001), stranger)), "{case}");
            let back = nat.outbound_error(at(0), quoted(stranger, inside(2, 4001)));
            assert_eq!(back, admitted.then_some(quoted(stranger, mapped)), "{case}");
        }
        assert_eq!(nat.inbound_error(at(0), quoted(remote(3, mapped.port()), remote(1, 1000))), None, "not this NAT's");
        assert_eq!(nat.outbound_error(at(0), quoted(remote(1, 1000), inside(9, 4001))), None);
        assert!(udp_in(nat, at(0), remote(1, 1000), mapped).is_ok());
        assert_eq!(nat.outbound_error(at(120), quoted(remote(1, 1000), inside(2, 4001))), None, "it has ended");
    }
}

/// REQ-12, RFC 5508 REQ-7: a hairpinned packet, too, may come by a mapping that was made for somebody else.
#[test]
fn req_12_icmp_errors_pass_the_hairpin_whatever_mappings_depend_on() {
    for mapping in ALL {
        let nat = &mut nat(config(mapping, Dependence::EndpointIndependent));
        let b = udp(nat, at(0), inside(3, 5001), remote(1, 1));
        let sent = Flow { protocol: Protocol::Udp, source: inside(2, 4001), destination: b };
        let Verdict::Hairpin(came) = nat.outbound(at(0), sent, NONE) else { panic!("it goes back inside") };
        assert_eq!(nat.hairpin_error(at(0), came), Some(sent), "{mapping:?}");
    }
}

/// RFC 5508: an echo's identifier is mapped as a port is, and answers are filtered by address alone.
#[test]
fn echo() {
    let nat = &mut nat(NatConfig::symmetric());
    let a = send(nat, at(0), Protocol::Echo, inside(2, 77), remote(1, 77), NONE);
    let b = send(nat, at(0), Protocol::Echo, inside(3, 77), remote(1, 77), NONE);
    assert_ne!(a, b);
    assert_eq!(answer(nat, at(0), Protocol::Echo, remote(1, a.port()), a, NONE), Ok(inside(2, 77)));
    assert_eq!(answer(nat, at(0), Protocol::Echo, remote(1, b.port()), b, NONE), Ok(inside(3, 77)));
    assert_eq!(answer(nat, at(0), Protocol::Echo, remote(2, b.port()), b, NONE), Err(NatDrop::Filtered));
    assert_eq!(udp_in(nat, at(0), remote(1, 1), a), Err(NatDrop::NoMapping), "a port is one protocol's");
}

#[test]
fn req_1_5_and_8_presets_are_the_rows_they_are_named_for() {
    use Dependence::{AddressAndPortDependent as Apd, AddressDependent as Ad, EndpointIndependent as Ei};
    for (preset, mapping, filtering) in [
        (NatConfig::full_cone(), Ei, Ei),
        (NatConfig::address_restricted(), Ei, Ad),
        (NatConfig::port_restricted(), Ei, Apd),
        (NatConfig::symmetric(), Apd, Apd),
        (NatConfig::cgnat(), Ei, Ei),
    ] {
        assert_eq!((preset.mapping, preset.filtering), (mapping, filtering));
        assert!(preset.udp_timeout >= Duration::from_secs(120), "RFC 4787 REQ-5");
        assert!(preset.tcp_timeout >= Duration::from_secs(7_440), "RFC 5382 REQ-5");
    }
}

/// An inside host is seen by one address, whatever it sends.
#[test]
fn req_2_pooling_is_paired() {
    for config in [NatConfig::full_cone(), NatConfig::symmetric()] {
        let nat = &mut pooled(config, 3);
        for host in 2..60 {
            let first = *sent_from(nat, Protocol::Udp, inside(host, 1), remote(1, 1)).ip();
            assert!((2..20).all(|n| *sent_from(nat, Protocol::Udp, inside(host, n), remote(n as u8, n)).ip() == first));
            let mapped = sent_from(nat, Protocol::Udp, inside(host, 1), remote(1, 1));
            let back = Flow { protocol: Protocol::Udp, source: remote(1, 1), destination: mapped };
            let answer = nat.inbound(at(0), back, NONE);
            assert!(matches!(answer, Verdict::Pass(flow) if flow.destination == inside(host, 1)));
        }
    }
}

#[test]
fn req_5_mappings_live_two_minutes_and_as_configured() {
    for (timeout, config) in [
        (120, NatConfig::full_cone()),
        (300, NatConfig { udp_timeout: Duration::from_secs(300), ..NatConfig::port_restricted() }),
    ] {
        let nat = &mut nat(config);
        let mapped = udp(nat, at(0), inside(2, 4001), remote(1, 1));
        assert!(udp_in(nat, at(timeout - 1), remote(1, 1), mapped).is_ok());
        assert_eq!(udp_in(nat, at(timeout), remote(1, 1), mapped), Err(NatDrop::NoMapping));
    }
}

#[test]
fn req_6_what_is_sent_refreshes_and_what_comes_does_not() {
    let nat = &mut nat(NatConfig::full_cone());
    let mapped = udp(nat, at(0), inside(2, 4001), remote(1, 1));
    udp(nat, at(100), inside(2, 4001), remote(2, 2));
    assert!(udp_in(nat, at(219), remote(1, 1), mapped).is_ok(), "whoever it was sent to");
    assert_eq!(udp_in(nat, at(220), remote(1, 1), mapped), Err(NatDrop::NoMapping));
}

/// The same addresses inside and outside: as behind a NAT behind a NAT.
#[test]
fn req_7_addresses_inside_may_be_those_outside() {
    let nat = &mut nat(NatConfig::port_restricted());
    let same = inside(2, 4001);
    let mapped = udp(nat, at(0), same, same);
    assert_eq!(udp_in(nat, at(0), same, mapped), Ok(same));
}

/// A port that is taken changes the port alone, not how the NAT behaves.
#[test]
fn req_11_behaviour_does_not_depend_on_the_state() {
    for filtering in ALL {
        let nat = &mut nat(config(Dependence::EndpointIndependent, filtering));
        let first = udp(nat, at(0), inside(2, 4001), remote(1, 1));
        let second = udp(nat, at(0), inside(3, 4001), remote(1, 1));
        assert_ne!(first, second, "the port is taken");
        assert_eq!(udp(nat, at(0), inside(3, 4001), remote(2, 2)), second, "and mapping is as ever");
        for mapped in [first, second] {
            let stranger = udp_in(nat, at(0), remote(9, 9), mapped);
            assert_eq!(stranger.is_ok(), filtering == Dependence::EndpointIndependent);
        }
    }
}
