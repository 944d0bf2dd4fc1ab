//! The router without its sockets: frames in, frames out, some of them later.
//!
//! A packet from inside is translated, then crosses the link `up`; one from outside is translated, then crosses `down`. What
//! goes back to the side that it came from crosses no link. What is done with a packet is in [`ipv4`] and [`ipv6`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use butter::core::random::child;
use butter::core::time::Time;
use rand::Rng;

use super::config::{RouterConfig, SideConfig};
use super::frame::{
    BROADCAST, ETHERNET_LEN, FrameOutput, GROUP_OF_IPV6, Interface, Mac, Side, TYPE_ARP, TYPE_IPV4, TYPE_IPV6,
};
use super::link_queue::{LinkQueue, LinkVerdict};
use super::neighbours::Neighbours;
use super::offload::Offload;
use super::routes::Routes;
use super::stats::{DropCause, ForwardDirection, RouterStats};
use super::zone_marks::ZoneMarks;
use crate::net::link::LinkConfig;
use crate::net::nat::Nat;
use crate::net::nat::identification::Identifications;
use crate::net::network_policy::{NetworkFilter, NetworkPolicy};
use crate::net::packet::fragments::{Fragments, OutOfOrderFragments};
use crate::net::packet::segments::Segments;

/// Most ICMP errors that a router sends in a second (RFC 1812 §4.3.2.8 wants a limit).
pub const ERRORS_PER_SECOND_MAX: u32 = 1_000;

mod ipv4;
mod ipv6;
#[cfg(test)]
mod tests;

use ipv4::ForwardPlan;
use ipv6::Ipv6;

/// The data path of a router.
#[derive(Debug)]
pub struct RouterEngine {
    inside: Port,
    outside: Option<Port>,
    routes: Routes,
    nat: Option<Nat>,
    filter: NetworkFilter,
    up: LinkQueue,
    down: LinkQueue,
    /// First fragments from inside, and from outside.
    fragments: [Fragments<ForwardPlan>; 2],
    /// Later ones that came before them.
    out_of_order: [OutOfOrderFragments; 2],
    /// Of what the NAT sends.
    identifications: Identifications,
    errors: ErrorLimit,
    zones: ZoneMarks,
    ipv6: Option<Ipv6>,
    stats: RouterStats,
    /// Reused for each segment that is cut.
    segment: Vec<u8>,
}

/// A side with its interface.
#[derive(Debug)]
struct Port {
    network: SideConfig,
    interface: Interface,
    neighbours: Neighbours,
}

/// The way of a packet that is forwarded.
#[derive(Clone, Copy, Debug)]
struct Forwarding {
    direction: ForwardDirection,
    side: Side,
    next: IpAddr,
    offload: Offload,
    /// How long its packets may be, if longer ones are to be cut into fragments.
    cut_to: Option<usize>,
}

impl RouterEngine {
    /// A router on these interfaces.
    ///
    /// # Panics
    /// If it has an outside but no interface there, or the reverse.
    pub fn new(config: &RouterConfig, inside: Interface, outside: Option<Interface>) -> Self {
        let seed = |purpose| child(config.seed, purpose).next_u64();
        let port = |network: SideConfig, addresses: Vec<Ipv4Addr>, interface: Interface, answers| {
            let permanent: BTreeMap<Ipv4Addr, Mac> =
                config.neighbours.iter().filter(|(ip, _)| network.subnet.contains(ip)).copied().collect();
            Port { network, interface, neighbours: Neighbours::new(addresses, interface.mac, answers, permanent) }
        };
        assert_eq!(config.outside.is_some(), outside.is_some(), "a network needs an interface");
        let is_root = config.outside.is_none();
        let ipv6 = config.ipv6.as_ref().map(|ipv6| Ipv6::new(ipv6, (inside, outside), is_root, seed(6)));
        let addresses = config.outside_addresses();
        let outside =
            config.outside.zip(outside).map(|(network, interface)| port(network, addresses.clone(), interface, true));
        let nat = config.nat.clone().filter(|_| outside.is_some());
        RouterEngine {
            routes: Routes::new(config),
            nat: nat.map(|nat| Nat::new(nat, &addresses, seed(1)).with_forwards(&config.forwards)),
            filter: NetworkFilter::new(config.firewall, seed(8)),
            // The kernel has the inside address and answers for it.
            inside: port(config.inside, vec![config.inside.address], inside, false),
            outside,
            up: LinkQueue::new(&config.up, seed(2)),
            down: LinkQueue::new(&config.down, seed(3)),
            fragments: [Fragments::new(seed(4)), Fragments::new(seed(5))],
            out_of_order: Default::default(),
            identifications: Identifications::new(seed(7)),
            errors: ErrorLimit::default(),
            zones: ZoneMarks::new(&config.zones),
            ipv6,
            stats: RouterStats::default(),
            segment: Vec::new(),
        }
    }

