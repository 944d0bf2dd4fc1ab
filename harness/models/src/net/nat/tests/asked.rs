//! Mappings that are asked for: RFC 6887 §11 and §15, RFC 6886 §3.3.

use super::*;

const A: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 4001);
const B: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 3), 4001);
const HOUR: Duration = Duration::from_secs(3_600);

fn ask(nat: &mut Nat, now: Time, inside: SocketAddrV4, wanted: Wanted) -> Result<SocketAddrV4, Refused> {
    let granted = nat.request(now, Protocol::Udp, inside, wanted, HOUR)?;
    assert_eq!(granted.lifetime, HOUR);
    Ok(granted.outside)
}

fn kinds() -> Vec<NatConfig> {
    ALL.into_iter()
        .flat_map(|mapping| ALL.map(|filtering| NatConfig { mapping, filtering, ..NatConfig::full_cone() }))
        .collect()
}

#[test]
fn a_granted_mapping_lets_everybody_in_and_is_what_its_endpoint_is_seen_as() {
    for config in kinds() {
        let nat = &mut nat(config.clone());
        let outside = ask(nat, at(0), A, Wanted::Rather(5_000)).unwrap();
        assert_eq!(outside, end(OUTSIDE.octets(), 5_000));
        assert_eq!(udp_in(nat, at(1), remote(9, 9), outside), Ok(A), "{config:?}");
        assert_eq!(udp(nat, at(1), A, remote(1, 1)), outside, "{config:?}");
        assert_eq!(udp(nat, at(1), A, remote(2, 2)), outside, "{config:?}");
    }
}

#[test]
fn a_lease_ends_unless_it_is_renewed() {
    for config in kinds() {
        let nat = &mut nat(config);
        let outside = ask(nat, at(0), A, Wanted::Rather(5_000)).unwrap();
        assert_eq!(udp_in(nat, at(3_599), remote(9, 9), outside), Ok(A));
        assert_eq!(ask(nat, at(3_599), A, Wanted::Rather(6_000)), Ok(outside), "the same endpoint keeps what it has");
        assert_eq!(udp_in(nat, at(7_198), remote(9, 9), outside), Ok(A));
        assert_eq!(udp_in(nat, at(7_199), remote(9, 9), outside), Err(NatDrop::NoMapping));
        assert_eq!((nat.mappings(), nat.leases(at(7_199))), (0, Vec::new()));
    }
}

#[test]
fn lifetimes_are_bounded() {
    let nat = &mut nat(NatConfig::full_cone());
    let mut granted = |lifetime| nat.request(at(0), Protocol::Tcp, A, Wanted::Any, lifetime).unwrap().lifetime;
    assert_eq!(granted(Duration::ZERO), leases::LEASE_MIN);
    assert_eq!(granted(Duration::MAX), leases::LEASE_MAX);
}

/// RFC 6887 §11.3: traffic's own mapping is taken over, with its port; when the lease ends, its traffic keeps it.
#[test]
fn a_mapping_made_by_traffic_is_taken_over() {
    let nat = &mut nat(NatConfig { ports: Ports::Random, ..NatConfig::port_restricted() });
    let mapped = udp(nat, at(0), A, remote(1, 1));
    assert_eq!(ask(nat, at(1), A, Wanted::Rather(5_000)), Ok(mapped));
    assert_eq!(ask(nat, at(1), A, Wanted::Exactly(mapped.port())), Ok(mapped));
    assert_eq!(udp_in(nat, at(2), remote(9, 9), mapped), Ok(A));
    udp(nat, at(3_600), A, remote(1, 1));
    assert_eq!(udp_in(nat, at(3_601), remote(9, 9), mapped), Err(NatDrop::Filtered), "no longer for everybody");
    assert_eq!(udp_in(nat, at(3_601), remote(1, 1), mapped), Ok(A));
}

