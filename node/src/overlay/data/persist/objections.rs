//! A member that a view leaves out for no good reason holds on to its place.
//!
//! A view that names too few members, or one that this node outranks, does not take a live holder's place: the holder adds itself
//! again. Who sent the view may be mistaken and learns better so. A peer that goes on leaving this node out of the same group is not
//! heard on that matter for a while: it says nothing true about this node, and each answer would cost messages.

use std::time::Duration;

use super::super::DataCx;
use super::super::view::{GroupView, rank};
use super::Persist;
use super::recent_counts::RecentCounts;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// So often a peer may leave this node out of one group in a row, each time within [`REMEMBERED_FOR`] of the last.
const MISTAKES_MAX: u32 = 3;
/// How long a mistake about one group counts, and how long a peer is not heard after its last one.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// Views to which this node objected.
#[derive(Debug)]
pub(super) struct Objections {
    /// How often a peer has left this node out of a group.
    mistakes: RecentCounts<(NodeId, BlockId)>,
    /// Peers whose views do not take this node's place.
    unheard: RecentCounts<NodeId>,
}

impl Default for Objections {
    fn default() -> Self {
        Objections { mistakes: RecentCounts::new(REMEMBERED_FOR), unheard: RecentCounts::new(REMEMBERED_FOR) }
    }
}

impl Objections {
    /// `peer` leaves this node out of a group. Returns whether it is answered.
    pub(super) fn note(&mut self, now: Time, peer: NodeId, id: BlockId) -> bool {
        if self.unheard.count(now, peer) == 0 && self.mistakes.add(now, (peer, id)) <= MISTAKES_MAX {
            return true;
        }
        self.unheard.add(now, peer);
        false
    }
}

impl Persist {
    /// Whether this node holds on to its place in a group whose `view`, which `from` sends, leaves it out.
    pub(super) fn objects(&self, now: Time, from: NodeId, id: BlockId, view: &GroupView) -> bool {
        if view.contains(self.me) || !self.is_live(self.me) || self.repairs.goes(id) {
            return false;
        }
        if self.objections.unheard.count(now, from) > 0 {
            return true;
        }
        let is_below = |member: NodeId| self.is_able(id, member) && rank(id, member) < rank(id, self.me);
        let outranks_one = || view.members().iter().any(|&member| is_below(member));
        view.members().len() < view.copies_for(self.replicas) || (self.groups[&id].contains(self.me) && outranks_one())
    }

    /// Adds this node to a view of `from` that left it out. Others need not believe it: strangers ask for a proof, as of any holder.
    pub(super) fn object(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, id: BlockId, view: &GroupView) {
        if !self.objections.note(ctx.now, from, id) {
            return;
        }
        let members: Vec<NodeId> = view.members().iter().copied().chain([self.me]).collect();
        self.accept_view(ctx, id, view.followed_by(1, members));
        self.announce_view_to_members(id, self.me);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_repeats_its_mistake_about_a_group_is_not_heard_for_a_while() {
        let mut objections = Objections::default();
        let (liar, other, now) = (NodeId([1; 32]), NodeId([2; 32]), Time::from_micros(1));
        for _ in 0..MISTAKES_MAX {
            assert!(objections.note(now, liar, BlockId([0; 32])));
            assert!(objections.note(now, other, BlockId([9; 32])));
        }
        assert!(!objections.note(now, liar, BlockId([0; 32])));
        assert!(!objections.note(now, liar, BlockId([5; 32])), "it is not heard about other groups either");
        assert!(objections.note(now, other, BlockId([5; 32])));
        assert!(objections.note(now + REMEMBERED_FOR, liar, BlockId([0; 32])));
    }
}
