//! What earlier searches have shown: who had a block, and whose inventory was wrong.

use std::collections::{BTreeMap, VecDeque};

use crate::core::identity::{BlockId, NodeId};

/// Most blocks whose holders are remembered.
const POINTERS_MAX: usize = 512;
/// Most peers whose inventories are in doubt.
const DOUBTED_MAX: usize = 256;
/// Wrong hints after which a peer is visited like any other.
const DOUBTED_AFTER: u8 = 2;

/// The experience of one node.
#[derive(Debug, Default)]
pub(super) struct Experience {
    pointers: BTreeMap<BlockId, NodeId>,
    /// The blocks of `pointers`, oldest first.
    order: VecDeque<BlockId>,
    /// Wrong hints in a row to each peer.
    wrong: BTreeMap<NodeId, u8>,
}

impl Experience {
    /// `peer` had a block.
    pub(super) fn found_at(&mut self, id: BlockId, peer: NodeId) {
        if self.pointers.insert(id, peer).is_none() {
            self.order.push_back(id);
            if self.order.len() > POINTERS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.pointers.remove(&oldest);
            }
        }
    }

    /// The peer that had a block when it was last found.
    pub(super) fn pointer(&self, id: BlockId) -> Option<NodeId> {
        self.pointers.get(&id).copied()
    }

    /// A peer that was said to have a block had it, or not.
    pub(super) fn followed_hint(&mut self, peer: NodeId, had_it: bool) {
        if had_it {
            self.wrong.remove(&peer);
        } else if self.wrong.len() < DOUBTED_MAX || self.wrong.contains_key(&peer) {
            let wrong = self.wrong.entry(peer).or_default();
            *wrong = wrong.saturating_add(1);
        }
    }

    /// Whether hints to this peer have been wrong of late.
    pub(super) fn is_doubted(&self, peer: NodeId) -> bool {
        self.wrong.get(&peer).is_some_and(|&wrong| wrong >= DOUBTED_AFTER)
    }

    /// A peer cannot be reached.
    pub(super) fn lost(&mut self, peer: NodeId) {
        if self.pointers.values().any(|&holder| holder == peer) {
            self.pointers.retain(|_, holder| *holder != peer);
            self.order.retain(|id| self.pointers.contains_key(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: usize) -> BlockId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        BlockId(id)
    }

    #[test]
    fn it_remembers_the_last_holders_and_forgets_lost_ones() {
        let mut experience = Experience::default();
        (0..=POINTERS_MAX).for_each(|number| experience.found_at(block(number), NodeId([1; 32])));
        experience.found_at(block(1), NodeId([2; 32]));
        assert_eq!((experience.pointer(block(0)), experience.pointer(block(1))), (None, Some(NodeId([2; 32]))));
        experience.lost(NodeId([1; 32]));
        assert_eq!((experience.pointer(block(2)), experience.order.len()), (None, 1));
    }

    #[test]
    fn wrong_hints_are_doubted_until_one_is_right() {
        let mut experience = Experience::default();
        let peer = NodeId([1; 32]);
        (0..DOUBTED_AFTER).for_each(|_| experience.followed_hint(peer, false));
        assert!(experience.is_doubted(peer));
        experience.followed_hint(peer, true);
        assert!(!experience.is_doubted(peer));
    }
}
