//! Groups that this node has left, as it knew them: an answer for peers that still count on it.
//!
//! An invitation may arrive when its sender has long dropped the block. Whoever takes it then believes in a group of two, finds
//! the other one gone, and recruits again: a second group that the first does not know of. So a node remembers for a while who
//! held what it has dropped, and says so to whoever names it as a member.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use smallvec::SmallVec;

use super::super::view::{GroupView, MEMBERS_MAX};
use super::Persist;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Most groups remembered; the one left longest ago is forgotten first.
const LEFT_MAX: usize = 2_048;
/// How long they are remembered.
const LEFT_FOR: Duration = Duration::from_secs(300);
/// Pause before a peer that asks again about the same group is answered; three times as long after each answer. The first visits of
/// an honest peer are further apart.
const ANSWER_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// A group without this node.
#[derive(Debug)]
struct LeftGroup {
    at: Time,
    view: GroupView,
    /// Peers that were answered of late, when they may be again, and how often they were; at most [`MEMBERS_MAX`].
    answered: SmallVec<[(NodeId, Time, u32); 0]>,
}

impl LeftGroup {
    /// Whether `peer` is answered now: who asks and asks is not.
    fn answers(&mut self, now: Time, peer: NodeId) -> bool {
        let before = self.answered.iter().position(|(answered, ..)| *answered == peer);
        if before.is_some_and(|at| self.answered[at].1 > now) {
            return false;
        }
        let times = before.map_or(0, |at| self.answered.remove(at).2);
        self.answered.truncate(MEMBERS_MAX - 1);
        self.answered.insert(0, (peer, now + ANSWER_AGAIN_AFTER * 3_u32.pow(times), (times + 1).min(4)));
        true
    }
}

/// Groups of blocks that this node has dropped.
#[derive(Debug, Default)]
pub(super) struct LeftGroups {
    groups: BTreeMap<BlockId, LeftGroup>,
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
        self.groups.insert(block, LeftGroup { at: now, view, answered: SmallVec::new() });
        self.by_time.insert((now, block));
    }

    fn forget(&mut self, block: BlockId) {
        if let Some(left) = self.groups.remove(&block) {
            self.by_time.remove(&(left.at, block));
        }
    }

    fn get(&self, now: Time, block: BlockId) -> Option<&GroupView> {
        self.groups.get(&block).filter(|left| now.since(left.at) < LEFT_FOR).map(|left| &left.view)
    }

    /// Who is named to `peer` as a holder of the block, if it is answered now.
    fn answer(&mut self, now: Time, peer: NodeId, block: BlockId) -> SmallVec<[NodeId; 3]> {
        let left = self.groups.get_mut(&block).filter(|left| now.since(left.at) < LEFT_FOR);
        let Some(left) = left.filter(|left| left.view.members() != [peer]) else { return SmallVec::new() };
        if !left.answers(now, peer) {
            return SmallVec::new();
        }
        left.view.members().iter().copied().filter(|&member| member != peer).collect()
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
        for member in self.left_groups.answer(now, peer, block) {
            self.revisits.queue_absent(peer, member, block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_and_asks_is_answered_at_growing_pauses() {
        let (peer, member, block) = (NodeId([1; 32]), NodeId([2; 32]), BlockId([3; 32]));
        let mut left = LeftGroups::default();
        left.add(Time::ZERO, block, GroupView::new(1, [member, NodeId([4; 32])]));
        let asked = (0..200).map(|second| Time::ZERO + Duration::from_secs(second));
        let answered: Vec<Time> = asked.filter(|&now| !left.answer(now, peer, block).is_empty()).collect();
        assert_eq!(answered, [0, 5, 20, 65].map(|second| Time::ZERO + Duration::from_secs(second)));
        assert_eq!(left.answer(Time::ZERO, member, block).as_slice(), [NodeId([4; 32])]);
    }

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
