//! Fidelity `packet`: every node runs QUIC itself, and every datagram of it is a packet through queues, losses and NATs.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`host`] | the QUIC of one node: endpoints and connections |
//! | [`links`] | which connections are links, and how they end |
//! | [`connection`] | one connection, and what the driver's tasks would do for it |
//! | [`send_queue`], [`frames`] | messages as streams, out and in |
//! | [`relaying`] | QUIC in QUIC, through an ambassador |
//! | [`frozen`] | what waits for a node that does not run |
//! | [`settings`] | the driver's settings, with seeds in place of randomness |
//! | [`stand_in`] | what takes the place of TLS |
//! | [`tap`] | what one node sends and receives, for captures |
//!
//! Here hosts meet the simulation: their packets are sent, their timers set, and their nodes hear of what has happened. Loss
//! recovery, congestion control, pacing, keep-alives, time-outs and migration are those of `quinn-proto`. A node's own timers and
//! the system's cost no time, and a packet leaves a node in the order in which it was made.

#![allow(clippy::disallowed_types, reason = "QUIC counts in `Instant`s: here each is one base plus the virtual time")]

use std::fmt::Debug;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bincode::{Decode, Encode};
use butter::core::identity::NodeId;
use butter::core::io::{DialId, DialTarget, SocketId};
use butter::core::message::Message;
use butter::core::time::Time;
use butter::core::transport::{LINK_CHECK_EVERY, PATH_REPORT_PAUSE, TransportEvent};
use butter::core::wire::WireError;
use butter::quic::FrameClass;
use butter::quic::limits::CLOSE_GRACE;
use bytes::BytesMut;
use quinn_proto::EcnCodepoint;

use super::probe::Content;
use super::{Event, NodeSlot, Transport, udp};
use crate::plan::{NODE_PORT, Plan};
use crate::sim::network::ipv6::{addresses, is_label, label};
use crate::sim::network::{HEADER_BYTES, LAN_LATENCY, SimPacket};
use connection::EndpointKind;
use frozen::Backlog;
use host::{Host, HostOutput, HostTarget, OutgoingPacket};
use settings::{HostSeed, HostSettings, SharedSettings, VirtualClock};
use stand_in::keys::{hash, mix};

mod connection;
mod frames;
mod frozen;
mod host;
mod links;
mod relaying;
mod send_queue;
mod settings;
mod stand_in;
mod tap;

pub use tap::{PacketTap, TappedDatagram};

/// What an IPv6 header is longer than one of IPv4, in bytes.
const IPV6_EXTRA_BYTES: usize = 20;
/// Connections of one life of a node that have numbers of their own.
const CONNECTIONS_PER_LIFE: u32 = 1 << 20;

/// A seat that no plan has.
const NOWHERE: NodeSlot = (1 << 24) - 2;

/// A UDP datagram of QUIC under way.
#[derive(Debug)]
pub(super) struct QuicPacket {
    pub(super) from: NodeSlot,
    ecn: Option<EcnCodepoint>,
    data: BytesMut,
}

/// The hosts of all nodes.
#[derive(Debug)]
pub(super) struct PacketModel<M> {
    /// What QUIC takes for the moment zero. Only differences count.
    base: Instant,
    clock: VirtualClock,
    shared: SharedSettings,
    seed: u64,
    seats: Vec<Seat<M>>,
    addresses6: Arc<[Option<Ipv6Addr>]>,
    /// Nodes whose hosts have something to do, in order.
    pending: Vec<NodeSlot>,
    /// Listens to one node.
    tap: Option<Box<PacketTap>>,
}

/// The place of a node.
#[derive(Debug)]
struct Seat<M> {
    host: Option<Box<Host>>,
    /// How often a node was started here.
    life: u32,
    is_pending: bool,
    /// When its links are looked at next, and whether bulk is under way.
    check: Time,
    is_busy: bool,
    /// When the last packet leaves: none overtakes another.
    departed: Time,
    /// While it is frozen.
    backlog: Option<Backlog<M>>,
}

