//! Live peers that were left out of a group hear of the group once more.
//!
//! A view without a live member comes from a merge, a report that the member lacks the block, or distrust. If the member still
//! holds the block by then, it may be in another group of the same block that neither side knows of: views cross while halves
//! of a network become one. So after a while it is sent the view. It merges the two, or ignores a block that it has dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use smallvec::SmallVec;

use super::super::DataCx;
use super::super::message::BlockGroup;
use super::super::view::GroupView;
use super::Persist;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Pause before a peer that was left out is sent the view. By then the views of both sides have settled.
const RECHECK_AFTER: Duration = Duration::from_secs(10);
/// Rechecks that are due within so long are made together.
const RECHECKS_TOGETHER: Duration = Duration::from_secs(1);
/// Most blocks to recheck. What is beyond is left out.
const RECHECKED_MAX: usize = 4_096;

/// Peers that were left out of groups, by the time when they are sent the views.
#[derive(Debug, Default)]
pub(super) struct Rechecks {
    queue: BTreeMap<(Time, NodeId), BTreeSet<BlockId>>,
    blocks: usize,
}

impl Rechecks {
    /// Queues a block for `peer`, to be rechecked at `due` or a little later.
    pub(super) fn add(&mut self, due: Time, peer: NodeId, block: BlockId) {
        if self.blocks >= RECHECKED_MAX {
            return;
        }
        let together = RECHECKS_TOGETHER.as_micros() as u64;
        let due = Time::from_micros(due.as_micros().next_multiple_of(together));
        self.blocks += usize::from(self.queue.entry((due, peer)).or_default().insert(block));
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Time {
        self.queue.first_key_value().map_or(Time::NEVER, |(&(due, _), _)| due)
    }

    /// The next peer whose blocks are due.
    pub(super) fn pop(&mut self, now: Time) -> Option<(NodeId, BTreeSet<BlockId>)> {
        let entry = self.queue.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((_, peer), blocks) = entry.remove_entry();
        self.blocks -= blocks.len();
        Some((peer, blocks))
    }
}

impl Persist {
    /// A view takes the place of `old`: live members of that one which it leaves out are sent it later.
    pub(super) fn recheck_left_out(&mut self, now: Time, id: BlockId, old: &GroupView) {
        let view = &self.groups[&id];
        let is_left_out = |member: NodeId| member != self.me && !view.contains(member) && !self.peers.is_dead(member);
        let left_out: SmallVec<[NodeId; 3]> =
            old.members().iter().copied().filter(|&member| is_left_out(member)).collect();
        left_out.into_iter().for_each(|member| self.rechecks.add(now + RECHECK_AFTER, member, id));
    }

    /// Sends the views that are due.
    pub(super) fn recheck(&mut self, ctx: &mut DataCx<'_, '_>) {
        while let Some((peer, blocks)) = self.rechecks.pop(ctx.now) {
            if self.peers.is_dead(peer) {
                continue;
            }
            let is_left_out =
                |id: &BlockId| self.groups.get(id).is_some_and(|view| view.contains(self.me) && !view.contains(peer));
            let views: Vec<BlockGroup> =
                blocks.into_iter().filter(is_left_out).filter_map(|id| self.viewed(id)).collect();
            self.send_views(ctx, peer, &views);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_together_comes_together_and_no_more_than_fits() {
        let mut rechecks = Rechecks::default();
        let (peer, block) = (NodeId([1; 32]), |number: u8| BlockId([number; 32]));
        rechecks.add(Time::from_micros(1) + RECHECK_AFTER, peer, block(1));
        rechecks.add(Time::from_micros(2) + RECHECK_AFTER, peer, block(2));
        assert!(rechecks.pop(Time::ZERO + RECHECK_AFTER).is_none());
        let (popped, blocks) = rechecks.pop(rechecks.due()).unwrap();
        assert_eq!((popped, blocks.len(), rechecks.blocks), (peer, 2, 0));
        for number in 0..RECHECKED_MAX as u64 + 7 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            rechecks.add(Time::ZERO, peer, BlockId(id));
        }
        assert_eq!(rechecks.blocks, RECHECKED_MAX);
    }
}
