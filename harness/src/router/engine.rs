//! The router without its sockets: frames in, frames out, some of them later.
//!
//! A packet from inside is translated, then crosses the link `up`; one from outside is translated, then crosses `down`. What
//! goes back to the side that it came from crosses no link. IPv6 is in [`ipv6`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use butter::core::random::child;
use butter::core::time::Time;
use rand::Rng;

use super::config::{RouterConfig, Side};
use super::neighbours::{Mac, Neighbours};
use super::offload::Offload;
use super::pipe::{Crossing, Pipe};
use super::routes::{Hop, Routes};
use super::stats::{Cause, Direction, Stats};
use crate::net::link::LinkConfig;
use crate::net::nat::{Flow, Nat, Verdict};
use crate::net::packet::errors::{self, Problem};
use crate::net::packet::fragments::Fragments;
use crate::net::packet::segments::Segments;
use crate::net::packet::{Checksum, Content, Echo, Fragment, Packet, decrement_ttl, segments};

/// Length of an Ethernet header, in bytes.
pub const ETHERNET_LEN: usize = 14;
/// Most ICMP errors that a router sends in a second (RFC 1812 §4.3.2.8 wants a limit).
pub const ERRORS_PER_SECOND_MAX: u32 = 1_000;

mod ipv6;
#[cfg(test)]
mod tests;

use ipv6::Ipv6;

const TYPE_IPV4: [u8; 2] = [0x08, 0x00];
/// EtherType of IPv6.
pub const TYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const TYPE_ARP: [u8; 2] = [0x08, 0x06];
const BROADCAST: Mac = [0xff; 6];
/// How the link-layer addresses of IPv6's groups begin (RFC 2464 §7).
const GROUP_OF_IPV6: [u8; 2] = [0x33, 0x33];

/// A side of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// The LAN.
    Inside,
    /// The network that it is behind.
    Outside,
}

/// The interface of a side.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// Its link-layer address.
    pub mac: Mac,
    /// The longest packet that it takes, in bytes.
    pub mtu: u32,
}

/// Takes a frame to be sent.
pub type Out<'a> = dyn FnMut(Face, Offload, &[u8]) + 'a;

/// A router.
#[derive(Debug)]
pub struct Engine {
    inside: Port,
    outside: Option<Port>,
    routes: Routes,
    nat: Option<Nat>,
    up: Pipe,
    down: Pipe,
    /// First fragments from inside, and from outside.
    fragments: [Fragments<Plan>; 2],
    errors: ErrorLimit,
    ipv6: Option<Ipv6>,
    stats: Stats,
    /// Reused for each segment that is cut.
    segment: Vec<u8>,
}

/// A side with its interface.
#[derive(Debug)]
struct Port {
    side: Side,
    interface: Interface,
    neighbours: Neighbours,
}

/// What is to be done with a packet.
#[derive(Clone, Copy, Debug)]
struct Plan {
    rewrite: Rewrite,
    hop: Hop,
}

#[derive(Clone, Copy, Debug)]
enum Rewrite {
    Nothing,
    Flow(Flow),
    /// Only the addresses.
    Addresses(Ipv4Addr, Ipv4Addr),
    /// An ICMP error now about this flow, and its addresses.
    Error(Flow, Ipv4Addr, Ipv4Addr),
}

/// The way of a packet that is forwarded.
#[derive(Clone, Copy, Debug)]
struct Way {
    direction: Direction,
    face: Face,
    next: IpAddr,
    offload: Offload,
}

/// Why a packet is not forwarded, and what its sender is told.
struct Refusal {
    cause: Option<Cause>,
    problem: Option<Problem>,
}

impl From<Cause> for Refusal {
    fn from(cause: Cause) -> Self {
        Refusal { cause: Some(cause), problem: None }
    }
}

impl Refusal {
    /// Not the router's business, and nothing wrong with it.
    const IGNORED: Refusal = Refusal { cause: None, problem: None };

    fn telling(cause: Cause, problem: Problem) -> Self {
        Refusal { cause: Some(cause), problem: Some(problem) }
    }
}

