//! The QUIC of one node: two endpoints, their connections, and which of these are links.
//!
//! A host does no more than the driver's tasks do for a real node. What it has to send, to say to its node and to be woken for,
//! it leaves in a [`HostOutput`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Instant;

use bincode::Decode;
use butter::core::identity::NodeId;
use butter::core::io::{DialId, SocketId};
use butter::core::transport::{DIAL_TIMEOUT, RelayQuota, TransportEvent};
use butter::quic::INCOMING_UNPROVEN_MAX;
use butter::quic::limits::{CONNECTIONS_MAX, CloseCode, DIALS_MAX, HANDSHAKES_MAX, SEGMENTS_MAX, SERVER_NAME};
use butter::quic::link_table::{ConnectionId, LinkTable};
use butter::quic::relay::RelayGrants;
use butter::quic::routes::{RelayRoutes, is_virtual};
use bytes::{Bytes, BytesMut};
use quinn_proto::{
    ConnectionHandle, DatagramEvent, EcnCodepoint, Endpoint, Event, Incoming, StreamEvent, Transmit, VarInt,
};

use super::connection::{EndpointKind, HostConnection, Stage};
use super::settings::{HostSeed, HostSettings};
use crate::sim::network::ipv6::labelled;

/// What a host leaves to be done.
#[derive(Debug)]
pub(super) struct HostOutput<M> {
    pub(super) events: Vec<TransportEvent<M>>,
    pub(super) packets: Vec<OutgoingPacket>,
    /// Connections, and when they want to be woken.
    pub(super) timers: Vec<(u32, Instant)>,
}

impl<M> Default for HostOutput<M> {
    fn default() -> Self {
        HostOutput { events: Vec::new(), packets: Vec::new(), timers: Vec::new() }
    }
}

/// A UDP datagram of QUIC that leaves a host.
#[derive(Debug)]
pub(super) struct OutgoingPacket {
    pub(super) to: SocketAddrV4,
    pub(super) ecn: Option<EcnCodepoint>,
    pub(super) data: BytesMut,
}

/// Where a dial of a host goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum HostTarget {
    Address(SocketAddrV4),
    From(SocketId, SocketAddrV4),
    Relay(NodeId),
}

/// The QUIC of one node in one life.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) me: NodeId,
    pub(super) endpoints: [Endpoint; 2],
    settings: HostSettings,
    /// By endpoint and handle.
    by_handle: [BTreeMap<usize, u32>; 2],
    pub(super) connections: BTreeMap<u32, Box<HostConnection>>,
    pub(super) links: LinkTable<u32>,
    pub(super) routes: RelayRoutes,
    pub(super) grants: RelayGrants,
    /// The extra sockets that lead to peers.
    pub(super) extra_routes: BTreeMap<SocketAddrV4, SocketId>,
    /// Extra sockets at which peers may dial, and from where.
    pub(super) expected_dials: BTreeSet<(SocketId, SocketAddrV4)>,
    /// Extra sockets that are needed for their peers alone.
    pub(super) closing_sockets: BTreeSet<SocketId>,
    /// Dials from extra sockets under way, and where they go.
    pub(super) dials_from_extra: BTreeMap<DialId, SocketAddrV4>,
    dialling: usize,
    accepting: usize,
    /// Takes no connections any more.
    pub(super) is_leaving: bool,
    next_connection: u32,
    dirty: VecDeque<u32>,
    buffer: Vec<u8>,
    /// The IPv6 addresses behind labels.
    addresses6: Arc<[Option<Ipv6Addr>]>,
}

impl Host {
    pub(super) fn new(
        now: Instant,
        seed: HostSeed,
        settings: HostSettings,
        quota: RelayQuota,
        addresses6: Arc<[Option<Ipv6Addr>]>,
    ) -> Self {
        Host {
            me: seed.me,
            endpoints: [EndpointKind::Direct, EndpointKind::Relayed].map(|kind| settings.endpoint(kind)),
            settings,
            by_handle: Default::default(),
            connections: BTreeMap::new(),
            links: LinkTable::new(seed.me),
            routes: RelayRoutes::default(),
            grants: RelayGrants::new(quota, now),
            extra_routes: BTreeMap::new(),
            expected_dials: BTreeSet::new(),
            closing_sockets: BTreeSet::new(),
            dials_from_extra: BTreeMap::new(),
            dialling: 0,
            accepting: 0,
            is_leaving: false,
            next_connection: seed.first_connection,
            dirty: VecDeque::new(),
            buffer: Vec::new(),
            addresses6,
        }
    }

