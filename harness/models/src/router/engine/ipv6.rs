//! The router's IPv6: no translation; a packet is forwarded over the same links, past a filter if there is one. The kernel has no part
//! in it: the router answers for its addresses itself, and advertises its LAN's prefix.

use std::net::Ipv6Addr;

use butter::core::time::Time;

use super::{
    ETHERNET_LEN, Forwarding, FrameOutput, Interface, RouterEngine, Side, direction, is_segmentation_of, longest_piece,
};
use crate::net::firewall::{Firewall, Flow6, Policy};
use crate::net::nat::Protocol;
use crate::net::network_policy::{IpVersion, Subject};
use crate::net::packet::ipv6::{
    Content6, Packet6, PacketError6, decrement_hop_limit, echo_reply, error_about, is_icmp_intact, is_plain_host,
};
use crate::net::packet::{Echo, Fragment, segments};
use crate::router::config::{RouterIpv6Config, SideConfig6};
use crate::router::frame::Mac;
use crate::router::ndp::{
    FIRST_ADVERTISEMENTS, FIRST_PAUSE, PAUSE, ROUTER_SOLICITATION, RouterAdvertisement, router_advertisement,
};
use crate::router::neighbours::Neighbours;
use crate::router::offload::Offload;
use crate::router::routes::{NextHop6, Routes6};
use crate::router::stats::{DropCause, ForwardDirection};

/// IPv6 of a router.
#[derive(Debug)]
pub(super) struct Ipv6 {
    inside: Port6,
    outside: Option<Port6>,
    routes: Routes6,
    /// `None` lets everything in.
    firewall: Option<Firewall>,
    advertised: RouterAdvertisement,
    advertisements: u32,
    advertise_at: Time,
}

/// A side with its interface.
#[derive(Debug)]
struct Port6 {
    network: SideConfig6,
    interface: Interface,
    neighbours: Neighbours<Ipv6Addr>,
}

impl Port6 {
    fn new(network: SideConfig6, interface: Interface) -> Self {
        Port6 { network, interface, neighbours: Neighbours::over_ndp(network.address, interface.mac) }
    }
}

/// Why a packet is not forwarded, and the error that its sender gets.
struct Refusal(DropCause, Option<PacketError6>);

impl From<DropCause> for Refusal {
    fn from(cause: DropCause) -> Self {
        Refusal(cause, None)
    }
}

/// What a packet is about.
fn subject(content: Content6) -> Subject {
    match content {
        Content6::Flow { flow, tcp, echo } => {
            Subject::Flow { flow, tcp, is_question: echo == Some(Echo::Request), is_answer: echo == Some(Echo::Reply) }
        }
        Content6::Error { about } => Subject::Error(about),
        Content6::Later | Content6::Other | Content6::Neighbour(_) => Subject::Unknown,
    }
}

impl Ipv6 {
    /// On these interfaces; `is_root` if its network is behind no other.
    pub(super) fn new(
        config: &RouterIpv6Config,
        (inside, outside): (Interface, Option<Interface>),
        is_root: bool,
        seed: u64,
    ) -> Self {
        let is_default = is_root || config.outside.is_some();
        let filters = config.firewall == Policy::Stateful && config.outside.is_some();
        Ipv6 {
            inside: Port6::new(config.inside, inside),
            outside: config.outside.zip(outside).map(|(network, interface)| Port6::new(network, interface)),
            routes: Routes6::new(config),
            firewall: filters.then(|| Firewall::new(seed)),
            advertised: RouterAdvertisement { prefix: config.inside.subnet, is_default, mtu: inside.mtu },
            advertisements: 0,
            advertise_at: Time::ZERO,
        }
    }

    fn port(&mut self, side: Side) -> Option<&mut Port6> {
        match side {
            Side::Inside => Some(&mut self.inside),
            Side::Outside => self.outside.as_mut(),
        }
    }

    pub(super) fn next_due(&self) -> Time {
        let outside = self.outside.as_ref().map_or(Time::NEVER, |port| port.neighbours.next_due());
        self.advertise_at.min(self.inside.neighbours.next_due()).min(outside)
    }

    /// Advertises to the LAN if it is time to.
    fn advertise(&mut self, now: Time, out: &mut FrameOutput<'_>) {
        if now < self.advertise_at {
            return;
        }
        self.advertisements = self.advertisements.saturating_add(1);
        self.advertise_at = now + if self.advertisements < FIRST_ADVERTISEMENTS { FIRST_PAUSE } else { PAUSE };
        self.tell_lan(out);
    }

    fn tell_lan(&self, out: &mut FrameOutput<'_>) {
        out(Side::Inside, Offload::default(), &router_advertisement(self.inside.interface.mac, self.advertised));
    }

    fn is_own(&self, ip: Ipv6Addr) -> bool {
        self.inside.neighbours.own().contains(&ip)
            || self.outside.as_ref().is_some_and(|port| port.neighbours.own().contains(&ip))
    }