impl<M> Default for Seat<M> {
    fn default() -> Self {
        Seat {
            host: None,
            life: 0,
            is_pending: false,
            check: Time::NEVER,
            is_busy: false,
            departed: Time::ZERO,
            backlog: None,
        }
    }
}

impl<M> PacketModel<M> {
    #[expect(clippy::disallowed_methods, reason = "a moment to count from, whichever it is: nothing depends on it")]
    pub(super) fn new(plan: &Plan) -> Self {
        let clock = VirtualClock::default();
        PacketModel {
            base: Instant::now(),
            shared: SharedSettings::new(clock.clone()),
            clock,
            seed: plan.seed,
            seats: plan.nodes.iter().map(|_| Seat::default()).collect(),
            addresses6: addresses(plan).into(),
            pending: Vec::new(),
            tap: None,
        }
    }

    fn instant(&self, time: Time) -> Instant {
        self.base + Duration::from_micros(time.as_micros())
    }

    /// The first moment of the simulation that is not before one of QUIC's.
    fn time(&self, instant: Instant) -> Time {
        let nanos = instant.saturating_duration_since(self.base).as_nanos();
        Time::from_micros(nanos.div_ceil(1_000) as u64)
    }

    fn seat(&mut self, slot: NodeSlot) -> &mut Seat<M> {
        &mut self.seats[slot as usize]
    }
}

impl<M: Debug + Encode + Decode<()>> Transport<M> {
    /// Whether every node runs QUIC itself.
    pub(super) fn is_packet(&self) -> bool {
        self.packet.is_some()
    }

    /// A node comes up: it has a host of its own.
    pub(super) fn start_host(&mut self, slot: NodeSlot, id: NodeId) {
        let quota = self.end(slot).quota;
        let now = self.now;
        let Some(model) = &mut self.packet else { return };
        let start = model.instant(now);
        let (shared, seed, addresses6) = (model.shared.clone(), model.seed, model.addresses6.clone());
        let seat = model.seat(slot);
        let life = seat.life + 1;
        let seed = HostSeed {
            me: id,
            seed: mix(hash(seed, &id.0), u64::from(life)),
            first_connection: life.wrapping_mul(CONNECTIONS_PER_LIFE),
        };
        let host = Host::new(start, seed, HostSettings::new(shared, seed), quota, addresses6);
        *seat = Seat { host: Some(Box::new(host)), life, departed: seat.departed, ..Seat::default() };
        let first = self.part_of(slot, LINK_CHECK_EVERY);
        self.check_links_at(slot, now + first);
    }

    /// A node is no more, and what it has not sent is lost.
    pub(super) fn kill_host(&mut self, slot: NodeSlot) {
        if let Some(model) = &mut self.packet {
            let seat = model.seat(slot);
            (seat.host, seat.backlog, seat.is_pending) = (None, None, false);
            model.pending.retain(|&pending| pending != slot);
        }
    }

    /// A node goes: its process closes its links and ends, as the driver's does.
    pub(super) fn leave_host(&mut self, slot: NodeSlot) {
        self.with_host(slot, |host, _, _| host.leave());
        self.settle_hosts();
        // Its sockets stay open until its process ends.
        drop(self.take_out(slot));
        self.host_ends_later(slot);
    }

    /// A process that ends has waited for long enough.
    pub(super) fn host_ends(&mut self, slot: NodeSlot, life: u32) {
        let Some(seat) = self.packet.as_mut().map(|model| model.seat(slot)).filter(|seat| seat.life == life) else {
            return;
        };
        let is_over = seat.host.as_ref().is_none_or(|host| host.connections.is_empty() || host.is_shut());
        if is_over {
            return self.kill_host(slot);
        }
        self.with_host(slot, |host, now, out: &mut HostOutput<M>| host.shut_all(now, out));
        self.host_ends_later(slot);
    }