    /// Dials. Whether it fails is said later, or at once if nothing can be begun.
    pub(super) fn dial<M>(
        &mut self,
        now: Instant,
        dial: DialId,
        peer: Option<NodeId>,
        to: HostTarget,
        out: &mut HostOutput<M>,
    ) {
        let begun = if self.dialling < DIALS_MAX { self.begin_dial(now, dial, peer, to) } else { None };
        if begun.is_none() {
            self.tidy_routes();
            return out.events.push(TransportEvent::DialFailed { dial });
        }
        if let HostTarget::From(_, to) = to {
            self.dials_from_extra.insert(dial, to);
        }
        self.dialling += 1;
    }

    fn begin_dial(&mut self, now: Instant, dial: DialId, peer: Option<NodeId>, to: HostTarget) -> Option<()> {
        let (address, kind) = match (to, peer) {
            (HostTarget::Address(to), _) => (SocketAddr::V4(to), EndpointKind::Direct),
            (HostTarget::From(socket, to), _) => {
                self.extra_routes.insert(to, socket);
                (SocketAddr::V4(to), EndpointKind::Direct)
            }
            (HostTarget::Relay(relay), Some(peer)) => (self.route_over(relay, peer)?, EndpointKind::Relayed),
            (HostTarget::Relay(_), None) => return None,
        };
        if is_virtual(address) != (kind == EndpointKind::Relayed) || peer == Some(self.me) {
            return None;
        }
        let config = self.settings.dial(peer, kind);
        let made = self.endpoints[kind as usize].connect(now, config, address, SERVER_NAME).ok()?;
        self.add(made, kind, Some(dial), now + DIAL_TIMEOUT);
        Some(())
    }

    fn add(
        &mut self,
        made: (ConnectionHandle, quinn_proto::Connection),
        kind: EndpointKind,
        dial: Option<DialId>,
        handshake_until: Instant,
    ) -> u32 {
        self.next_connection = self.next_connection.wrapping_add(1);
        let id = self.next_connection;
        self.by_handle[kind as usize].insert(made.0.0, id);
        self.connections.insert(id, Box::new(HostConnection::new(made, kind, dial, handshake_until)));
        self.touch(id);
        id
    }

    /// A datagram has come to an endpoint.
    pub(super) fn receive<M: Decode<()>>(
        &mut self,
        now: Instant,
        kind: EndpointKind,
        (remote, ecn): (SocketAddr, Option<EcnCodepoint>),
        data: BytesMut,
        out: &mut HostOutput<M>,
    ) {
        let mut response = Vec::new();
        let endpoint = &mut self.endpoints[kind as usize];
        match endpoint.handle(now, remote, None, ecn, data, &mut response) {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                let Some(&id) = self.by_handle[kind as usize].get(&handle.0) else { return };
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.quic.handle_event(event);
                    self.react(now, id, out);
                    self.touch(id);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => self.admit(now, kind, incoming, out),
            Some(DatagramEvent::Response(transmit)) => self.transmit(kind, &transmit, &response, out),
            None => {}
        }
    }

    fn admit<M: Decode<()>>(&mut self, now: Instant, kind: EndpointKind, incoming: Incoming, out: &mut HostOutput<M>) {
        let open = self.endpoints.iter().map(Endpoint::open_connections).sum::<usize>();
        let endpoint = &mut self.endpoints[kind as usize];
        let mut response = Vec::new();
        if self.is_leaving || self.accepting >= HANDSHAKES_MAX || open >= CONNECTIONS_MAX {
            let transmit = endpoint.refuse(incoming, &mut response);
            return self.transmit(kind, &transmit, &response, out);
        }
        let busy = self.accepting >= INCOMING_UNPROVEN_MAX;
        if busy && !incoming.remote_address_validated() && incoming.may_retry() {
            if let Ok(transmit) = endpoint.retry(incoming, &mut response) {
                self.transmit(kind, &transmit, &response, out);
            }
            return;
        }
        match endpoint.accept(incoming, now, &mut response, None) {
            Ok(made) => {
                self.accepting += 1;
                let id = self.add(made, kind, None, now + DIAL_TIMEOUT);
                self.react(now, id, out);
            }
            Err(refused) => {
                if let Some(transmit) = refused.response {
                    self.transmit(kind, &transmit, &response, out);
                }
            }
        }
    }