    /// Where a packet goes.
    fn plan(&mut self, now: Time, side: Side, packet: &Packet6) -> Result<NextHop6, Refusal> {
        if !is_plain_host(packet.source) {
            return Err(DropCause::Malformed.into());
        }
        // No host may use addresses of the other side (RFC 6092 REC-4, REC-5).
        if self.routes.find(packet.source).is_some_and(|hop| hop.side != side) {
            return Err(DropCause::Spoofed.into());
        }
        if packet.hop_limit <= 1 {
            return Err(Refusal(DropCause::TtlExceeded, Some(PacketError6::TimeExceeded)));
        }
        let hop = self.routes.find(packet.destination);
        let hop = hop.filter(|hop| (side, hop.side) != (Side::Outside, Side::Outside));
        let hop = hop.ok_or(Refusal(DropCause::NoRoute, Some(PacketError6::NoRoute)))?;
        match direction(side, hop.side) {
            ForwardDirection::Up => self.let_out(now, packet)?,
            ForwardDirection::Down => self.let_in(now, packet)?,
            ForwardDirection::Within => {}
        }
        Ok(hop)
    }

    fn let_out(&mut self, now: Time, packet: &Packet6) -> Result<(), Refusal> {
        let Some(wall) = &mut self.firewall else { return Ok(()) };
        match packet.content {
            Content6::Flow { echo: Some(Echo::Reply), .. } | Content6::Later | Content6::Other => Ok(()),
            Content6::Flow { flow, tcp, .. } => Ok(wall.outbound(now, flow, tcp).map_err(DropCause::from)?),
            Content6::Error { about } if wall.knows(now, about.reversed()) => Ok(()),
            Content6::Error { .. } | Content6::Neighbour(_) => Err(DropCause::Filtered.into()),
        }
    }

    fn let_in(&mut self, now: Time, packet: &Packet6) -> Result<(), Refusal> {
        let Some(wall) = &mut self.firewall else { return Ok(()) };
        match packet.content {
            Content6::Flow { echo: Some(Echo::Request), .. } | Content6::Other | Content6::Neighbour(_) => {
                Err(DropCause::Filtered.into())
            }
            Content6::Flow { flow, tcp, .. } => Ok(wall.inbound(now, flow, tcp).map_err(DropCause::from)?),
            Content6::Error { about } if wall.knows(now, about) => Ok(()),
            Content6::Error { .. } => Err(DropCause::Filtered.into()),
            // It has no ports, so nothing tells whether somebody inside wants it.
            Content6::Later => Err(DropCause::Fragment.into()),
        }
    }
}

impl RouterEngine {
    /// A frame with an IPv6 packet has come, for this router or for a group.
    pub(super) fn receive6(
        &mut self,
        now: Time,
        side: Side,
        offload: Offload,
        frame: &mut [u8],
        out: &mut FrameOutput<'_>,
    ) {
        let Some(ipv6) = &mut self.ipv6 else { return };
        let Ok(packet) = Packet6::parse(&frame[ETHERNET_LEN..]) else { return self.stats.drop(DropCause::Malformed) };
        let frame = &mut frame[..ETHERNET_LEN + packet.total_len];
        if let Content6::Neighbour(kind) = packet.content {
            return ipv6.neighbour_speaks(now, side, kind, &packet, frame, out);
        }
        let to_us = ipv6.port(side).is_some_and(|port| frame[..6] == port.interface.mac);
        if !to_us || (!is_plain_host(packet.destination) && !ipv6.is_own(packet.destination)) {
            return;
        }
        if ipv6.is_own(packet.destination) {
            return ipv6.answer(side, &packet, frame, out);
        }
        self.zones.mark6(&packet, &mut frame[ETHERNET_LEN..]);
        if let Err(Refusal(cause, problem)) = self.forward6(now, side, offload, &packet, frame, out) {
            self.stats.drop(cause);
            let Some(problem) = problem else { return };
            let Some(port) = self.ipv6.as_mut().and_then(|ipv6| ipv6.port(side)) else { return };
            let error = error_about(&packet, &frame[ETHERNET_LEN..], port.network.address, problem);
            if let Some(error) = error.filter(|_| self.errors.allows(now)) {
                out(side, Offload::default(), &reply_frame(frame, port.interface.mac, &error));
            }
        }
    }

