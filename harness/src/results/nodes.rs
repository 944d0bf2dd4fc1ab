//! Nodes of a run: how many were started, failed, left gracefully, and are live.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::events::{Event, EventKind};
use crate::plan::{NodeIndex, Plan};

/// Starts and ends of nodes, as the events so far show them.
#[derive(Clone, Debug, Default)]
pub struct NodeTally {
    /// Nodes started after the beginning of the run.
    pub started: u64,
    /// Nodes that were killed.
    pub killed: u64,
    /// Nodes that left gracefully.
    pub graceful_exits: u64,
    /// Nodes that ran at the last snapshot; `None` before the first.
    pub live: Option<usize>,
    /// Nodes of the beginning whose first identity has been reported.
    initial: BTreeSet<NodeIndex>,
}

impl NodeTally {
    /// Counts the start or end of a node, if the event is one.
    pub(super) fn add(&mut self, plan: &Plan, event: &Event) {
        match &event.kind {
            // The first snapshot reports the nodes that run from the beginning: that is no start.
            EventKind::Started { node, .. } if plan.node(*node).from_start && self.initial.insert(*node) => {}
            EventKind::Started { .. } => self.started += 1,
            EventKind::Killed { .. } => self.killed += 1,
            EventKind::Stopped { .. } => self.graceful_exits += 1,
            EventKind::Inspected { live, .. } => self.live = Some(*live),
            _ => {}
        }
    }
}

/// The section `nodes` of `result.json`.
#[derive(Clone, Debug, Serialize)]
pub struct NodeResults {
    /// Nodes that run from the beginning.
    pub initial: usize,
    /// Nodes started later, replacements included.
    pub started: u64,
    /// Nodes that were killed.
    pub killed: u64,
    /// Nodes that left gracefully.
    pub graceful_exits: u64,
    /// Nodes that ran at the last snapshot.
    pub live: usize,
}

impl NodeResults {
    /// Sums up the nodes of a run.
    pub(super) fn new(plan: &Plan, tally: &NodeTally) -> Self {
        NodeResults {
            initial: plan.nodes.iter().filter(|node| node.from_start).count(),
            started: tally.started,
            killed: tally.killed,
            graceful_exits: tally.graceful_exits,
            live: tally.live.unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::{self, started};

    #[test]
    fn nodes_of_the_beginning_do_not_count_as_started() {
        let mut tally = NodeTally::default();
        for event in [started(0), started(4), started(0)] {
            tally.add(&fixture::plan(), &event);
        }
        assert_eq!(tally.started, 2);
    }
}