    fn host_ends_later(&mut self, slot: NodeSlot) {
        let Some(life) = self.packet.as_ref().map(|model| model.seats[slot as usize].life) else { return };
        self.schedule(slot, self.now + CLOSE_GRACE, Event::HostEnds { slot, life });
    }

    pub(super) fn send_over_host(
        &mut self,
        from: NodeSlot,
        to: NodeId,
        message: &Message<M>,
    ) -> Result<usize, WireError> {
        let mut sent = Ok(0);
        self.with_host(from, |host, _, _| sent = host.send(to, message));
        let is_bulk = sent.as_ref().is_ok_and(|&bytes| bytes > 0 && FrameClass::of(bytes) == FrameClass::Bulk);
        let now = self.now;
        let seat = self.packet.as_mut().map(|model| model.seat(from));
        if is_bulk && let Some(seat) = seat.filter(|seat| !seat.is_busy) {
            seat.is_busy = true;
            self.check_links_at(from, now + PATH_REPORT_PAUSE);
        }
        sent
    }

    pub(super) fn dial_from_host(&mut self, from: NodeSlot, dial: DialId, peer: Option<NodeId>, to: DialTarget) {
        let to = match to {
            DialTarget::Address(SocketAddr::V4(to))
            | DialTarget::From { socket: SocketId::MAIN, to: SocketAddr::V4(to) } => Some(HostTarget::Address(to)),
            DialTarget::Address(SocketAddr::V6(to)) => {
                // To an address that nothing here has, packets are lost.
                let nowhere = SocketAddrV4::new(label(NOWHERE), to.port());
                Some(HostTarget::Address(self.label_of(from, to).unwrap_or(nowhere)))
            }
            DialTarget::From { socket, to: SocketAddr::V4(to) } => {
                self.end(from).extra.has(socket).then_some(HostTarget::From(socket, to))
            }
            // Extra sockets cross NATs, of which IPv6 has none.
            DialTarget::From { to: SocketAddr::V6(_), .. } => None,
            DialTarget::Relay { relay } => Some(HostTarget::Relay(relay)),
        };
        match to {
            Some(to) => self.with_host(from, |host, now, out| host.dial(now, dial, peer, to, out)),
            None => self.deliver(from, TransportEvent::DialFailed { dial }),
        }
    }

    /// A peer may dial an extra socket from an address.
    pub(super) fn expect_dial_at_host(&mut self, slot: NodeSlot, socket: SocketId, from: SocketAddr) {
        let SocketAddr::V4(from) = from else { return };
        if self.end(slot).extra.has(socket) {
            self.with_host(slot, |host, _, _| {
                host.expected_dials.insert((socket, from));
            });
        }
    }

    pub(super) fn close_at_host(&mut self, slot: NodeSlot, peer: NodeId) {
        self.with_host(slot, |host, _, _| host.close(peer));
    }

    pub(super) fn allow_relay_at_host(&mut self, slot: NodeSlot, a: NodeId, b: NodeId) {
        self.with_host(slot, |host, now, _| host.allow_relay(now, a, b));
    }

    pub(super) fn measure_path_at_host(&mut self, slot: NodeSlot, peer: NodeId) {
        self.with_host(slot, |host, now, out| host.measure_path(now, peer, out));
    }

    /// The extra socket from which a node sends to an address, if one leads there.
    pub(super) fn host_socket_towards(&self, slot: NodeSlot, to: SocketAddrV4) -> Option<SocketId> {
        self.host(slot)?.socket_towards(to)
    }

    /// A socket is not needed but for the peers to which it leads. Whether there are such.
    pub(super) fn host_keeps_socket(&mut self, slot: NodeSlot, socket: SocketId) -> bool {
        let Some(model) = &mut self.packet else { return false };
        let Some(host) = &mut model.seat(slot).host else { return false };
        host.expected_dials.retain(|&(expecting, _)| expecting != socket);
        let keeps = host.extra_routes.values().any(|&routed| routed == socket);
        if keeps {
            host.closing_sockets.insert(socket);
        }
        keeps
    }

