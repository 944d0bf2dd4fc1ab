//! The router's IPv4: a packet is translated where there is a NAT, and forwarded.

use std::net::Ipv4Addr;

use butter::core::time::Time;

use super::{
    ETHERNET_LEN, Forwarding, FrameOutput, RouterEngine, Side, TYPE_IPV4, by_side, direction, is_segmentation_of,
    longest_piece,
};
use crate::net::nat::{Flow, Protocol, Verdict};
use crate::net::network_policy::{IpVersion, Subject, mapped};
use crate::net::packet::errors::{self, Problem};
use crate::net::packet::{Checksum, Content, Echo, Fragment, Packet, complete, decrement_ttl, fragmenter, segments};
use crate::router::offload::Offload;
use crate::router::routes::NextHop;
use crate::router::stats::DropCause;

/// What is to be done with a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct ForwardPlan {
    rewrite: Rewrite,
    hop: NextHop,
    /// Instead of the sender's.
    identification: Option<u16>,
}

impl ForwardPlan {
    /// It keeps its identification.
    fn new(rewrite: Rewrite, hop: NextHop) -> Self {
        ForwardPlan { rewrite, hop, identification: None }
    }
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

/// Why a packet is not forwarded, and the error that its sender gets.
struct Refusal {
    cause: Option<DropCause>,
    problem: Option<Problem>,
}

impl From<DropCause> for Refusal {
    fn from(cause: DropCause) -> Self {
        Refusal { cause: Some(cause), problem: None }
    }
}

impl Refusal {
    /// Not the router's business, and nothing wrong with it.
    const IGNORED: Refusal = Refusal { cause: None, problem: None };

    fn telling(cause: DropCause, problem: Problem) -> Self {
        Refusal { cause: Some(cause), problem: Some(problem) }
    }
}

/// What a packet is about.
fn subject(content: Content) -> Subject {
    match content {
        Content::Flow { flow, tcp, echo } => Subject::Flow {
            flow: mapped(flow),
            tcp,
            is_question: echo == Some(Echo::Request),
            is_answer: echo == Some(Echo::Reply),
        },
        Content::Error { about } => Subject::Error(mapped(about)),
        Content::Later | Content::Other => Subject::Unknown,
    }
}

/// What the NAT has decided about a packet of `flow`.
fn translated(flow: Flow, verdict: Verdict) -> Result<Rewrite, Refusal> {
    let Flow { protocol, source, destination } = flow;
    match verdict {
        Verdict::Pass(seen) | Verdict::Hairpin(seen) => {
            tracing::trace!(?protocol, %source, %destination, as_source = %seen.source, as_destination = %seen.destination, "translated");
            Ok(Rewrite::Flow(seen))
        }
        Verdict::Drop(why) => {
            tracing::debug!(?protocol, %source, %destination, ?why, "the NAT drops a packet");
            Err(DropCause::from(why).into())
        }
    }
}

impl RouterEngine {
    /// A frame with an IPv4 packet has come, for this router.
    pub(super) fn receive4(
        &mut self,
        now: Time,
        side: Side,
        offload: Offload,
        frame: &mut [u8],
        out: &mut FrameOutput<'_>,
    ) {
        let Ok(packet) = Packet::parse(&frame[ETHERNET_LEN..]) else { return self.stats.drop(DropCause::Malformed) };
        let frame = &mut frame[..ETHERNET_LEN + packet.total_len];
        self.zones.mark(&packet, &mut frame[ETHERNET_LEN..]);
        let forwarded = self.forward(now, side, offload, &packet, frame, out);
        let has_gone = forwarded.is_ok();
        match forwarded {
            Ok(()) => {}
            // Its first fragment may only be late.
            Err(Refusal { cause: Some(DropCause::Fragment), .. }) => {
                let dropped = self.out_of_order[side as usize].hold(now, &packet, frame);
                self.count_drops(DropCause::Fragment, dropped);
            }
            Err(refusal) => self.refuse(now, side, refusal, &packet, frame, out),
        }
        if packet.fragment == Fragment::First {
            self.release(now, side, &packet, has_gone, out);
        }
    }

    /// A first fragment has gone on, or has been refused: so do and are those that came before it.
    fn release(&mut self, now: Time, side: Side, first: &Packet, has_gone: bool, out: &mut FrameOutput<'_>) {
        for mut frame in self.out_of_order[side as usize].release(first) {
            if has_gone {
                self.receive4(now, side, Offload::default(), &mut frame, out);
            } else {
                self.stats.drop(DropCause::Fragment);
            }
        }
    }

