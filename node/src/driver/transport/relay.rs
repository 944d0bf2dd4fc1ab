//! Carrying packets for peers that cannot reach each other, and being carried.
//!
//! A relayed packet travels in a QUIC datagram frame (RFC 9221) of the link between an end and its relay:
//!
//! | bytes | from an end to its relay | from the relay to the other end |
//! | --- | --- | --- |
//! | 1 | [`FORWARD`] | [`DELIVER`] |
//! | 32 | receiver | sender: set by the relay, which knows whose link it came over |
//! | rest | a QUIC packet between the ends | the same |

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::Connection;
use tokio::sync::mpsc;

use super::arrivals::Arrived;
use super::counters::Counters;
use super::routes::{Route, Routes};
use crate::core::identity::NodeId;
use crate::core::transport::RelayQuota;

/// First byte of a packet for the relay to forward.
const FORWARD: u8 = 1;
/// First byte of a packet that a relay delivers.
pub(super) const DELIVER: u8 = 2;
/// Bytes before the packet.
const HEADER: usize = 1 + 32;

/// What a node needs to carry and be carried. Shared by the tunnel and every direct link's reader.
///
/// Locks: sending into a carrier takes that connection's lock, and happens under the lock of a relayed connection. It never
/// happens the other way around: only direct connections are carriers, and what those send does not come by here, because they
/// have an endpoint of their own.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) routes: Routes,
    counters: Arc<Counters>,
    arrived: mpsc::Sender<Arrived>,
    carriers: Mutex<BTreeMap<NodeId, Connection>>,
    grants: Mutex<Grants>,
}