    /// Takes what a connection has to say. Whether it had something.
    fn react<M: Decode<()>>(&mut self, now: Instant, id: u32, out: &mut HostOutput<M>) -> bool {
        let mut any = false;
        while let Some(connection) = self.connections.get_mut(&id) {
            let (kind, handle) = (connection.kind, connection.handle);
            if let Some(event) = connection.quic.poll_endpoint_events() {
                any = true;
                let is_drained = event.is_drained();
                if let Some(answer) = self.endpoints[kind as usize].handle_event(handle, event) {
                    connection.quic.handle_event(answer);
                }
                if is_drained {
                    self.lost(now, id, out);
                    self.by_handle[kind as usize].remove(&handle.0);
                    self.connections.remove(&id);
                }
                continue;
            }
            let Some(event) = connection.quic.poll() else { break };
            any = true;
            match event {
                Event::Connected => self.established(now, id, out),
                Event::ConnectionLost { .. } => self.lost(now, id, out),
                Event::Stream(event) => self.stream_event(now, id, event, out),
                Event::DatagramReceived => self.datagrams_received(now, id, out),
                Event::HandshakeDataReady | Event::DatagramsUnblocked => {}
            }
        }
        any
    }

    fn stream_event<M: Decode<()>>(&mut self, now: Instant, id: u32, event: StreamEvent, out: &mut HostOutput<M>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let HostConnection { quic, frames, queue, .. } = &mut **connection;
        let mut whole = Vec::new();
        let read = match event {
            StreamEvent::Opened { .. } => frames.accept(now, quic, &mut whole),
            StreamEvent::Readable { id } => frames.read(id, quic, &mut whole),
            StreamEvent::Finished { id } | StreamEvent::Stopped { id, .. } => {
                queue.settled(id);
                Ok(())
            }
            // Writing goes on when the connection is looked after.
            StreamEvent::Writable { .. } | StreamEvent::Available { .. } => Ok(()),
        };
        for frame in whole {
            self.take_frame(now, id, &frame, out);
        }
        if read.is_err() {
            self.shut(now, id, CloseCode::Malformed, out);
        }
    }