    /// Listens to a node from now on. Whether there are datagrams to listen to: with fidelity `packet` alone.
    pub fn tap(&mut self, slot: NodeSlot) -> bool {
        let Some(model) = &mut self.packet else { return false };
        model.tap = Some(Box::new(PacketTap::new(slot)));
        true
    }

    /// What was heard of the node that is listened to. Ends that.
    pub fn tapped(&mut self) -> Option<PacketTap> {
        self.packet.as_mut()?.tap.take().map(|tap| *tap)
    }

    /// Packets that QUIC of a node has sent over its links, and those that it took for lost.
    pub fn packets_sent_and_lost(&self, slot: NodeSlot) -> (u64, u64) {
        let connections = self.host(slot).into_iter().flat_map(|host| host.connections.values());
        connections.fold((0, 0), |(sent, lost), connection| {
            let path = connection.quic.stats().path;
            (sent + path.sent_packets, lost + path.lost_packets)
        })
    }

    /// A datagram of QUIC has come to a node's machine.
    pub(super) fn quic_packet_arrives(&mut self, slot: NodeSlot, packet: &SimPacket, quic: QuicPacket) {
        if self.is_cut(quic.from, slot) {
            return;
        }
        let (source, port) = (packet.flow.source, packet.flow.destination.port());
        let now = self.now;
        let Some(model) = &mut self.packet else { return };
        if let Some(tap) = &mut model.tap {
            tap.note(slot, now, false, packet.flow, &quic.data);
        }
        match &mut model.seat(slot).backlog {
            Some(backlog) => backlog.push_packet(source, port, quic),
            None => self.read_quic(slot, source, port, quic),
        }
    }

    /// A node reads a datagram of QUIC from the socket at a port, if there is one that takes it.
    fn read_quic(&mut self, slot: NodeSlot, source: SocketAddrV4, port: u16, quic: QuicPacket) {
        let socket = self.socket_at(slot, port);
        let Some(socket) = socket else { return };
        let from = (SocketAddr::V4(source), quic.ecn);
        self.with_host(slot, |host, now, out| {
            if socket == SocketId::MAIN || host.accepts(source, socket) {
                host.receive(now, EndpointKind::Direct, from, quic.data, out);
            }
        });
    }

    /// The time that a connection wanted to be woken at.
    pub(super) fn quic_timer(&mut self, slot: NodeSlot, id: u32) {
        let now = self.now;
        let Some(model) = &mut self.packet else { return };
        let instant = model.instant(now);
        let seat = model.seat(slot);
        if seat.backlog.is_some() {
            return;
        }
        let Some(connection) = seat.host.as_mut().and_then(|host| host.connections.get_mut(&id)) else { return };
        if connection.armed != Some(now) {
            // Voided by a nearer one.
            return;
        }
        connection.armed = None;
        match connection.next_timeout() {
            Some(at) if at > instant => self.arm(slot, id, at),
            Some(_) => self.with_host(slot, |host, now, out| host.time_out(now, id, out)),
            None => {}
        }
    }

    /// A node looks at its links from time to time.
    pub(super) fn check_links(&mut self, slot: NodeSlot) {
        let now = self.now;
        let Some(seat) = self.packet.as_mut().map(|model| model.seat(slot)) else { return };
        if seat.check != now || seat.backlog.is_some() || seat.host.as_ref().is_none_or(|host| host.is_leaving) {
            return;
        }
        let mut is_busy = false;
        self.with_host(slot, |host, now, out| is_busy = host.check_links(now, out));
        if let Some(seat) = self.packet.as_mut().map(|model| model.seat(slot)) {
            seat.is_busy = is_busy;
        }
        self.check_links_at(slot, now + if is_busy { PATH_REPORT_PAUSE } else { LINK_CHECK_EVERY });
    }