impl Relay {
    /// Packets that arrive over relays go to `arrived`.
    pub(super) fn new(counters: Arc<Counters>, arrived: mpsc::Sender<Arrived>, quota: RelayQuota) -> Arc<Self> {
        let relay = Relay {
            routes: Routes::default(),
            counters,
            arrived,
            carriers: Mutex::default(),
            grants: Mutex::new(Grants::new(quota, Instant::now())),
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
    pub(super) fn submit(&self, route: Route, packet: &[u8]) {
        if !self.carry(route.relay, FORWARD, route.peer, packet) {
            self.counters.relay_lost.add(1);
        }
    }

    /// Takes a datagram frame that came over the direct link to `from`.
    pub(super) fn received(&self, from: NodeId, frame: &Bytes) {
        let Some((&kind, rest)) = frame.split_first() else { return self.counters.relay_malformed.add(1) };
        let Some((peer, _)) = rest.split_first_chunk::<32>() else { return self.counters.relay_malformed.add(1) };
        let (peer, packet) = (NodeId(*peer), frame.slice(HEADER..));
        match kind {
            FORWARD => self.forward(from, peer, &packet),
            DELIVER => self.deliver(Route { relay: from, peer }, packet),
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

    fn deliver(&self, route: Route, packet: Bytes) {
        let taken = self.source(route).is_some_and(|from| self.arrived.try_send(Arrived { from, packet }).is_ok());
        if !taken {
            self.counters.relay_lost.add(1);
        }
    }

    /// Where a packet comes from that was delivered; `None` if nothing could go back, because such a route would never be removed.
    fn source(&self, route: Route) -> Option<SocketAddr> {
        let carriers = self.carriers();
        carriers.contains_key(&route.relay).then(|| self.routes.address(route))
    }

    fn carry(&self, over: NodeId, kind: u8, peer: NodeId, packet: &[u8]) -> bool {
        let Some(link) = self.carriers().get(&over).cloned() else { return false };
        let mut frame = Vec::with_capacity(HEADER + packet.len());
        frame.push(kind);
        frame.extend_from_slice(&peer.0);
        frame.extend_from_slice(packet);
        link.send_datagram(frame.into()).is_ok()
    }

    fn carriers(&self) -> MutexGuard<'_, BTreeMap<NodeId, Connection>> {
        self.carriers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grants(&self) -> MutexGuard<'_, Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which pairs may be carried, and how much.
#[derive(Debug)]
struct Grants {
    quota: RelayQuota,
    pairs: BTreeMap<(NodeId, NodeId), Bucket>,
    total: Bucket,
}

impl Grants {
    fn new(quota: RelayQuota, now: Instant) -> Self {
        Grants { quota, pairs: BTreeMap::new(), total: Bucket::full(quota.total_rate, now) }
    }

    /// Beyond the quota, another pair is given up.
    fn allow(&mut self, a: NodeId, b: NodeId, now: Instant) {
        if self.pairs.len() >= self.quota.pairs && !self.pairs.contains_key(&pair(a, b)) {
            self.give_one_up();
        }
        self.pairs.entry(pair(a, b)).or_insert_with(|| Bucket::full(self.quota.pair_rate, now));
    }

    /// Of whoever is in most pairs, the one that has been silent for longest: so that no peer's burst costs others theirs.
    fn give_one_up(&mut self) {
        let mut shares = BTreeMap::<NodeId, usize>::new();
        for peer in self.pairs.keys().flat_map(|&(a, b)| [a, b]) {
            *shares.entry(peer).or_default() += 1;
        }
        let rank = |&((a, b), bucket): &(&(NodeId, NodeId), &Bucket)| (Reverse(shares[a].max(shares[b])), bucket.at);
        let given_up = self.pairs.iter().min_by_key(rank).map(|(&pair, _)| pair);
        given_up.map(|pair| self.pairs.remove(&pair));
    }

    fn forget(&mut self, peer: NodeId) {
        self.pairs.retain(|&(a, b), _| a != peer && b != peer);
    }

    fn take(&mut self, a: NodeId, b: NodeId, bytes: usize, now: Instant) -> bool {
        let Some(bucket) = self.pairs.get_mut(&pair(a, b)) else { return false };
        bucket.take(bytes, now) && self.total.take(bytes, now)
    }
}

fn pair(a: NodeId, b: NodeId) -> (NodeId, NodeId) {
    (a.min(b), a.max(b))
}

/// A token bucket that holds one second's worth.
#[derive(Debug)]
struct Bucket {
    rate: u64,
    level: u64,
    at: Instant,
}

impl Bucket {
    fn full(rate: u64, now: Instant) -> Self {
        Bucket { rate, level: rate, at: now }
    }

    fn take(&mut self, bytes: usize, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.at).min(Duration::from_secs(1));
        let gained = (elapsed.as_micros() as u64).saturating_mul(self.rate) / 1_000_000;
        if gained > 0 {
            self.level = self.rate.min(self.level + gained);
            self.at = now;
        }
        let enough = self.level >= bytes as u64;
        if enough {
            self.level -= bytes as u64;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: RelayQuota = RelayQuota::AMBASSADOR;
    const A: NodeId = NodeId([1; 32]);
    const B: NodeId = NodeId([2; 32]);
    const C: NodeId = NodeId([3; 32]);

    #[test]
    fn only_pairs_that_were_allowed_are_carried() {
        let now = Instant::now();
        let mut grants = Grants::new(QUOTA, now);
        grants.allow(B, A, now);
        assert!(grants.take(A, B, 1_200, now));
        assert!(grants.take(B, A, 1_200, now));
        assert!(!grants.take(A, C, 1_200, now));
        grants.forget(B);
        assert!(!grants.take(A, B, 1_200, now));
    }

    #[test]
    fn a_pair_gets_its_rate_and_no_more() {
        let start = Instant::now();
        let mut grants = Grants::new(QUOTA, start);
        grants.allow(A, B, start);
        let packet = 1_024;
        let carried = (0..40_000u64)
            .filter(|&i| grants.take(A, B, packet, start + Duration::from_micros(250 * i)))
            .count() as u64;
        let most = (QUOTA.pair_rate + 10 * QUOTA.pair_rate) / packet as u64;
        assert!((most - 20..=most).contains(&carried), "{carried} of {most}");
    }

    #[test]
    fn allowing_again_does_not_refill() {
        let now = Instant::now();
        let mut grants = Grants::new(QUOTA, now);
        grants.allow(A, B, now);
        assert!(grants.take(A, B, QUOTA.pair_rate as usize, now));
        grants.allow(A, B, now);
        assert!(!grants.take(A, B, 1, now));
    }

    fn other(number: u32) -> NodeId {
        let mut id = [0xff; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        NodeId(id)
    }

    #[test]
    fn the_number_of_pairs_is_bounded_and_a_burst_costs_only_whoever_is_behind_it() {
        let start = Instant::now();
        let mut grants = Grants::new(QUOTA, start);
        grants.allow(B, C, start);
        for i in 0..2 * QUOTA.pairs as u32 {
            grants.allow(A, other(i), start + Duration::from_micros(u64::from(i)));
        }
        assert_eq!(grants.pairs.len(), QUOTA.pairs);
        let later = start + Duration::from_secs(1);
        assert!(grants.take(B, C, 1_200, later), "silent for longest, but none of the burst's");
        assert!(
            !grants.take(A, other(0), 1_200, later) && grants.take(A, other(2 * QUOTA.pairs as u32 - 1), 1_200, later)
        );
    }

    #[test]
    fn among_equals_the_pair_that_has_been_silent_for_longest_is_given_up() {
        let start = Instant::now();
        let mut grants = Grants::new(QUOTA, start);
        let pair_of = |number: u32| (other(2 * number), other(2 * number + 1));
        for number in 0..=QUOTA.pairs as u32 {
            let (a, b) = pair_of(QUOTA.pairs as u32 - number);
            grants.allow(a, b, start + Duration::from_micros(u64::from(number)));
        }
        let (first, second) = (pair_of(QUOTA.pairs as u32), pair_of(QUOTA.pairs as u32 - 1));
        let later = start + Duration::from_secs(1);
        assert!(!grants.take(first.0, first.1, 1_200, later) && grants.take(second.0, second.1, 1_200, later));
    }
}
