//! Groups that this node has left, as it knew them: an answer for peers that still count on it.
//!
//! An invitation may arrive when its sender has long dropped the block. Whoever takes it then believes in a group of two, finds
//! the other one gone, and recruits again: a second group that the first does not know of. So a node remembers for a while who
//! held what it has dropped, and says so to whoever names it as a member.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::view::{GroupView, MEMBERS_MAX};
use super::Persist;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Most groups remembered; the one left longest ago is forgotten first.
const LEFT_MAX: usize = 2_048;
/// How long they are remembered.
const LEFT_FOR: Duration = Duration::from_secs(300);

/// Groups of blocks that this node has dropped.
#[derive(Debug, Default)]
pub(super) struct LeftGroups {
    groups: BTreeMap<BlockId, (Time, GroupView)>,
    by_time: BTreeSet<(Time, BlockId)>,
}

impl LeftGroups {
    /// Remembers the group of a block that is dropped now.
    pub(super) fn add(&mut self, now: Time, block: BlockId, view: GroupView) {
        self.forget(block);
        while let Some(&(left, oldest)) = self.by_time.first()
            && (self.groups.len() >= LEFT_MAX || now.since(left) >= LEFT_FOR)
        {
            self.forget(oldest);
        }
        self.groups.insert(block, (now, view));
        self.by_time.insert((now, block));
    }

    fn forget(&mut self, block: BlockId) {
        if let Some((left, _)) = self.groups.remove(&block) {
            self.by_time.remove(&(left, block));
        }
    }

    fn get(&self, now: Time, block: BlockId) -> Option<&GroupView> {
        self.groups.get(&block).filter(|(left, _)| now.since(*left) < LEFT_FOR).map(|(_, view)| view)
    }
}

impl LeftGroups {
    /// The group of a block that this node left, with this node in it again.
    pub(super) fn rejoined(&self, now: Time, block: BlockId, me: NodeId) -> Option<GroupView> {
        let left = self.get(now, block).filter(|view| view.members().len() < MEMBERS_MAX)?;
        Some(left.followed_by(1, left.members().iter().copied().chain([me])))
    }
}

impl Persist {
    /// `peer` counts on this node for a block that it has dropped: it is to learn who held the block then.
    pub(super) fn tell_left_group(&mut self, now: Time, peer: NodeId, block: BlockId) {
        let Some(view) = self.left_groups.get(now, block) else { return };
        for &member in view.members().iter().filter(|&&member| member != peer) {
            self.revisits.queue_absent(peer, member, block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_remembered_for_a_while_and_within_bounds() {
        let block = |number: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&(number as u64).to_be_bytes());
            BlockId(id)
        };
        let mut left = LeftGroups::default();
        for number in 0..=LEFT_MAX {
            left.add(Time::from_micros(number as u64), block(number), GroupView::new(1, [NodeId([1; 32])]));
        }
        let now = Time::from_micros(LEFT_MAX as u64);
        assert!(left.get(now, block(0)).is_none() && left.get(now, block(1)).is_some());
        assert_eq!((left.groups.len(), left.by_time.len()), (LEFT_MAX, LEFT_MAX));
        let later = now + LEFT_FOR;
        assert!(left.get(later, block(1)).is_none());
        left.add(later, block(1), GroupView::new(1, [NodeId([1; 32])]));
        assert_eq!((left.groups.len(), left.by_time.len()), (1, 1));
    }
}
