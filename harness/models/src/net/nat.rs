//! Network address translation in the terms of RFC 4787 (UDP), RFC 5382 (TCP) and RFC 5508 (ICMP echo).
//!
//! - [`config`]: mapping, filtering, ports, time-outs, and the presets that topologies name.
//! - `outside`: the addresses, and which of their ports an inside host may have.
//! - `table`: the mappings, by inside and by outside endpoint, and their expiry.
//! - `connection`: the state of one TCP connection.
//! - `mapping`: one mapping: the remote hosts that it lets in, and the TCP connections over it.
//! - [`leases`]: mappings that inside hosts ask for, and those that are configured.
//! - [`identification`]: what tells the fragments of different hosts' datagrams apart.
//!
//! Choices that the RFCs leave open: only packets from inside keep a mapping alive (RFC 4787 REQ-6 allows it, and no
//! stranger can then hold one open); each mapping has an outside port of its own (no overloading); the parity of ports is
//! not kept (RFC 7857 relaxes RFC 4787 REQ-4); ports below 1024 are used only where an inside port is preserved; a
//! segment that begins nothing and belongs to no connection is not let in from outside, whatever the filtering.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use butter::core::random::{Random, child};
use butter::core::time::Time;
use rand::Rng;
use serde::{Deserialize, Serialize};

pub mod config;
pub(super) mod connection;
pub mod identification;
pub mod leases;
mod mapping;
mod outside;
mod table;
#[cfg(test)]
mod tests;

pub use config::{Dependence, MappingProtocol, NatConfig, PortBlock, Ports};
pub use leases::{Forward, Granted, Lease, Refused, Wanted};
use mapping::{Mapping, Remote};
use outside::{Outside, Place, Wish};
use table::{Key, Table};

/// Lowest outside port that is assigned, except to an inside port that is preserved.
pub const PORT_MIN: u16 = 1_024;
/// Most mappings of one protocol at one outside address: half the ports, so that a free one is found in a few tries.
pub const MAPPINGS_MAX: usize = 32_768;

/// A transport protocol that is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// User Datagram Protocol, RFC 768.
    Udp,
    /// Transmission Control Protocol, RFC 9293.
    Tcp,
    /// ICMP echo, its identifier in place of the inside port; the other side's port counts for nothing.
    Echo,
}

/// A packet as a NAT sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Transport protocol of the packet.
    pub protocol: Protocol,
    /// Endpoint that sent the packet.
    pub source: SocketAddrV4,
    /// Endpoint that the packet is for.
    pub destination: SocketAddrV4,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, with these addresses, to the side opposite to where it came from.
    Pass(Flow),
    /// It came from inside and goes back inside, with these addresses.
    Hairpin(Flow),
    /// It is dropped, for this reason.
    Drop(NatDrop),
}

/// Why a NAT drops a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NatDrop {
    /// From outside, to a port without a mapping.
    NoMapping,
    /// From outside, by a host that the filter does not let in.
    Filtered,
    /// From inside, and every outside port is taken.
    NoPort,
    /// From inside, by a host that has all the mappings that it may have.
    Quota,
    /// From inside to an own outside address, and this NAT has no hairpin.
    NoHairpin,
}

/// The flags of a TCP segment that a NAT follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags {
    /// Set in the segments that open a connection.
    pub syn: bool,
    /// Set when the sender closes its direction.
    pub fin: bool,
    /// Set when the sender aborts the connection.
    pub rst: bool,
}

/// A NAT with its table.
#[derive(Debug)]
pub struct Nat {
    config: NatConfig,
    outside: Outside,
    forwards: Vec<Forward>,
    random: Random,
    table: Table,
    /// Mappings that were asked for; some of them may have ended.
    leased: BTreeSet<(Protocol, Place)>,
    /// When it last forgot everything.
    since: Time,
}

impl Nat {
    /// An empty one, with its outside addresses.
    ///
    /// # Panics
    /// If there are no addresses or more than 255: a checked configuration has from 1 to 255.
    pub fn new(config: NatConfig, addresses: &[Ipv4Addr], seed: u64) -> Self {
        let mut random = child(seed, 0);
        Nat {
            outside: Outside::new(&config, addresses, seed, &mut random),
            config,
            forwards: Vec::new(),
            random,
            table: Table::new(seed),
            leased: BTreeSet::new(),
            since: Time::ZERO,
        }
    }