impl Engine {
    /// A router on these interfaces.
    ///
    /// # Panics
    /// If it has an outside but no interface there, or the reverse.
    pub fn new(config: &RouterConfig, inside: Interface, outside: Option<Interface>) -> Self {
        let seed = |purpose| child(config.seed, purpose).next_u64();
        let port = |side: Side, addresses: Vec<Ipv4Addr>, interface: Interface, answers| {
            let permanent: BTreeMap<Ipv4Addr, Mac> =
                config.neighbours.iter().filter(|(ip, _)| side.subnet.contains(ip)).copied().collect();
            Port { side, interface, neighbours: Neighbours::new(addresses, interface.mac, answers, permanent) }
        };
        assert_eq!(config.outside.is_some(), outside.is_some(), "a side needs an interface");
        let is_root = config.outside.is_none();
        let ipv6 = config.ipv6.as_ref().map(|ipv6| Ipv6::new(ipv6, (inside, outside), is_root, seed(6)));
        let addresses = config.outside_addresses();
        let outside =
            config.outside.zip(outside).map(|(side, interface)| port(side, addresses.clone(), interface, true));
        let nat = config.nat.clone().filter(|_| outside.is_some());
        Engine {
            routes: Routes::new(config),
            nat: nat.map(|nat| Nat::new(nat, &addresses, seed(1)).with_forwards(&config.forwards)),
            // The kernel has the inside address and answers for it.
            inside: port(config.inside, vec![config.inside.address], inside, false),
            outside,
            up: Pipe::new(&config.up, seed(2)),
            down: Pipe::new(&config.down, seed(3)),
            fragments: [Fragments::new(seed(4)), Fragments::new(seed(5))],
            errors: ErrorLimit::default(),
            ipv6,
            stats: Stats::default(),
            segment: Vec::new(),
        }
    }

    /// Has the NAT, if there is one, forget every mapping and have these addresses outside, one at least.
    pub fn rebind(&mut self, now: Time, addresses: &[Ipv4Addr]) {
        let (Some(nat), Some(outside)) = (&mut self.nat, &mut self.outside) else { return };
        nat.rebind(now, addresses);
        outside.side.address = addresses[0];
        outside.neighbours.readdress(addresses.to_vec());
        // They name the old addresses.
        self.fragments.iter_mut().for_each(Fragments::clear);
    }

    /// Changes the uplink; frames on it keep their fate.
    pub fn set_link(&mut self, up: &LinkConfig, down: &LinkConfig) {
        self.up.change(up);
        self.down.change(down);
    }

    /// The NAT, if there is one.
    pub fn nat_mut(&mut self) -> Option<&mut Nat> {
        self.nat.as_mut()
    }

    /// What was counted.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Counts a drop that happened outside of the engine.
    pub fn count_drops(&mut self, cause: Cause, packets: u64) {
        self.stats.dropped[cause as usize] += packets;
    }

    /// Live mappings of the NAT; nothing without one.
    pub fn mappings(&mut self, now: Time) -> Option<usize> {
        let nat = self.nat.as_mut()?;
        nat.expire(now);
        Some(nat.mappings())
    }

    /// When [`Engine::advance`] has something to do.
    pub fn next_due(&self) -> Time {
        let outside = self.outside.as_ref().map_or(Time::NEVER, |port| port.neighbours.next_due());
        let ipv6 = self.ipv6.as_ref().map_or(Time::NEVER, Ipv6::next_due);
        self.up.next_due().min(self.down.next_due()).min(self.inside.neighbours.next_due()).min(outside).min(ipv6)
    }

