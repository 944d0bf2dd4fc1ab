//! Packets that a host carries for peers that cannot reach each other, and those that are carried for it.

use std::net::SocketAddr;
use std::time::Instant;

use bincode::Decode;
use butter::core::identity::NodeId;
use butter::quic::relay::{DELIVER, FORWARD, RelayFrame};
use butter::quic::routes::RelayRoute;
use bytes::{Bytes, BytesMut};

use super::connection::EndpointKind;
use super::host::{Host, HostOutput};

impl Host {
    /// The address by which QUIC knows a peer behind a relay; `None` if the relay cannot carry.
    pub(super) fn route_over(&self, relay: NodeId, peer: NodeId) -> Option<SocketAddr> {
        // A relay of a relay would carry nothing: datagrams run over direct links only.
        self.links.link(relay)?.remote?;
        Some(self.routes.address(RelayRoute { relay, peer }))
    }

    /// From now on carries between two peers to which it has links.
    pub(super) fn allow_relay(&mut self, now: Instant, a: NodeId, b: NodeId) {
        if self.links.link(a).is_some() && self.links.link(b).is_some() {
            self.grants.allow(a, b, now);
        }
    }

    /// Hands a packet of its own to the relay that leads to an address. As on any network, it may be lost.
    pub(super) fn submit(&mut self, to: SocketAddr, packet: &[u8]) {
        if let Some(RelayRoute { relay, peer }) = self.routes.route(to) {
            self.carry(relay, FORWARD, peer, packet);
        }
    }

    /// Datagram frames have come over a connection.
    pub(super) fn datagrams_received<M: Decode<()>>(&mut self, now: Instant, id: u32, out: &mut HostOutput<M>) {
        while let Some((peer, frame)) = self.next_datagram(id) {
            let Some(RelayFrame { kind, peer: other, packet }) = RelayFrame::decode(&frame) else { continue };
            match kind {
                FORWARD if self.grants.take(peer, other, packet.len(), now) => {
                    self.carry(other, DELIVER, peer, &packet);
                }
                DELIVER => {
                    let Some(from) = self.route_over(peer, other) else { continue };
                    self.receive(now, EndpointKind::Relayed, (from, None), BytesMut::from(&packet[..]), out);
                }
                _ => {}
            }
        }
    }

    fn next_datagram(&mut self, id: u32) -> Option<(NodeId, Bytes)> {
        let connection = self.connections.get_mut(&id)?;
        let peer = connection.peer()?;
        Some((peer, connection.quic.datagrams().recv()?))
    }

    fn carry(&mut self, over: NodeId, kind: u8, peer: NodeId, packet: &[u8]) {
        let Some(id) = self.links.link(over).filter(|link| link.remote.is_some()).map(|link| link.connection) else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.quic.datagrams().send(RelayFrame::encode(kind, peer, packet), true).is_ok() {
            self.touch(id);
        }
    }
}