    /// The same with ports that always lead inside.
    #[must_use]
    pub fn with_forwards(mut self, forwards: &[Forward]) -> Self {
        self.forwards = forwards.to_vec();
        self.set_forwards();
        self
    }

    /// Forgets every mapping, granted ones too, and has these outside addresses from now on: what a router does that was
    /// switched off and on, or whose carrier gave it another address. What is configured stays.
    ///
    /// # Panics
    /// As [`Nat::new`].
    pub fn rebind(&mut self, now: Time, addresses: &[Ipv4Addr]) {
        let seed = self.random.next_u64();
        self.outside = Outside::new(&self.config, addresses, seed, &mut self.random);
        self.table = Table::new(seed);
        self.leased.clear();
        self.since = now;
        self.set_forwards();
    }

    /// When it last forgot everything: RFC 6887 §8.5 counts its epoch from there.
    pub fn since(&self) -> Time {
        self.since
    }

    /// The external addresses, in the order of the plan.
    pub fn addresses(&self) -> &[Ipv4Addr] {
        self.outside.addresses()
    }

    /// The configuration that it was made with.
    pub fn config(&self) -> &NatConfig {
        &self.config
    }

    /// A packet from inside. `tcp` tells the flags that matter, for TCP.
    pub fn outbound(&mut self, now: Time, flow: Flow, tcp: TcpFlags) -> Verdict {
        self.table.expire(now, &mut self.outside);
        let hairpin = self.outside.place(flow.destination);
        if hairpin.is_some() && !self.config.hairpin {
            return Verdict::Drop(NatDrop::NoHairpin);
        }
        let place = match self.map(now, flow, tcp) {
            Ok(place) => place,
            Err(why) => return Verdict::Drop(why),
        };
        // RFC 4787 REQ-9a: a hairpinned packet, too, comes from the outside endpoint.
        let seen = Flow { source: self.outside.endpoint(place), ..flow };
        match hairpin {
            None => Verdict::Pass(seen),
            Some(to) => match self.admit(now, seen, to, tcp) {
                Ok(inside) => Verdict::Hairpin(Flow { destination: inside, ..seen }),
                Err(drop) => Verdict::Drop(drop),
            },
        }
    }

    /// A packet from outside, to an outside address of this NAT.
    pub fn inbound(&mut self, now: Time, flow: Flow, tcp: TcpFlags) -> Verdict {
        self.table.expire(now, &mut self.outside);
        let Some(to) = self.outside.place(flow.destination) else { return Verdict::Drop(NatDrop::NoMapping) };
        match self.admit(now, flow, to, tcp) {
            Ok(inside) => Verdict::Pass(Flow { destination: inside, ..flow }),
            Err(drop) => Verdict::Drop(drop),
        }
    }

    /// What an ICMP error from outside is about: `inner` is the packet that it quotes, as it left this NAT. The answer is
    /// that packet as it came from inside, if it did. Changes nothing (RFC 4787 REQ-12, RFC 5508 REQ-6).
    pub fn inbound_error(&mut self, now: Time, inner: Flow) -> Option<Flow> {
        self.table.expire(now, &mut self.outside);
        let mapping = self.table.at(inner.protocol, self.outside.place(inner.source)?)?;
        let known = mapping.lets_in(now, Remote::of(inner.protocol, inner.destination), &self.config);
        known.then_some(Flow { source: mapping.inside, ..inner })
    }

    /// What an ICMP error from inside is about: `inner` is the packet that it quotes, as it came in. The answer is that
    /// packet as it came to this NAT, if it did. Changes nothing.
    pub fn outbound_error(&mut self, now: Time, inner: Flow) -> Option<Flow> {
        self.table.expire(now, &mut self.outside);
        let place = self.came_by(now, inner)?;
        Some(Flow { destination: self.outside.endpoint(place), ..inner })
    }

