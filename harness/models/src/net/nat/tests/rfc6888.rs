//! RFC 6888 (carrier-grade NATs) and RFC 7422 (blocks of ports), as far as they are done; and a model of pool and blocks.
//!
//! REQ-8 (ports rest for two minutes before somebody else gets them) is not done. REQ-9 (a PCP server): `router/gateway`.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn blocks(size: u16, limit: u16) -> NatConfig {
    NatConfig { port_block: Some(PortBlock { size, limit }), ..NatConfig::cgnat() }
}

#[test]
fn req_1_and_7_mapping_and_filtering_are_endpoint_independent() {
    let cgnat = NatConfig::cgnat();
    assert_eq!([cgnat.mapping, cgnat.filtering], [Dependence::EndpointIndependent; 2]);
}

#[test]
fn req_2_pooling_is_paired() {
    for config in [NatConfig::cgnat(), blocks(512, 2)] {
        let nat = &mut pooled(config, 4);
        let mut used = std::collections::BTreeSet::new();
        for host in 2..60 {
            let first = *sent_from(nat, Protocol::Udp, inside(host, 1), remote(1, 1)).ip();
            for port in 2..20 {
                assert_eq!(*sent_from(nat, Protocol::Udp, inside(host, port), remote(host, port)).ip(), first);
            }
            used.insert(first);
        }
        assert_eq!(used.len(), 4, "and every address is used");
    }
}

/// A port that is configured has an address before its host has a block.
#[test]
fn req_2_a_host_is_seen_by_the_address_of_its_configured_ports() {
    let forward = Forward { protocol: Protocol::Tcp, port: 80, to: inside(2, 80) };
    let nat = &mut pooled(blocks(8_064, 8), 2).with_forwards(&[forward]);
    let outside = nat.outside_of(*inside(2, 0).ip());
    // Another host has taken the block that this one would have had.
    sent_from(nat, Protocol::Udp, inside(18, 1), remote(1, 1));
    assert_eq!(nat.outside_of(*inside(18, 0).ip()), outside);
    assert_eq!(*sent_from(nat, Protocol::Udp, inside(2, 1), remote(1, 1)).ip(), outside);
    assert_eq!(nat.leases(at(0))[0].outside, SocketAddrV4::new(outside, 80));
}

#[test]
fn req_4_a_hosts_mappings_are_limited() {
    let nat = &mut nat(NatConfig { quota: Some(10), ..NatConfig::cgnat() });
    let flow = |host, port| Flow { protocol: Protocol::Udp, source: inside(host, port), destination: remote(1, 1) };
    for port in 1..=10 {
        assert!(matches!(nat.outbound(at(0), flow(2, port), NONE), Verdict::Pass(_)));
    }
    assert_eq!(nat.outbound(at(0), flow(2, 11), NONE), Verdict::Drop(NatDrop::Quota));
    assert!(matches!(nat.outbound(at(0), flow(2, 10), NONE), Verdict::Pass(_)), "what is mapped goes on");
    assert!(matches!(nat.outbound(at(0), flow(3, 11), NONE), Verdict::Pass(_)), "others have their own");
    assert_eq!(nat.request(at(0), Protocol::Tcp, inside(2, 9), Wanted::Any, Duration::ZERO), Err(Refused::Quota));
    assert!(matches!(nat.outbound(at(120), flow(2, 11), NONE), Verdict::Pass(_)), "what has ended counts no more");
}

#[test]
fn req_4_blocks_are_limited_too() {
    let nat = &mut nat(blocks(8, 2));
    let flow = |port| Flow { protocol: Protocol::Udp, source: inside(2, port), destination: remote(1, 1) };
    for port in 1..=16 {
        assert!(matches!(nat.outbound(at(0), flow(port), NONE), Verdict::Pass(_)), "{port}");
    }
    assert_eq!(nat.outbound(at(0), flow(17), NONE), Verdict::Drop(NatDrop::Quota));
}

/// REQ-14: who had an endpoint follows from the block, so that no log of single mappings is needed. RFC 7422: as long as
/// there are enough of them, the first block follows from the inside address alone.
#[test]
fn req_14_ports_come_in_blocks_that_follow_from_the_host() {
    let block_of = |order: Vec<u8>| {
        let nat = &mut pooled(blocks(256, 1), 2);
        let mut owners = BTreeMap::new();
        for host in order {
            for port in 1..50 {
                let seen = sent_from(nat, Protocol::Udp, inside(host, port), remote(1, 1));
                let block = (*seen.ip(), (seen.port() - PORT_MIN) / 256);
                assert_eq!(*owners.entry(block).or_insert(host), host, "a block is one host's");
            }
        }
        owners
    };
    assert_eq!(block_of((2..200).collect()), block_of((2..200).rev().collect()));
}

