//! Network address translation in the terms of RFC 4787 (UDP), RFC 5382 (TCP) and RFC 5508 (ICMP echo).
//!
//! - [`config`]: mapping, filtering, ports, time-outs, and the presets that topologies name.
//! - `table`: the mappings, by inside endpoint and by outside port, and their expiry.
//! - `mapping`: one mapping: whom it lets in, and the TCP connections over it.
//!
//! Choices that the RFCs leave open: only packets from inside keep a mapping alive (RFC 4787 REQ-6 allows it, and no
//! stranger can then hold one open); each mapping has an outside port of its own (no overloading); the parity of ports is
//! not kept (RFC 7857 relaxes RFC 4787 REQ-4); ports below 1024 are used only where an inside port is preserved; a
//! segment that begins nothing and belongs to no connection is not let in from outside, whatever the filtering.

use std::net::{Ipv4Addr, SocketAddrV4};

use butter::core::random::{Random, child};
use butter::core::time::Time;
use rand::RngExt;

pub mod config;
mod mapping;
mod table;
#[cfg(test)]
mod tests;

pub use config::{Dependence, NatConfig, Ports};
use mapping::{Mapping, Remote};
use table::{Key, Table};

/// Lowest outside port that is assigned, except to an inside port that is preserved.
pub const PORT_MIN: u16 = 1_024;
/// Most mappings of one protocol: half the ports, so that a free one is found in a few tries.
pub const MAPPINGS_MAX: usize = 32_768;

/// A transport protocol that is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// ICMP echo, its identifier in place of the inside port; the other side's port counts for nothing.
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

/// A NAT with its table.
#[derive(Debug)]
pub struct Nat {
    config: NatConfig,
    outside: Ipv4Addr,
    random: Random,
    /// Where [`Ports::Sequential`] looks next.
    next_port: u16,
    table: Table,
}

impl Nat {
    /// An empty one, with its outside address.
    pub fn new(config: NatConfig, outside: Ipv4Addr, seed: u64) -> Self {
        let mut random = child(seed, 0);
        let next_port = random.random_range(PORT_MIN..=u16::MAX);
        Nat { config, outside, random, next_port, table: Table::new(seed) }
    }

    /// A packet from inside. `tcp` tells the flags that matter, for TCP.
    pub fn outbound(&mut self, now: Time, flow: Flow, tcp: TcpFlags) -> Verdict {
        self.table.expire(now);
        let hairpin = *flow.destination.ip() == self.outside;
        if hairpin && !self.config.hairpin {
            return Verdict::Drop(NatDrop::NoHairpin);
        }
        let Some(port) = self.map(now, flow, tcp) else { return Verdict::Drop(NatDrop::NoPort) };
        // RFC 4787 REQ-9a: a hairpinned packet, too, comes from the outside endpoint.
        let seen = Flow { source: SocketAddrV4::new(self.outside, port), ..flow };
        match hairpin {
            false => Verdict::Pass(seen),
            true => match self.admit(now, seen, tcp) {
                Ok(inside) => Verdict::Hairpin(Flow { destination: inside, ..seen }),
                Err(drop) => Verdict::Drop(drop),
            },
        }
    }

    /// A packet from outside, to an outside address of this NAT.
    pub fn inbound(&mut self, now: Time, flow: Flow, tcp: TcpFlags) -> Verdict {
        self.table.expire(now);
        match self.admit(now, flow, tcp) {
            Ok(inside) => Verdict::Pass(Flow { destination: inside, ..flow }),
            Err(drop) => Verdict::Drop(drop),
        }
    }

    /// What an ICMP error from outside is about: `inner` is the packet that it quotes, as it left this NAT. The answer is
    /// that packet as it came from inside, if it did. Changes nothing (RFC 4787 REQ-12, RFC 5508 REQ-6).
    pub fn inbound_error(&mut self, now: Time, inner: Flow) -> Option<Flow> {
        self.table.expire(now);
        if *inner.source.ip() != self.outside {
            return None;
        }
        let mapping = self.table.at(inner.protocol, inner.source.port())?;
        let known = mapping.lets_in(now, Remote::of(inner.protocol, inner.destination), &self.config);
        known.then_some(Flow { source: mapping.inside, ..inner })
    }

    /// What an ICMP error from inside is about: `inner` is the packet that it quotes, as it came in. The answer is that
    /// packet as it came to this NAT, if it did. Changes nothing.
    pub fn outbound_error(&mut self, now: Time, inner: Flow) -> Option<Flow> {
        self.table.expire(now);
        let port = self.table.find(&self.key(inner.protocol, inner.destination, inner.source))?;
        Some(Flow { destination: SocketAddrV4::new(self.outside, port), ..inner })
    }

    /// Live mappings, as of the last packet or [`Nat::expire`].
    pub fn mappings(&self) -> usize {
        self.table.len()
    }

    /// Forgets the mappings whose time is over. Every packet does that first; it is only of use before [`Nat::mappings`].
    pub fn expire(&mut self, now: Time) {
        self.table.expire(now);
    }

    fn key(&self, protocol: Protocol, inside: SocketAddrV4, remote: SocketAddrV4) -> Key {
        Key { protocol, inside, scope: Remote::of(protocol, remote).as_far_as(self.config.mapping) }
    }

    /// The outside port for a packet from inside, whose mapping is made or refreshed.
    fn map(&mut self, now: Time, flow: Flow, tcp: TcpFlags) -> Option<u16> {
        let key = self.key(flow.protocol, flow.source, flow.destination);
        let remote = Remote::of(flow.protocol, flow.destination);
        if let Some(port) = self.table.find(&key) {
            self.table.update(flow.protocol, port, |mapping| mapping.sent(now, remote, tcp, &self.config));
            return Some(port);
        }
        let port = self.choose_port(flow)?;
        let mut mapping = Mapping::new(flow.protocol, flow.source);
        mapping.sent(now, remote, tcp, &self.config);
        self.table.insert(key, port, mapping);
        Some(port)
    }

    /// The inside endpoint that a packet from outside reaches, if its mapping lets it in.
    fn admit(&mut self, now: Time, flow: Flow, tcp: TcpFlags) -> Result<SocketAddrV4, NatDrop> {
        let remote = Remote::of(flow.protocol, flow.source);
        let config = &self.config;
        let admitted = self.table.update(flow.protocol, flow.destination.port(), |mapping| {
            mapping.received(now, remote, tcp, config).then_some(mapping.inside)
        });
        admitted.ok_or(NatDrop::NoMapping)?.ok_or(NatDrop::Filtered)
    }

    fn choose_port(&mut self, flow: Flow) -> Option<u16> {
        if self.table.count(flow.protocol) >= MAPPINGS_MAX {
            return None;
        }
        let free = |port: u16, table: &Table| table.at(flow.protocol, port).is_none();
        let wanted = flow.source.port();
        // Port 0 is nobody's, but identifier 0 is one like any other.
        let keepable = wanted != 0 || flow.protocol == Protocol::Echo;
        if self.config.ports == Ports::Preserve && keepable && free(wanted, &self.table) {
            return Some(wanted);
        }
        let start = match self.config.ports {
            Ports::Sequential => self.next_port,
            Ports::Preserve | Ports::Random => self.random.random_range(PORT_MIN..=u16::MAX),
        };
        let port = (start..=u16::MAX).chain(PORT_MIN..start).find(|&port| free(port, &self.table))?;
        if self.config.ports == Ports::Sequential {
            self.next_port = port.checked_add(1).unwrap_or(PORT_MIN);
        }
        Some(port)
    }
}