    fn forward(
        &mut self,
        now: Time,
        side: Side,
        offload: Offload,
        packet: &Packet,
        frame: &mut [u8],
        out: &mut FrameOutput<'_>,
    ) -> Result<(), Refusal> {
        let kind = checked_offload(packet, offload)?;
        self.is_for_forwarding(side, packet)?;
        if packet.ttl <= 1 {
            return Err(Refusal::telling(DropCause::TtlExceeded, Problem::TimeExceeded));
        }
        if side == Side::Inside {
            self.let_out(now, packet)?;
        }
        let mut plan = self.plan(now, side, packet)?;
        if (side, plan.hop.side) == (Side::Outside, Side::Inside) {
            self.let_in(now, plan.rewrite, packet)?;
        }
        let cut_to = self.cut_to((side, plan.hop.side), packet, offload, frame)?;
        if side == Side::Inside && !packet.is_atomic() {
            plan.identification = self.identification(now, plan, packet, offload, frame);
        }
        if packet.fragment == Fragment::First
            && let Rewrite::Flow(flow) = plan.rewrite
        {
            let rewrite = Rewrite::Addresses(*flow.source.ip(), *flow.destination.ip());
            self.fragments[side as usize].first(now, packet, ForwardPlan { rewrite, ..plan });
        }
        let bytes = &mut frame[ETHERNET_LEN..];
        match plan.rewrite {
            Rewrite::Nothing => {}
            Rewrite::Flow(flow) => packet.translate(bytes, flow, kind),
            Rewrite::Addresses(source, destination) => packet.readdress(bytes, source, destination),
            Rewrite::Error(about, source, destination) => packet.translate_error(bytes, about, source, destination),
        }
        if let Some(identification) = plan.identification {
            packet.identify(bytes, identification);
        }
        decrement_ttl(bytes);
        let NextHop { side: to, next } = plan.hop;
        let way = Forwarding { direction: direction(side, to), side: to, next: next.into(), offload, cut_to };
        self.send(now, way, packet.total_len, |bytes, size| segments::cut(packet, bytes, size), frame, out);
        Ok(())
    }

    /// Whether a router forwards it at all.
    fn is_for_forwarding(&self, side: Side, packet: &Packet) -> Result<(), Refusal> {
        let is_host =
            |ip: Ipv4Addr| !ip.is_multicast() && !ip.is_broadcast() && !ip.is_unspecified() && !ip.is_loopback();
        // The kernel has the inside address; groups and broadcasts stay where they are.
        let kernels = side == Side::Inside && packet.destination == self.inside.network.address;
        if kernels || !is_host(packet.destination) || self.routes.is_broadcast(packet.destination) {
            return Err(Refusal::IGNORED);
        }
        if !is_host(packet.source) {
            return Err(DropCause::Malformed.into());
        }
        if self.is_spoofed(side, packet.source) { Err(DropCause::Spoofed.into()) } else { Ok(()) }
    }

    /// Whether no host on that side has this address. A host inside that could speak for others would have their ports and
    /// mappings beside its own (RFC 6888 REQ-4, RFC 2827).
    fn is_spoofed(&self, side: Side, source: Ipv4Addr) -> bool {
        let from = self.routes.find(source).map(|hop| hop.side);
        match side {
            Side::Inside => from != Some(Side::Inside),
            // Outside is everything that is not inside.
            Side::Outside => from == Some(Side::Inside),
        }
    }

    /// Whether a packet from inside may go out, before the NAT sees it, if it is on its way there.
    fn let_out(&mut self, now: Time, packet: &Packet) -> Result<(), Refusal> {
        if self.routes.find(packet.destination).is_some_and(|hop| hop.side == Side::Inside) {
            return Ok(());
        }
        let passes = self.filter.outbound(now, IpVersion::V4, subject(packet.content));
        Ok(passes.map_err(DropCause::from)?)
    }

    /// Whether a packet from outside may come in, as the NAT has left it.
    fn let_in(&mut self, now: Time, rewrite: Rewrite, packet: &Packet) -> Result<(), Refusal> {
        let content = match (rewrite, packet.content) {
            // Of what has passed.
            (Rewrite::Addresses(..), _) => return Ok(()),
            (Rewrite::Flow(flow), Content::Flow { tcp, echo, .. }) => Content::Flow { flow, tcp, echo },
            (Rewrite::Error(about, ..), _) => Content::Error { about },
            (_, content) => content,
        };
        let passes = self.filter.inbound(now, IpVersion::V4, subject(content));
        Ok(passes.map_err(DropCause::from)?)
    }