/// UPnP grants the port that is asked for or none.
#[test]
fn traffic_moves_to_the_one_port_that_will_do() {
    let nat = &mut nat(NatConfig { ports: Ports::Random, ..NatConfig::port_restricted() });
    let mapped = udp(nat, at(0), A, remote(1, 1));
    let outside = ask(nat, at(1), A, Wanted::Exactly(5_000)).unwrap();
    assert_eq!((outside.port(), udp(nat, at(2), A, remote(1, 1))), (5_000, outside));
    assert_eq!(udp_in(nat, at(2), remote(1, 1), mapped), Ok(A), "who knows the old port is still let in");
    assert_eq!(udp_in(nat, at(2), remote(9, 9), mapped), Err(NatDrop::Filtered));
    assert_eq!(udp_in(nat, at(120), remote(1, 1), mapped), Err(NatDrop::NoMapping));
    assert_eq!(udp(nat, at(121), A, remote(1, 1)), outside, "the end of the old one changes nothing");
}

#[test]
fn a_port_is_one_hosts_own() {
    let nat = &mut nat(NatConfig::full_cone());
    ask(nat, at(0), A, Wanted::Exactly(5_000)).unwrap();
    assert_eq!(ask(nat, at(0), B, Wanted::Exactly(5_000)), Err(Refused::Taken));
    assert_eq!(ask(nat, at(0), A, Wanted::Exactly(5_001)), Err(Refused::Taken), "an endpoint has one mapping");
    let other = ask(nat, at(0), B, Wanted::Rather(5_000)).unwrap();
    assert_ne!(other.port(), 5_000);
    let tcp = nat.request(at(0), Protocol::Tcp, B, Wanted::Exactly(5_000), HOUR).unwrap();
    assert_eq!(tcp.outside.port(), 5_000, "each protocol has its ports");
}

/// A client that has begun anew, on another port, asks for what it had.
#[test]
fn a_host_overwrites_what_it_was_granted_and_nothing_else() {
    for config in kinds().into_iter().flat_map(|config| [NatConfig { quota: Some(3), ..config.clone() }, config]) {
        let nat = &mut nat(config.clone());
        let outside = ask(nat, at(0), A, Wanted::Exactly(5_000)).unwrap();
        let anew = SocketAddrV4::new(*A.ip(), 4_002);
        let over = |nat: &mut Nat, now, inside, port| nat.overwrite(now, Protocol::Udp, inside, port, HOUR);
        // What was sent before would keep a mapping alive.
        udp(nat, at(1), A, remote(1, 1));
        udp(nat, at(1), anew, remote(1, 1));
        let granted = over(nat, at(2), anew, 5_000).unwrap();
        assert_eq!(granted, Granted { outside, lifetime: HOUR }, "{config:?}");
        assert_eq!(udp_in(nat, at(3), remote(9, 9), outside), Ok(anew));
        assert_eq!(udp(nat, at(3), anew, remote(2, 2)), outside);
        assert_ne!(udp(nat, at(3), A, remote(1, 1)), outside, "the former one has another mapping now");
        assert_eq!(over(nat, at(4), B, 5_000), Err(Refused::Taken), "another host's");
        assert_eq!(over(nat, at(4), anew, 5_001), Err(Refused::Taken), "an endpoint has one mapping");
        assert_eq!(over(nat, at(4), anew, 5_000), Ok(granted), "renewed");
        let leases: Vec<_> = nat.leases(at(4)).iter().map(|lease| (lease.inside, lease.outside)).collect();
        assert_eq!(leases, [(anew, outside)]);
        assert_eq!(udp_in(nat, at(3_604), remote(9, 9), outside), Err(NatDrop::NoMapping));
        nat.expire(at(4_000));
        assert_eq!(nat.mappings(), 0);
        assert!(over(nat, at(4_000), B, 5_000).is_ok(), "the port is free");
    }
}

#[test]
fn a_port_that_cannot_be_overwritten_stays_as_it_is() {
    for config in kinds() {
        let nat = &mut nat(config).with_forwards(&[Forward { protocol: Protocol::Udp, port: 4_500, to: A }]);
        let anew = SocketAddrV4::new(*A.ip(), 4_002);
        let over = |nat: &mut Nat, port| nat.overwrite(at(0), Protocol::Udp, anew, port, HOUR);
        assert_eq!(over(nat, 4_500), Err(Refused::Taken), "it is configured");
        ask(nat, at(0), inside(2, 4_003), Wanted::Exactly(5_000)).unwrap();
        ask(nat, at(0), anew, Wanted::Exactly(5_001)).unwrap();
        assert_eq!(over(nat, 5_000), Err(Refused::Taken), "it has another already");
        assert_eq!(nat.leases(at(0)).len(), 3);
    }
}

