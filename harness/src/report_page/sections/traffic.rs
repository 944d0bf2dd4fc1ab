//! What nodes sent: messages and bytes by purpose, over time and by node.
//!
//! A node counts every message once, by what it is for. What a relay carries for others is counted apart: it is no message of the
//! relay itself.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::super::run_files::{RunFiles, SampleRow};
use super::super::section::PageSection;
use super::super::thin::{ThinList, rounded};

/// Most stretches of the run that the page has.
const STRETCHES: u64 = 160;
/// Most nodes that the page has.
const NODES_MAX: usize = 400;

/// The counters with their labels, in the order of [`Counts`]: those of one purpose stand together.
const METRICS: [(&str, &str); COUNTERS] = [
    ("butter_messages_sent_total", ""),
    ("butter_messages_sent_bytes_total", ""),
    ("butter_relay_bytes_total", ""),
    ("butter_repairs_total", ""),
    ("butter_blocks_moved_total", ""),
    ("butter_purpose_messages_total", "purpose=upkeep"),
    ("butter_purpose_messages_total", "purpose=repair"),
    ("butter_purpose_messages_total", "purpose=query"),
    ("butter_purpose_messages_total", "purpose=payload"),
    ("butter_purpose_bytes_total", "purpose=upkeep"),
    ("butter_purpose_bytes_total", "purpose=repair"),
    ("butter_purpose_bytes_total", "purpose=query"),
    ("butter_purpose_bytes_total", "purpose=payload"),
];
const COUNTERS: usize = 13;
const MESSAGES: usize = 0;
const BYTES: usize = 1;
const RELAYED_BYTES: usize = 2;
const REPAIRS: usize = 3;
const MOVED: usize = 4;
/// The first of the counters by purpose: messages, then bytes.
const PURPOSE_MESSAGES: usize = 5;
const PURPOSE_BYTES: usize = 9;
const PURPOSES: usize = 4;

/// A value for each of [`METRICS`].
type Counts = [f64; COUNTERS];

/// Increments of the counters between samples.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct TrafficData {
    /// The moment that is being read, and the counters of its nodes.
    now_ms: u64,
    now: BTreeMap<String, (String, Counts)>,
    before: BTreeMap<String, (u64, Counts)>,
    /// Sums of all nodes by the moment of their sample, with the node time that they cover.
    moments: BTreeMap<u64, (u64, Counts)>,
    nodes: BTreeMap<String, NodeTraffic>,
}

/// What one node sent, in all its lives.
#[derive(Clone, Debug, Default)]
struct NodeTraffic {
    group: String,
    up_ms: u64,
    counts: Counts,
}

/// Per node and second, by purpose: upkeep, repair, query, payload.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct TrafficRates {
    messages: [f64; PURPOSES],
    bytes: [f64; PURPOSES],
    relayed_bytes: f64,
}

/// What nodes sent in one stretch of the run.
#[derive(Debug, Serialize)]
struct TrafficStretch {
    from_ms: u64,
    to_ms: u64,
    #[serde(flatten)]
    rates: TrafficRates,
}

/// What one node sent, over its lives.
#[derive(Debug, Serialize)]
struct NodeRates {
    node: String,
    group: String,
    up_s: f64,
    #[serde(flatten)]
    rates: TrafficRates,
}

impl PageSection for TrafficData {
    fn sample(&mut self, sample: SampleRow<'_>) {
        let Some(counter) = METRICS.iter().position(|metric| *metric == (sample.metric, sample.labels)) else { return };
        if sample.at_ms != self.now_ms {
            self.close_moment();
            self.now_ms = sample.at_ms;
        }
        if !self.now.contains_key(sample.node) {
            self.now.insert(sample.node.to_owned(), (sample.group.to_owned(), Counts::default()));
        }
        if let Some((_, counts)) = self.now.get_mut(sample.node) {
            counts[counter] += sample.value;
        }
    }

    fn data(&self, _: &RunFiles) -> Value {
        // The last moment may not be whole yet.
        let mut until_now = self.clone();
        until_now.close_moment();
        until_now.summed()
    }
}

impl TrafficData {
    fn summed(&self) -> Value {
        let mut nodes: Vec<NodeRates> = self.nodes.iter().map(node_rates).collect();
        if nodes.is_empty() {
            return Value::Null;
        }
        let rate = |node: &NodeRates| node.rates.bytes.iter().sum::<f64>();
        nodes.sort_by(|one, other| rate(other).total_cmp(&rate(one)).then_with(|| one.node.cmp(&other.node)));
        let total = |counter: usize| self.nodes.values().map(|node| node.counts[counter]).sum::<f64>();
        let node_s = self.nodes.values().map(|node| node.up_ms).sum::<u64>() as f64 / 1e3;
        let totals = |first: usize| (first..first + PURPOSES).map(total).collect::<Vec<f64>>();
        json!({
            "stretches": self.stretches(),
            "nodes": ThinList::first(nodes, NODES_MAX),
            "messages": total(MESSAGES),
            "bytes": total(BYTES),
            "node_s": rounded(node_s),
            "messages_by_purpose": totals(PURPOSE_MESSAGES),
            "bytes_by_purpose": totals(PURPOSE_BYTES),
            "relayed_bytes": total(RELAYED_BYTES),
            "repairs": total(REPAIRS),
            "moved": total(MOVED),
        })
    }

