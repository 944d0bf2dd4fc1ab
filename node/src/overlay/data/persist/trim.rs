//! Surplus copies: how an over-replicated group shrinks without losing the block.
//!
//! After concurrent repairs, a network merge or a false suspicion, a node may store a block without being a member of its group.
//! It drops the copy only when r members have shown, in one view, that they store the block (see [`super::possession`]). It sends
//! the block to a member that lacks it. A group with too few members admits the holder. If the members cannot show the block in
//! [`ROUNDS_MAX`] rounds, the holder restores the group to which it belonged: a live member cannot be talked out of its group.
//!
//! The leader of a group with too many members removes those of the lowest ranks ([`rank`]), and any member those that lack the block.

use std::time::Duration;

use smallvec::SmallVec;

use super::super::seeded_fault::SeededFault;
use super::super::view::{GroupView, rank};
use super::super::{DataCx, waits};
use super::Persist;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// After this many rounds in which not enough members have shown the block, the group is restored.
const ROUNDS_MAX: u32 = 4;

/// Each time that a group is shrunk within [`SHRUNK_FOR`] of the last, the pause before it is shrunk again doubles, up to 2^6 heartbeats.
/// Members that do not agree on who holds the block, as where one of them distrusts another, would shrink and complete a group for ever,
/// and move a copy each time.
const PAUSE_DOUBLED_MAX: u32 = 6;
/// How long it is remembered that a group was shrunk.
pub(super) const SHRUNK_FOR: Duration = Duration::from_secs(300);

/// A surplus copy: the block of a group without this node.
#[derive(Debug)]
pub(super) struct ExtraCopy {
    due: Time,
    /// Members that have shown, in this node's view, that they store the block.
    confirmed: SmallVec<[NodeId; 3]>,
    /// Rounds of questions since this node was a member.
    rounds: u32,
    /// Whether the members were sent its keywords.
    shared: bool,
    /// Who sent the view that leaves this node out, if another node did.
    left_out_by: Option<NodeId>,
    /// The group when this node was last a member: restored if the present members cannot show the block.
    former: Option<GroupView>,
}

impl ExtraCopy {
    /// `before` is the surplus copy under an older view, `former` the last view with this node as a member. Rounds are
    /// carried over, and so is that its keywords were sent: a peer that goes on sending views does not make this node wait.
    pub(super) fn new(due: Time, before: Option<ExtraCopy>, former: Option<GroupView>) -> Self {
        let (rounds, shared, old) = before.map_or((0, false, None), |extra| (extra.rounds, extra.shared, extra.former));
        ExtraCopy { due, confirmed: SmallVec::new(), rounds, shared, left_out_by: None, former: former.or(old) }
    }

    pub(super) fn due(&self) -> Time {
        self.due
    }

    /// The view that leaves this node out is from `peer`.
    pub(super) fn set_left_out_by(&mut self, peer: NodeId) {
        self.left_out_by = Some(peer);
    }

    /// Asks again at `at` at the latest.
    pub(super) fn ask_at(&mut self, at: Time) {
        self.due = self.due.min(at);
    }

    /// Whether `peer` was a member when this node was.
    pub(super) fn was_member(&self, peer: NodeId) -> bool {
        self.former.as_ref().is_some_and(|former| former.contains(peer))
    }
}

/// Pause before a group is shrunk that was shrunk so many times of late.
fn heartbeats_before_shrinking(times: u32) -> u32 {
    2_u32.pow(times.min(PAUSE_DOUBLED_MAX))
}

impl Persist {
    /// Asks the groups of surplus copies for proofs, where that is due.
    pub(super) fn trim(&mut self, ctx: &mut DataCx<'_, '_>) {
        let due: Vec<BlockId> =
            self.extras.iter().filter(|(_, extra)| extra.due <= ctx.now).map(|(&id, _)| id).collect();
        for id in due {
            let members: SmallVec<[NodeId; 3]> =
                self.groups[&id].members().iter().copied().filter(|&member| self.is_live(member)).collect();
            let extra = self.extras.get_mut(&id).expect("it was just there");
            extra.due = ctx.now + waits::confirm_pause(ctx, members.iter().copied(), extra.rounds);
            // Members ask whoever is none of them for a proof of its own, while it still has the block.
            if !std::mem::replace(&mut extra.shared, true) && self.share_keywords(ctx, id) {
                continue;
            }
            let extra = self.extras.get_mut(&id).expect("it was just there");
            // Those that have answered may know of a group in which the silent one was replaced.
            let shown = std::mem::take(&mut extra.confirmed);
            extra.rounds += 1;
            if extra.rounds > ROUNDS_MAX || members.is_empty() {
                self.restore_group(ctx, id, &shown);
                continue;
            }
            members.into_iter().for_each(|member| self.question(member, id));
        }
    }

    /// Too few members have shown that they hold the block: the group is again what it was, as far as it lives, with those that have
    /// `shown` it.
    fn restore_group(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId, shown: &[NodeId]) {
        let extra = self.extras.get(&id);
        let (former, by) = extra.map_or((None, None), |extra| (extra.former.clone(), extra.left_out_by));
        if let Some(by) = by {
            // Its view was as wrong as one to which a member objects.
            self.objections.note(ctx.now, by, id);
        }
        let others = former.iter().flat_map(|former| former.members()).chain(shown).copied();
        let members: Vec<NodeId> = others.filter(|&member| self.is_live(member)).chain([self.me]).collect();
        let restored = self.groups[&id].followed_by(1, members);
        self.set_view_of_all(ctx, id, restored);
    }

