//! Repairs that nodes have failed at, from one inspection to the next: evidence for the stories of lost items.

use std::collections::BTreeMap;

use butter::api::FailedRepairBody;
use butter::core::identity::{BlockId, NodeId};

use crate::events::EventKind;
use crate::op::NodeSnapshot;
use crate::plan::{ItemIndex, NodeIndex};

/// Most failed repairs that are recorded of a run: the first ones.
const RECORDED_MAX: usize = 10_000;

/// What was recorded by now.
#[derive(Debug, Default)]
pub(super) struct FailedRepairBook {
    /// The number that each node's next failed repair has.
    next: BTreeMap<NodeId, u64>,
    recorded: usize,
}

impl FailedRepairBook {
    /// The failed repairs of acknowledged items that these views tell of, and that no call before has returned.
    pub(super) fn new_in(
        &mut self,
        views: &[&NodeSnapshot],
        stored: &BTreeMap<ItemIndex, Vec<BlockId>>,
        node_of: impl Fn(NodeId) -> Option<NodeIndex>,
    ) -> Vec<EventKind> {
        let mut events = Vec::new();
        for view in views {
            let next = self.next.entry(view.id).or_default();
            let first = *next;
            for failed in view.failed_repairs.iter().filter(|failed| failed.number >= first) {
                *next = failed.number + 1;
                let Some(item) = item_of(stored, failed.block) else { continue };
                if self.recorded + events.len() < RECORDED_MAX {
                    events.push(event(item, view.node, failed, &node_of));
                }
            }
        }
        self.recorded += events.len();
        events
    }
}

fn item_of(stored: &BTreeMap<ItemIndex, Vec<BlockId>>, block: BlockId) -> Option<ItemIndex> {
    stored.iter().find(|(_, blocks)| blocks.contains(&block)).map(|(&item, _)| item)
}

fn event(
    item: ItemIndex,
    node: NodeIndex,
    failed: &FailedRepairBody,
    node_of: impl Fn(NodeId) -> Option<NodeIndex>,
) -> EventKind {
    let peer = failed.peer.and_then(node_of);
    EventKind::RepairFailed { item, node, block: failed.block, peer, failure: failed.failure }
}

#[cfg(test)]
mod tests {
    use butter::api::RepairFailureBody;

    use super::*;

    #[test]
    fn each_failed_repair_of_an_item_is_told_once() {
        let block = |number: u8| BlockId([number; 32]);
        let failed = |number, of| FailedRepairBody {
            number,
            block: block(of),
            peer: Some(NodeId([9; 32])),
            failure: RepairFailureBody::NoRoom,
        };
        let mut view = NodeSnapshot {
            node: NodeIndex(0),
            id: NodeId([1; 32]),
            known_hosts: Vec::new(),
            neighbours: 0,
            links: Vec::new(),
            blocks: Vec::new(),
            failed_repairs: vec![failed(0, 5), failed(1, 77)],
        };
        let stored = BTreeMap::from([(ItemIndex(3), vec![block(4), block(5)])]);
        let mut book = FailedRepairBook::default();
        let mut count_new =
            |view: &NodeSnapshot| book.new_in(&[view], &stored, |id| Some(NodeIndex(id.0[0] as usize))).len();
        assert_eq!(count_new(&view), 1, "block 77 is of no item");
        assert_eq!(count_new(&view), 0);
        view.failed_repairs.push(failed(2, 4));
        assert_eq!(count_new(&view), 1);
    }
}
