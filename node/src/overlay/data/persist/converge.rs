//! Views that differ are brought together.
//!
//! Every beat carries a digest of the groups that its sender believes to share with the receiver. Where it does not match, the
//! two compare their lists, page by page, and each takes the greater of two views. A member that does not have the block after
//! all says so, and is replaced.

use super::super::Ctx;
use super::super::message::{DataMessage, VIEWS_MAX, Viewed};
use super::super::view::View;
use super::{EPOCH_STEP_MAX, Persist, RESYNC};
use crate::core::identity::{BlockId, NodeId};

const FIRST: BlockId = BlockId([0; 32]);
const LAST: BlockId = BlockId([255; 32]);

impl Persist {
    /// Takes a view of a group of which the block is held, if it wins. Returns this node's own if that one does.
    pub(super) fn merge(&mut self, ctx: &mut Ctx<'_>, from: NodeId, id: BlockId, view: View) -> Option<Viewed> {
        let own = self.groups.get(&id)?;
        if view <= *own {
            return (view < *own).then(|| Viewed { id, view: own.clone() });
        }
        let entitled = own.contains(from) || view.contains(from);
        if !entitled || view.epoch - own.epoch > EPOCH_STEP_MAX {
            return None;
        }
        // Whoever led the group so far tells those who are out of it, as does whoever leads it now. If the old leader is out
        // of it too, it may not know: then everybody tells.
        let leads = |view: &View| view.members().last() == Some(&self.me);
        let leader_is_out = own.members().last().is_some_and(|&leader| !view.contains(leader));
        let teller = leads(own) || leads(&view) || leader_is_out;
        let dropped: Vec<NodeId> =
            own.members().iter().copied().filter(|&member| !view.contains(member) && member != from).collect();
        self.follow(ctx, id, view);
        if teller {
            dropped.into_iter().for_each(|member| self.tell(member, id));
        }
        None
    }

    /// Takes views that a peer tells of; answers where it is behind, and where this node does not hold what it should.
    pub(super) fn told_views(&mut self, ctx: &mut Ctx<'_>, from: NodeId, views: Vec<Viewed>) {
        let mut lost = Vec::new();
        for Viewed { id, view } in views {
            if !self.knows(id) {
                if view.contains(self.me) {
                    lost.push(id);
                }
            } else if self.merge(ctx, from, id, view).is_some() {
                self.tell(from, id);
            }
        }
        if !lost.is_empty() {
            ctx.send(from, DataMessage::Synced { to: LAST, views: Vec::new(), lost });
        }
    }

    /// A peer's digest does not match: tells it what this node believes to share with it.
    pub(super) fn compare(&mut self, ctx: &mut Ctx<'_>, with: NodeId) {
        if let Some(peer) = self.peers.get_mut(with) {
            peer.sync_after = ctx.now + RESYNC;
            peer.syncing = true;
            self.send_page(ctx, with, FIRST);
        }
    }

    /// A node believes to share groups with this one, which knows of none. It may be right: it is told so.
    pub(super) fn beaten_by_stranger(&mut self, ctx: &mut Ctx<'_>, from: NodeId, digest: u64) {
        if digest != 0 {
            ctx.send(from, DataMessage::Sync { from: FIRST, to: LAST, views: Vec::new() });
        }
    }

    fn send_page(&mut self, ctx: &mut Ctx<'_>, with: NodeId, from: BlockId) {
        let mut views: Vec<Viewed> = self.shared(with, from, LAST).take(VIEWS_MAX + 1).collect();
        let cut = views.len() > VIEWS_MAX;
        views.truncate(VIEWS_MAX);
        let to = views.last().filter(|_| cut).map_or(LAST, |viewed| viewed.id);
        ctx.send(with, DataMessage::Sync { from, to, views });
    }

    /// Groups with ids from `first` to `last` that this node shares with `peer`.
    fn shared(&self, peer: NodeId, first: BlockId, last: BlockId) -> impl Iterator<Item = Viewed> + '_ {
        let both = move |view: &View| view.contains(peer) && view.contains(self.me);
        // A range that ends before it begins is an error of ours to BTreeMap, but here it is a peer's.
        let range = self.groups.range(first.min(last)..=last);
        range.filter(move |(_, view)| both(view)).map(|(&id, view)| Viewed { id, view: view.clone() })
    }

    /// A peer tells which groups of a range it believes to share: answers with what it does not know.
    pub(super) fn compared(
        &mut self,
        ctx: &mut Ctx<'_>,
        from: NodeId,
        first: BlockId,
        last: BlockId,
        views: Vec<Viewed>,
    ) {
        let told: Vec<BlockId> = views.iter().map(|viewed| viewed.id).collect();
        let (mut better, mut lost) = (Vec::new(), Vec::new());
        for Viewed { id, view } in views {
            if self.knows(id) {
                better.extend(self.merge(ctx, from, id, view));
            } else if view.contains(self.me) {
                lost.push(id);
            }
        }
        let untold = self.shared(from, first, last).filter(|viewed| told.binary_search(&viewed.id).is_err());
        better.extend(untold);
        better.truncate(VIEWS_MAX);
        ctx.send(from, DataMessage::Synced { to: last, views: better, lost });
    }

    /// The answer: where the peer knows better, and what it does not have.
    pub(super) fn synced(
        &mut self,
        ctx: &mut Ctx<'_>,
        from: NodeId,
        to: BlockId,
        views: Vec<Viewed>,
        lost: &[BlockId],
    ) {
        self.told_views(ctx, from, views);
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
    fn the_successor_carries_and_ends() {
        let mut id = FIRST;
        id.0[31] = 255;
        let next = successor(id).unwrap();
        assert_eq!((next.0[30], next.0[31]), (1, 0));
        assert!(next > id);
        assert_eq!(successor(LAST), None);
    }
}
