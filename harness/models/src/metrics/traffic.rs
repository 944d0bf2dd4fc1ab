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
/// The counter of those bytes by what the messages are for.
pub const PURPOSE_BYTES: &str = "butter_purpose_bytes_total";
/// The label of [`PURPOSE_BYTES`] that says what for.
pub const PURPOSE: &str = "purpose";
/// Values of [`PURPOSE`], in the order of [`TrafficByPurpose`].
pub const PURPOSES: [&str; 4] = ["upkeep", "repair", "query", "payload"];
/// The counter of bytes that a node carries between two others.
pub const RELAY_BYTES: &str = "butter_relay_bytes_total";

/// Counters of one node: messages, their bytes, these by purpose, and bytes carried as a relay.
const COUNTERS: usize = 3 + PURPOSES.len();
const RELAYED: usize = COUNTERS - 1;

/// What nodes have sent between the samples of a run.
#[derive(Clone, Debug, Default)]
pub struct TrafficTally {
    /// What they send is not counted.
    hostile: BTreeSet<NodeIndex>,
    /// The last sample of each node, and its time.
    last: BTreeMap<NodeIndex, (RunTime, [f64; COUNTERS])>,
    node_us: u64,
    sums: [f64; COUNTERS],
    /// Whether any node says what its bytes are for.
    knows_purposes: bool,
    /// Whether any node counts what it carries as a relay.
    knows_relays: bool,
}

/// The section `traffic` of `result.json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TrafficResults {
    /// Messages sent per honest node and second, over all lives between two samples; null if there were none.
    pub messages_per_node_s: Option<f64>,
    /// Their bytes, before encryption.
    pub bytes_per_node_s: Option<f64>,
    /// These bytes by what the messages are for.
    pub bytes_by_purpose: TrafficByPurpose,
}

/// Bytes per honest node and second by what they are for; null where nodes do not count that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TrafficByPurpose {
    /// Keeps links, neighbours, groups and inventories as they are.
    pub upkeep: Option<f64>,
    /// Makes copies again that were lost, and moves blocks to where there is room.
    pub repair: Option<f64>,
    /// Looks for blocks and values.
    pub query: Option<f64>,
    /// Carries what applications store, find and ask.
    pub payload: Option<f64>,
    /// Packets carried between two other nodes, encrypted. They are no messages of the node that carries them.
    pub relay: Option<f64>,
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
            let Some(counters) = self.counters(scrape) else { continue };
            let before = self.last.insert(node, (at, counters));
            // A counter that fell is that of another life.
            let same_life = |(_, before): &(RunTime, [f64; COUNTERS])| before[0] <= counters[0];
            if let Some((since, before)) = before.filter(same_life) {
                self.node_us += at.0.saturating_sub(since.0);
                for (sum, (now, before)) in self.sums.iter_mut().zip(counters.iter().zip(before)) {
                    *sum += now - before;
                }
            }
        }
    }

    /// The counters of a node; `None` of one that does not count messages.
    fn counters(&mut self, scrape: &Scrape) -> Option<[f64; COUNTERS]> {
        let (mut counters, mut counts_messages) = ([0.0; COUNTERS], false);
        for series in &scrape.series {
            match &*series.name {
                MESSAGES => (counters[0], counts_messages) = (series.value, true),
                BYTES => counters[1] = series.value,
                RELAY_BYTES => (counters[RELAYED], self.knows_relays) = (series.value, true),
                PURPOSE_BYTES => {
                    let purpose = series.labels.iter().find(|(name, _)| &**name == PURPOSE);
                    let known = purpose.and_then(|(_, value)| PURPOSES.iter().position(|purpose| *purpose == &**value));
                    if let Some(known) = known {
                        (counters[2 + known], self.knows_purposes) = (series.value, true);
                    }
                }
                _ => {}
            }
        }
        counts_messages.then_some(counters)
    }

    /// The rates by now.
    pub fn results(&self) -> TrafficResults {
        let rate = |counter: usize| (self.node_us > 0).then(|| self.sums[counter] * 1e6 / self.node_us as f64);
        let of_purpose = |purpose: usize| rate(2 + purpose).filter(|_| self.knows_purposes);
        TrafficResults {
            messages_per_node_s: rate(0),
            bytes_per_node_s: rate(1),
            bytes_by_purpose: TrafficByPurpose {
                upkeep: of_purpose(0),
                repair: of_purpose(1),
                query: of_purpose(2),
                payload: of_purpose(3),
                relay: rate(RELAYED).filter(|_| self.knows_relays),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::series::Series;

    fn scrape(node: usize, messages: f64) -> Scrape {
        let series = |name: &str, value| Series { name: name.into(), labels: Vec::new(), value };
        let of_purpose = |purpose: &str, value| Series {
            labels: vec![(PURPOSE.into(), purpose.into())],
            ..series(PURPOSE_BYTES, value)
        };
        let series = vec![
            series(MESSAGES, messages),
            series(BYTES, messages * 100.0),
            of_purpose("upkeep", messages * 60.0),
            of_purpose("payload", messages * 40.0),
        ];
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
        let bytes_by_purpose = TrafficByPurpose {
            upkeep: Some(180.0),
            repair: Some(0.0),
            query: Some(0.0),
            payload: Some(120.0),
            relay: None,
        };
        let rates = TrafficResults { messages_per_node_s: Some(3.0), bytes_per_node_s: Some(300.0), bytes_by_purpose };
        assert_eq!(tally.results(), rates);
    }
}
