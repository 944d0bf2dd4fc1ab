//! No host may use addresses of the other side.

use super::*;

const FORGED: [&str; 5] = ["10.2.0.9", "192.0.2.7", "169.254.1.1", "203.0.113.9", "203.0.113.2"];

/// RFC 6888 REQ-4: what a host may have is counted by its address, so that it must not have others.
#[test]
fn req_4_a_host_inside_cannot_have_the_mappings_of_others() {
    let gateway = |gateway: Option<&str>| RouterConfig {
        outside: config().outside.map(|network| SideConfig { gateway: gateway.map(ip), ..network }),
        nat: Some(NatConfig { quota: Some(2), ..NatConfig::cgnat() }),
        ..config()
    };
    for config in [gateway(None), gateway(Some("203.0.113.9"))] {
        let mut engine = engine(&config);
        for source in FORGED {
            let frame = udp(Side::Inside, (source, 4001), ("203.0.113.9", 1000));
            assert_eq!(receive(&mut engine, Side::Inside, frame), [], "{source}");
        }
        let dropped = engine.stats().dropped(DropCause::Spoofed);
        assert_eq!((dropped, engine.mappings(Time::ZERO)), (FORGED.len() as u64, Some(0)));
        for host in ["10.1.0.2", "10.1.0.200"] {
            let frame = udp(Side::Inside, (host, 4001), ("203.0.113.9", 1000));
            assert_eq!(receive(&mut engine, Side::Inside, frame).len(), 1, "every host of the LAN may");
        }
    }
}

#[test]
fn nobody_outside_speaks_for_a_host_inside() {
    for nat in [None, Some(NatConfig::full_cone())] {
        let mut engine = engine(&RouterConfig { nat: nat.clone(), ..config() });
        receive(&mut engine, Side::Inside, outwards());
        let to = if nat.is_some() { "203.0.113.2" } else { "10.1.0.2" };
        let forged = udp(Side::Outside, ("10.1.0.3", 1000), (to, 4001));
        assert_eq!(receive(&mut engine, Side::Outside, forged), []);
        assert_eq!(engine.stats().dropped(DropCause::Spoofed), 1);
        let right = udp(Side::Outside, ("203.0.113.9", 1000), (to, 4001));
        assert_eq!(receive(&mut engine, Side::Outside, right).len(), 1);
    }
}

/// Behind a router that has no NAT are hosts of other networks, which this one translates.
#[test]
fn hosts_behind_a_router_of_the_lan_speak_for_themselves() {
    let routes = vec![("10.2.0.0/24".parse().unwrap(), ip("10.1.0.2"))];
    let mut engine = engine(&RouterConfig { routes, ..config() });
    let out = receive(&mut engine, Side::Inside, udp(Side::Inside, ("10.2.0.9", 4001), ("203.0.113.9", 1000)));
    assert_eq!(seen(&out[0]), (Side::Outside, FAR, "203.0.113.2:4001 203.0.113.9:1000".to_owned()));
    let back = receive(&mut engine, Side::Outside, udp(Side::Outside, ("203.0.113.9", 1000), ("203.0.113.2", 4001)));
    assert_eq!(seen(&back[0]), (Side::Inside, HOST, "203.0.113.9:1000 10.2.0.9:4001".to_owned()));
}
