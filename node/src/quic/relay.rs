//! What a relay carries: the frames around relayed packets, and for which pairs it does so.
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
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::core::identity::NodeId;
use crate::core::transport::RelayQuota;

/// First byte of a packet for the relay to forward.
pub const FORWARD: u8 = 1;
/// First byte of a packet that a relay delivers.
pub const DELIVER: u8 = 2;
/// Bytes before the packet.
const HEADER: usize = 1 + 32;

/// A relayed packet in the frame that carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayFrame {
    /// [`FORWARD`] or [`DELIVER`]; what else it may be is for its reader to refuse.
    pub kind: u8,
    /// The receiver, or the sender of what is delivered.
    pub peer: NodeId,
    /// A QUIC packet between the ends.
    pub packet: Bytes,
}

impl RelayFrame {
    /// The frame's bytes.
    pub fn encode(kind: u8, peer: NodeId, packet: &[u8]) -> Bytes {
        let mut frame = Vec::with_capacity(HEADER + packet.len());
        frame.push(kind);
        frame.extend_from_slice(&peer.0);
        frame.extend_from_slice(packet);
        frame.into()
    }

    /// What a frame holds; `None` if it is too short.
    pub fn decode(frame: &Bytes) -> Option<Self> {
        let (&kind, rest) = frame.split_first()?;
        let (peer, _) = rest.split_first_chunk::<32>()?;
        Some(RelayFrame { kind, peer: NodeId(*peer), packet: frame.slice(HEADER..) })
    }
}

/// Which pairs may be carried, and how much.
#[derive(Debug)]
pub struct RelayGrants {
    quota: RelayQuota,
    pairs: BTreeMap<(NodeId, NodeId), Bucket>,
    total: Bucket,
}

impl RelayGrants {
    /// Nothing is allowed yet, within a quota.
    pub fn new(quota: RelayQuota, now: Instant) -> Self {
        RelayGrants { quota, pairs: BTreeMap::new(), total: Bucket::full(quota.total_rate, now) }
    }

    /// From now on packets between the two are carried. Beyond the quota, another pair is given up.
    pub fn allow(&mut self, a: NodeId, b: NodeId, now: Instant) {
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

    /// Packets to and from a peer are carried no more.
    pub fn forget(&mut self, peer: NodeId) {
        self.pairs.retain(|&(a, b), _| a != peer && b != peer);
    }

    /// Whether a packet of so many bytes may be carried now; then it counts.
    pub fn take(&mut self, a: NodeId, b: NodeId, bytes: usize, now: Instant) -> bool {
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
        let mut grants = RelayGrants::new(QUOTA, now);
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
        let mut grants = RelayGrants::new(QUOTA, start);
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
        let mut grants = RelayGrants::new(QUOTA, now);
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
        let mut grants = RelayGrants::new(QUOTA, start);
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
        let mut grants = RelayGrants::new(QUOTA, start);
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
