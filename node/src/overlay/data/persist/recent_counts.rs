//! How often something has happened of late, by key: each time counts while the next one follows within a given time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::time::Time;

/// Most keys that are remembered. Those counted last stay: peers can think up keys.
const KEYS_MAX: usize = 1_024;

/// Counts by key. A count begins anew once `within` has passed since the last time.
#[derive(Debug)]
pub(super) struct RecentCounts<K> {
    counts: BTreeMap<K, (u32, Time)>,
    within: Duration,
}

impl<K: Copy + Ord> RecentCounts<K> {
    pub(super) fn new(within: Duration) -> Self {
        RecentCounts { counts: BTreeMap::new(), within }
    }

    /// How often it has happened.
    pub(super) fn count(&self, now: Time, key: K) -> u32 {
        self.counts.get(&key).filter(|(_, last)| now.since(*last) < self.within).map_or(0, |(count, _)| *count)
    }

    /// It happens once more. Returns how often it has happened now.
    pub(super) fn add(&mut self, now: Time, key: K) -> u32 {
        let count = self.count(now, key).saturating_add(1);
        if self.counts.len() >= KEYS_MAX
            && !self.counts.contains_key(&key)
            && let Some(&oldest) = self.counts.iter().min_by_key(|(_, (_, last))| *last).map(|(key, _)| key)
        {
            self.counts.remove(&oldest);
        }
        self.counts.insert(key, (count, now));
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(10);

    #[test]
    fn what_follows_in_time_is_counted_on() {
        let (mut counts, now) = (RecentCounts::new(WITHIN), Time::from_micros(1));
        assert_eq!((counts.add(now, 1), counts.add(now, 2), counts.add(now + WITHIN / 2, 1)), (1, 1, 2));
        let last = now + WITHIN / 2;
        assert_eq!(counts.count(last + WITHIN - Duration::from_micros(1), 1), 2);
        assert_eq!((counts.count(last + WITHIN, 1), counts.add(last + WITHIN, 1)), (0, 1));
    }

    #[test]
    fn the_key_counted_longest_ago_goes_first() {
        let mut counts = RecentCounts::new(WITHIN);
        for key in (0..KEYS_MAX).rev() {
            counts.add(Time::from_micros((KEYS_MAX - key) as u64), key);
        }
        let now = Time::from_micros(2 * KEYS_MAX as u64);
        counts.add(now, KEYS_MAX);
        assert_eq!(counts.counts.len(), KEYS_MAX);
        assert_eq!((counts.count(now, KEYS_MAX - 1), counts.count(now, 0)), (0, 1));
    }
}