    /// Does what is due: frames that are across their link go on, neighbours are asked again.
    pub fn advance(&mut self, now: Time, out: &mut Out<'_>) {
        while let Some(mut frame) = self.up.arrived(now) {
            self.transmit(now, Face::Outside, frame.next_hop, frame.offload, &mut frame.frame, out);
        }
        while let Some(mut frame) = self.down.arrived(now) {
            self.transmit(now, Face::Inside, frame.next_hop, frame.offload, &mut frame.frame, out);
        }
        for face in [Face::Inside, Face::Outside] {
            let (inside, outside) = (&mut self.inside, &mut self.outside);
            let Some(port) = by_face(inside, outside, face) else { continue };
            port.neighbours.advance(now, &mut self.stats, &mut |offload, frame| out(face, offload, frame));
        }
        self.advance6(now, out);
    }

    /// A frame has come.
    pub fn receive(&mut self, now: Time, face: Face, offload: Offload, frame: &mut [u8], out: &mut Out<'_>) {
        let (inside, outside) = (&mut self.inside, &mut self.outside);
        let Some(port) = by_face(inside, outside, face) else { return };
        if frame.len() < ETHERNET_LEN {
            return self.stats.drop(Cause::Malformed);
        }
        let to_us = frame[..6] == port.interface.mac;
        match [frame[12], frame[13]] {
            TYPE_ARP if to_us || frame[..6] == BROADCAST => {
                port.neighbours.heard(now, &frame[ETHERNET_LEN..], &mut |offload, frame| out(face, offload, frame));
            }
            TYPE_IPV4 if to_us => {
                if let Err(refusal) = self.forward(now, face, offload, frame, out) {
                    self.refuse(now, face, refusal, frame, out);
                }
            }
            TYPE_IPV6 if to_us || frame[..2] == GROUP_OF_IPV6 => self.receive6(now, face, offload, frame, out),
            _ => {}
        }
    }

    fn forward(
        &mut self,
        now: Time,
        face: Face,
        offload: Offload,
        frame: &mut [u8],
        out: &mut Out<'_>,
    ) -> Result<(), Refusal> {
        let packet = Packet::parse(&frame[ETHERNET_LEN..]).map_err(|_| Cause::Malformed)?;
        let frame = &mut frame[..ETHERNET_LEN + packet.total_len];
        let kind = checked_offload(&packet, offload)?;
        self.is_for_forwarding(face, &packet)?;
        if packet.ttl <= 1 {
            return Err(Refusal::telling(Cause::TtlExceeded, Problem::TimeExceeded));
        }
        let plan = self.plan(now, face, &packet)?;
        self.fits(plan.hop.face, &packet, offload, frame)?;
        if packet.fragment == Fragment::First
            && let Rewrite::Flow(flow) = plan.rewrite
        {
            let rewrite = Rewrite::Addresses(*flow.source.ip(), *flow.destination.ip());
            self.fragments[face as usize].first(now, &packet, Plan { rewrite, ..plan });
        }
        let bytes = &mut frame[ETHERNET_LEN..];
        match plan.rewrite {
            Rewrite::Nothing => {}
            Rewrite::Flow(flow) => packet.translate(bytes, flow, kind),
            Rewrite::Addresses(source, destination) => packet.readdress(bytes, source, destination),
            Rewrite::Error(about, source, destination) => packet.translate_error(bytes, about, source, destination),
        }
        decrement_ttl(bytes);
        let Hop { face: to, next } = plan.hop;
        let way = Way { direction: direction(face, to), face: to, next: next.into(), offload };
        self.send(now, way, packet.total_len, |bytes, size| segments::cut(&packet, bytes, size), frame, out);
        Ok(())
    }

    /// Whether a router forwards it at all.
    fn is_for_forwarding(&self, face: Face, packet: &Packet) -> Result<(), Refusal> {
        let is_host =
            |ip: Ipv4Addr| !ip.is_multicast() && !ip.is_broadcast() && !ip.is_unspecified() && !ip.is_loopback();
        // The kernel has the inside address; groups and broadcasts stay where they are.
        let kernels = face == Face::Inside && packet.destination == self.inside.side.address;
        if kernels || !is_host(packet.destination) || self.routes.is_broadcast(packet.destination) {
            return Err(Refusal::IGNORED);
        }
        if is_host(packet.source) { Ok(()) } else { Err(Cause::Malformed.into()) }
    }

