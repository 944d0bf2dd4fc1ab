//! How much work peers may cause: token buckets for each peer, for each address prefix, and for all together.
//!
//! Links and identities cost nothing, and some messages make the receiver send many more: whoever repeats them would keep a whole
//! network busy. So each message has a price, and a message beyond the budget of its sender is dropped. What keeps nodes alive to
//! each other (a price up to [`CHEAP`]) counts against its own sender alone: no number of strangers makes a node deaf to a peer.
//!
//! Buckets are kept as the moment at which they are full again (the generic cell rate algorithm: ITU-T I.371).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::identity::NodeId;
use crate::core::message::{MembershipMessage, Message, RendezvousMessage};
use crate::core::time::Time;

/// Greatest price that counts against the sender alone.
const CHEAP: u32 = 2;

/// What each bucket regains per second, and what it holds.
const PER_PEER: Allowance = Allowance { per_second: 2_000, burst: 10_000 };
const PER_PREFIX: Allowance = Allowance { per_second: 20_000, burst: 200_000 };
const IN_ALL: Allowance = Allowance { per_second: 40_000, burst: 400_000 };
/// Most buckets that are kept of peers, and of prefixes. Beyond it, those that are full are forgotten, then the fullest.
const BUCKETS_MAX: usize = 8_192;

/// A rate with bursts, in units of work.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    per_second: u64,
    burst: u64,
}

impl Allowance {
    fn time_of(self, units: u64) -> Duration {
        Duration::from_micros(units * 1_000_000 / self.per_second)
    }

    /// Whether the bucket, which is full at `full_at`, has as much. `full_at` after taking it.
    fn after(self, now: Time, full_at: Time, price: u32) -> Option<Time> {
        let after = full_at.max(now) + self.time_of(price.into());
        (after.since(now) <= self.time_of(self.burst)).then_some(after)
    }
}

/// The work that peers may still cause. The bucket of a linked peer is part of its link.
#[derive(Debug, Default)]
pub(super) struct WorkBudget {
    /// Of peers whose links have gone: a new link does not fill a bucket.
    unlinked: Buckets<NodeId>,
    /// By /24 of IPv4 and /48 of IPv6; relayed links are one prefix.
    prefixes: Buckets<u64>,
    full_at: Time,
}

/// When each bucket is full again.
#[derive(Debug)]
struct Buckets<K>(BTreeMap<K, Time>);

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Buckets(BTreeMap::new())
    }
}

impl<K: Ord + Copy> Buckets<K> {
    fn set(&mut self, now: Time, key: K, full_at: Time) {
        if self.0.len() >= BUCKETS_MAX && !self.0.contains_key(&key) {
            self.0.retain(|_, full_at| *full_at > now);
            while self.0.len() >= BUCKETS_MAX {
                let fullest = self.0.iter().min_by_key(|(_, full_at)| **full_at).map(|(key, _)| *key);
                fullest.and_then(|key| self.0.remove(&key));
            }
        }
        self.0.insert(key, full_at);
    }
}

impl WorkBudget {
    /// Whether a message of this price is handled, from a peer that is seen at `remote`. Takes the price. The peer's own bucket is
    /// full at `own`.
    pub(super) fn take(&mut self, now: Time, own: &mut Time, remote: Option<SocketAddr>, price: u32) -> bool {
        if price == 0 {
            return true;
        }
        let Some(own_after) = PER_PEER.after(now, *own, price) else { return false };
        if price > CHEAP {
            let prefix = prefix_of(remote);
            let full_at = self.prefixes.0.get(&prefix).copied().unwrap_or_default();
            let Some(shared) = PER_PREFIX.after(now, full_at, price) else { return false };
            let Some(all) = IN_ALL.after(now, self.full_at, price) else { return false };
            self.prefixes.set(now, prefix, shared);
            self.full_at = all;
        }
        *own = own_after;
        true
    }

    /// When the bucket of a peer is full whose link comes up.
    pub(super) fn linked(&mut self, peer: NodeId) -> Time {
        self.unlinked.0.remove(&peer).unwrap_or_default()
    }