    /// Has the NAT, if there is one, forget every mapping and have these addresses outside, one at least.
    pub fn rebind(&mut self, now: Time, addresses: &[Ipv4Addr]) {
        let (Some(nat), Some(outside)) = (&mut self.nat, &mut self.outside) else { return };
        nat.rebind(now, addresses);
        outside.network.address = addresses[0];
        outside.neighbours.readdress(addresses.to_vec());
        // They name the old addresses.
        self.fragments.iter_mut().for_each(Fragments::clear);
        let dropped = self.out_of_order.iter_mut().map(OutOfOrderFragments::clear).sum();
        self.count_drops(DropCause::Fragment, dropped);
    }

    /// Changes the uplink; frames on it keep their fate.
    pub fn set_link(&mut self, up: &LinkConfig, down: &LinkConfig) {
        self.up.change(up);
        self.down.change(down);
    }

    /// Other things pass from now on.
    pub fn set_firewall(&mut self, policy: NetworkPolicy) {
        self.filter.change(policy);
    }

    /// The NAT, if there is one.
    pub fn nat_mut(&mut self) -> Option<&mut Nat> {
        self.nat.as_mut()
    }

    /// The counters since the start.
    pub fn stats(&self) -> &RouterStats {
        &self.stats
    }

    /// Counts a drop that happened outside of the engine.
    pub fn count_drops(&mut self, cause: DropCause, packets: u64) {
        self.stats.dropped[cause as usize] += packets;
    }

    /// Live mappings of the NAT; nothing without one.
    pub fn mappings(&mut self, now: Time) -> Option<usize> {
        let nat = self.nat.as_mut()?;
        nat.expire(now);
        Some(nat.mappings())
    }

    /// When [`RouterEngine::advance`] has something to do.
    pub fn next_due(&self) -> Time {
        let outside = self.outside.as_ref().map_or(Time::NEVER, |port| port.neighbours.next_due());
        let ipv6 = self.ipv6.as_ref().map_or(Time::NEVER, Ipv6::next_due);
        let [from_inside, from_outside] = self.out_of_order.each_ref().map(OutOfOrderFragments::next_due);
        let links = self.up.next_due().min(self.down.next_due());
        let out_of_order = from_inside.min(from_outside);
        links.min(self.inside.neighbours.next_due()).min(outside).min(ipv6).min(out_of_order)
    }

    /// Does what is due: frames that are across their link go on, neighbours are asked again, early fragments given up.
    pub fn advance(&mut self, now: Time, out: &mut FrameOutput<'_>) {
        while let Some(mut frame) = self.up.arrived(now) {
            self.transmit(now, Side::Outside, frame.next_hop, frame.offload, &mut frame.frame, out);
        }
        while let Some(mut frame) = self.down.arrived(now) {
            self.transmit(now, Side::Inside, frame.next_hop, frame.offload, &mut frame.frame, out);
        }
        for side in [Side::Inside, Side::Outside] {
            let (inside, outside) = (&mut self.inside, &mut self.outside);
            let Some(port) = by_side(inside, outside, side) else { continue };
            port.neighbours.advance(now, &mut self.stats, &mut |offload, frame| out(side, offload, frame));
        }
        self.advance6(now, out);
        let dropped = self.out_of_order.iter_mut().map(|out_of_order| out_of_order.expire(now)).sum();
        self.count_drops(DropCause::Fragment, dropped);
    }

    /// A frame has come.
    pub fn receive(&mut self, now: Time, side: Side, offload: Offload, frame: &mut [u8], out: &mut FrameOutput<'_>) {
        let (inside, outside) = (&mut self.inside, &mut self.outside);
        let Some(port) = by_side(inside, outside, side) else { return };
        if frame.len() < ETHERNET_LEN {
            return self.stats.drop(DropCause::Malformed);
        }
        let to_us = frame[..6] == port.interface.mac;
        match [frame[12], frame[13]] {
            TYPE_ARP if to_us || frame[..6] == BROADCAST => {
                port.neighbours.heard(now, &frame[ETHERNET_LEN..], &mut |offload, frame| out(side, offload, frame));
            }
            TYPE_IPV4 if to_us => self.receive4(now, side, offload, frame, out),
            TYPE_IPV6 if to_us || frame[..2] == GROUP_OF_IPV6 => self.receive6(now, side, offload, frame, out),
            _ => {}
        }
    }

