//! What honest nodes send to repair and what they hold meanwhile, from the first sample in which one of them holds a block.

use std::collections::{BTreeMap, BTreeSet};

use super::traffic::{PURPOSE, PURPOSE_BYTES};
use crate::events::RunTime;
use crate::plan::{NodeIndex, Plan};
use crate::series::{Scrape, Source};

/// The gauge of the bytes that a node's blocks cost.
const STORED_BYTES: &str = "butter_stored_bytes";
/// The value of [`PURPOSE`] that is counted here.
const REPAIR: &str = "repair";
/// Most moments kept. Later ones replace the last.
const MOMENTS_MAX: usize = 100_000;

/// Sums at each sample of a run.
#[derive(Clone, Debug, Default)]
pub struct RepairHistory {
    /// What they send and hold is not counted.
    hostile: BTreeSet<NodeIndex>,
    last: BTreeMap<NodeIndex, (RunTime, NodeCounts)>,
    /// In order of time.
    moments: Vec<RepairSums>,
}

/// Sums over all honest nodes and all stretches between two samples of one life.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RepairSums {
    /// Time of the last sample.
    pub until: RunTime,
    /// Bytes of messages sent to repair.
    pub repair_bytes: f64,
    /// Bytes held times seconds.
    pub held_byte_s: f64,
    /// Seconds that nodes lived.
    pub node_s: f64,
}

/// What one node has counted at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct NodeCounts {
    /// Bytes sent for all purposes: a node that has sent less than before lives another life.
    sent: f64,
    repair: f64,
    held: f64,
}

impl RepairHistory {
    /// Of the honest nodes of a plan.
    pub fn of(plan: &Plan) -> Self {
        let nodes = plan.nodes.iter().enumerate().filter(|(_, node)| !node.behaviours.is_empty());
        RepairHistory { hostile: nodes.map(|(node, _)| NodeIndex(node)).collect(), ..RepairHistory::default() }
    }

    /// Adds a sample of all nodes.
    pub fn take(&mut self, at: RunTime, scrapes: &[Scrape]) {
        let nodes = scrapes.iter().filter_map(|scrape| match scrape.source {
            Source::Node(node) if !self.hostile.contains(&node) => Some((node, NodeCounts::of(scrape)?)),
            _ => None,
        });
        let now: Vec<(NodeIndex, NodeCounts)> = nodes.collect();
        let before = self.moments.last().copied();
        let begins = || now.iter().any(|(_, counts)| counts.held > 0.0).then_some(RepairSums::begun(at));
        let Some(mut sums) = before.or_else(begins) else { return };
        sums.until = at;
        for (node, counts) in now {
            if let Some((since, before)) = self.last.insert(node, (at, counts))
                && before.sent <= counts.sent
            {
                sums.add(at.0.saturating_sub(since.0) as f64 / 1e6, before, counts);
            }
        }
        if self.moments.len() == MOMENTS_MAX {
            self.moments.pop();
        }
        self.moments.push(sums);
    }

    /// The sums at the last sample until then; `None` while nothing was held, or if nodes do not count what they hold and send.
    pub fn until(&self, end: RunTime) -> Option<RepairSums> {
        self.moments[..self.moments.partition_point(|sums| sums.until <= end)].last().copied()
    }
}

impl RepairSums {
    fn begun(at: RunTime) -> Self {
        RepairSums { until: at, repair_bytes: 0.0, held_byte_s: 0.0, node_s: 0.0 }
    }

    /// Adds what a node did for so many seconds.
    fn add(&mut self, lived_s: f64, before: NodeCounts, now: NodeCounts) {
        self.repair_bytes += now.repair - before.repair;
        self.held_byte_s += (before.held + now.held) / 2.0 * lived_s;
        self.node_s += lived_s;
    }
}

impl NodeCounts {
    /// `None` of a node that does not count what its bytes are for.
    fn of(scrape: &Scrape) -> Option<Self> {
        let mut counts = NodeCounts { held: scrape.sum(STORED_BYTES)?, ..NodeCounts::default() };
        let of_purposes = scrape.series.iter().filter(|series| *series.name == *PURPOSE_BYTES);
        let mut counts_purposes = false;
        for series in of_purposes {
            counts_purposes = true;
            counts.sent += series.value;
            if series.labels.iter().any(|(name, value)| (&**name, &**value) == (PURPOSE, REPAIR)) {
                counts.repair += series.value;
            }
        }
        counts_purposes.then_some(counts)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::series::Series;

    fn scrape(node: usize, held: f64, repair: f64) -> Scrape {
        let series = |name: &str, labels: Vec<(Arc<str>, Arc<str>)>, value| Series { name: name.into(), labels, value };
        let bytes = |purpose: &str, value| series(PURPOSE_BYTES, vec![(PURPOSE.into(), purpose.into())], value);
        let series = vec![series(STORED_BYTES, Vec::new(), held), bytes(REPAIR, repair), bytes("upkeep", 7.0 * repair)];
        Scrape { source: Source::Node(NodeIndex(node)), families: Arc::default(), series }
    }

    #[test]
    fn bytes_count_from_the_first_block_and_within_one_life() {
        let second = |s: u64| RunTime(s * 1_000_000);
        let mut history = RepairHistory { hostile: BTreeSet::from([NodeIndex(2)]), ..RepairHistory::default() };
        history.take(second(0), &[scrape(0, 0.0, 90.0), scrape(2, 900.0, 0.0)]);
        assert_eq!(history.until(second(9)), None);
        history.take(second(1), &[scrape(0, 100.0, 100.0), scrape(1, 0.0, 0.0)]);
        history.take(second(3), &[scrape(0, 300.0, 140.0), scrape(1, 0.0, 5.0), scrape(2, 900.0, 800.0)]);
        // Another life of node 0; node 1 has ended.
        history.take(second(5), &[scrape(0, 0.0, 3.0)]);
        history.take(second(6), &[scrape(0, 40.0, 13.0)]);
        let sums = |until, repair_bytes, held_byte_s, node_s| {
            Some(RepairSums { until: second(until), repair_bytes, held_byte_s, node_s })
        };
        assert_eq!(history.until(second(0)), None);
        assert_eq!(history.until(second(4)), sums(3, 45.0, 400.0, 4.0));
        assert_eq!(history.until(second(9)), sums(6, 55.0, 420.0, 5.0));
    }

    #[test]
    fn nodes_that_do_not_say_what_their_bytes_are_for_are_not_measured() {
        let mut history = RepairHistory::default();
        let mut silent = scrape(0, 100.0, 0.0);
        silent.series.truncate(1);
        history.take(RunTime(0), &[silent]);
        assert_eq!(history.until(RunTime(1)), None);
    }
}