    /// A link is gone whose bucket is full at `own`; it was last used at `used`.
    pub(super) fn link_down(&mut self, used: Time, peer: NodeId, own: Time) {
        if own > used {
            self.unlinked.set(used, peer, own);
        }
    }
}

fn prefix_of(remote: Option<SocketAddr>) -> u64 {
    match remote.map(|remote| remote.ip().to_canonical()) {
        None => 0,
        Some(IpAddr::V4(ip)) => u64::from(u32::from(ip) >> 8) | 1 << 32,
        Some(IpAddr::V6(ip)) => (u128::from(ip) >> 80) as u64 | 1 << 63,
    }
}

/// The price of a message of the core; `overlay` prices those of the overlay. Requests to the application are its own concern.
pub(in crate::core) fn price<M>(message: &Message<M>, overlay: impl FnOnce(&M) -> u32) -> u32 {
    match message {
        Message::Membership(message) => match message {
            // Each sets off a walk from every neighbour, though one newcomer does so once a minute.
            MembershipMessage::Join(_) | MembershipMessage::Neighbour { .. } => 100,
            MembershipMessage::Shuffle { .. } | MembershipMessage::ForwardJoin { .. } => 50,
            MembershipMessage::Part | MembershipMessage::Refresh { .. } => 20,
            MembershipMessage::NeighbourReply { .. } | MembershipMessage::ShuffleReply { .. } => CHEAP,
        },
        Message::Rendezvous(message) => match message {
            RendezvousMessage::GetHosts => 100,
            RendezvousMessage::Introduce { .. } | RendezvousMessage::Introduced { .. } => 10,
            _ => CHEAP,
        },
        Message::Ask { .. } | Message::Answer { .. } => 0,
        Message::Overlay(message) => overlay(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> NodeId {
        NodeId(std::array::from_fn(|at| number.to_be_bytes()[at % 4]))
    }

    fn at(network: u32) -> Option<SocketAddr> {
        Some(SocketAddr::from(([10, 0, network as u8, 1], 4001)))
    }

    /// Has peers at networks send messages of a price, as many as `from` is asked for; how many are handled.
    fn handled(budget: &mut WorkBudget, now: Time, price: u32, from: impl IntoIterator<Item = (u32, u32)>) -> u64 {
        let mut own = BTreeMap::new();
        let mut taken = |(number, network): &(u32, u32)| {
            let own = own.entry(*number).or_insert_with(|| budget.linked(peer(*number)));
            budget.take(now, own, at(*network), price)
        };
        let count = from.into_iter().filter(|one| taken(one)).count() as u64;
        own.into_iter().for_each(|(number, own)| budget.link_down(now, peer(number), own));
        count
    }

    #[test]
    fn peers_prefixes_and_all_together_have_budgets_that_come_back() {
        let mut budget = WorkBudget::default();
        assert_eq!(handled(&mut budget, Time::ZERO, 10, [(1, 1); 5_000]), PER_PEER.burst / 10);
        assert_eq!(handled(&mut budget, Time::ZERO, 10, [(1, 1); 5_000]), 0, "a new link fills no bucket");
        let second = Time::ZERO + Duration::from_secs(1);
        assert_eq!(handled(&mut budget, second, 10, [(1, 1); 5_000]), PER_PEER.per_second / 10);
        // Many identities at one prefix, then everywhere.
        let later = Time::ZERO + Duration::from_secs(60);
        assert_eq!(handled(&mut budget, later, 100, (0..9_000).map(|number| (number, 1))), PER_PREFIX.burst / 100);
        let elsewhere = (10_000..19_000).map(|number| (number, 2 + number % 200));
        assert_eq!(handled(&mut budget, later, 100, elsewhere), (IN_ALL.burst - PER_PREFIX.burst) / 100);
        // What is cheap is still heard from everyone.
        assert_eq!(handled(&mut budget, later, 1, (20_000..21_000).map(|number| (number, 1))), 1_000);
    }

    #[test]
    fn tables_are_bounded() {
        let mut budget = WorkBudget::default();
        let later = Time::ZERO + Duration::from_secs(1);
        for number in 0..3 * BUCKETS_MAX as u32 {
            budget.link_down(Time::ZERO, peer(number), later);
        }
        assert_eq!(budget.unlinked.0.len(), BUCKETS_MAX);
    }
}
