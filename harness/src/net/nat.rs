//! Network address translation in the terms of RFC 4787 (UDP) and RFC 5382 (TCP).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use butter::core::time::Time;
use serde::{Deserialize, Serialize};

/// How a NAT behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatConfig {
    /// When a new outside port is taken (RFC 4787 §4.1).
    pub mapping: Dependence,
    /// Who may answer (RFC 4787 §5).
    pub filtering: Dependence,
    /// How outside ports are chosen (RFC 4787 §4.2).
    pub ports: Ports,
    /// Whether inside hosts reach each other through outside addresses (RFC 4787 §6).
    pub hairpin: bool,
    /// Life of an idle UDP mapping (RFC 4787 §4.3).
    pub udp_timeout: Duration,
    /// Life of an idle established TCP connection (RFC 5382 §5).
    pub tcp_timeout: Duration,
}

/// Life of an idle UDP mapping where a preset is not told otherwise: the shortest that RFC 4787 REQ-5 allows, so that
/// software which counts on more is found out.
pub const UDP_TIMEOUT: Duration = Duration::from_secs(2 * 60);
/// Life of an idle established TCP connection where a preset is not told otherwise (RFC 5382 REQ-5: at least 2 hours 4 minutes).
pub const TCP_TIMEOUT: Duration = Duration::from_secs((2 * 60 + 4) * 60);

impl NatConfig {
    /// Once an inside endpoint has sent anything, everybody reaches it: what RFC 4787 asks for where transparency matters
    /// most (REQ-1, REQ-8).
    pub fn full_cone() -> Self {
        NatConfig {
            mapping: Dependence::EndpointIndependent,
            filtering: Dependence::EndpointIndependent,
            ports: Ports::Preserve,
            hairpin: true,
            udp_timeout: UDP_TIMEOUT,
            tcp_timeout: TCP_TIMEOUT,
        }
    }

    /// As [`NatConfig::full_cone`], but only addresses that the inside endpoint has sent to reach it: RFC 4787 REQ-8's
    /// stricter choice.
    pub fn address_restricted() -> Self {
        NatConfig { filtering: Dependence::AddressDependent, ..Self::full_cone() }
    }

    /// As [`NatConfig::full_cone`], but only endpoints that the inside endpoint has sent to reach it: most home routers.
    pub fn port_restricted() -> Self {
        NatConfig { filtering: Dependence::AddressAndPortDependent, ..Self::full_cone() }
    }

    /// A new random outside port for every other endpoint, which alone may answer; no hairpin. Not what RFC 4787 allows
    /// (REQ-1, REQ-9), but met in offices and mobile networks.
    pub fn symmetric() -> Self {
        NatConfig {
            mapping: Dependence::AddressAndPortDependent,
            filtering: Dependence::AddressAndPortDependent,
            ports: Ports::Random,
            hairpin: false,
            ..Self::full_cone()
        }
    }

    /// A carrier's NAT as RFC 6888 wants it: mapping as RFC 4787 demands (REQ-1: endpoint-independent), filtering
    /// endpoint-independent (REQ-7 recommends it), hairpin (subscribers must reach each other), ports at random (REQ-15
    /// asks for protection against guessing), which is where it differs from [`NatConfig::full_cone`].
    pub fn cgnat() -> Self {
        NatConfig { ports: Ports::Random, ..Self::full_cone() }
    }
}

/// On how much of the other side's address something depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dependence {
    /// On nothing.
    EndpointIndependent,
    /// On its address.
    AddressDependent,
    /// On its address and port.
    AddressAndPortDependent,
}

/// How outside ports are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ports {
    /// The inside port where it is free.
    Preserve,
    /// The next free one.
    Sequential,
    /// Any free one.
    Random,
}

/// A transport protocol that is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// ICMP echo, its identifier in place of the port.
    Echo,
}

/// A packet as a NAT sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Its protocol.
    pub protocol: Protocol,
    /// Where it comes from.
    pub source: SocketAddrV4,
    /// Where it goes.
    pub destination: SocketAddrV4,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, with these addresses, to the side opposite to where it came from.
    Pass(Flow),
    /// It came from inside and goes back inside, with these addresses.
    Hairpin(Flow),
    /// It does not.
    Drop(NatDrop),
}

/// Why a NAT drops a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NatDrop {
    /// From outside, to a port that maps to nobody.
    NoMapping,
    /// From outside, by a host that the filter does not let in.
    Filtered,
    /// From inside, and every outside port is taken.
    NoPort,
    /// From inside to an own outside address, and this NAT has no hairpin.
    NoHairpin,
}

/// A NAT with its table.
#[derive(Debug)]
pub struct Nat {
    _config: NatConfig,
}

impl Nat {
    /// An empty one, with its outside address.
    pub fn new(config: NatConfig, _outside: Ipv4Addr, _seed: u64) -> Self {
        Nat { _config: config }
    }

    /// A packet from inside. `tcp` tells the flags that matter, for TCP.
    pub fn outbound(&mut self, _now: Time, flow: Flow, _tcp: TcpFlags) -> Verdict {
        Verdict::Pass(flow)
    }

    /// A packet from outside, to an outside address of this NAT.
    pub fn inbound(&mut self, _now: Time, flow: Flow, _tcp: TcpFlags) -> Verdict {
        Verdict::Pass(flow)
    }

    /// Live mappings.
    pub fn mappings(&self) -> usize {
        0
    }
}

/// The flags of a TCP segment that a NAT follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags {
    /// SYN.
    pub syn: bool,
    /// FIN.
    pub fin: bool,
    /// RST.
    pub rst: bool,
}
