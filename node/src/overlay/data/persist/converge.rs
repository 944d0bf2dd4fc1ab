//! Anti-entropy: members converge on the greatest view of each group.
//!
//! Every heartbeat carries a digest of the groups that the sender believes to share with the receiver. If the digests differ, the
//! two find the ranges of ids that differ ([`super::ranges`]), send each other their views there, and each adopts the greater one.
//! A member that lacks the block reports it and is replaced.

use super::super::DataCx;
use super::super::message::{BlockGroup, DataMessage, VIEWS_MAX};
use super::super::seeded_fault::SeededFault;
use super::super::view::GroupView;
use super::trim::ExtraCopy;
use super::{EPOCH_STEP_MAX, Persist};
use crate::core::identity::{BlockId, NodeId};

pub(super) const FIRST: BlockId = BlockId([0; 32]);
pub(super) const LAST: BlockId = BlockId([255; 32]);

impl Persist {
    /// Merges a view of a group whose block is stored here. Returns this node's own view if that one wins.
    pub(super) fn merge(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        id: BlockId,
        view: GroupView,
    ) -> Option<BlockGroup> {
        let own = self.groups.get(&id)?;
        let must_prove = ctx.settings.fault != Some(SeededFault::UnprovenViews);
        if must_prove && view > *own && !self.distrusted.contains(from) && !self.is_of_group(id, from) {
            // A stranger may know better, as after a partition. It has to show that it holds the block.
            self.question(from, id);
            return None;
        }
        self.merge_of_holder(ctx, from, id, view)
    }

    /// Whether `peer` belongs to the group, or did when this node was a member.
    pub(super) fn is_of_group(&self, id: BlockId, peer: NodeId) -> bool {
        let of_former = |extra: &ExtraCopy| extra.was_member(peer);
        self.groups[&id].contains(peer) || self.extras.get(&id).is_some_and(of_former)
    }

    /// Merges a view from a peer that belongs to the group or has shown that it holds the block.
    pub(super) fn merge_of_holder(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        id: BlockId,
        view: GroupView,
    ) -> Option<BlockGroup> {
        let own = self.groups.get(&id)?;
        let replicas = own.replicas;
        if view <= *own {
            return (view < *own).then(|| BlockGroup { id, view: own.clone() });
        }
        if self.distrusted.contains(from) || view.epoch - own.epoch > EPOCH_STEP_MAX {
            return None;
        }
        let believes_all = ctx.settings.fault == Some(SeededFault::UnprovenViews);
        if !believes_all && self.objects(ctx.now, from, id, &view) {
            self.object(ctx, from, id, &view.wanting(replicas.into()));
            return None;
        }
        // The old and the new leader inform the members that were removed. If the old leader was removed too, it may not know:
        // then every member informs them.
        let leads = |view: &GroupView| view.members().last() == Some(&self.me);
        let leader_is_out = own.members().last().is_some_and(|&leader| !view.contains(leader));
        let teller = leads(own) || leads(&view) || leader_is_out;
        let dropped: Vec<NodeId> =
            own.members().iter().copied().filter(|&member| !view.contains(member) && member != from).collect();
        self.accept_view(ctx, id, view.wanting(replicas.into()));
        if let Some(extra) = self.extras.get_mut(&id) {
            extra.set_left_out_by(from);
        }
        if teller {
            dropped.into_iter().for_each(|member| self.announce_view_to(member, id));
        }
        None
    }

    /// Merges views from a peer. Answers with newer views and with blocks that this node lacks.
    pub(super) fn handle_views(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, views: Vec<BlockGroup>) {
        let mut lost = Vec::new();
        for BlockGroup { id, view } in views {
            if !self.holds(id) {
                // Whoever visits this node for the sake of a block that has moved on is sent after it.
                self.tell_left_group(ctx.now, from, id);
                if view.contains(self.me) {
                    lost.push(id);
                }
            } else if self.merge(ctx, from, id, view).is_some() {
                self.announce_view_to(from, id);
            }
        }
        if !lost.is_empty() {
            ctx.send(from, DataMessage::SyncReply { views: Vec::new(), lost });
        }
    }

    /// Sends this node's views of a range.
    pub(super) fn send_page(&self, ctx: &mut DataCx<'_, '_>, with: NodeId, from: BlockId, to: BlockId) {
        let shared = self.shared_views(with, from, to).take(VIEWS_MAX + 1);
        let mut views: Vec<BlockGroup> = shared.map(|(id, view)| BlockGroup { id, view: view.clone() }).collect();
        let cut = views.len() > VIEWS_MAX;
        views.truncate(VIEWS_MAX);
        let to = views.last().filter(|_| cut).map_or(to, |viewed| viewed.id);
        ctx.send(with, DataMessage::Sync { from, to, views });
    }

    /// Handles a page of a peer's views: answers with newer and unlisted views, and with missing blocks.
    pub(super) fn handle_sync(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        first: BlockId,
        last: BlockId,
        views: Vec<BlockGroup>,
    ) {
        let sent: Vec<BlockId> = views.iter().map(|viewed| viewed.id).collect();
        let (mut better, mut lost) = (Vec::new(), Vec::new());
        for BlockGroup { id, view } in views {
            if self.holds(id) {
                better.extend(self.merge(ctx, from, id, view));
            } else if view.contains(self.me) {
                self.tell_left_group(ctx.now, from, id);
                lost.push(id);
            }
        }
        // Nothing is shared with a stranger, and finding that out would cost a look at every group.
        if self.peers.get(from).is_some() {
            let unsent = self.shared_views(from, first, last).filter(|(id, _)| sent.binary_search(id).is_err());
            better.extend(unsent.map(|(id, view)| BlockGroup { id, view: view.clone() }).take(VIEWS_MAX));
        }
        better.truncate(VIEWS_MAX);
        ctx.send(from, DataMessage::SyncReply { views: better, lost });
    }

    /// Handles the answer to a page: newer views, and blocks that the peer lacks.
    pub(super) fn handle_sync_reply(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        views: Vec<BlockGroup>,
        lost: &[BlockId],
    ) {
        self.handle_views(ctx, from, views);
        lost.iter().for_each(|&id| self.member_lost(ctx, id, from));
    }
}
