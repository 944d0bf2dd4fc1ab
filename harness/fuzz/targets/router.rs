//! Whatever frames come, a router sends none that is wrong, and keeps its tables within their bounds.

#![no_main]

use std::net::Ipv4Addr;
use std::time::Duration;

use arbitrary::Arbitrary;
use butter::core::time::Time;
use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::{NatConfig, PortBlock};
use butter_harness::net::network_policy::NetworkPolicy;
use butter_harness::net::packet::ipv6::Packet6;
use butter_harness::net::packet::{self, Packet};
use butter_harness::net::zone::Zone;
use butter_harness::router::engine::RouterEngine;
use butter_harness::router::frame::{ETHERNET_LEN, Interface, Side, TYPE_IPV6};
use butter_harness::router::offload::{OFFLOAD_LEN, Offload};
use butter_harness::router::{RouterConfig, RouterIpv6Config, SideConfig, SideConfig6};
use libfuzzer_sys::fuzz_target;

const INSIDE: Interface = Interface { mac: [2, 0, 0, 0, 0, 1], mtu: 1_500 };
const OUTSIDE: Interface = Interface { mac: [2, 0, 0, 0, 0, 2], mtu: 1_280 };
/// Most mappings of an inside host.
const QUOTA: u32 = 16;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// A frame to the router; `kind` is what it says it is.
    Frame {
        inside: bool,
        kind: Kind,
        offload: [u8; OFFLOAD_LEN],
        mend: bool,
        packet: &'a [u8],
    },
    Wait {
        ms: u16,
    },
    Rebind {
        host: u8,
    },
    Link {
        latency_ms: u8,
        loss: u8,
    },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Arp,
    Ipv4,
    Ipv6,
}

impl Kind {
    fn ether_type(self) -> [u8; 2] {
        match self {
            Kind::Arp => [0x08, 0x06],
            Kind::Ipv4 => [0x08, 0x00],
            Kind::Ipv6 => TYPE_IPV6,
        }
    }
}

/// What the router lets through beside its NAT.
fn policy(firewall: u8) -> NetworkPolicy {
    match firewall % 6 {
        0 => NetworkPolicy::Open,
        1 => NetworkPolicy::Stateful,
        2 => NetworkPolicy::UdpBlocked,
        3 => NetworkPolicy::WebOnly,
        4 => NetworkPolicy::Captive { lets_in_after: None },
        _ => NetworkPolicy::Captive { lets_in_after: Some(Duration::from_secs(1)) },
    }
}

fn engine(nat: u8, firewall: u8) -> RouterEngine {
    let side = |subnet: &str, address: &str, gateway: Option<&str>| SideConfig {
        subnet: subnet.parse().unwrap(),
        address: address.parse().unwrap(),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
    };
    let side6 = |subnet: &str, address: &str| SideConfig6 {
        subnet: subnet.parse().unwrap(),
        address: address.parse().unwrap(),
        gateway: None,
    };
    let presets = NatConfig::presets();
    let (_, preset) = presets[usize::from(nat) % presets.len()].clone();
    let port_block = (nat & 0x80 != 0).then_some(PortBlock { size: 8, limit: 2 });
    let config = RouterConfig {
        inside: side("10.1.0.0/24", "10.1.0.1", None),
        outside: Some(side("203.0.113.0/24", "203.0.113.2", Some("203.0.113.1"))),
        management: None,
        nat: (nat & 0x40 == 0).then_some(NatConfig { quota: Some(QUOTA), port_block, ..preset }),
        firewall: policy(firewall),
        pool: vec![],
        forwards: vec![],
        up: LinkConfig::default(),
        down: LinkConfig::default(),
        routes: vec![],
        control_port: 0,
        ipv6: Some(RouterIpv6Config {
            inside: side6("2001:db8:1::/64", "2001:db8:1::1"),
            outside: Some(side6("2001:db8:2::/64", "2001:db8:2::2")),
            firewall: butter_harness::net::firewall::Policy::Stateful,
            routes: vec![],
        }),
        seed: 1,
        neighbours: vec![
            (Ipv4Addr::new(10, 1, 0, 2), [2, 0, 0, 0, 1, 2]),
            (Ipv4Addr::new(203, 0, 113, 1), [2, 0, 0, 0, 2, 1]),
        ],
        zones: vec![(Ipv4Addr::new(10, 1, 0, 2).into(), Zone::new(9).expect("below the bound"))],
    };
    RouterEngine::new(&config, INSIDE, Some(OUTSIDE))
}

/// Makes the checksum of an IPv4 header right, which luck alone never does.
fn mend(bytes: &mut [u8]) {
    let length = bytes.first().map_or(0, |first| usize::from(first & 15) * 4);
    if let Some(header) = bytes.get_mut(..length)
        && length >= 20
    {
        header[10..12].fill(0);
        packet::complete(header, 10);
    }
}

fn check(offload: Offload, frame: &[u8]) {
    let packet = &frame[ETHERNET_LEN..];
    match [frame[12], frame[13]] {
        [0x08, 0x00] => drop(Packet::parse(packet).expect("what a router sends is right")),
        TYPE_IPV6 => drop(Packet6::parse(packet).expect("what a router sends is right")),
        other => assert_eq!((other, offload), ([0x08, 0x06], Offload::default())),
    }
}

fuzz_target!(|input: (u8, u8, Vec<Step<'_>>)| {
    let (nat, firewall, steps) = input;
    let (mut engine, mut now) = (engine(nat, firewall), Time::ZERO);
    for step in steps {
        match step {
            Step::Frame { inside, kind, offload, mend: mended, packet } => {
                let (side, to) = if inside { (Side::Inside, INSIDE.mac) } else { (Side::Outside, OUTSIDE.mac) };
                let mut frame = [&to[..], &[2, 0, 0, 0, 1, 2], &kind.ether_type(), packet].concat();
                if mended {
                    mend(&mut frame[ETHERNET_LEN..]);
                }
                let offload = Offload::read(offload).unwrap_or_default();
                engine.receive(now, side, offload, &mut frame, &mut |_, offload, frame| check(offload, frame));
            }
            Step::Wait { ms } => now = now + Duration::from_millis(ms.into()),
            Step::Rebind { host } => engine.rebind(now, &[Ipv4Addr::new(203, 0, 113, host)]),
            Step::Link { latency_ms, loss } => {
                let latency = Duration::from_millis(latency_ms.into());
                let link = LinkConfig { latency, loss: f64::from(loss) / 255.0, ..LinkConfig::default() };
                engine.set_link(&link, &link);
            }
        }
        engine.advance(now, &mut |_, offload, frame| check(offload, frame));
        let mappings = engine.mappings(now).unwrap_or(0);
        // A /24 has 254 hosts; only such addresses are translated.
        assert!(mappings <= 254 * QUOTA as usize, "{mappings} mappings");
    }
});