    /// Where a packet goes, and as what.
    fn plan(&mut self, now: Time, face: Face, packet: &Packet) -> Result<Plan, Refusal> {
        let own = self.outside.as_ref().is_some_and(|port| port.neighbours.own().contains(&packet.destination));
        match (face, self.nat.is_some()) {
            (Face::Inside, true) if own => self.plan_outbound(now, packet),
            (Face::Inside, _) => {
                let no_route = || Refusal::telling(Cause::NoRoute, Problem::NetworkUnreachable);
                let hop = self.routes.find(packet.destination).filter(|_| !own).ok_or_else(no_route)?;
                match hop.face {
                    Face::Outside if self.nat.is_some() => self.plan_outbound(now, packet),
                    _ => Ok(Plan { rewrite: Rewrite::Nothing, hop }),
                }
            }
            (Face::Outside, true) if own => self.plan_inbound(now, packet),
            // Nothing from outside passes by the NAT, and an own address is nobody else's.
            (Face::Outside, true) => Err(Cause::NotForUs.into()),
            (Face::Outside, false) if own || packet.destination == self.inside.side.address => {
                Err(Cause::NotForUs.into())
            }
            (Face::Outside, false) => {
                let hop = self.routes.find(packet.destination).filter(|hop| hop.face == Face::Inside);
                Ok(Plan { rewrite: Rewrite::Nothing, hop: hop.ok_or(Cause::NoRoute)? })
            }
        }
    }

    fn plan_outbound(&mut self, now: Time, packet: &Packet) -> Result<Plan, Refusal> {
        let nat = self.nat.as_mut().expect("only a NAT translates");
        let rewrite = match packet.content {
            Content::Flow { echo: Some(Echo::Reply), .. } | Content::Other => return Err(Cause::Untranslatable.into()),
            Content::Flow { flow, tcp, .. } => match nat.outbound(now, flow, tcp) {
                Verdict::Pass(flow) | Verdict::Hairpin(flow) => Rewrite::Flow(flow),
                Verdict::Drop(why) => return Err(Cause::from(why).into()),
            },
            // It comes from the endpoint that the packet in question was sent to.
            Content::Error { about } if nat.addresses().contains(&packet.destination) => {
                let about = nat.hairpin_error(now, about).ok_or(Cause::NoMapping)?;
                Rewrite::Error(about, *about.destination.ip(), *about.source.ip())
            }
            Content::Error { about } => {
                let about = nat.outbound_error(now, about).ok_or(Cause::NoMapping)?;
                Rewrite::Error(about, *about.destination.ip(), packet.destination)
            }
            Content::Later => {
                return Ok(self.fragments[Face::Inside as usize].later(now, packet).ok_or(Cause::Fragment)?);
            }
        };
        self.planned(rewrite, packet)
    }

    fn plan_inbound(&mut self, now: Time, packet: &Packet) -> Result<Plan, Refusal> {
        let nat = self.nat.as_mut().expect("only a NAT translates");
        let rewrite = match packet.content {
            // A question to an own address is for nobody inside, whatever its identifier.
            Content::Flow { echo: Some(Echo::Request), .. } | Content::Other => {
                return Err(Cause::Untranslatable.into());
            }
            Content::Flow { flow, tcp, .. } => match nat.inbound(now, flow, tcp) {
                Verdict::Pass(flow) | Verdict::Hairpin(flow) => Rewrite::Flow(flow),
                Verdict::Drop(why) => return Err(Cause::from(why).into()),
            },
            Content::Error { about } => {
                let about = nat.inbound_error(now, about).ok_or(Cause::NoMapping)?;
                Rewrite::Error(about, packet.source, *about.source.ip())
            }
            Content::Later => {
                return Ok(self.fragments[Face::Outside as usize].later(now, packet).ok_or(Cause::Fragment)?);
            }
        };
        self.planned(rewrite, packet)
    }