    fn forward6(
        &mut self,
        now: Time,
        side: Side,
        offload: Offload,
        packet: &Packet6,
        frame: &mut [u8],
        out: &mut FrameOutput<'_>,
    ) -> Result<(), Refusal> {
        check_offload(packet, offload)?;
        let ipv6 = self.ipv6.as_mut().expect("only a router with IPv6 forwards it");
        let hop = ipv6.plan(now, side, packet)?;
        let passes = match direction(side, hop.side) {
            ForwardDirection::Up => self.filter.outbound(now, IpVersion::V6, subject(packet.content)),
            ForwardDirection::Down => self.filter.inbound(now, IpVersion::V6, subject(packet.content)),
            ForwardDirection::Within => Ok(()),
        };
        passes.map_err(DropCause::from)?;
        let interface = ipv6.port(hop.side).map_or(0, |port| port.interface.mtu);
        let (mtu, is_black_hole) = self.longest(direction(side, hop.side), interface);
        let header_len = || segments::header_len6(packet, &frame[ETHERNET_LEN..]);
        if longest_piece(packet.total_len, offload, header_len)? > mtu as usize {
            let error = (!is_black_hole).then_some(PacketError6::TooBig { mtu });
            return Err(Refusal(DropCause::TooBig, error));
        }
        decrement_hop_limit(&mut frame[ETHERNET_LEN..]);
        let direction = direction(side, hop.side);
        let way = Forwarding { direction, side: hop.side, next: hop.next.into(), offload, cut_to: None };
        self.send(now, way, packet.total_len, |bytes, size| segments::cut6(packet, bytes, size), frame, out);
        Ok(())
    }

    /// Puts a frame on a side's interface, when its next hop is known.
    pub(super) fn transmit6(
        &mut self,
        now: Time,
        side: Side,
        to: Ipv6Addr,
        offload: Offload,
        frame: &mut [u8],
        out: &mut FrameOutput<'_>,
    ) {
        let Some(port) = self.ipv6.as_mut().and_then(|ipv6| ipv6.port(side)) else { return };
        port.neighbours.send(now, to, offload, frame, &mut self.stats, &mut |offload, frame| out(side, offload, frame));
    }

    /// Advertises, and asks neighbours again.
    pub(super) fn advance6(&mut self, now: Time, out: &mut FrameOutput<'_>) {
        let Some(ipv6) = &mut self.ipv6 else { return };
        ipv6.advertise(now, out);
        for side in [Side::Inside, Side::Outside] {
            let Some(port) = ipv6.port(side) else { continue };
            port.neighbours.advance(now, &mut self.stats, &mut |offload, frame| out(side, offload, frame));
        }
    }
}

impl Ipv6 {
    fn neighbour_speaks(
        &mut self,
        now: Time,
        side: Side,
        kind: u8,
        packet: &Packet6,
        frame: &[u8],
        out: &mut FrameOutput<'_>,
    ) {
        let bytes = &frame[ETHERNET_LEN..];
        if kind == ROUTER_SOLICITATION {
            if side == Side::Inside && packet.hop_limit == 255 && is_icmp_intact(packet, bytes) {
                self.tell_lan(out);
            }
            return;
        }
        let from = <Mac>::try_from(&frame[6..12]).expect("six bytes");
        let Some(port) = self.port(side) else { return };
        port.neighbours.heard_ndp(now, packet, bytes, from, &mut |offload, frame| out(side, offload, frame));
    }

    /// Answers what is for the router itself: echoes only, and from outside none if there is a filter.
    fn answer(&mut self, side: Side, packet: &Packet6, frame: &[u8], out: &mut FrameOutput<'_>) {
        let Content6::Flow { echo: Some(Echo::Request), .. } = packet.content else { return };
        let bytes = &frame[ETHERNET_LEN..];
        let is_host = !packet.source.is_multicast() && !packet.source.is_unspecified();
        if !is_host || !is_icmp_intact(packet, bytes) || packet.fragment != Fragment::Whole {
            return;
        }
        let Some(port) = self.port(side) else { return };
        let reply = echo_reply(packet, bytes, packet.destination);
        out(side, Offload::default(), &reply_frame(frame, port.interface.mac, &reply));
    }
}

/// A frame back to where another came from.
fn reply_frame(frame: &[u8], mac: Mac, packet: &[u8]) -> Vec<u8> {
    [&frame[6..12], &mac, &super::TYPE_IPV6, packet].concat()
}

/// Whether what a host has left to do is this packet's.
fn check_offload(packet: &Packet6, offload: Offload) -> Result<(), DropCause> {
    let flow = match packet.content {
        Content6::Flow { flow, echo: None, .. } => Some(flow),
        _ => None,
    };
    let is_tcp = |flow: Flow6| flow.protocol == Protocol::Tcp;
    if !is_segmentation_of(offload, flow.map(is_tcp), true) {
        return Err(DropCause::Malformed);
    }
    let Some((start, offset)) = offload.checksum else {
        return if offload.segments.is_none() { Ok(()) } else { Err(DropCause::Offload) };
    };
    let start = usize::from(start).checked_sub(ETHERNET_LEN).ok_or(DropCause::Malformed)?;
    if packet.is_checksum(start, usize::from(offset)) { Ok(()) } else { Err(DropCause::Offload) }
}
