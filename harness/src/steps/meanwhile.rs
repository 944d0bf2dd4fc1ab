//! Who is alive when, while steps run beside each other: a node that works for one of them may be ended by another.

use std::collections::BTreeMap;
use std::time::Duration;

use super::state::NodeLife;
use crate::op::Lifecycle;
use crate::plan::{NodeIndex, TimedOp};

/// How long a node must have been up before it is given work.
const JOINING: Duration = Duration::from_secs(5);
/// How long it must still be up afterwards.
const ANSWERING: Duration = Duration::from_secs(5);

/// What happens to nodes while a step lasts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meanwhile {
    /// By node, at the beginning.
    lives: Vec<NodeLife>,
    /// When a node comes up or goes down, in order.
    changes: BTreeMap<NodeIndex, Vec<(Duration, bool)>>,
    /// Items stored before the step.
    pub(super) items: usize,
}

impl Meanwhile {
    /// At the beginning of a step.
    pub(super) fn new(lives: &[NodeLife], items: usize) -> Self {
        Meanwhile { lives: lives.to_vec(), changes: BTreeMap::new(), items }
    }

    /// Takes what a step does to nodes. A node that another step starts or ends, too, if there is one.
    pub(super) fn add(&mut self, ops: &[TimedOp]) -> Option<NodeIndex> {
        let mut own: BTreeMap<NodeIndex, Vec<(Duration, bool)>> = BTreeMap::new();
        for timed in ops {
            if let (Some(lifecycle), Some(node)) = (timed.op.lifecycle(), timed.op.node()) {
                own.entry(node).or_default().push((timed.after, lifecycle == Lifecycle::Begins));
            }
        }
        let twice = own.keys().find(|node| self.changes.contains_key(node)).copied();
        self.changes.append(&mut own);
        twice
    }

    /// Whether a node runs at the beginning.
    pub(super) fn began_up(&self, node: NodeIndex) -> bool {
        self.lives[node.0] == NodeLife::Up
    }

    /// Whether a node runs then.
    pub(super) fn is_up(&self, node: NodeIndex, at: Duration) -> bool {
        let before = self.changes_of(node).iter().take_while(|(after, _)| *after <= at).last();
        before.map_or(self.began_up(node), |(_, is_up)| *is_up)
    }

    /// Whether a node has joined by then, and stays long enough to answer.
    pub(super) fn stands(&self, node: NodeIndex, at: Duration) -> bool {
        let near = |after: Duration| after + JOINING > at && after < at + ANSWERING;
        self.is_up(node, at) && !self.changes_of(node).iter().any(|(after, _)| near(*after))
    }

    fn changes_of(&self, node: NodeIndex) -> &[(Duration, bool)] {
        self.changes.get(&node).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Op;

    #[test]
    fn node_works_only_while_it_is_up_long_enough() {
        let mut meanwhile = Meanwhile::new(&[NodeLife::Up, NodeLife::Up, NodeLife::Down], 0);
        let at = |seconds| Duration::from_secs(seconds);
        let node = NodeIndex(0);
        let kill = TimedOp { after: at(20), op: Op::Kill { node } };
        let start = TimedOp { after: at(20), op: Op::Start { node, fresh: true } };
        assert_eq!(meanwhile.add(&[kill.clone(), start]), None);
        let stands: Vec<u64> = (0..30).filter(|second| meanwhile.stands(node, at(*second))).collect();
        assert_eq!(stands, (0..=15).chain(25..30).collect::<Vec<_>>());
        assert!(meanwhile.is_up(node, at(20)) && meanwhile.stands(NodeIndex(1), at(20)));
        assert!(!meanwhile.is_up(NodeIndex(2), at(20)));
        assert_eq!(meanwhile.add(&[kill]), Some(node), "another step ends it, too");
    }
}