    /// Where a translated packet goes.
    fn planned(&self, rewrite: Rewrite, packet: &Packet) -> Result<Plan, Refusal> {
        let destination = match rewrite {
            Rewrite::Flow(flow) => *flow.destination.ip(),
            Rewrite::Addresses(_, destination) | Rewrite::Error(_, _, destination) => destination,
            Rewrite::Nothing => packet.destination,
        };
        let hop = self.routes.find(destination).ok_or(Cause::NoRoute)?;
        Ok(Plan { rewrite, hop })
    }

    /// Whether a packet (or each segment of it) is short enough for where it goes.
    fn fits(&self, face: Face, packet: &Packet, offload: Offload, frame: &[u8]) -> Result<(), Refusal> {
        let mtu = match face {
            Face::Inside => self.inside.interface.mtu,
            Face::Outside => self.outside.as_ref().map_or(0, |port| port.interface.mtu),
        };
        let longest = match offload.segments {
            None => packet.total_len,
            Some(cut) => {
                let headers = segments::header_len(packet, &frame[ETHERNET_LEN..]).ok_or(Cause::Malformed)?;
                packet.total_len.min(headers + usize::from(cut.size))
            }
        };
        if longest <= mtu as usize {
            return Ok(());
        }
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
        // What may be cut is dropped without a word: no sender here relies on it, and its bytes would hide the loss.
        let problem = packet.dont_fragment.then_some(Problem::TooBig { mtu });
        Err(Refusal { cause: Some(Cause::TooBig), problem })
    }

    /// Sends a packet of `total_len` bytes, which `cut` would cut, on its way: over the link, if it crosses one.
    fn send(
        &mut self,
        now: Time,
        way: Way,
        total_len: usize,
        cut: impl for<'a> Fn(&'a [u8], usize) -> Option<Segments<'a>>,
        frame: &mut [u8],
        out: &mut Out<'_>,
    ) {
        let cuts = match way.direction {
            Direction::Up => self.up.cuts,
            Direction::Down => self.down.cuts,
            Direction::Within => false,
        };
        let Some(size) = way.offload.segments.map(|cut| usize::from(cut.size)) else {
            return self.send_one(now, way, (1, total_len), frame, out);
        };
        let Some(mut pieces) = cut(&frame[ETHERNET_LEN..], size) else {
            return self.stats.drop(Cause::Malformed);
        };
        if !cuts {
            let counts = pieces.count();
            return self.send_one(now, way, counts, frame, out);
        }
        let one = Way { offload: Offload { segments: None, ..way.offload }, ..way };
        let mut segment = std::mem::take(&mut self.segment);
        segment.resize(ETHERNET_LEN, 0);
        segment[12..ETHERNET_LEN].copy_from_slice(&frame[12..ETHERNET_LEN]);
        while pieces.next_into(&mut segment, ETHERNET_LEN) {
            let bytes = segment.len() - ETHERNET_LEN;
            self.send_one(now, one, (1, bytes), &mut segment, out);
        }
        self.segment = segment;
    }

    /// Sends a frame that stands for so many packets, of so many bytes together.
    fn send_one(&mut self, now: Time, way: Way, (packets, bytes): (u64, usize), frame: &mut [u8], out: &mut Out<'_>) {
        let Way { direction, face, next, offload } = way;
        let across = match direction {
            Direction::Up => self.up.send(now, bytes, next, offload, frame),
            Direction::Down => self.down.send(now, bytes, next, offload, frame),
            Direction::Within => Ok(Crossing::Across),
        };
        match across {
            Err(cause) => return self.stats.drop(cause),
            Ok(Crossing::Across) => self.transmit(now, face, next, offload, frame, out),
            Ok(Crossing::UnderWay(alteration)) => {
                self.stats.alter(alteration);
                let copies = 1 + u64::from(alteration.twice);
                return self.stats.forward(direction, copies * packets, copies * bytes as u64);
            }
        }
        self.stats.forward(direction, packets, bytes as u64);
    }

    /// Puts a frame on a side's interface, when its next hop is known.
    fn transmit(&mut self, now: Time, face: Face, to: IpAddr, offload: Offload, frame: &mut [u8], out: &mut Out<'_>) {
        let to = match to {
            IpAddr::V4(to) => to,
            IpAddr::V6(to) => return self.transmit6(now, face, to, offload, frame, out),
        };
        let (inside, outside) = (&mut self.inside, &mut self.outside);
        let Some(port) = by_face(inside, outside, face) else { return };
        port.neighbours.send(now, to, offload, frame, &mut self.stats, &mut |offload, frame| out(face, offload, frame));
    }

    /// Counts a refusal and tells the sender, by the way that the packet came.
    fn refuse(&mut self, now: Time, face: Face, refusal: Refusal, frame: &[u8], out: &mut Out<'_>) {
        if let Some(cause) = refusal.cause {
            self.stats.drop(cause);
        }
        let Some(problem) = refusal.problem else { return };
        let (inside, outside) = (&mut self.inside, &mut self.outside);
        let Some(port) = by_face(inside, outside, face) else { return };
        let bytes = &frame[ETHERNET_LEN..];
        let error =
            Packet::parse(bytes).ok().and_then(|packet| errors::about(&packet, bytes, port.side.address, problem));
        let Some(error) = error.filter(|_| self.errors.allows(now)) else { return };
        let mut reply = Vec::with_capacity(ETHERNET_LEN + error.len());
        reply.extend_from_slice(&frame[6..12]);
        reply.extend_from_slice(&port.interface.mac);
        reply.extend_from_slice(&TYPE_IPV4);
        reply.extend_from_slice(&error);
        out(face, Offload::default(), &reply);
    }
}