    /// What an ICMP error from inside is about that goes back inside: `inner` is a packet that came by hairpin. The answer
    /// is that packet as its sender sent it (RFC 5508 REQ-7).
    pub fn hairpin_error(&mut self, now: Time, inner: Flow) -> Option<Flow> {
        let seen = self.outbound_error(now, inner)?;
        self.inbound_error(now, seen).filter(|_| self.config.hairpin)
    }

    /// Live mappings, as of the last packet or [`Nat::expire`].
    pub fn mappings(&self) -> usize {
        self.table.len()
    }

    /// Forgets the mappings whose time is over. Every packet does that first; it is only of use before [`Nat::mappings`].
    pub fn expire(&mut self, now: Time) {
        self.table.expire(now, &mut self.outside);
    }

    /// The mapping that a packet from inside uses.
    fn find(&self, protocol: Protocol, inside: SocketAddrV4, remote: SocketAddrV4) -> Option<Place> {
        let depends = self.config.mapping != Dependence::EndpointIndependent;
        let standing = (depends && !self.leased.is_empty()).then(|| self.table.find(&standing_key(protocol, inside)));
        standing.flatten().or_else(|| self.table.find(&self.key(protocol, inside, remote)))
    }

    /// The mapping by which a packet came in that now is as the inside endpoint sees it. It need not be the one that an
    /// answer would use: where filtering is less strict than mapping, strangers come by mappings made for others. Where
    /// several would have let it in, nothing tells which one did.
    fn came_by(&self, now: Time, inner: Flow) -> Option<Place> {
        let (protocol, inside, remote) = (inner.protocol, inner.destination, inner.source);
        let lets_in = |&place: &Place| {
            let mapping = self.table.at(protocol, place);
            mapping.is_some_and(|mapping| mapping.lets_in(now, Remote::of(protocol, remote), &self.config))
        };
        let answers = self.find(protocol, inside, remote).filter(lets_in);
        answers.or_else(|| self.table.of_inside(protocol, inside).find(lets_in))
    }

    fn key(&self, protocol: Protocol, inside: SocketAddrV4, remote: SocketAddrV4) -> Key {
        Key { protocol, inside, scope: Remote::of(protocol, remote).as_far_as(self.config.mapping) }
    }

    /// The outside endpoint for a packet from inside, whose mapping is made or refreshed.
    fn map(&mut self, now: Time, flow: Flow, tcp: TcpFlags) -> Result<Place, NatDrop> {
        let remote = Remote::of(flow.protocol, flow.destination);
        if let Some(place) = self.find(flow.protocol, flow.source, flow.destination) {
            self.table.update(flow.protocol, place, |mapping| mapping.sent(now, remote, tcp, &self.config));
            return Ok(place);
        }
        // No host has port 0, but identifier 0 is one like any other.
        let keepable = flow.source.port() != 0 || flow.protocol == Protocol::Echo;
        let keeps = self.config.ports == Ports::Preserve && keepable;
        let port = keeps.then_some(flow.source.port());
        let wish = Wish { protocol: flow.protocol, inside: flow.source, port, exact: false };
        let table = &self.table;
        let place = self.outside.take(wish, &mut self.random, |place| table.at(flow.protocol, place).is_none())?;
        let mut mapping = Mapping::new(flow.protocol, flow.source);
        mapping.sent(now, remote, tcp, &self.config);
        self.table.insert(self.key(flow.protocol, flow.source, flow.destination), place, mapping);
        Ok(place)
    }

    /// The inside endpoint that a packet to one of the outside endpoints reaches, if its mapping lets it in.
    fn admit(&mut self, now: Time, flow: Flow, to: Place, tcp: TcpFlags) -> Result<SocketAddrV4, NatDrop> {
        let remote = Remote::of(flow.protocol, flow.source);
        let config = &self.config;
        let admitted = self
            .table
            .update(flow.protocol, to, |mapping| mapping.received(now, remote, tcp, config).then_some(mapping.inside));
        admitted.ok_or(NatDrop::NoMapping)?.ok_or(NatDrop::Filtered)
    }
}

/// The key of a mapping that does not depend on the other side.
fn standing_key(protocol: Protocol, inside: SocketAddrV4) -> Key {
    let unspecified = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
    Key { protocol, inside, scope: Remote::of(protocol, unspecified) }
}