    /// The members that a group has beyond those that are wanted: those that lack the block, and, if this node leads those that hold it,
    /// the holders of the lowest ranks.
    pub(super) fn surplus_members(&self, id: BlockId) -> Option<SmallVec<[NodeId; 3]>> {
        let view = self.groups.get(&id)?;
        let wanted = usize::from(view.replicas).max(self.replicas);
        // Of hardly any group: the rest need not be looked at.
        let most = view.members().len().checked_sub(wanted).filter(|&most| most > 0)?;
        let lacking = view.members().iter().copied().filter(|&member| self.repairs.is_missing(id, member));
        let holders = view.members().iter().copied().filter(|&member| self.is_able(id, member));
        let mut ranked: SmallVec<[NodeId; 4]> = holders.collect();
        let leads = ranked.last() == Some(&self.me);
        ranked.sort_unstable_by_key(|&holder| rank(id, holder));
        ranked.truncate(if leads { ranked.len().saturating_sub(wanted) } else { 0 });
        let surplus: SmallVec<_> = lacking.chain(ranked).take(most).collect();
        (!surplus.is_empty()).then_some(surplus)
    }

    /// `peer` counts as a member again: groups that it shares with this node may have too many now.
    pub(super) fn review_surplus(&mut self, ctx: &DataCx<'_, '_>, peer: NodeId) {
        let shared = self.groups.iter().filter(|(_, view)| view.contains(peer)).map(|(&id, _)| id);
        let surplus: Vec<BlockId> = shared.filter(|&id| self.surplus_members(id).is_some()).collect();
        surplus.into_iter().for_each(|id| self.review(ctx, id));
    }

    /// Pause before members beyond those that are wanted are removed: who seems to live may have died, and the next heartbeats tell.
    pub(super) fn shrink_pause(&self, now: Time, id: BlockId) -> Duration {
        self.heartbeat * heartbeats_before_shrinking(self.shrunk.count(now, id))
    }

    /// Removes members, and those that are gone. They keep their copies until the others have shown theirs. This ends the group's repair.
    pub(super) fn shrink(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId, surplus: &[NodeId]) {
        self.shrunk.add(ctx.now, id);
        let view = &self.groups[&id];
        let rest =
            view.members().iter().copied().filter(|&member| !surplus.contains(&member) && self.is_able(id, member));
        let smaller = view.followed_by(1, rest);
        // The new view may need a repair of its own.
        self.repairs.forget(id);
        self.set_view_of_all(ctx, id, smaller);
        surplus.iter().for_each(|&member| self.announce_view_to(member, id));
    }

    /// Whether this node leads an under-replicated group, so that the holder may become a member without a transfer.
    pub(super) fn would_readmit(&self, id: BlockId, holder: NodeId) -> bool {
        let view = &self.groups[&id];
        let leader = view.members().iter().rev().copied().find(|&member| self.is_live(member));
        leader == Some(self.me) && !view.contains(holder) && !self.is_full(id, view)
    }

    /// A peer has shown that it holds a block that this node holds too.
    pub(super) fn possession_proven(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, id: BlockId, view: GroupView) {
        if !self.holds(id) {
            return;
        }
        self.proven.push((id, from));
        self.claims.note_proof(from);
        self.claim_proven(ctx, from, id);
        self.changed.push(id);
        if let Some(extra) = self.extras.get_mut(&id) {
            let own = &self.groups[&id];
            if view == *own && own.contains(from) {
                if !extra.confirmed.contains(&from) {
                    extra.confirmed.push(from);
                }
                let is_early = ctx.settings.fault == Some(SeededFault::EarlyDrop);
                if extra.confirmed.len() >= if is_early { 1 } else { own.copies_for(self.replicas) } {
                    self.drop_block(ctx, id);
                    self.trimmed.push(id);
                }
                return;
            }
        }
        if self.merge_of_holder(ctx, from, id, view).is_some() {
            self.announce_view_to(from, id);
        }
        if self.would_readmit(id, from) {
            self.admit(ctx, id, from, None);
        }
    }

    /// Sends blocks beyond their groups to a member that lacks them.
    pub(super) fn give_lost(&mut self, to: NodeId, lost: &[BlockId]) {
        let is_wanted = |id: &BlockId| self.extras.contains_key(id) && self.groups[id].contains(to);
        let given: Vec<BlockId> = lost.iter().copied().filter(is_wanted).collect();
        self.repairs.pushes.queue(to, given);
    }
}

#[cfg(test)]
mod tests {
    use super::super::recent_counts::RecentCounts;
    use super::*;

    #[test]
    fn a_group_that_does_not_stay_shrunk_is_shrunk_ever_later() {
        let (mut shrunk, id) = (RecentCounts::new(SHRUNK_FOR), BlockId([1; 32]));
        let pauses: Vec<u32> = (0..9)
            .map(|second| {
                let now = Time::ZERO + Duration::from_secs(second);
                let pause = heartbeats_before_shrinking(shrunk.count(now, id));
                shrunk.add(now, id);
                pause
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        let later = Time::ZERO + Duration::from_secs(8) + SHRUNK_FOR;
        assert_eq!(heartbeats_before_shrinking(shrunk.count(later, id)), 1);
    }
}
