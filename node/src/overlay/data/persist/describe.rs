//! Keywords reach every copy of a block.
//!
//! A copy that is made brings them along. When a copy that exists gets more of them, its holder says so to the other members, and
//! whoever learns something passes it on. Holders that come to be of one group compare theirs. A surplus copy is dropped only after
//! its keywords went to the members: it may be of a later put, which gave it others.
//!
//! Only members of the group, and whoever shows the block, may add keywords. What is there is never displaced, so no holder loses
//! the keywords of another.

use std::collections::BTreeMap;

use super::super::DataCx;
use super::super::keywords::Keywords;
use super::super::message::DataMessage;
use super::super::search::{HITS_MAX, KeywordHit};
use super::super::view::GroupView;
use super::Persist;
use super::converge::{FIRST, LAST};
use super::possession::NONCE_FOR;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Most long lists of keywords in one message: they fit a frame.
const DESCRIBED_MAX: usize = HITS_MAX / 4;
/// Most keyword lists of peers that have not shown their blocks yet.
const CLAIMS_MAX: usize = 64;
/// Most of them of one peer.
const CLAIMS_OF_PEER_MAX: usize = 16;

/// Keywords from peers outside a block's group, until they have shown the block.
#[derive(Debug, Default)]
pub(super) struct ClaimedKeywords(BTreeMap<(NodeId, BlockId), (Keywords, Time)>);

impl ClaimedKeywords {
    /// Whether there is room for one more.
    fn add(&mut self, now: Time, of: (NodeId, BlockId), keywords: &Keywords) -> bool {
        self.0.retain(|_, (_, until)| *until > now);
        let of_peer = self.0.range((of.0, FIRST)..=(of.0, LAST)).count();
        let has_room = self.0.contains_key(&of) || self.0.len() < CLAIMS_MAX && of_peer < CLAIMS_OF_PEER_MAX;
        if has_room {
            self.0.insert(of, (keywords.clone(), now + NONCE_FOR));
        }
        has_room
    }

    fn take(&mut self, now: Time, of: (NodeId, BlockId)) -> Option<Keywords> {
        self.0.remove(&of).filter(|&(_, until)| until > now).map(|(keywords, _)| keywords)
    }
}

impl Persist {
    /// Gives a block that this node holds more keywords, and queues them for the other members but `from`, who has sent them.
    pub(in super::super) fn describe(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        id: BlockId,
        keywords: &Keywords,
        from: Option<NodeId>,
    ) {
        let Some(view) = self.groups.get(&id) else { return };
        if !ctx.store.describe(id, keywords) {
            return;
        }
        ctx.note_view(id, view);
        self.share_keywords(ctx, id);
        if let Some(queued) = from.and_then(|from| self.changed_keywords.get_mut(&from)) {
            queued.remove(&id);
        }
    }

    /// A peer that shows a block which is held here has sent it with keywords. It gets those that it lacks.
    pub(super) fn describe_held(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, id: BlockId, keywords: &Keywords) {
        if ctx.store.has_room(keywords.bytes() as u64) {
            self.describe(ctx, id, keywords, Some(from));
        }
        if ctx.store.described().of(id).is_some_and(|own| own.iter().any(|word| !keywords.contains(word))) {
            self.changed_keywords.entry(from).or_default().insert(id);
        }
    }

    /// Handles keywords from another holder. One outside the group has to show its block first.
    pub(super) fn handle_describe(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, blocks: &[KeywordHit]) {
        for KeywordHit { id, keywords } in blocks {
            let has_room = ctx.store.has_room(keywords.bytes() as u64);
            if !self.holds(*id) || self.distrusted.contains(from) || !has_room {
                continue;
            }
            let lacks = |own: &Keywords| keywords.iter().any(|word| !own.contains(word));
            if self.is_of_group(*id, from) {
                self.describe(ctx, *id, keywords, Some(from));
                self.answer_with_rest(ctx, from, *id, keywords);
            } else if ctx.store.described().of(*id).is_none_or(lacks)
                && self.claimed_keywords.add(ctx.now, (from, *id), keywords)
            {
                self.question(from, *id);
            }
        }
    }

    /// A peer has shown a block: what it said before about its keywords counts.
    pub(super) fn claim_proven(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, id: BlockId) {
        if let Some(keywords) = self.claimed_keywords.take(ctx.now, (from, id)) {
            self.describe(ctx, id, &keywords, Some(from));
        }
    }

    /// A holder that has said less than is known gets the rest. If both have all that they can keep, neither answers.
    fn answer_with_rest(&mut self, ctx: &DataCx<'_, '_>, peer: NodeId, id: BlockId, keywords: &Keywords) {
        let Some(own) = ctx.store.described().of(id) else { return };
        if keywords.len() < own.len() && keywords.iter().all(|word| own.contains(word)) {
            self.changed_keywords.entry(peer).or_default().insert(id);
        }
    }

    /// Queues the keywords of a block, if it has any, for the live members of its group. Returns whether it has.
    pub(super) fn share_keywords(&mut self, ctx: &DataCx<'_, '_>, id: BlockId) -> bool {
        let is_described = ctx.store.described().of(id).is_some();
        if is_described {
            let others = self.groups[&id].members().iter().copied().filter(|&member| member != self.me);
            for member in others.filter(|&member| !self.peers.is_dead(member)) {
                self.changed_keywords.entry(member).or_default().insert(id);
            }
        }
        is_described
    }

    /// Another member's view has taken the place of `old`: those who meet in it compare the keywords of their copies.
    pub(super) fn compare_keywords(&mut self, ctx: &DataCx<'_, '_>, id: BlockId, old: &GroupView) {
        let view = &self.groups[&id];
        let has_new = view.members().iter().any(|&member| !old.contains(member));
        let first_kept = view.members().iter().find(|&&member| old.contains(member));
        // Of those who stay one speaks for all; who comes in speaks for itself.
        let speaks = !old.contains(self.me) || first_kept == Some(&self.me);
        if view.contains(self.me) && has_new && speaks {
            self.share_keywords(ctx, id);
        }
    }

    /// Sends queued keywords.
    pub(super) fn send_changed_keywords(&mut self, ctx: &mut DataCx<'_, '_>) {
        while let Some((peer, ids)) = self.changed_keywords.pop_first() {
            let described = |id: BlockId| {
                let keywords = ctx.store.described().of(id)?.clone();
                Some(KeywordHit { id, keywords })
            };
            let blocks: Vec<KeywordHit> = ids.into_iter().filter_map(described).collect();
            for blocks in blocks.chunks(DESCRIBED_MAX) {
                ctx.send(peer, DataMessage::Describe { blocks: blocks.to_vec() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_does_not_take_the_room_of_all() {
        let mut claims = ClaimedKeywords::default();
        let keywords = Keywords::from_list("a, b").unwrap();
        let of = |peer: u8, block: u8| (NodeId([peer; 32]), BlockId([block; 32]));
        let added = (0..=255).filter(|&block| claims.add(Time::ZERO, of(1, block), &keywords)).count();
        assert_eq!(added, CLAIMS_OF_PEER_MAX);
        assert!(claims.add(Time::ZERO, of(1, 0), &keywords), "it is there already");
        assert!(claims.add(Time::ZERO, of(2, 0), &keywords));
        let later = Time::ZERO + NONCE_FOR;
        assert_eq!(claims.take(later, of(2, 0)), None, "too late");
        assert!(claims.take(Time::ZERO, of(1, 3)).is_some() && claims.take(Time::ZERO, of(1, 3)).is_none());
    }
}