fn direction(from: Face, to: Face) -> Direction {
    match (from, to) {
        (Face::Inside, Face::Outside) => Direction::Up,
        (Face::Outside, Face::Inside) => Direction::Down,
        (Face::Inside, Face::Inside) | (Face::Outside, Face::Outside) => Direction::Within,
    }
}

fn by_face<'a>(inside: &'a mut Port, outside: &'a mut Option<Port>, face: Face) -> Option<&'a mut Port> {
    match face {
        Face::Inside => Some(inside),
        Face::Outside => outside.as_mut(),
    }
}

/// How a packet's checksum is to be kept up; an error if what is left to do is not of this packet.
fn checked_offload(packet: &Packet, offload: Offload) -> Result<Checksum, Cause> {
    let is_tcp = match packet.content {
        Content::Flow { flow, echo: None, .. } => Some(flow.protocol == crate::net::nat::Protocol::Tcp),
        _ => None,
    };
    if !is_segmentation_of(offload, is_tcp, false) {
        return Err(Cause::Malformed);
    }
    let Some((start, offset)) = offload.checksum else {
        return if offload.segments.is_none() { Ok(Checksum::Complete) } else { Err(Cause::Offload) };
    };
    let start = usize::from(start).checked_sub(ETHERNET_LEN).ok_or(Cause::Malformed)?;
    if packet.is_checksum(start, usize::from(offset)) { Ok(Checksum::Partial) } else { Err(Cause::Offload) }
}

/// Whether a packet may be cut as asked for, if it is. `is_tcp` is nothing for what is neither TCP nor UDP.
fn is_segmentation_of(offload: Offload, is_tcp: Option<bool>, is_ipv6: bool) -> bool {
    offload.segments.is_none_or(|cut| is_tcp == Some(cut.tcp) && cut.tcp_over_ipv6 == (cut.tcp && is_ipv6))
}

/// Keeps [`ERRORS_PER_SECOND_MAX`].
#[derive(Debug, Default)]
struct ErrorLimit {
    second: u64,
    sent: u32,
}

impl ErrorLimit {
    fn allows(&mut self, now: Time) -> bool {
        let second = now.as_micros() / 1_000_000;
        if second != self.second {
            *self = ErrorLimit { second, sent: 0 };
        }
        self.sent += 1;
        self.sent <= ERRORS_PER_SECOND_MAX
    }
}
