//! Probes, and the extra sockets from which a node sends them and links.

use std::net::{SocketAddr, SocketAddrV4};

use butter::core::io::SocketId;
use butter::core::probe::Probe;
use butter::core::transport::EXTRA_SOCKETS_MAX;

use super::packet::QuicPacket;
use super::*;
use crate::sim::network::{HEADER_BYTES, LAN_LATENCY, PacketFate};

/// First port of extra sockets: as the system's own choice, above the one at which nodes listen.
const EXTRA_PORT_MIN: u16 = 32_768;

/// A node's extra sockets.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// In the order in which they were opened.
    open: Vec<(SocketId, u16)>,
    given: u16,
    /// Ports at which dials from an address are expected.
    expected: Vec<(u16, SocketAddrV4)>,
}

impl Extra {
    pub(super) fn has(&self, socket: SocketId) -> bool {
        self.port(socket).is_some()
    }

    pub(super) fn port(&self, socket: SocketId) -> Option<u16> {
        self.open.iter().find(|(open, _)| *open == socket).map(|&(_, port)| port)
    }

    fn socket(&self, port: u16) -> Option<SocketId> {
        self.open.iter().find(|&&(_, open)| open == port).map(|&(socket, _)| socket)
    }

    pub(super) fn close(&mut self, port: u16) {
        self.open.retain(|&(_, open)| open != port);
        self.stop_expecting(port);
    }

    fn stop_expecting(&mut self, port: u16) {
        self.expected.retain(|&(expected, _)| expected != port);
    }

    /// The port of a socket, which is opened if it is not; `None` if too many are.
    fn open(&mut self, socket: SocketId) -> Option<u16> {
        if let Some(port) = self.port(socket) {
            return Some(port);
        }
        if self.open.len() >= EXTRA_SOCKETS_MAX {
            return None;
        }
        let port = loop {
            let port = EXTRA_PORT_MIN + self.given;
            self.given = (self.given + 1) % EXTRA_PORT_MIN;
            if self.socket(port).is_none() {
                break port;
            }
        };
        self.open.push((socket, port));
        Some(port)
    }
}

impl<M: Debug + Encode + Decode<()>> Transport<M> {
    /// Carries out [`butter::core::io::Output::Probe`] of a node.
    pub fn probe(&mut self, from: NodeSlot, socket: SocketId, to: SocketAddr, probe: Probe) {
        let (Some(port), SocketAddr::V4(to)) = (self.open_port(from, socket), to) else { return };
        let port = if socket == SocketId::MAIN { self.port_towards(from, to) } else { port };
        let source = SocketAddrV4::new(self.end(from).address, port);
        let bytes = probe.encode().len() + HEADER_BYTES;
        self.send_datagram(from, udp(source, to), bytes, Content::Probe { from, probe });
    }

    /// Carries out [`butter::core::io::Output::OpenSocket`] of a node.
    pub fn open_socket(&mut self, slot: NodeSlot, socket: SocketId) {
        if let Some(port) = self.open_port(slot, socket) {
            self.deliver(slot, TransportEvent::SocketOpened { socket, port });
        }
    }

    /// Carries out [`butter::core::io::Output::ExpectDial`] of a node.
    pub fn expect_dial(&mut self, slot: NodeSlot, socket: SocketId, from: SocketAddr) {
        if self.is_packet() {
            return self.expect_dial_at_host(slot, socket, from);
        }
        let extra = &mut self.end_mut(slot).extra;
        let (Some(port), SocketAddr::V4(from)) = (extra.port(socket), from) else { return };
        if !extra.expected.contains(&(port, from)) {
            extra.expected.push((port, from));
        }
    }

    /// Whether a handshake from an address is let in at a port. At extra ones only what the node itself dials or expects.
    pub(super) fn lets_in(&self, slot: NodeSlot, port: u16, from: SocketAddrV4) -> bool {
        port == NODE_PORT
            || self.end(slot).extra.expected.contains(&(port, from))
            || self.dials.values().any(|dialling| dialling.leads_to(slot, port, from))
    }