#[test]
fn a_mapping_is_given_up_at_once() {
    for config in kinds() {
        let nat = &mut nat(config);
        let outside = ask(nat, at(0), A, Wanted::Any).unwrap();
        assert_eq!(nat.withdraw(at(1), Protocol::Tcp, A), Ok(false));
        assert_eq!(nat.withdraw(at(1), Protocol::Udp, A), Ok(true));
        assert_eq!(udp_in(nat, at(1), remote(9, 9), outside), Err(NatDrop::NoMapping));
        assert_eq!(nat.withdraw(at(1), Protocol::Udp, A), Ok(false));
        assert_eq!(nat.mappings(), 0);
    }
}

#[test]
fn leases_are_listed_in_order() {
    let nat = &mut nat(NatConfig::symmetric());
    ask(nat, at(0), B, Wanted::Exactly(7_000)).unwrap();
    ask(nat, at(5), A, Wanted::Exactly(5_000)).unwrap();
    nat.request(at(0), Protocol::Tcp, A, Wanted::Exactly(80), HOUR).unwrap();
    udp(nat, at(5), inside(9, 9), remote(1, 1));
    let listed: Vec<_> =
        nat.leases(at(6)).iter().map(|lease| (lease.protocol, lease.outside.port(), lease.inside)).collect();
    assert_eq!(listed, [(Protocol::Udp, 5_000, A), (Protocol::Udp, 7_000, B), (Protocol::Tcp, 80, A)]);
    assert_eq!(nat.leases(at(6))[0].until, at(3_605));
    assert_eq!(nat.leases(at(3_601)).len(), 1);
}

#[test]
fn leases_are_bounded() {
    let nat = &mut nat(NatConfig::full_cone());
    for n in 0..leases::LEASES_MAX {
        ask(nat, at(0), end([10, 0, (n >> 8) as u8, n as u8], 1), Wanted::Any).unwrap();
    }
    assert_eq!(ask(nat, at(0), inside(250, 9), Wanted::Any), Err(Refused::NoPort));
    assert!(ask(nat, at(3_600), inside(250, 9), Wanted::Any).is_ok(), "those that have ended make room");
}

#[test]
fn what_is_configured_stands_whatever_happens() {
    for config in kinds() {
        let forward = Forward { protocol: Protocol::Udp, port: 4_500, to: A };
        let nat = &mut nat(config).with_forwards(&[forward]);
        let outside = end(OUTSIDE.octets(), 4_500);
        assert_eq!(udp_in(nat, at(0), remote(9, 9), outside), Ok(A));
        assert_eq!(nat.withdraw(at(1), Protocol::Udp, A), Err(Refused::Configured));
        assert_eq!(ask(nat, at(1), A, Wanted::Any), Err(Refused::Configured));
        assert_eq!(udp(nat, at(1), A, remote(1, 1)), outside);
        let moved = Ipv4Addr::new(203, 0, 113, 77);
        nat.rebind(at(2), &[moved]);
        assert_eq!(udp_in(nat, at(1_000_000), remote(9, 9), end(moved.octets(), 4_500)), Ok(A));
        assert_eq!(udp_in(nat, at(1_000_000), remote(9, 9), outside), Err(NatDrop::NoMapping));
    }
}

/// What a router does that is switched off and on.
#[test]
fn a_rebind_forgets_everything_and_may_change_the_address() {
    for config in kinds() {
        let nat = &mut nat(config);
        let leased = ask(nat, at(0), A, Wanted::Any).unwrap();
        let mapped = udp(nat, at(0), B, remote(1, 1));
        let moved = Ipv4Addr::new(203, 0, 113, 77);
        nat.rebind(at(10), &[moved]);
        assert_eq!((nat.mappings(), nat.since(), nat.addresses()), (0, at(10), &[moved][..]));
        for outside in [leased, mapped, end(moved.octets(), mapped.port())] {
            assert_eq!(udp_in(nat, at(10), remote(1, 1), outside), Err(NatDrop::NoMapping));
        }
        let flow = Flow { protocol: Protocol::Udp, source: B, destination: remote(1, 1) };
        let Verdict::Pass(seen) = nat.outbound(at(10), flow, NONE) else { panic!("it is translated anew") };
        assert_eq!(*seen.source.ip(), moved);
    }
}