    /// Adds what was sent since the sample before, of every node that lived through both.
    fn close_moment(&mut self) {
        let at = self.now_ms;
        for (node, (group, counts)) in std::mem::take(&mut self.now) {
            let before = self.before.insert(node.clone(), (at, counts));
            // A counter that fell is that of another life.
            let same_life = |(_, before): &(u64, Counts)| before[MESSAGES] <= counts[MESSAGES];
            let Some((since, before)) = before.filter(same_life) else { continue };
            let moment = self.moments.entry(at).or_default();
            let of_node = self.nodes.entry(node).or_insert_with(|| NodeTraffic { group, ..NodeTraffic::default() });
            let passed = at.saturating_sub(since);
            (moment.0, of_node.up_ms) = (moment.0 + passed, of_node.up_ms + passed);
            for counter in 0..COUNTERS {
                let sent = (counts[counter] - before[counter]).max(0.0);
                moment.1[counter] += sent;
                of_node.counts[counter] += sent;
            }
        }
    }

    fn stretches(&self) -> Vec<TrafficStretch> {
        let last = self.moments.keys().next_back().copied().unwrap_or_default();
        let width = last / STRETCHES + 1;
        let mut stretches: BTreeMap<u64, StretchSum> = BTreeMap::new();
        let mut since = 0;
        for (&at, (node_ms, counts)) in &self.moments {
            let empty = StretchSum { from_ms: since, ..StretchSum::default() };
            let sum = stretches.entry(at.saturating_sub(1) / width).or_insert(empty);
            (sum.to_ms, sum.node_ms) = (at, sum.node_ms + node_ms);
            sum.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            since = at;
        }
        stretches.into_values().map(|sum| sum.rates()).collect()
    }
}

/// Sums over the moments of one stretch.
#[derive(Clone, Debug, Default)]
struct StretchSum {
    from_ms: u64,
    to_ms: u64,
    node_ms: u64,
    counts: Counts,
}

impl StretchSum {
    fn rates(&self) -> TrafficStretch {
        let rates = TrafficRates::of(&self.counts, self.node_ms);
        TrafficStretch { from_ms: self.from_ms, to_ms: self.to_ms, rates }
    }
}

impl TrafficRates {
    fn of(counts: &Counts, node_ms: u64) -> Self {
        let rate = |count: f64| if node_ms == 0 { 0.0 } else { rounded(count.max(0.0) * 1e3 / node_ms as f64) };
        let by_purpose = |first: usize| std::array::from_fn(|purpose| rate(counts[first + purpose]));
        TrafficRates {
            messages: by_purpose(PURPOSE_MESSAGES),
            bytes: by_purpose(PURPOSE_BYTES),
            relayed_bytes: rate(counts[RELAYED_BYTES]),
        }
    }
}

fn node_rates((node, traffic): (&String, &NodeTraffic)) -> NodeRates {
    NodeRates {
        node: node.clone(),
        group: traffic.group.clone(),
        up_s: rounded(traffic.up_ms as f64 / 1e3),
        rates: TrafficRates::of(&traffic.counts, traffic.up_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(data: &mut TrafficData, at_s: u64, metric: usize, value: f64) {
        let (metric, labels) = METRICS[metric];
        data.sample(SampleRow { at_ms: at_s * 1_000, node: "n-1", group: "n", metric, labels, value });
    }

    #[test]
    fn rates_are_those_between_samples_of_one_life() {
        let mut data = TrafficData::default();
        // Ten messages per second; killed and started again between the second and the third sample.
        for (at_s, messages) in [(0, 100.0), (10, 200.0), (20, 5.0), (30, 105.0)] {
            sample(&mut data, at_s, MESSAGES, messages);
            sample(&mut data, at_s, PURPOSE_MESSAGES, messages * 0.8);
            sample(&mut data, at_s, PURPOSE_MESSAGES + 2, messages / 5.0);
        }
        data.close_moment();
        let node = &data.nodes["n-1"];
        assert_eq!((node.up_ms, node.counts[MESSAGES]), (20_000, 200.0));
        let rates = TrafficRates::of(&node.counts, node.up_ms);
        assert_eq!((rates.messages, rates.bytes), ([8.0, 0.0, 2.0, 0.0], [0.0; PURPOSES]));
        let stretches = data.stretches();
        assert_eq!(
            stretches.iter().map(|stretch| (stretch.from_ms, stretch.to_ms)).collect::<Vec<_>>(),
            [(0, 10_000), (10_000, 30_000)]
        );
        assert_eq!(stretches[1].rates.messages[2], 2.0);
    }

    #[test]
    fn many_samples_become_few_stretches_without_gaps() {
        let mut data = TrafficData::default();
        for at_s in 0..36_000 {
            sample(&mut data, at_s, MESSAGES, at_s as f64);
            sample(&mut data, at_s, PURPOSE_MESSAGES, at_s as f64);
        }
        data.close_moment();
        let stretches = data.stretches();
        assert!(stretches.len() as u64 <= STRETCHES && stretches.len() as u64 > STRETCHES / 2, "{}", stretches.len());
        assert!(stretches.windows(2).all(|pair| pair[0].to_ms == pair[1].from_ms));
        assert!(stretches.iter().all(|stretch| (stretch.rates.messages[0] - 1.0).abs() < 1e-9));
    }
}