    /// Carries out [`butter::core::io::Output::CloseSocket`] of a node.
    pub fn close_socket(&mut self, slot: NodeSlot, socket: SocketId) {
        let Some(port) = self.end(slot).extra.port(socket) else { return };
        self.end_mut(slot).extra.stop_expecting(port);
        if self.host_keeps_socket(slot, socket) {
            return;
        }
        let carries = |&(_, key): &(u64, LinkKey)| self.links[key].local_port(slot) == port;
        let dials = |dialling: &Dialling| dialling.is_from(slot, port);
        if !self.end(slot).links.iter().any(carries) && !self.dials.values().any(dials) {
            self.end_mut(slot).extra.close(port);
        }
    }

    /// The port from which a node sends to an address: its link's, if it has one there.
    fn port_towards(&self, slot: NodeSlot, to: SocketAddrV4) -> u16 {
        if let Some(socket) = self.host_socket_towards(slot, to) {
            return self.end(slot).extra.port(socket).unwrap_or(NODE_PORT);
        }
        let links = self.end(slot).links.iter().map(|&(_, key)| &self.links[key]);
        let mut there = links.filter(|link| link.keeps_alive(slot) == Some(to)).map(|link| link.local_port(slot));
        there.next().unwrap_or(NODE_PORT)
    }

    /// A link from this port is down: an extra socket goes with it.
    pub(super) fn release_port(&mut self, slot: NodeSlot, port: u16) {
        if port != NODE_PORT {
            self.end_mut(slot).extra.close(port);
        }
    }

    /// Whether something listens at a port of a node, and what.
    pub(super) fn socket_at(&self, slot: NodeSlot, port: u16) -> Option<SocketId> {
        if port == NODE_PORT { Some(SocketId::MAIN) } else { self.end(slot).extra.socket(port) }
    }

    /// The port of a socket, which is opened if it is extra and new.
    pub(super) fn open_port(&mut self, slot: NodeSlot, socket: SocketId) -> Option<u16> {
        if socket == SocketId::MAIN { Some(NODE_PORT) } else { self.end_mut(slot).extra.open(socket) }
    }

    /// A packet without a link leaves a node.
    pub(super) fn send_datagram(&mut self, from: NodeSlot, flow: Flow, bytes: usize, content: Content) {
        let network = self.end(from).network as usize;
        if let Some(packet) = self.networks.launch(network, flow, bytes) {
            let at = self.now + LAN_LATENCY + self.spread(from);
            let key = self.packets.insert((packet, content));
            self.schedule(from, at, Event::SimPacket(key));
        }
    }

    /// A packet without a link is at its next device.
    pub(super) fn packet_arrives(&mut self, key: PacketKey) {
        let Some((packet, _)) = self.packets.get_mut(key) else { return };
        match self.networks.pass(self.now, packet) {
            PacketFate::At(at) => {
                let source = self.packets[key].1.sender();
                self.schedule(source, at, Event::SimPacket(key));
            }
            PacketFate::Dropped => drop(self.packets.remove(key)),
            PacketFate::Delivered(slot) => {
                let (packet, content) = self.packets.remove(key).expect("just seen");
                let content = match content {
                    Content::Quic(quic) => return self.quic_packet_arrives(slot, &packet, quic),
                    content => content,
                };
                let socket = self.socket_at(slot, packet.flow.destination.port());
                let is_heard = self.end(slot).alive && !self.is_cut(content.sender(), slot);
                let Some(socket) = socket.filter(|_| is_heard) else { return };
                match content {
                    Content::Handshake(handshake) => self.handshake(slot, packet, handshake),
                    Content::Probe { probe, .. } => {
                        let from = SocketAddr::V4(packet.flow.source);
                        self.deliver(slot, TransportEvent::ProbeReceived { socket, from, probe });
                    }
                    Content::Quic(_) => unreachable!("it was taken above"),
                }
            }
        }
    }
}

/// What a packet without a link carries.
#[derive(Debug)]
pub(super) enum Content {
    Handshake(Handshake),
    Probe {
        from: NodeSlot,
        probe: Probe,
    },
    /// With fidelity `packet`.
    Quic(QuicPacket),
}

impl Content {
    pub(super) fn sender(&self) -> NodeSlot {
        match self {
            Content::Handshake(handshake) => handshake.sender(),
            Content::Probe { from, .. } => *from,
            Content::Quic(quic) => quic.from,
        }
    }
}