    fn check_links_at(&mut self, slot: NodeSlot, at: Time) {
        let at = self.schedule(slot, at, Event::LinkCheck(slot));
        if let Some(model) = &mut self.packet {
            model.seat(slot).check = at;
        }
    }

    /// Sends whatever hosts have to send now, once their nodes have said all that they have to say.
    pub(super) fn settle_hosts(&mut self) {
        while let Some(model) = self.packet.as_mut().filter(|model| !model.pending.is_empty()) {
            let pending = std::mem::take(&mut model.pending);
            for slot in pending {
                let Some(model) = &mut self.packet else { return };
                model.seat(slot).is_pending = false;
                self.act(slot, |host, now, out| host.settle(now, out));
            }
        }
    }

    fn host(&self, slot: NodeSlot) -> Option<&Host> {
        self.packet.as_ref()?.seats[slot as usize].host.as_deref()
    }

    /// Has a host do something, and looks after it before time goes on.
    fn with_host(&mut self, slot: NodeSlot, act: impl FnOnce(&mut Host, Instant, &mut HostOutput<M>)) {
        if let Some(model) = &mut self.packet {
            let seat = model.seat(slot);
            if !std::mem::replace(&mut seat.is_pending, true) {
                model.pending.push(slot);
            }
        }
        self.act(slot, act);
    }

    fn act(&mut self, slot: NodeSlot, act: impl FnOnce(&mut Host, Instant, &mut HostOutput<M>)) {
        let now = self.now;
        let Some(model) = &mut self.packet else { return };
        model.clock.set(now.as_micros());
        let instant = model.instant(now);
        let Some(host) = &mut model.seat(slot).host else { return };
        let mut out = HostOutput::default();
        act(host, instant, &mut out);
        let unused = if host.closing_sockets.is_empty() { Vec::new() } else { host.unused_sockets() };
        for socket in unused {
            let extra = &mut self.end_mut(slot).extra;
            if let Some(port) = extra.port(socket) {
                extra.close(port);
            }
        }
        for packet in out.packets {
            self.send_quic(slot, packet);
        }
        for (id, at) in out.timers {
            self.arm(slot, id, at);
        }
        for event in out.events {
            self.deliver(slot, event);
        }
    }

    fn arm(&mut self, slot: NodeSlot, id: u32, at: Instant) {
        let now = self.now;
        let Some(model) = &mut self.packet else { return };
        let at = model.time(at).max(now + Duration::from_micros(1));
        let connection = model.seat(slot).host.as_mut().and_then(|host| host.connections.get_mut(&id));
        let Some(connection) = connection.filter(|connection| connection.armed.is_none_or(|armed| at < armed)) else {
            return;
        };
        connection.armed = Some(at);
        self.schedule(slot, at, Event::QuicTimer { slot, connection: id });
    }

    fn send_quic(&mut self, from: NodeSlot, packet: OutgoingPacket) {
        let OutgoingPacket { to, ecn, data } = packet;
        let socket = self.host_socket_towards(from, to);
        let port = socket.and_then(|socket| self.end(from).extra.port(socket)).unwrap_or(NODE_PORT);
        let flow = udp(self.source_for(from, port, to), to);
        let now = self.now;
        if let Some(tap) = self.packet.as_mut().and_then(|model| model.tap.as_mut()) {
            tap.note(from, now, true, flow, &data);
        }
        let header = HEADER_BYTES + if is_label(*to.ip()) { IPV6_EXTRA_BYTES } else { 0 };
        let network = self.end(from).network as usize;
        let Some(packet) = self.networks.launch(network, flow, data.len() + header) else { return };
        let at = self.now + LAN_LATENCY + self.spread(from);
        let Some(model) = &mut self.packet else { return };
        let seat = model.seat(from);
        seat.departed = seat.departed.max(at);
        let at = seat.departed;
        let key = self.packets.insert((packet, Content::Quic(QuicPacket { from, ecn, data })));
        self.schedule(from, at, Event::SimPacket(key));
    }
}
