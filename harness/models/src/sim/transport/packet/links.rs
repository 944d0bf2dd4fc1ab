//! Which of a host's connections are links, what its node hears of them, and how they end. As in the driver.

use std::collections::BTreeSet;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::Instant;

use bincode::{Decode, Encode};
use butter::core::identity::NodeId;
use butter::core::io::SocketId;
use butter::core::message::Message;
use butter::core::transport::TransportEvent;
use butter::core::wire::{self, WireError};
use butter::quic::limits::{CloseCode, MERGE_GRACE};
use butter::quic::link_table::{LinkEntry, RemovedLink};
use bytes::Bytes;
use quinn_proto::VarInt;

use super::connection::Stage;
use super::host::{Host, HostOutput, named};

impl Host {
    /// Queues a message. Returns the length of its frame, or 0 if there is no link or no room.
    ///
    /// # Errors
    /// If the message has no frame, because it is too long.
    pub(super) fn send<M: Encode>(&mut self, to: NodeId, message: &Message<M>) -> Result<usize, WireError> {
        let Some(&id) = self.links.link(to).map(|link| &link.connection) else { return Ok(0) };
        let frame = wire::encode(message)?;
        let length = frame.len();
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(0) };
        if !connection.queue.push(frame.into()) {
            return Ok(0);
        }
        self.touch(id);
        Ok(length)
    }

    /// Closes every connection to a peer once what was sent is delivered.
    pub(super) fn close(&mut self, peer: NodeId) {
        for entry in self.links.remove_peer(peer) {
            if let Some(connection) = self.connections.get_mut(&entry.connection) {
                connection.stage = Stage::Finishing(peer);
                connection.retires = None;
                self.touch(entry.connection);
            }
        }
        self.unlinked(peer);
    }

    /// The handshake of a connection is done.
    pub(super) fn established<M>(&mut self, now: Instant, id: u32, out: &mut HostOutput<M>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !matches!(connection.stage, Stage::Handshaking(_)) {
            return;
        }
        let dial = connection.dial;
        let identity = connection.quic.crypto_session().peer_identity();
        let Some(peer) = identity.and_then(|id| id.downcast::<NodeId>().ok()).map(|id| *id).filter(|&id| id != self.me)
        else {
            connection.quic.close(now, VarInt::from_u32(CloseCode::Unwanted as u32), Bytes::new());
            return self.handshake_failed(id, out);
        };
        connection.stage = Stage::Up(peer);
        let remote = self.remote_of(id);
        let entry = LinkEntry { id: named(id), remote, dialled: dial.is_some(), since: now, connection: id };
        let (added, excess) = self.links.add(peer, entry);
        for entry in excess {
            self.shut(now, entry.connection, CloseCode::Superseded, out);
        }
        for retired in added.retire {
            let entry = self.links.get(peer, retired).map(|entry| entry.connection);
            if let Some(connection) = entry.and_then(|id| self.connections.get_mut(&id)) {
                connection.retires.get_or_insert(now + MERGE_GRACE);
                self.touch(entry.expect("just seen"));
            }
        }
        if added.is_link || dial.is_some() {
            // Every dial is answered, also one that found a link in place.
            self.linked(now, peer, out);
        }
        self.handshake_ended(dial);
    }

    /// A connection is gone: closed here, by the other end, or by silence.
    pub(super) fn lost<M>(&mut self, now: Instant, id: u32, out: &mut HostOutput<M>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let stage = std::mem::replace(&mut connection.stage, Stage::Closed);
        connection.retires = None;
        match stage {
            Stage::Handshaking(_) => self.handshake_failed(id, out),
            Stage::Up(peer) => match self.links.remove(peer, named(id)) {
                RemovedLink::Nothing => self.tidy_routes(),
                RemovedLink::Link => {
                    self.linked(now, peer, out);
                    self.tidy_routes();
                }
                RemovedLink::Peer => {
                    self.unlinked(peer);
                    out.events.push(TransportEvent::LinkDown { peer });
                }
            },
            Stage::Finishing(_) | Stage::Closed => self.tidy_routes(),
        }
    }

    /// Closes a connection at once; what is not delivered is lost.
    pub(super) fn shut<M>(&mut self, now: Instant, id: u32, code: CloseCode, out: &mut HostOutput<M>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.stage == Stage::Closed {
            return;
        }
        connection.quic.close(now, VarInt::from_u32(code as u32), Bytes::new());
        self.lost(now, id, out);
        self.touch(id);
    }

    /// A frame has come whole.
    pub(super) fn take_frame<M: Decode<()>>(&mut self, now: Instant, id: u32, frame: &[u8], out: &mut HostOutput<M>) {
        let Some(peer) = self.connections.get(&id).and_then(|connection| connection.peer()) else { return };
        match wire::decode::<Message<M>>(frame) {
            Ok(message) if self.links.get(peer, named(id)).is_some() => {
                out.events.push(TransportEvent::Message { from: peer, message, bytes: frame.len() as u32 });
            }
            Ok(_) => {}
            Err(_) => self.shut(now, id, CloseCode::Malformed, out),
        }
    }

    /// Measures the path of a link, and reports it.
    pub(super) fn measure_path<M>(&mut self, now: Instant, peer: NodeId, out: &mut HostOutput<M>) {
        let link = self.links.link(peer).map(|link| link.connection);
        let path = link.and_then(|id| self.connections.get_mut(&id)).and_then(|connection| connection.measure(now));
        out.events.extend(path.map(|path| TransportEvent::PathMeasured { peer, path }));
    }

    /// Looks whether peers have moved, and whether paths have changed. Whether bulk is on its way, so that they change quickly.
    pub(super) fn check_links<M>(&mut self, now: Instant, out: &mut HostOutput<M>) -> bool {
        let mut is_busy = false;
        let links: Vec<(NodeId, u32)> = self.links.links_mut().map(|(peer, link)| (peer, link.connection)).collect();
        for (peer, id) in links {
            let remote = self.remote_of(id);
            if let Some(link) = self.links.link_mut(peer).filter(|link| link.remote != remote) {
                link.remote = remote;
                out.events.push(TransportEvent::LinkUp { peer, remote, dialled: link.dialled });
            }
            if let Some(connection) = self.connections.get_mut(&id) {
                is_busy |= connection.queue.outstanding() > 0;
                let path = connection.measure_change(now);
                if connection.is_silent(now) {
                    self.shut(now, id, CloseCode::Silent, out);
                }
                out.events.extend(path.map(|path| TransportEvent::PathMeasured { peer, path }));
            }
        }
        is_busy
    }

    /// Everything is closed once what was sent is delivered, and nothing new is accepted.
    pub(super) fn leave(&mut self) {
        self.is_leaving = true;
        let peers: Vec<NodeId> = self.links.peers().collect();
        peers.into_iter().for_each(|peer| self.close(peer));
    }

    /// Closes every connection at once.
    pub(super) fn shut_all<M>(&mut self, now: Instant, out: &mut HostOutput<M>) {
        let all: Vec<u32> = self.connections.keys().copied().collect();
        all.into_iter().for_each(|id| self.shut(now, id, CloseCode::Done, out));
    }

    /// The extra socket from which packets to an address leave, if one leads there.
    pub(super) fn socket_towards(&self, to: SocketAddrV4) -> Option<SocketId> {
        self.extra_routes.get(&to).copied()
    }

    /// Whether what came from an address to an extra socket is QUIC's. What was expected there becomes the way.
    pub(super) fn accepts(&mut self, from: SocketAddrV4, socket: SocketId) -> bool {
        let expected = self.expected_dials.contains(&(socket, from));
        if expected {
            self.extra_routes.insert(from, socket);
        }
        expected || self.socket_towards(from) == Some(socket)
    }

    /// Extra sockets that lead to no peer any more are not needed.
    pub(super) fn tidy_routes(&mut self) {
        if self.extra_routes.is_empty() {
            return;
        }
        let address = |remote: SocketAddr| match remote {
            SocketAddr::V4(remote) => Some(remote),
            SocketAddr::V6(_) => None,
        };
        let connected = self.connections.values().filter(|connection| connection.stage != Stage::Closed);
        let kept: BTreeSet<SocketAddrV4> = connected
            .filter_map(|connection| address(connection.quic.remote_address()))
            .chain(self.dials_from_extra.values().copied())
            .collect();
        let expected = &self.expected_dials;
        self.extra_routes.retain(|remote, socket| kept.contains(remote) || expected.contains(&(*socket, *remote)));
    }

    /// Sockets that were kept for their peers alone, and have none any more.
    pub(super) fn unused_sockets(&mut self) -> Vec<SocketId> {
        let used: BTreeSet<SocketId> = self.extra_routes.values().copied().collect();
        let unused: Vec<SocketId> = self.closing_sockets.difference(&used).copied().collect();
        self.closing_sockets.retain(|socket| used.contains(socket));
        unused
    }

    fn linked<M>(&mut self, now: Instant, peer: NodeId, out: &mut HostOutput<M>) {
        let Some(link) = self.links.link(peer) else { return };
        let (remote, dialled) = (self.remote_of(link.connection), link.dialled);
        if remote.is_none() {
            // A relayed link carries nothing for others.
            self.routes.forget(peer);
        }
        out.events.push(TransportEvent::LinkUp { peer, remote, dialled });
        self.measure_path(now, peer, out);
    }

    fn unlinked(&mut self, peer: NodeId) {
        self.routes.forget(peer);
        self.grants.forget(peer);
        self.tidy_routes();
    }
}
