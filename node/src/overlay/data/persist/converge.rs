//! Anti-entropy: members converge on the greatest view of each group.
//!
//! Every heartbeat carries a digest of the groups that the sender believes to share with the receiver. If the digests differ, the
//! two compare their views page by page, and each adopts the greater one. A member that lacks the block reports it and is
//! replaced.

use super::super::message::{BlockGroup, DataMessage, VIEWS_MAX};
use super::super::view::GroupView;
use super::super::{DataCx, waits};
use super::{EPOCH_STEP_MAX, Persist};
use crate::core::identity::{BlockId, NodeId};

const FIRST: BlockId = BlockId([0; 32]);
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
        if view <= *own {
            return (view < *own).then(|| BlockGroup { id, view: own.clone() });
        }
        let entitled = own.contains(from) || view.contains(from);
        if !entitled || view.epoch - own.epoch > EPOCH_STEP_MAX {
            return None;
        }
        // The old and the new leader inform the members that were removed. If the old leader was removed too, it may not know:
        // then every member informs them.
        let leads = |view: &GroupView| view.members().last() == Some(&self.me);
        let leader_is_out = own.members().last().is_some_and(|&leader| !view.contains(leader));
        let teller = leads(own) || leads(&view) || leader_is_out;
        let dropped: Vec<NodeId> =
            own.members().iter().copied().filter(|&member| !view.contains(member) && member != from).collect();
        self.accept_view(ctx, id, view);
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
                if view.contains(self.me) {
                    lost.push(id);
                }
            } else if self.merge(ctx, from, id, view).is_some() {
                self.announce_view_to(from, id);
            }
        }
        if !lost.is_empty() {
            ctx.send(from, DataMessage::SyncReply { to: LAST, views: Vec::new(), lost });
        }
    }

    /// The digest of a peer differs: sends it this node's views of the shared groups.
    pub(super) fn begin_sync(&mut self, ctx: &mut DataCx<'_, '_>, with: NodeId) {
        if let Some(peer) = self.peers.get_mut(with) {
            peer.sync_after = ctx.now + waits::resync(ctx, with);
            peer.syncing = true;
            self.send_page(ctx, with, FIRST);
        }
    }

    /// A node without a shared group sends a digest. An empty page makes it list the groups that it believes to share.
    pub(super) fn handle_stranger_heartbeat(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, digest: u64) {
        if digest != 0 {
            ctx.send(from, DataMessage::Sync { from: FIRST, to: LAST, views: Vec::new() });
        }
    }

    fn send_page(&mut self, ctx: &mut DataCx<'_, '_>, with: NodeId, from: BlockId) {
        let mut views: Vec<BlockGroup> = self.shared(with, from, LAST).take(VIEWS_MAX + 1).collect();
        let cut = views.len() > VIEWS_MAX;
        views.truncate(VIEWS_MAX);
        let to = views.last().filter(|_| cut).map_or(LAST, |viewed| viewed.id);
        ctx.send(with, DataMessage::Sync { from, to, views });
    }

    /// Groups with ids from `first` to `last` that this node shares with `peer`.
    fn shared(&self, peer: NodeId, first: BlockId, last: BlockId) -> impl Iterator<Item = BlockGroup> + '_ {
        let both = move |view: &GroupView| view.contains(peer) && view.contains(self.me);
        // BTreeMap panics on a reversed range, and this range comes from a peer.
        let range = self.groups.range(first.min(last)..=last);
        range.filter(move |(_, view)| both(view)).map(|(&id, view)| BlockGroup { id, view: view.clone() })
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
                lost.push(id);
            }
        }
        let unsent = self.shared(from, first, last).filter(|viewed| sent.binary_search(&viewed.id).is_err());
        better.extend(unsent);
        better.truncate(VIEWS_MAX);
        ctx.send(from, DataMessage::SyncReply { to: last, views: better, lost });
    }

    /// Handles the answer to a page: newer views, and blocks that the peer lacks.
    pub(super) fn handle_sync_reply(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        to: BlockId,
        views: Vec<BlockGroup>,
        lost: &[BlockId],
    ) {
        self.handle_views(ctx, from, views);
        lost.iter().for_each(|&id| self.member_lost(ctx, id, from));
        let Some(peer) = self.peers.get_mut(from).filter(|peer| peer.syncing) else { return };
        match successor(to) {
            Some(next) => self.send_page(ctx, from, next),
            None => peer.syncing = false,
        }
    }
}

/// The next id, if there is one.
fn successor(id: BlockId) -> Option<BlockId> {
    let mut next = id;
    for byte in next.0.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(next);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successor_carries_and_ends_at_the_last_id() {
        let mut id = FIRST;
        id.0[31] = 255;
        let next = successor(id).unwrap();
        assert_eq!((next.0[30], next.0[31]), (1, 0));
        assert!(next > id);
        assert_eq!(successor(LAST), None);
    }
}
