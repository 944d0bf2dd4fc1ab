use std::time::Duration;

use super::*;

mod asked;
mod properties;
mod rfc4787;
mod rfc5382;
mod rfc6888;
mod rfc7857;
mod timeouts;

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const NONE: TcpFlags = TcpFlags { syn: false, fin: false, rst: false };
const SYN: TcpFlags = TcpFlags { syn: true, ..NONE };
const FIN: TcpFlags = TcpFlags { fin: true, ..NONE };
const RST: TcpFlags = TcpFlags { rst: true, ..NONE };

const ALL: [Dependence; 3] =
    [Dependence::EndpointIndependent, Dependence::AddressDependent, Dependence::AddressAndPortDependent];

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

fn end(address: [u8; 4], port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address.into(), port)
}

fn inside(host: u8, port: u16) -> SocketAddrV4 {
    end([10, 0, 0, host], port)
}

fn remote(host: u8, port: u16) -> SocketAddrV4 {
    end([198, 51, 100, host], port)
}

fn nat(config: NatConfig) -> Nat {
    Nat::new(config, &[OUTSIDE], 7)
}

/// Sends out; returns the outside endpoint.
fn send(
    nat: &mut Nat,
    now: Time,
    protocol: Protocol,
    from: SocketAddrV4,
    to: SocketAddrV4,
    tcp: TcpFlags,
) -> SocketAddrV4 {
    match nat.outbound(now, Flow { protocol, source: from, destination: to }, tcp) {
        Verdict::Pass(flow) => {
            assert_eq!((flow.protocol, flow.destination, *flow.source.ip()), (protocol, to, OUTSIDE));
            flow.source
        }
        other => panic!("{from} -> {to}: {other:?}"),
    }
}

/// Sends in; returns the inside endpoint reached.
fn answer(
    nat: &mut Nat,
    now: Time,
    protocol: Protocol,
    from: SocketAddrV4,
    to: SocketAddrV4,
    tcp: TcpFlags,
) -> Result<SocketAddrV4, NatDrop> {
    match nat.inbound(now, Flow { protocol, source: from, destination: to }, tcp) {
        Verdict::Pass(flow) => {
            assert_eq!((flow.protocol, flow.source), (protocol, from));
            Ok(flow.destination)
        }
        Verdict::Drop(why) => Err(why),
        Verdict::Hairpin(flow) => panic!("hairpin from outside: {flow:?}"),
    }
}

fn udp(nat: &mut Nat, now: Time, from: SocketAddrV4, to: SocketAddrV4) -> SocketAddrV4 {
    send(nat, now, Protocol::Udp, from, to, NONE)
}

fn udp_in(nat: &mut Nat, now: Time, from: SocketAddrV4, to: SocketAddrV4) -> Result<SocketAddrV4, NatDrop> {
    answer(nat, now, Protocol::Udp, from, to, NONE)
}

/// A NAT with so many addresses.
fn pooled(config: NatConfig, addresses: u8) -> Nat {
    let addresses: Vec<Ipv4Addr> = (0..addresses).map(|n| Ipv4Addr::new(203, 0, 113, 1 + n)).collect();
    Nat::new(config, &addresses, 7)
}

/// Sends out, by whichever address; returns the outside endpoint.
fn sent_from(nat: &mut Nat, protocol: Protocol, from: SocketAddrV4, to: SocketAddrV4) -> SocketAddrV4 {
    match nat.outbound(at(0), Flow { protocol, source: from, destination: to }, SYN) {
        Verdict::Pass(flow) => flow.source,
        other => panic!("{from} -> {to}: {other:?}"),
    }
}