    /// Sends a packet of `total_len` bytes, which `cut` would cut, on its way: over the link, if it crosses one.
    fn send(
        &mut self,
        now: Time,
        way: Forwarding,
        total_len: usize,
        cut: impl for<'a> Fn(&'a [u8], usize) -> Option<Segments<'a>>,
        frame: &mut [u8],
        out: &mut FrameOutput<'_>,
    ) {
        let cuts = match way.direction {
            ForwardDirection::Up => self.up.cuts,
            ForwardDirection::Down => self.down.cuts,
            ForwardDirection::Within => false,
        } || way.cut_to.is_some();
        let Some(size) = way.offload.segments.map(|cut| usize::from(cut.size)) else {
            return self.send_one(now, way, (1, total_len), frame, out);
        };
        let Some(mut segments) = cut(&frame[ETHERNET_LEN..], size) else {
            return self.stats.drop(DropCause::Malformed);
        };
        if !cuts {
            let counts = segments.count();
            return self.send_one(now, way, counts, frame, out);
        }
        let one = Forwarding { offload: Offload { segments: None, ..way.offload }, ..way };
        let mut segment = std::mem::take(&mut self.segment);
        segment.resize(ETHERNET_LEN, 0);
        segment[12..ETHERNET_LEN].copy_from_slice(&frame[12..ETHERNET_LEN]);
        while segments.next_into(&mut segment, ETHERNET_LEN) {
            let bytes = segment.len() - ETHERNET_LEN;
            self.send_one(now, one, (1, bytes), &mut segment, out);
        }
        self.segment = segment;
    }

    /// Sends a frame that stands for so many packets, of so many bytes together.
    fn send_one(
        &mut self,
        now: Time,
        way: Forwarding,
        (packets, bytes): (u64, usize),
        frame: &mut [u8],
        out: &mut FrameOutput<'_>,
    ) {
        if let Some(length) = way.cut_to {
            return self.send_fragments(now, way, length, frame, out);
        }
        let Forwarding { direction, side, next, offload, cut_to: _ } = way;
        let across = match direction {
            ForwardDirection::Up => self.up.send(now, bytes, next, offload, frame),
            ForwardDirection::Down => self.down.send(now, bytes, next, offload, frame),
            ForwardDirection::Within => Ok(LinkVerdict::Passed),
        };
        match across {
            Err(cause) => return self.stats.drop(cause),
            Ok(LinkVerdict::Passed) => self.transmit(now, side, next, offload, frame, out),
            Ok(LinkVerdict::Queued(alteration)) => {
                self.stats.alter(alteration);
                let copies = 1 + u64::from(alteration.twice);
                return self.stats.forward(direction, copies * packets, copies * bytes as u64);
            }
        }
        self.stats.forward(direction, packets, bytes as u64);
    }

    /// How long packets may be that are forwarded from one side to another, whose interface takes `interface` bytes; and whether
    /// longer ones vanish without an error.
    fn longest(&self, direction: ForwardDirection, interface: u32) -> (u32, bool) {
        let link = match direction {
            ForwardDirection::Up => self.up.mtu,
            ForwardDirection::Down => self.down.mtu,
            ForwardDirection::Within => None,
        };
        match link.filter(|mtu| u32::from(mtu.bytes) < interface) {
            Some(mtu) => (mtu.bytes.into(), mtu.is_black_hole),
            None => (interface, false),
        }
    }

    /// Puts a frame on a side's interface, when its next hop is known.
    fn transmit(
        &mut self,
        now: Time,
        side: Side,
        to: IpAddr,
        offload: Offload,
        frame: &mut [u8],
        out: &mut FrameOutput<'_>,
    ) {
        let to = match to {
            IpAddr::V4(to) => to,
            IpAddr::V6(to) => return self.transmit6(now, side, to, offload, frame, out),
        };
        let (inside, outside) = (&mut self.inside, &mut self.outside);
        let Some(port) = by_side(inside, outside, side) else { return };
        port.neighbours.send(now, to, offload, frame, &mut self.stats, &mut |offload, frame| out(side, offload, frame));
    }
}

fn direction(from: Side, to: Side) -> ForwardDirection {
    match (from, to) {
        (Side::Inside, Side::Outside) => ForwardDirection::Up,
        (Side::Outside, Side::Inside) => ForwardDirection::Down,
        (Side::Inside, Side::Inside) | (Side::Outside, Side::Outside) => ForwardDirection::Within,
    }
}

fn by_side<'a>(inside: &'a mut Port, outside: &'a mut Option<Port>, side: Side) -> Option<&'a mut Port> {
    match side {
        Side::Inside => Some(inside),
        Side::Outside => outside.as_mut(),
    }
}

/// Whether a packet may be cut as asked for, if it is. `is_tcp` is nothing for what is neither TCP nor UDP.
fn is_segmentation_of(offload: Offload, is_tcp: Option<bool>, is_ipv6: bool) -> bool {
    offload.segments.is_none_or(|cut| is_tcp == Some(cut.tcp) && cut.tcp_over_ipv6 == (cut.tcp && is_ipv6))
}

/// Length of a packet, or of the longest segment that will be cut of it, whose headers are so long.
fn longest_piece(
    total_len: usize,
    offload: Offload,
    header_len: impl FnOnce() -> Option<usize>,
) -> Result<usize, DropCause> {
    let Some(cut) = offload.segments else { return Ok(total_len) };
    Ok(total_len.min(header_len().ok_or(DropCause::Malformed)? + usize::from(cut.size)))
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