    /// A connection has something to do: it is looked after once the node has said all it has to say now.
    pub(super) fn touch(&mut self, id: u32) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !connection.is_dirty
        {
            connection.is_dirty = true;
            self.dirty.push_back(id);
        }
    }

    /// Looks after every connection that has something to do.
    pub(super) fn settle<M: Decode<()>>(&mut self, now: Instant, out: &mut HostOutput<M>) {
        while let Some(id) = self.dirty.pop_front() {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.is_dirty = false;
                self.look_after(now, id, out);
            }
        }
    }

    fn look_after<M: Decode<()>>(&mut self, now: Instant, id: u32, out: &mut HostOutput<M>) {
        loop {
            let reacted = self.react(now, id, out);
            let Some(connection) = self.connections.get_mut(&id) else { return };
            if connection.write(now) {
                self.shut(now, id, CloseCode::Done, out);
            }
            if !self.transmit_all(now, id, out) && !reacted {
                break;
            }
        }
        if let Some(connection) = self.connections.get_mut(&id)
            && let Some(at) = connection.next_timeout()
        {
            out.timers.push((id, at));
        }
    }

    /// Sends what a connection may send now. Whether it was anything.
    fn transmit_all<M: Decode<()>>(&mut self, now: Instant, id: u32, out: &mut HostOutput<M>) -> bool {
        let mut any = false;
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(connection) = self.connections.get_mut(&id) {
            buffer.clear();
            let kind = connection.kind;
            let Some(transmit) = connection.quic.poll_transmit(now, SEGMENTS_MAX, &mut buffer) else { break };
            any = true;
            self.transmit(kind, &transmit, &buffer, out);
        }
        self.buffer = buffer;
        any
    }

    fn transmit<M>(&mut self, kind: EndpointKind, transmit: &Transmit, buffer: &[u8], out: &mut HostOutput<M>) {
        let segment = transmit.segment_size.unwrap_or(transmit.size).max(1);
        for packet in buffer[..transmit.size].chunks(segment) {
            match (kind, transmit.destination) {
                (EndpointKind::Direct, SocketAddr::V4(to)) => {
                    out.packets.push(OutgoingPacket { to, ecn: transmit.ecn, data: packet.into() });
                }
                (EndpointKind::Relayed, to) => self.submit(to, packet),
                (EndpointKind::Direct, SocketAddr::V6(_)) => unreachable!("IPv6 addresses are labels here"),
            }
        }
    }

    /// What was to happen by now.
    pub(super) fn time_out<M: Decode<()>>(&mut self, now: Instant, id: u32, out: &mut HostOutput<M>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.quic.poll_timeout().is_some_and(|at| at <= now) {
            connection.quic.handle_timeout(now);
        }
        let HostConnection { quic, frames, stage, retires, .. } = &mut **connection;
        frames.give_up_overdue(now, quic);
        let retired = retires.is_some_and(|at| at <= now);
        match *stage {
            Stage::Handshaking(until) if until <= now => self.give_handshake_up(now, id, out),
            Stage::Up(_) if retired => self.shut(now, id, CloseCode::Superseded, out),
            _ => {}
        }
        self.touch(id);
    }

    /// The node runs again after a pause: whatever is due is done.
    pub(super) fn wake_all<M: Decode<()>>(&mut self, now: Instant, out: &mut HostOutput<M>) {
        let all: Vec<u32> = self.connections.keys().copied().collect();
        for id in all {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.armed = None;
                if connection.next_timeout().is_some_and(|at| at <= now) {
                    self.time_out(now, id, out);
                }
                self.touch(id);
            }
        }
    }

    /// Whether only QUIC still knows of its connections.
    pub(super) fn is_shut(&self) -> bool {
        self.connections.values().all(|connection| connection.stage == Stage::Closed)
    }

    /// A handshake has taken too long: for the dialler it has failed, and the other end hears of it if it can.
    fn give_handshake_up<M>(&mut self, now: Instant, id: u32, out: &mut HostOutput<M>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.quic.close(now, VarInt::from_u32(CloseCode::Done as u32), Bytes::new());
        self.handshake_failed(id, out);
    }

    /// A handshake leads nowhere.
    pub(super) fn handshake_failed<M>(&mut self, id: u32, out: &mut HostOutput<M>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.stage = Stage::Closed;
        let dial = connection.dial;
        self.handshake_ended(dial);
        if let Some(dial) = dial {
            self.tidy_routes();
            out.events.push(TransportEvent::DialFailed { dial });
        }
    }

    /// A handshake is under way no more.
    pub(super) fn handshake_ended(&mut self, dial: Option<DialId>) {
        match dial {
            Some(dial) => {
                self.dialling -= 1;
                self.dials_from_extra.remove(&dial);
            }
            None => self.accepting -= 1,
        }
    }

    /// Where the other end of a connection is, as nodes call it; `None` when relayed.
    pub(super) fn remote_of(&self, id: u32) -> Option<SocketAddr> {
        let remote = self.connections.get(&id)?.quic.remote_address();
        if is_virtual(remote) {
            return None;
        }
        let IpAddr::V4(ip) = remote.ip() else { return Some(remote) };
        let ip6 = labelled(ip).and_then(|number| *self.addresses6.get(number as usize)?);
        Some(ip6.map_or(remote, |ip| SocketAddr::new(ip.into(), remote.port())))
    }
}

/// The name of a connection in the table of links.
pub(super) fn named(id: u32) -> ConnectionId {
    ConnectionId(id.into())
}
