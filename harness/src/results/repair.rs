//! Repair of a run: what it cost, beside what it has to cost at least.
//!
//! Whatever a node holds must be sent once more when that node ends. So nodes that hold `S` bytes each and live for `T` seconds on
//! average must send at least `S/T` bytes per second to repair. The overhead is what they send over this bound.

use serde::Serialize;

use crate::events::{Event, EventKind, RunTime};
use crate::metrics::repair::RepairSums;
use crate::plan::Plan;

/// When honest nodes ended after the first item was stored, in order of time.
#[derive(Clone, Debug, Default)]
pub struct NodeEndTally {
    has_stored: bool,
    at: Vec<RunTime>,
}

impl NodeEndTally {
    /// Adds the end of an honest node, if the event is one.
    pub(super) fn add(&mut self, plan: &Plan, event: &Event) {
        match &event.kind {
            EventKind::Stored { result: Ok(_), .. } => self.has_stored = true,
            EventKind::Killed { node } | EventKind::Stopped { node } | EventKind::NodeDied { node, .. }
                if self.has_stored && plan.node(*node).behaviours.is_empty() =>
            {
                self.at.push(event.at);
            }
            _ => {}
        }
    }

    /// Those that the samples cover: what is repaired after the last one is not seen.
    fn until(&self, last: RunTime) -> usize {
        self.at.partition_point(|at| *at <= last)
    }
}

/// The section `repair` of `result.json`: honest nodes, from the first sample in which one of them holds a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RepairResults {
    /// Bytes that nodes sent to repair; null if none was seen to hold a block, or nodes do not count them.
    pub bytes: Option<f64>,
    /// Bytes that a node held, on average over nodes and time, as `butter_stored_bytes` counts them.
    pub held_bytes_mean: Option<f64>,
    /// Ends of nodes after the first item was stored: killed, left, or died unasked.
    pub node_ends: usize,
    /// Seconds that nodes lived for each end; null without an end.
    pub lifetime_s_mean: Option<f64>,
    /// Repair bytes per node and second over `held_bytes_mean / lifetime_s_mean`; null if nothing was held or no node ended. The goal is
    /// at most 1.5.
    pub overhead: Option<f64>,
}

impl RepairResults {
    /// From the samples of a run, and the ends of its nodes.
    pub fn of(sums: Option<RepairSums>, ends: &NodeEndTally) -> Self {
        let Some(sums) = sums else { return RepairResults::default() };
        let positive = |value: f64| (value > 0.0).then_some(value);
        let node_ends = ends.until(sums.until);
        let node_s = positive(sums.node_s);
        let held_bytes_mean = node_s.map(|node_s| sums.held_byte_s / node_s);
        let lifetime_s_mean = node_s.filter(|_| node_ends > 0).map(|node_s| node_s / node_ends as f64);
        let least_per_s = held_bytes_mean.zip(lifetime_s_mean).map(|(held, lifetime)| held / lifetime);
        let per_node_s = node_s.map(|node_s| sums.repair_bytes / node_s);
        RepairResults {
            bytes: Some(sums.repair_bytes),
            held_bytes_mean,
            node_ends,
            lifetime_s_mean,
            overhead: per_node_s.zip(least_per_s.and_then(positive)).map(|(sent, least)| sent / least),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::NodeIndex;
    use crate::results::fixture;

    fn sums(repair_bytes: f64, held_byte_s: f64) -> Option<RepairSums> {
        Some(RepairSums { until: RunTime(9_000_000), repair_bytes, held_byte_s, node_s: 40.0 })
    }

    fn ends(count: usize) -> NodeEndTally {
        let mut tally = NodeEndTally::default();
        // Before anything is stored, an end costs no repair.
        tally.add(&fixture::plan(), &killed(4));
        tally.add(&fixture::plan(), &fixture::stored(0, true));
        (0..count).for_each(|node| tally.add(&fixture::plan(), &killed(node)));
        tally
    }

    fn killed(node: usize) -> Event {
        fixture::event(EventKind::Killed { node: NodeIndex(node) })
    }

    #[test]
    fn repair_is_measured_against_what_ends_with_nodes() {
        // Two of four nodes that hold 100 bytes each: 200 bytes must be sent again.
        let results = RepairResults::of(sums(300.0, 4_000.0), &ends(2));
        assert_eq!((results.held_bytes_mean, results.lifetime_s_mean), (Some(100.0), Some(20.0)));
        assert_eq!((results.bytes, results.node_ends, results.overhead), (Some(300.0), 2, Some(1.5)));
        assert_eq!(RepairResults::of(sums(0.0, 4_000.0), &ends(2)).overhead, Some(0.0), "nothing was repaired");
    }

    #[test]
    fn without_an_end_or_a_block_there_is_no_overhead() {
        assert_eq!(RepairResults::of(None, &ends(2)), RepairResults::default());
        assert_eq!(RepairResults::of(sums(300.0, 4_000.0), &ends(0)).overhead, None);
        assert_eq!(RepairResults::of(sums(300.0, 0.0), &ends(2)).overhead, None);
    }

    #[test]
    fn ends_after_the_last_sample_do_not_count() {
        let early = Some(RepairSums { until: RunTime(900_000), ..sums(300.0, 4_000.0).unwrap() });
        assert_eq!(RepairResults::of(early, &ends(2)).node_ends, 0);
    }
}
