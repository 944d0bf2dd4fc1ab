//! What was done to nodes and networks, and when: stretches that other sections shade, and single moments.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::super::run_files::RunFiles;
use super::super::section::PageSection;
use super::super::thin::{ThinList, shortened};

/// Most stretches, and most moments, that the page has.
const FAULTS_MAX: usize = 300;
/// Longest label, in bytes.
const LABEL_BYTES_MAX: usize = 120;
/// Moments of one kind that are closer than this part of the run are one.
const MOMENT_PARTS: u64 = 200;
/// The verb whose step is a stretch: it lets nodes fail all the time.
const CHURN: &str = "churn";

/// Faults of the run.
#[derive(Debug, Default)]
pub(in super::super) struct TimelineData {
    stretches: Vec<FaultStretch>,
    /// Stretches that have not ended, by what will end them.
    open: BTreeMap<OpenFault, usize>,
    moments: Vec<FaultMoment>,
    /// Nodes of the beginning that have started.
    begun: BTreeSet<String>,
}

/// What a stretch waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum OpenFault {
    Churn,
    Partition(String),
    /// A node that is suspended.
    Node(String),
}

/// A time in which something was wrong on purpose.
#[derive(Clone, Debug, Serialize)]
struct FaultStretch {
    kind: &'static str,
    label: String,
    from_ms: u64,
    /// Null if it lasted to the end.
    to_ms: Option<u64>,
    /// How many nodes it befell.
    nodes: usize,
}

/// One moment, or several of one kind that are close to each other.
#[derive(Clone, Debug, Serialize)]
struct FaultMoment {
    kind: &'static str,
    /// What it befell: the first of them.
    label: String,
    at_ms: u64,
    count: usize,
}

impl PageSection for TimelineData {
    fn event(&mut self, at_us: u64, name: &str, event: &Value, files: &RunFiles) {
        let at_ms = at_us / 1_000;
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        match name {
            "step_began" if event["verb"] == CHURN => self.begin(OpenFault::Churn, CHURN, CHURN.to_owned(), at_ms, 0),
            "step_ended" => self.end(&OpenFault::Churn, at_ms),
            "partitioned" => {
                let nodes = event["sides"].as_array().map_or(0, |sides| sides.iter().map(list_len).sum());
                let partition = text("name");
                self.begin(OpenFault::Partition(partition.clone()), "partition", partition, at_ms, nodes);
            }
            "healed" => {
                for partition in event["names"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    self.end(&OpenFault::Partition(partition.to_owned()), at_ms);
                }
            }
            "suspended" => self.suspend(text("node"), text("op"), at_ms),
            "started" => {
                let node = text("node");
                self.end(&OpenFault::Node(node.clone()), at_ms);
                // What runs from the beginning is reported as started once.
                if !files.runs_from_start(&node) || !self.begun.insert(node.clone()) {
                    self.moment("start", node, at_ms);
                }
            }
            "killed" => self.moment("kill", text("node"), at_ms),
            "stopped" => self.moment("stop", text("node"), at_ms),
            "rebound" => self.moment("rebind", text("network"), at_ms),
            "moved" => self.moment("move", format!("{} to {}", text("node"), text("network")), at_ms),
            "link_set" => self.moment("link change", text("network"), at_ms),
            "network_changed" => self.moment("network change", text("op"), at_ms),
            "store_changed" => self.moment("disk", format!("{} of {}", text("op"), text("node")), at_ms),
            "node_died" => self.moment("node died", format!("{}: {}", text("node"), text("message")), at_ms),
            "router_died" => self.moment("router died", format!("{}: {}", text("network"), text("message")), at_ms),
            "incident" => self.moment("incident", text("message"), at_ms),
            _ => {}
        }
    }

    fn data(&self, files: &RunFiles) -> Value {
        let run_ms = (files.outline.run_s * 1e3) as u64;
        json!({
            "stretches": longest(self.stretches.clone(), run_ms),
            "moments": few(self.moments.clone(), run_ms / MOMENT_PARTS),
        })
    }
}

impl TimelineData {
    fn begin(&mut self, open: OpenFault, kind: &'static str, label: String, from_ms: u64, nodes: usize) {
        self.open.insert(open, self.stretches.len());
        let label = shortened(&label, LABEL_BYTES_MAX);
        self.stretches.push(FaultStretch { kind, label, from_ms, to_ms: None, nodes });
    }

