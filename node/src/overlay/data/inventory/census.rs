//! How many nodes there are, by the smallest hashes among them.
//!
//! Hashes of node ids are spread evenly, so the k-th smallest tells how densely they lie: the estimate (k - 1) / h has a
//! deviation of one in the root of k - 2 (Bar-Yossef et al.: "Counting distinct elements in a data stream", RANDOM 2002). Each
//! node keeps the [`MARKS_MAX`] smallest that it has heard of, and passes news on to its neighbours. The nodes that they belong to
//! renew them; those of dead nodes age out. A liar can make the estimate too great, which costs messages and finds no less.

use std::collections::BTreeMap;
use std::time::Duration;

use bincode::{Decode, Encode};

use super::super::view::mix;
use crate::core::identity::NodeId;
use crate::core::time::Time;

/// Hashes that are kept.
pub(in super::super) const MARKS_MAX: usize = 32;
/// Pause after which a node renews its own hash, if it is among the smallest.
pub(super) const RENEW_MARK_EVERY: Duration = Duration::from_secs(90);
/// Age at which a hash is dropped.
const MARK_LIFE: Duration = Duration::from_secs(240);
/// A hash that is younger by less is no news.
const NEWS_AFTER: Duration = Duration::from_secs(40);
/// The estimate is raised by its usual error: one that is too small ends searches too early.
const MARGIN: f64 = 1.2;

/// One of the smallest hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CensusMark {
    /// The hash of a node's id.
    pub hash: u64,
    /// Seconds since that node was last known to be alive.
    pub age_s: u16,
}

/// The smallest hashes, each with the time at which its node was last known to be alive.
#[derive(Debug, Default)]
pub(super) struct Census {
    marks: BTreeMap<u64, Time>,
}

impl Census {
    /// Counts `node` as alive now. Returns whether that is news to others.
    pub(super) fn count(&mut self, now: Time, node: NodeId) -> Option<u64> {
        let hash = hash_of(node);
        self.take(hash, now).then_some(hash)
    }

    /// Takes a mark from a peer. Returns whether it is news.
    pub(super) fn hear(&mut self, now: Time, mark: CensusMark) -> bool {
        let age = Duration::from_secs(mark.age_s.into());
        age < MARK_LIFE && self.take(mark.hash, now - age)
    }

    fn take(&mut self, hash: u64, alive: Time) -> bool {
        match self.marks.get_mut(&hash) {
            Some(known) if alive.since(*known) < NEWS_AFTER => false,
            Some(known) => {
                *known = alive;
                true
            }
            None => {
                self.marks.insert(hash, alive);
                self.marks.len() <= MARKS_MAX || self.marks.pop_last().is_some_and(|(last, _)| last != hash)
            }
        }
    }

    /// Drops the marks of nodes that were not heard of for long.
    pub(super) fn expire(&mut self, now: Time) {
        self.marks.retain(|_, alive| now.since(*alive) < MARK_LIFE);
    }

    /// The mark with this hash as of now.
    pub(super) fn mark(&self, now: Time, hash: u64) -> Option<CensusMark> {
        let age = now.since(*self.marks.get(&hash)?).as_secs();
        Some(CensusMark { hash, age_s: u16::try_from(age).unwrap_or(u16::MAX) })
    }

    /// The hashes of all marks.
    pub(super) fn hashes(&self) -> impl Iterator<Item = u64> + '_ {
        self.marks.keys().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// Estimated number of nodes, rather too great than too small; at least 1.
    pub(super) fn nodes(&self) -> f64 {
        match self.marks.last_key_value() {
            Some((&last, _)) if self.marks.len() >= MARKS_MAX => {
                let density = (MARKS_MAX - 1) as f64 / (last as f64 + 1.0);
                (density * 2f64.powi(64) * MARGIN).max(MARKS_MAX as f64)
            }
            _ => self.marks.len().max(1) as f64,
        }
    }
}

fn hash_of(node: NodeId) -> u64 {
    mix(node.prefix())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64) -> NodeId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        NodeId(id)
    }

    #[test]
    fn it_estimates_the_number_of_nodes() {
        for count in [1, 20, 100, 10_000] {
            let mut census = Census::default();
            (0..count).for_each(|number| _ = census.count(Time::ZERO, node(number)));
            let ratio = census.nodes() / count as f64;
            assert!((0.7..2.0).contains(&ratio), "{} for {count}", census.nodes());
        }
    }

    #[test]
    fn dead_nodes_age_out_and_live_ones_stay() {
        let mut census = Census::default();
        (0..20).for_each(|number| _ = census.count(Time::ZERO, node(number)));
        let mut now = Time::ZERO;
        for _ in 0..4 {
            now = now + RENEW_MARK_EVERY;
            let young = census.count(now, node(3)).and_then(|hash| census.mark(now, hash)).unwrap();
            assert!(!census.hear(now, young), "no news to whoever has it");
            census.expire(now);
        }
        assert_eq!(census.nodes(), 1.0);
    }

    #[test]
    fn a_mark_beyond_the_smallest_is_no_news() {
        let mut census = Census::default();
        (0..MARKS_MAX as u64).for_each(|hash| assert!(census.hear(Time::ZERO, CensusMark { hash, age_s: 0 })));
        assert!(!census.hear(Time::ZERO, CensusMark { hash: 1 << 40, age_s: 0 }));
        assert!(!census.hear(Time::ZERO + MARK_LIFE, CensusMark { hash: 0, age_s: u16::MAX }));
    }
}
