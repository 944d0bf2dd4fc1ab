//! Invitations by others: blocks that are pushed to this node, with their groups.

use smallvec::SmallVec;

use super::super::DataCx;
use super::super::message::{InviteRefusal, InvitedBlock, RefusedBlock};
use super::super::store::{BlockBringer, WritePurpose};
use super::super::view::GroupView;
use super::completion::InviteAnswer;
use super::{EPOCH_FIRST_MAX, Persist};
use crate::core::identity::{BlockId, NodeId};

/// Most members that one peer may name without that they are heard: this node watches each and looks for a way to it.
const UNHEARD_MAX: usize = 32;

impl Persist {
    /// Handles an invitation: stores the blocks that match their ids, as far as there is room.
    pub(super) fn handle_invite(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        batch: u64,
        items: Vec<InvitedBlock>,
    ) {
        let (mut taken, mut refused, mut views, mut writing) = (Vec::new(), Vec::new(), Vec::new(), 0);
        // No honest node passes on a block that is not what its id says: it has checked it before.
        if items.iter().any(|item| !item.block.is(item.id)) {
            self.distrust(ctx, from);
        }
        for InvitedBlock { id, view, founded, block, keywords } in items {
            let bringer = BlockBringer { peer: from, founded };
            let refuse = |reason| RefusedBlock { id, reason };
            let is_unfit = self.distrusted.contains(from)
                || !view.contains(self.me)
                || (!self.holds(id) && view.epoch > EPOCH_FIRST_MAX)
                || self.names_too_many(from, &view);
            if self.leaving.is_some() {
                refused.push(refuse(InviteRefusal::Leaving));
            } else if is_unfit {
                refused.push(refuse(InviteRefusal::NoRoom));
            } else if self.groups.contains_key(&id) {
                taken.push(id);
                views.extend(self.merge(ctx, from, id, view));
                let is_described = !keywords.is_empty() || ctx.store.described().of(id).is_some();
                if is_described && block.is(id) {
                    self.describe_held(ctx, from, id, &keywords);
                }
            } else if block.is(id) && ctx.store.reserve(id, (block.len(), &keywords), bringer) {
                let answer = self.invite_answers.next_number();
                let purpose = || WritePurpose::Invited { answer, view: view.clone() };
                match ctx.write_block(id, block, &view, purpose) {
                    Some(true) => {
                        taken.push(id);
                        self.join_group(ctx, from, id, view);
                    }
                    Some(false) => {
                        ctx.delete_block(id);
                        refused.push(refuse(InviteRefusal::StoreFailed));
                    }
                    None => writing += 1,
                }
            } else {
                refused.push(refuse(InviteRefusal::NoRoom));
            }
        }
        if !taken.is_empty() || writing > 0 {
            self.note_taken(ctx.now);
        }
        let answer = InviteAnswer { to: from, batch, taken, refused, views, writing };
        if let Some(answer) = self.invite_answers.add(answer) {
            answer.send(ctx);
        }
    }

    /// Whether the members that `from` has named, and that were never heard, are too many with those of `view`.
    fn names_too_many(&self, from: NodeId, view: &GroupView) -> bool {
        let is_new = |member: &&NodeId| **member != self.me && **member != from && self.peers.get(**member).is_none();
        let new = view.members().iter().filter(is_new).count();
        new > 0 && self.peers.unheard_of(from) + new > UNHEARD_MAX
    }

    /// Becomes a member of a group to which `from` has invited this node.
    pub(super) fn join_group(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, id: BlockId, view: GroupView) {
        let is_new = |member: &&NodeId| self.peers.get(**member).is_none();
        let new: SmallVec<[NodeId; 3]> = view.members().iter().filter(is_new).copied().collect();
        self.accept_view(ctx, id, view);
        for member in new {
            if let Some(peer) = self.peers.get_mut(member) {
                peer.detail.named_by = Some(from);
            }
        }
    }
}