#[test]
fn req_15_ports_are_hard_to_guess() {
    let nat = &mut nat(blocks(1_024, 1));
    let ports: Vec<u16> = (1..50).map(|port| udp(nat, at(0), inside(2, port), remote(1, 1)).port()).collect();
    assert!(ports.windows(2).filter(|pair| pair[1] == pair[0] + 1).count() < 5, "{ports:?}");
}

#[test]
fn blocks_that_nobody_uses_are_free_again() {
    let nat = &mut nat(blocks(32_256, 1));
    let mut flow = |now, host| {
        let flow = Flow { protocol: Protocol::Udp, source: inside(host, 1), destination: remote(1, 1) };
        nat.outbound(now, flow, NONE)
    };
    assert!(matches!(flow(at(0), 2), Verdict::Pass(_)));
    assert!(matches!(flow(at(0), 3), Verdict::Pass(_)));
    assert_eq!(flow(at(0), 4), Verdict::Drop(NatDrop::NoPort), "two blocks are all there are");
    assert!(matches!(flow(at(120), 4), Verdict::Pass(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever hosts send, and however long they pause: the books of pool and blocks agree with what was seen.
    #[test]
    fn pool_and_blocks_behave_as_the_model(
        size in 1u16..40,
        limit in 1u16..4,
        addresses in 1u8..4,
        ports in prop::sample::select(vec![Ports::Preserve, Ports::Sequential, Ports::Random]),
        steps in prop::collection::vec((0u8..12, 1_024u16..1_064, 0u64..90), 1..300),
    ) {
        let nat = &mut pooled(NatConfig { ports, ..blocks(size, limit) }, addresses);
        let life = nat.config().udp_timeout;
        let mut now = Time::ZERO;
        // Outside endpoint: who has it until when.
        let mut model: BTreeMap<SocketAddrV4, (SocketAddrV4, Time)> = BTreeMap::new();
        for (host, port, seconds) in steps {
            now = now + Duration::from_secs(seconds / 30);
            model.retain(|_, (_, until)| *until > now);
            let from = inside(host, port);
            let block_of = |seen: &SocketAddrV4| (*seen.ip(), (seen.port() - PORT_MIN) / size);
            let own: Vec<SocketAddrV4> =
                model.iter().filter(|(_, (owner, _))| owner.ip() == from.ip()).map(|(seen, _)| *seen).collect();
            match nat.outbound(now, Flow { protocol: Protocol::Udp, source: from, destination: remote(1, 1) }, NONE) {
                Verdict::Pass(flow) => {
                    let seen = flow.source;
                    let owner = model.get(&seen).map(|(owner, _)| *owner);
                    prop_assert!(owner.is_none_or(|owner| owner == from), "{seen} is {owner:?}'s");
                    let known = model.iter().find(|(_, (owner, _))| *owner == from).map(|(known, _)| *known);
                    prop_assert!(known.is_none_or(|known| known == seen), "a mapping stays where it is");
                    prop_assert!(own.iter().all(|other| other.ip() == seen.ip()), "paired");
                    let others = model.iter().filter(|(_, (owner, _))| owner.ip() != from.ip());
                    prop_assert!(others.into_iter().all(|(other, _)| block_of(other) != block_of(&seen)), "a block is one host's");
                    model.insert(seen, (from, now + life));
                    let mut held: Vec<_> = own.iter().chain([&seen]).map(block_of).collect();
                    held.sort_unstable();
                    held.dedup();
                    prop_assert!(held.len() <= usize::from(limit));
                }
                Verdict::Drop(why) => {
                    prop_assert_eq!(why, NatDrop::Quota, "there are blocks enough for all");
                    prop_assert!(own.len() >= usize::from(size), "a host whose blocks are not full");
                }
                Verdict::Hairpin(_) => prop_assert!(false, "it was not sent to this NAT"),
            }
            prop_assert_eq!(nat.mappings(), model.len());
        }
    }
}
