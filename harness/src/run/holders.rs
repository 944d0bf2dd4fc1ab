//! Who holds the blocks of acknowledged items, from one inspection to the next: the base of the stories of lost items.

use std::collections::{BTreeMap, BTreeSet};

use butter::core::identity::BlockId;

use crate::events::{EventKind, ItemHolder, MissingBlock};
use crate::op::NodeSnapshot;
use crate::plan::{ItemIndex, NodeIndex};

/// Most changes that are recorded of a run. Beyond it, only losses and returns are.
const CHANGES_MAX: usize = 100_000;
/// Most missing blocks of an item that are named.
const MISSING_NAMED_MAX: usize = 3;

/// Holders as they were last recorded.
#[derive(Debug, Default)]
pub(super) struct HolderBook {
    items: BTreeMap<ItemIndex, ItemState>,
    /// Of each block the holders that it had last, if it ever had one.
    last: BTreeMap<BlockId, Vec<NodeIndex>>,
    changes: usize,
}

/// What was recorded of an item: its holders with their numbers of blocks, and how many blocks are missing.
#[derive(Debug, Default, PartialEq, Eq)]
struct ItemState {
    holders: BTreeMap<NodeIndex, usize>,
    missing: usize,
}

impl HolderBook {
    /// Compares an inspection with the one before. `unseen` are nodes that live and did not answer: they still hold what they
    /// held.
    pub(super) fn compare(
        &mut self,
        stored: &BTreeMap<ItemIndex, Vec<BlockId>>,
        views: &[&NodeSnapshot],
        unseen: &BTreeSet<NodeIndex>,
    ) -> Vec<EventKind> {
        let mut now: BTreeMap<BlockId, Vec<NodeIndex>> =
            stored.values().flatten().map(|&id| (id, Vec::new())).collect();
        for view in views {
            for block in &view.blocks {
                if let Some(holders) = now.get_mut(block) {
                    holders.push(view.node);
                }
            }
        }
        for (block, holders) in &mut now {
            let before = self.last.get(block).into_iter().flatten();
            holders.extend(before.filter(|node| unseen.contains(node)));
        }
        let changed = stored.iter().filter_map(|(&item, blocks)| self.change(item, blocks, &now)).collect();
        self.last.extend(now.into_iter().filter(|(_, holders)| !holders.is_empty()));
        changed
    }

    fn change(
        &mut self,
        item: ItemIndex,
        blocks: &[BlockId],
        now: &BTreeMap<BlockId, Vec<NodeIndex>>,
    ) -> Option<EventKind> {
        let distinct: BTreeSet<BlockId> = blocks.iter().copied().collect();
        let mut state = ItemState::default();
        for block in &distinct {
            now[block].iter().for_each(|node| *state.holders.entry(*node).or_default() += 1);
            state.missing += usize::from(now[block].is_empty());
        }
        let before = self.items.get(&item);
        let was_missing = before.map_or(0, |before| before.missing);
        let is_recorded = self.changes < CHANGES_MAX || (state.missing > 0) != (was_missing > 0);
        if before == Some(&state) || !is_recorded {
            return None;
        }
        self.changes += 1;
        let lost = distinct.iter().filter(|block| now[block].is_empty());
        let missing = lost
            .take(MISSING_NAMED_MAX)
            .map(|&block| MissingBlock { block, last_holders: self.last.get(&block).cloned().unwrap_or_default() });
        let event = EventKind::HoldersChanged {
            item,
            blocks: distinct.len(),
            holders: state.holders.iter().map(|(&node, &blocks)| ItemHolder { node, blocks }).collect(),
            missing_blocks: state.missing,
            missing: missing.collect(),
        };
        self.items.insert(item, state);
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use butter::core::identity::NodeId;

    use super::*;

    const ITEM: ItemIndex = ItemIndex(0);

    /// Holders with their numbers of blocks, the number of missing blocks, and the last holders of the first of those.
    type Seen = (Vec<(usize, usize)>, usize, Vec<usize>);

    fn block(number: u8) -> BlockId {
        BlockId([number; 32])
    }

    fn view(node: usize, blocks: &[u8]) -> NodeSnapshot {
        NodeSnapshot {
            node: NodeIndex(node),
            id: NodeId([node as u8; 32]),
            known_hosts: Vec::new(),
            neighbours: 0,
            links: Vec::new(),
            blocks: blocks.iter().map(|&number| block(number)).collect(),
            failed_repairs: Vec::new(),
        }
    }

    /// What one comparison records.
    fn seen(book: &mut HolderBook, views: &[NodeSnapshot], unseen: &[usize]) -> Option<Seen> {
        let stored = BTreeMap::from([(ITEM, vec![block(1), block(2)])]);
        let views: Vec<&NodeSnapshot> = views.iter().collect();
        let unseen = unseen.iter().map(|&node| NodeIndex(node)).collect();
        let mut changes = book.compare(&stored, &views, &unseen);
        assert!(changes.len() <= 1);
        match changes.pop()? {
            EventKind::HoldersChanged { holders, missing_blocks, missing, .. } => Some((
                holders.iter().map(|holder| (holder.node.0, holder.blocks)).collect(),
                missing_blocks,
                missing.first().map(|block| block.last_holders.iter().map(|node| node.0).collect()).unwrap_or_default(),
            )),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_changes_are_recorded_and_the_last_holders_are_known() {
        let book = &mut HolderBook::default();
        let both = [view(0, &[1, 2]), view(1, &[2])];
        assert_eq!(seen(book, &both, &[]), Some((vec![(0, 2), (1, 1)], 0, vec![])));
        assert_eq!(seen(book, &both, &[]), None);
        assert_eq!(seen(book, &both[1..], &[]), Some((vec![(1, 1)], 1, vec![0])));
        assert_eq!(seen(book, &both, &[]), Some((vec![(0, 2), (1, 1)], 0, vec![])));
    }

    #[test]
    fn node_that_does_not_answer_still_holds_what_it_held() {
        let book = &mut HolderBook::default();
        let both = [view(0, &[1, 2]), view(1, &[2])];
        seen(book, &both, &[]);
        assert_eq!(seen(book, &both[1..], &[0]), None);
        assert_eq!(seen(book, &both[1..], &[]), Some((vec![(1, 1)], 1, vec![0])));
    }
}
