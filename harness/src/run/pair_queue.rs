//! Pairs of nodes that are to be linked: each node in one pair at a time, so that attempts do not disturb each other.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::plan::NodeIndex;

/// Of the nodes that take part, so many for each pair that is tried at once: every second node is at rest.
const NODES_PER_PAIR: usize = 4;

/// One pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodePair {
    pub(super) step: usize,
    /// Who asks for the link.
    pub(super) node: NodeIndex,
    pub(super) peer: NodeIndex,
    pub(super) deadline: Duration,
}

/// Pairs that wait and pairs that are being tried.
#[derive(Debug, Default)]
pub(super) struct PairQueue {
    waiting: VecDeque<NodePair>,
    /// Nodes of the pairs that are being tried.
    busy: BTreeSet<NodeIndex>,
    /// Nodes of all pairs that were ever added.
    taking_part: BTreeSet<NodeIndex>,
}

impl PairQueue {
    /// A pair waits for its turn.
    pub(super) fn add(&mut self, pair: NodePair) {
        self.taking_part.extend([pair.node, pair.peer]);
        self.waiting.push_back(pair);
    }

    /// The next pair to try now; [`PairQueue::end`] is to be called when it has been.
    pub(super) fn begin(&mut self) -> Option<NodePair> {
        let at_once = (self.taking_part.len() / NODES_PER_PAIR).max(1);
        if self.busy.len() >= 2 * at_once {
            return None;
        }
        let free = |pair: &NodePair| !self.busy.contains(&pair.node) && !self.busy.contains(&pair.peer);
        let next = self.waiting.iter().position(free)?;
        let pair = self.waiting.remove(next)?;
        self.busy.extend([pair.node, pair.peer]);
        Some(pair)
    }

    /// A pair has been tried.
    pub(super) fn end(&mut self, node: NodeIndex, peer: NodeIndex) {
        self.busy.remove(&node);
        self.busy.remove(&peer);
    }

    /// Pairs that wait, all of the present step.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Nothing that waits will be tried.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
        self.taking_part.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(node: usize, peer: usize) -> NodePair {
        NodePair { step: 0, node: NodeIndex(node), peer: NodeIndex(peer), deadline: Duration::ZERO }
    }

    #[test]
    fn a_node_is_in_one_pair_at_a_time() {
        let mut crossings = PairQueue::default();
        for (a, b) in [(0, 1), (1, 2), (2, 3), (4, 5), (6, 7)] {
            crossings.add(pair(a, b));
        }
        // Eight nodes: two pairs at once.
        assert_eq!(crossings.begin(), Some(pair(0, 1)));
        assert_eq!(crossings.begin(), Some(pair(2, 3)));
        assert_eq!((crossings.begin(), crossings.waiting()), (None, 3));
        crossings.end(NodeIndex(0), NodeIndex(1));
        assert_eq!(crossings.begin(), Some(pair(4, 5)), "2 is busy");
        crossings.end(NodeIndex(2), NodeIndex(3));
        assert_eq!(crossings.begin(), Some(pair(1, 2)));
    }

    #[test]
    fn the_only_pair_is_tried() {
        let mut crossings = PairQueue::default();
        crossings.add(pair(0, 1));
        assert_eq!((crossings.begin(), crossings.begin()), (Some(pair(0, 1)), None));
    }
}
