//! Keywords reach every copy of a block.
//!
//! A copy that is made brings them along. When a copy that exists gets more of them, its holder says so to the other members, and
//! whoever learns something passes it on. Only members of the group, and whoever shows the block, may add keywords. What is there
//! is never displaced, so no holder loses the keywords of another.

use super::super::DataCx;
use super::super::keywords::Keywords;
use super::super::message::DataMessage;
use super::super::search::{HITS_MAX, KeywordHit};
use super::Persist;
use crate::core::identity::{BlockId, NodeId};

/// Most long lists of keywords in one message: they fit a frame.
const DESCRIBED_MAX: usize = HITS_MAX / 4;

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
        let others = view.members().iter().copied().filter(|&member| member != self.me && Some(member) != from);
        for member in others.filter(|&member| !self.peers.is_dead(member)) {
            self.changed_keywords.entry(member).or_default().insert(id);
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

    /// Handles keywords from another member.
    pub(super) fn handle_describe(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, blocks: &[KeywordHit]) {
        for KeywordHit { id, keywords } in blocks {
            let may_say = self.holds(*id) && self.is_of_group(*id, from) && !self.distrusted.contains(from);
            if may_say && ctx.store.has_room(keywords.bytes() as u64) {
                self.describe(ctx, *id, keywords, Some(from));
            }
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