    /// Where a packet goes, and as what.
    fn plan(&mut self, now: Time, side: Side, packet: &Packet) -> Result<ForwardPlan, Refusal> {
        let own = self.outside.as_ref().is_some_and(|port| port.neighbours.own().contains(&packet.destination));
        match (side, self.nat.is_some()) {
            (Side::Inside, true) if own => self.plan_outbound(now, packet),
            (Side::Inside, _) => {
                let no_route = || Refusal::telling(DropCause::NoRoute, Problem::NetworkUnreachable);
                let hop = self.routes.find(packet.destination).filter(|_| !own).ok_or_else(no_route)?;
                match hop.side {
                    Side::Outside if self.nat.is_some() => self.plan_outbound(now, packet),
                    _ => Ok(ForwardPlan::new(Rewrite::Nothing, hop)),
                }
            }
            (Side::Outside, true) if own => self.plan_inbound(now, packet),
            // Nothing from outside passes by the NAT, and an own address belongs to no other host.
            (Side::Outside, true) => Err(DropCause::NotForUs.into()),
            (Side::Outside, false) if own || packet.destination == self.inside.network.address => {
                Err(DropCause::NotForUs.into())
            }
            (Side::Outside, false) => {
                let hop = self.routes.find(packet.destination).filter(|hop| hop.side == Side::Inside);
                Ok(ForwardPlan::new(Rewrite::Nothing, hop.ok_or(DropCause::NoRoute)?))
            }
        }
    }

    fn plan_outbound(&mut self, now: Time, packet: &Packet) -> Result<ForwardPlan, Refusal> {
        let nat = self.nat.as_mut().expect("only a NAT translates");
        let rewrite = match packet.content {
            Content::Flow { echo: Some(Echo::Reply), .. } | Content::Other => {
                return Err(DropCause::Untranslatable.into());
            }
            Content::Flow { flow, tcp, .. } => translated(flow, nat.outbound(now, flow, tcp))?,
            // It comes from the endpoint that the packet in question was sent to.
            Content::Error { about } if nat.addresses().contains(&packet.destination) => {
                let about = nat.hairpin_error(now, about).ok_or(DropCause::NoMapping)?;
                Rewrite::Error(about, *about.destination.ip(), *about.source.ip())
            }
            Content::Error { about } => {
                let about = nat.outbound_error(now, about).ok_or(DropCause::NoMapping)?;
                Rewrite::Error(about, *about.destination.ip(), packet.destination)
            }
            Content::Later => {
                return Ok(self.fragments[Side::Inside as usize].later(now, packet).ok_or(DropCause::Fragment)?);
            }
        };
        self.planned(rewrite, packet)
    }

    fn plan_inbound(&mut self, now: Time, packet: &Packet) -> Result<ForwardPlan, Refusal> {
        let nat = self.nat.as_mut().expect("only a NAT translates");
        let rewrite = match packet.content {
            // A question to an own address is for no host inside, whatever its identifier.
            Content::Flow { echo: Some(Echo::Request), .. } | Content::Other => {
                return Err(DropCause::Untranslatable.into());
            }
            Content::Flow { flow, tcp, .. } => translated(flow, nat.inbound(now, flow, tcp))?,
            Content::Error { about } => {
                let about = nat.inbound_error(now, about).ok_or(DropCause::NoMapping)?;
                Rewrite::Error(about, packet.source, *about.source.ip())
            }
            Content::Later => {
                return Ok(self.fragments[Side::Outside as usize].later(now, packet).ok_or(DropCause::Fragment)?);
            }
        };
        self.planned(rewrite, packet)
    }

    /// Where a translated packet goes.
    fn planned(&self, rewrite: Rewrite, packet: &Packet) -> Result<ForwardPlan, Refusal> {
        let destination = match rewrite {
            Rewrite::Flow(flow) => *flow.destination.ip(),
            Rewrite::Addresses(_, destination) | Rewrite::Error(_, _, destination) => destination,
            Rewrite::Nothing => packet.destination,
        };
        let hop = self.routes.find(destination).ok_or(DropCause::NoRoute)?;
        Ok(ForwardPlan::new(rewrite, hop))
    }

    /// What identifies a datagram from inside, all its fragments alike, if it is translated: hosts behind one address would
    /// choose the same. What comes from outside needs none, for it keeps its sender's address.
    fn identification(
        &mut self,
        now: Time,
        plan: ForwardPlan,
        packet: &Packet,
        offload: Offload,
        frame: &[u8],
    ) -> Option<u16> {
        let (source, destination) = match plan.rewrite {
            Rewrite::Nothing => return None,
            // Of a later fragment, which has that of the first.
            Rewrite::Addresses(..) => return plan.identification,
            Rewrite::Flow(flow) => (*flow.source.ip(), *flow.destination.ip()),
            Rewrite::Error(_, source, destination) => (source, destination),
        };
        if packet.fragment == Fragment::First
            && let Some(before) = self.fragments[Side::Inside as usize].later(now, packet)
        {
            // A copy, of the same datagram.
            return before.identification;
        }
        let segments =
            |size| segments::cut(packet, &frame[ETHERNET_LEN..], size).map_or(1, |fragmenter| fragmenter.count().0);
        let count = offload.segments.map_or(1, |cut| segments(usize::from(cut.size)));
        Some(self.identifications.take(source, destination, packet.protocol, count as u16))
    }

