//! Carrying packets for peers that cannot reach each other, and being carried. What the frames hold: [`crate::quic::relay`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use quinn::Connection;
use tokio::sync::mpsc;

use super::arrivals::Arrived;
use super::counters::Counters;
use crate::core::identity::NodeId;
use crate::core::transport::RelayQuota;
use crate::quic::relay::{DELIVER, FORWARD, RelayFrame, RelayGrants};
use crate::quic::routes::{RelayRoute, RelayRoutes};

/// What a node needs to carry and be carried. Shared by the tunnel and every direct link's reader.
///
/// Locks: sending into a carrier takes that connection's lock, and happens under the lock of a relayed connection. It never
/// happens the other way around: only direct connections are carriers, and what those send does not come by here, because they
/// have an endpoint of their own.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) routes: RelayRoutes,
    counters: Arc<Counters>,
    arrived: mpsc::Sender<Arrived>,
    carriers: Mutex<BTreeMap<NodeId, Connection>>,
    grants: Mutex<RelayGrants>,
}

impl Relay {
    /// Packets that arrive over relays go to `arrived`.
    pub(super) fn new(counters: Arc<Counters>, arrived: mpsc::Sender<Arrived>, quota: RelayQuota) -> Arc<Self> {
        let relay = Relay {
            routes: RelayRoutes::default(),
            counters,
            arrived,
            carriers: Mutex::default(),
            grants: Mutex::new(RelayGrants::new(quota, Instant::now())),
        };
        Arc::new(relay)
    }

    /// From now on packets to and from `peer` run over `link`, which is direct; or no longer run, and it is no relay any more.
    pub(super) fn set_carrier(&self, peer: NodeId, link: Option<Connection>) {
        let mut carriers = self.carriers();
        if let Some(link) = link {
            carriers.insert(peer, link);
        } else {
            carriers.remove(&peer);
            self.routes.forget(peer);
        }
    }

    /// From now on carries between `a` and `b`.
    pub(super) fn allow(&self, a: NodeId, b: NodeId) {
        self.grants().allow(a, b, Instant::now());
    }

    /// No longer carries to or from `peer`.
    pub(super) fn forget(&self, peer: NodeId) {
        self.grants().forget(peer);
    }

    /// Hands a packet of this node's own to the relay of `route`.
    pub(super) fn submit(&self, route: RelayRoute, packet: &[u8]) {
        if !self.carry(route.relay, FORWARD, route.peer, packet) {
            self.counters.relay_lost.add(1);
        }
    }

    /// Takes a datagram frame that came over the direct link to `from`.
    pub(super) fn received(&self, from: NodeId, frame: &Bytes) {
        let Some(RelayFrame { kind, peer, packet }) = RelayFrame::decode(frame) else {
            return self.counters.relay_malformed.add(1);
        };
        match kind {
            FORWARD => self.forward(from, peer, &packet),
            DELIVER => self.deliver(RelayRoute { relay: from, peer }, packet),
            _ => self.counters.relay_malformed.add(1),
        }
    }

    fn forward(&self, from: NodeId, to: NodeId, packet: &[u8]) {
        if !self.grants().take(from, to, packet.len(), Instant::now()) {
            self.counters.relay_refused.add(1);
        } else if self.carry(to, DELIVER, from, packet) {
            self.counters.relay_packets.add(1);
            self.counters.relay_bytes.add(packet.len() as u64);
        } else {
            self.counters.relay_lost.add(1);
        }
    }

    fn deliver(&self, route: RelayRoute, packet: Bytes) {
        let taken = self.source(route).is_some_and(|from| self.arrived.try_send(Arrived { from, packet }).is_ok());
        if !taken {
            self.counters.relay_lost.add(1);
        }
    }

    /// Where a packet comes from that was delivered; `None` if nothing could go back, because such a route would never be removed.
    fn source(&self, route: RelayRoute) -> Option<SocketAddr> {
        let carriers = self.carriers();
        carriers.contains_key(&route.relay).then(|| self.routes.address(route))
    }

    fn carry(&self, over: NodeId, kind: u8, peer: NodeId, packet: &[u8]) -> bool {
        let Some(link) = self.carriers().get(&over).cloned() else { return false };
        link.send_datagram(RelayFrame::encode(kind, peer, packet)).is_ok()
    }

    fn carriers(&self) -> MutexGuard<'_, BTreeMap<NodeId, Connection>> {
        self.carriers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grants(&self) -> MutexGuard<'_, RelayGrants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
