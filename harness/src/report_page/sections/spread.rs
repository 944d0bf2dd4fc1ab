//! Load: how many blocks each node holds at the end, and how evenly they were spread over time.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::super::run_files::{RunFiles, SampleRow};
use super::super::section::PageSection;
use super::super::thin::{ThinList, rounded};

/// Most nodes that the page has.
const NODES_MAX: usize = 600;
/// Most snapshots that the page has.
const SNAPSHOTS_MAX: usize = 500;
/// The gauge of blocks that a node holds.
const BLOCKS: &str = "butter_blocks";

/// Blocks of nodes at the last sample, and the spread at every snapshot.
#[derive(Debug, Default)]
pub(in super::super) struct SpreadData {
    at_ms: u64,
    /// Group and blocks by node, as of that moment.
    nodes: BTreeMap<String, (String, f64)>,
    snapshots: Vec<SpreadSnapshot>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct SpreadSnapshot {
    at_ms: u64,
    mean: f64,
    p50: u64,
    p99: u64,
    max: u64,
}

#[derive(Debug, Serialize)]
struct NodeBlocks {
    node: String,
    group: String,
    blocks: f64,
}

impl PageSection for SpreadData {
    fn event(&mut self, at_us: u64, name: &str, event: &Value, _: &RunFiles) {
        let count = |key: &str| event["spread"][key].as_u64().unwrap_or_default();
        if name == "inspected" && count("nodes") > 0 {
            self.snapshots.push(SpreadSnapshot {
                at_ms: at_us / 1_000,
                mean: rounded(count("blocks") as f64 / count("nodes") as f64),
                p50: count("p50"),
                p99: count("p99"),
                max: count("max"),
            });
        }
    }

    fn sample(&mut self, sample: SampleRow<'_>) {
        if sample.metric != BLOCKS {
            return;
        }
        if sample.at_ms > self.at_ms {
            self.nodes.clear();
            self.at_ms = sample.at_ms;
        }
        self.nodes.insert(sample.node.to_owned(), (sample.group.to_owned(), sample.value));
    }

    fn data(&self, _: &RunFiles) -> Value {
        let one = |(node, (group, blocks)): (&String, &(String, f64))| NodeBlocks {
            node: node.clone(),
            group: group.clone(),
            blocks: *blocks,
        };
        let mut nodes: Vec<NodeBlocks> = self.nodes.iter().map(one).collect();
        nodes.sort_by(|one, other| other.blocks.total_cmp(&one.blocks).then_with(|| one.node.cmp(&other.node)));
        if nodes.iter().all(|node| node.blocks == 0.0) {
            return Value::Null;
        }
        json!({
            "at_ms": self.at_ms,
            "mean": rounded(nodes.iter().map(|node| node.blocks).sum::<f64>() / nodes.len() as f64),
            "nodes": ThinList::first(nodes, NODES_MAX),
            "snapshots": ThinList::worst(self.snapshots.clone(), SNAPSHOTS_MAX, |snapshot| snapshot.max as f64),
        })
    }
}