    /// The length to which a packet (or each segment of it) is to be cut, if it is too long for where it goes and may be cut
    /// (RFC 4787 REQ-13, RFC 1812 §5.2.6).
    fn cut_to(
        &self,
        (from, to): (Side, Side),
        packet: &Packet,
        offload: Offload,
        frame: &[u8],
    ) -> Result<Option<usize>, Refusal> {
        let interface = match to {
            Side::Inside => self.inside.interface.mtu,
            Side::Outside => self.outside.as_ref().map_or(0, |port| port.interface.mtu),
        };
        let (mtu, is_black_hole) = self.longest(direction(from, to), interface);
        let header_len = || segments::header_len(packet, &frame[ETHERNET_LEN..]);
        if longest_piece(packet.total_len, offload, header_len)? <= mtu as usize {
            return Ok(None);
        }
        if packet.dont_fragment && is_black_hole {
            return Err(DropCause::TooBig.into());
        }
        if packet.dont_fragment {
            let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
            return Err(Refusal::telling(DropCause::TooBig, Problem::TooBig { mtu }));
        }
        Ok(Some(mtu as usize))
    }

    /// Sends a packet as fragments of at most `length` bytes, in order.
    pub(super) fn send_fragments(
        &mut self,
        now: Time,
        way: Forwarding,
        length: usize,
        frame: &mut [u8],
        out: &mut FrameOutput<'_>,
    ) {
        if let Some((start, offset)) = way.offload.checksum {
            // It covers all of them, so that no network card can complete it any more.
            complete(&mut frame[usize::from(start)..], usize::from(offset));
        }
        let way = Forwarding { offload: Offload::default(), cut_to: None, ..way };
        let packet = Packet::parse(&frame[ETHERNET_LEN..]).expect("what was rewritten is still right");
        let Some(mut fragments) = fragmenter::cut(&packet, &frame[ETHERNET_LEN..], length) else {
            return self.stats.drop(DropCause::TooBig);
        };
        let mut piece = frame[..ETHERNET_LEN].to_vec();
        while fragments.next_into(&mut piece, ETHERNET_LEN) {
            let bytes = piece.len() - ETHERNET_LEN;
            self.send_one(now, way, (1, bytes), &mut piece, out);
        }
    }

    /// Counts a refusal and tells the sender, by the way that the packet came.
    fn refuse(
        &mut self,
        now: Time,
        side: Side,
        refusal: Refusal,
        packet: &Packet,
        frame: &[u8],
        out: &mut FrameOutput<'_>,
    ) {
        if let Some(cause) = refusal.cause {
            self.stats.drop(cause);
        }
        let Some(problem) = refusal.problem else { return };
        let (inside, outside) = (&mut self.inside, &mut self.outside);
        let Some(port) = by_side(inside, outside, side) else { return };
        let error = errors::about(packet, &frame[ETHERNET_LEN..], port.network.address, problem);
        let Some(error) = error.filter(|_| self.errors.allows(now)) else { return };
        let mut reply = Vec::with_capacity(ETHERNET_LEN + error.len());
        reply.extend_from_slice(&frame[6..12]);
        reply.extend_from_slice(&port.interface.mac);
        reply.extend_from_slice(&TYPE_IPV4);
        reply.extend_from_slice(&error);
        out(side, Offload::default(), &reply);
    }
}

/// How a packet's checksum is to be kept up; an error if what is left to do is not of this packet.
fn checked_offload(packet: &Packet, offload: Offload) -> Result<Checksum, DropCause> {
    let is_tcp = match packet.content {
        Content::Flow { flow, echo: None, .. } => Some(flow.protocol == Protocol::Tcp),
        _ => None,
    };
    if !is_segmentation_of(offload, is_tcp, false) {
        return Err(DropCause::Malformed);
    }
    let Some((start, offset)) = offload.checksum else {
        return if offload.segments.is_none() { Ok(Checksum::Complete) } else { Err(DropCause::Offload) };
    };
    let start = usize::from(start).checked_sub(ETHERNET_LEN).ok_or(DropCause::Malformed)?;
    if packet.is_checksum(start, usize::from(offset)) { Ok(Checksum::Partial) } else { Err(DropCause::Offload) }
}