    fn end(&mut self, open: &OpenFault, at_ms: u64) {
        if let Some(stretch) = self.open.remove(open) {
            self.stretches[stretch].to_ms = Some(at_ms);
        }
    }

    /// Nodes that are suspended at the same moment share a stretch, which ends with the last of them.
    fn suspend(&mut self, node: String, op: String, at_ms: u64) {
        let last = self.stretches.len().wrapping_sub(1);
        match self.stretches.last_mut() {
            Some(stretch) if stretch.kind == "suspension" && stretch.from_ms == at_ms => {
                stretch.nodes += 1;
                self.open.insert(OpenFault::Node(node), last);
            }
            _ => self.begin(OpenFault::Node(node), "suspension", op, at_ms, 1),
        }
    }

    fn moment(&mut self, kind: &'static str, label: String, at_ms: u64) {
        self.moments.push(FaultMoment { kind, label: shortened(&label, LABEL_BYTES_MAX), at_ms, count: 1 });
    }
}

/// The stretches that lasted longest, in their order.
fn longest(stretches: Vec<FaultStretch>, run_ms: u64) -> ThinList<FaultStretch> {
    let of = stretches.len();
    let mut ranked = stretches;
    ranked.sort_by_key(|stretch| Reverse(stretch.to_ms.unwrap_or(run_ms).saturating_sub(stretch.from_ms)));
    ranked.truncate(FAULTS_MAX);
    ranked.sort_by_key(|stretch| stretch.from_ms);
    ThinList { rows: ranked, of }
}

/// Moments, merged over longer and longer times until there are few enough.
fn few(moments: Vec<FaultMoment>, within_ms: u64) -> ThinList<FaultMoment> {
    let mut within_ms = within_ms.max(1);
    let mut few = merged(moments, within_ms);
    while few.len() > FAULTS_MAX {
        within_ms *= 2;
        few = merged(few, within_ms);
    }
    ThinList { of: few.len(), rows: few }
}

/// Moments of one kind that follow each other within `within_ms` of the first become one.
fn merged(moments: Vec<FaultMoment>, within_ms: u64) -> Vec<FaultMoment> {
    let mut merged: Vec<FaultMoment> = Vec::new();
    let mut last_of_kind: BTreeMap<&'static str, usize> = BTreeMap::new();
    for moment in moments {
        match last_of_kind.get(moment.kind).map(|&at| &mut merged[at]) {
            Some(first) if moment.at_ms <= first.at_ms + within_ms => first.count += moment.count,
            _ => {
                last_of_kind.insert(moment.kind, merged.len());
                merged.push(moment);
            }
        }
    }
    merged
}

fn list_len(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_one_kind_that_are_close_are_one() {
        let moment = |kind, at_ms| FaultMoment { kind, label: format!("{at_ms}"), at_ms, count: 1 };
        let merged = merged(vec![moment("kill", 0), moment("start", 5), moment("kill", 9), moment("kill", 11)], 10);
        let shown: Vec<(&str, u64, usize)> = merged.iter().map(|m| (m.kind, m.at_ms, m.count)).collect();
        assert_eq!(shown, [("kill", 0, 2), ("start", 5, 1), ("kill", 11, 1)]);
    }

    #[test]
    fn many_moments_are_merged_and_none_is_lost() {
        let moment = |at_ms| FaultMoment { kind: "kill", label: String::new(), at_ms, count: 1 };
        let few = few((0..5_000).map(moment).collect(), 1);
        assert!(few.rows.len() <= FAULTS_MAX && few.rows.len() > FAULTS_MAX / 4, "{}", few.rows.len());
        assert_eq!(few.rows.iter().map(|moment| moment.count).sum::<usize>(), 5_000);
        assert!(few.rows.last().unwrap().at_ms > 4_900);
    }

    #[test]
    fn of_many_stretches_the_longest_stay_in_their_order() {
        let stretch = |at: u64| FaultStretch {
            kind: "partition",
            label: String::new(),
            from_ms: at,
            to_ms: Some(at + at % 7),
            nodes: 0,
        };
        let longest = longest((0..1_000).map(stretch).collect(), 2_000);
        assert_eq!((longest.rows.len(), longest.of), (FAULTS_MAX, 1_000));
        assert!(longest.rows.iter().filter(|stretch| stretch.from_ms % 7 == 6).count() > 140);
        assert!(longest.rows.is_sorted_by_key(|stretch| stretch.from_ms));
    }
}
