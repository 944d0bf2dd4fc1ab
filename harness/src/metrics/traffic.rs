//! Messages and bytes that honest nodes send, per node and second.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::events::RunTime;
use crate::plan::{NodeIndex, Plan};
use crate::series::{Scrape, Source};

/// The counter of messages that a node has sent.
const MESSAGES: &str = "butter_messages_sent_total";
/// The counter of their bytes.
const BYTES: &str = "butter_messages_sent_bytes_total";

/// What nodes have sent between the samples of a run.
#[derive(Clone, Debug, Default)]
pub struct TrafficTally {
    /// What they send is not counted.
    hostile: BTreeSet<NodeIndex>,
    /// The last sample of each node: its time, messages and bytes.
    last: BTreeMap<NodeIndex, (RunTime, f64, f64)>,
    node_us: u64,
    messages: f64,
    bytes: f64,
}

/// The section `traffic` of `result.json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TrafficResults {
    /// Messages sent per honest node and second, over all lives between two samples; null if there were none.
    pub messages_per_node_s: Option<f64>,
    /// Their bytes, before encryption.
    pub bytes_per_node_s: Option<f64>,
}

impl TrafficTally {
    /// Of the honest nodes of a plan.
    pub fn of(plan: &Plan) -> Self {
        let nodes = plan.nodes.iter().enumerate().filter(|(_, node)| !node.behaviours.is_empty());
        TrafficTally { hostile: nodes.map(|(node, _)| NodeIndex(node)).collect(), ..TrafficTally::default() }
    }

    /// Adds a sample of all nodes.
    pub fn take(&mut self, at: RunTime, scrapes: &[Scrape]) {
        for scrape in scrapes {
            let Source::Node(node) = scrape.source else { continue };
            if self.hostile.contains(&node) {
                continue;
            }
            let (Some(messages), Some(bytes)) = (scrape.sum(MESSAGES), scrape.sum(BYTES)) else { continue };
            let before = self.last.insert(node, (at, messages, bytes));
            // A counter that fell is that of another life.
            let same_life = |&(_, before, _): &(RunTime, f64, f64)| before <= messages;
            if let Some((since, messages_before, bytes_before)) = before.filter(same_life) {
                self.node_us += at.0.saturating_sub(since.0);
                self.messages += messages - messages_before;
                self.bytes += bytes - bytes_before;
            }
        }
    }

    /// The rates by now.
    pub fn results(&self) -> TrafficResults {
        let rate = |total: f64| (self.node_us > 0).then(|| total * 1e6 / self.node_us as f64);
        TrafficResults { messages_per_node_s: rate(self.messages), bytes_per_node_s: rate(self.bytes) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::series::Series;

    fn scrape(node: usize, messages: f64) -> Scrape {
        let series = |name: &str, value| Series { name: name.into(), labels: Vec::new(), value };
        let series = vec![series(MESSAGES, messages), series(BYTES, messages * 100.0)];
        Scrape { source: Source::Node(NodeIndex(node)), families: Arc::default(), series }
    }

    #[test]
    fn rates_are_over_the_seconds_that_nodes_have_lived() {
        let mut tally = TrafficTally { hostile: BTreeSet::from([NodeIndex(2)]), ..TrafficTally::default() };
        assert_eq!(tally.results(), TrafficResults::default());
        tally.take(RunTime(0), &[scrape(0, 10.0), scrape(1, 0.0), scrape(2, 0.0)]);
        tally.take(RunTime(2_000_000), &[scrape(0, 14.0), scrape(1, 8.0), scrape(2, 9_000.0)]);
        // Another life of node 0, and node 1 has ended.
        tally.take(RunTime(4_000_000), &[scrape(0, 3.0)]);
        tally.take(RunTime(5_000_000), &[scrape(0, 6.0)]);
        let rates = TrafficResults { messages_per_node_s: Some(3.0), bytes_per_node_s: Some(300.0) };
        assert_eq!(tally.results(), rates);
    }
}
