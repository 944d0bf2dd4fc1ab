//! Surplus copies: how an over-replicated group shrinks without losing the block.
//!
//! After concurrent repairs, a network merge or a false suspicion, a node may store a block without being a member of its group.
//! It drops the copy only when r members have confirmed, in one view, that they store the block. It sends the block to a member
//! that lacks it. A group with too few members admits the holder. If no member answers, the holder creates the group anew.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::super::message::{BLOCKS_MAX, BlockGroup, DataMessage, VIEWS_MAX};
use super::super::view::GroupView;
use super::super::{DataCx, waits};
use super::Persist;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// After this many rounds without any answer the members are considered gone.
const UNANSWERED_MAX: u32 = 4;

/// A surplus copy: the block of a group without this node.
#[derive(Debug)]
pub(super) struct ExtraCopy {
    due: Time,
    /// Members that confirmed, in this node's view, that they store the block.
    confirmed: SmallVec<[NodeId; 3]>,
    /// Rounds of questions since the last answer.
    unanswered: u32,
}

impl ExtraCopy {
    pub(super) fn new(due: Time) -> Self {
        ExtraCopy { due, confirmed: SmallVec::new(), unanswered: 0 }
    }

    pub(super) fn due(&self) -> Time {
        self.due
    }
}

impl Persist {
    /// Asks the groups of surplus copies for confirmation, where that is due.
    pub(super) fn trim(&mut self, ctx: &mut DataCx<'_, '_>) {
        let mut questions: BTreeMap<NodeId, Vec<BlockGroup>> = BTreeMap::new();
        let mut orphans = Vec::new();
        let due = self.extras.iter_mut().filter(|(_, extra)| extra.due <= ctx.now);
        for (&id, extra) in due {
            let members = self.groups[&id].members().iter().copied();
            extra.due = ctx.now + waits::confirm_pause(ctx, members, extra.unanswered);
            extra.unanswered += 1;
            if extra.unanswered > UNANSWERED_MAX {
                orphans.push(id);
                continue;
            }
            let view = &self.groups[&id];
            for &member in view.members().iter().filter(|member| !extra.confirmed.contains(member)) {
                questions.entry(member).or_default().push(BlockGroup { id, view: view.clone() });
            }
        }
        for (member, views) in questions {
            for views in views.chunks(VIEWS_MAX) {
                ctx.send(member, DataMessage::Confirm { views: views.to_vec() });
            }
        }
        for id in orphans {
            let epoch = self.groups[&id].epoch + 1;
            self.set_view(ctx, id, GroupView::new(epoch, [self.me]));
        }
    }

    /// Answers a holder of surplus copies that asks whether it may drop them.
    pub(super) fn handle_confirm(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, views: Vec<BlockGroup>) {
        let (mut held, mut lost) = (Vec::new(), Vec::new());
        for BlockGroup { id, view } in views {
            if !self.holds(id) {
                lost.push(id);
                continue;
            }
            self.merge(ctx, from, id, view);
            if self.would_readmit(id, from) {
                self.admit(ctx, id, from, None);
            }
            held.extend(self.viewed(id));
        }
        ctx.send(from, DataMessage::ConfirmReply { held, lost });
    }

    /// Whether this node leads an under-replicated group, so that the holder may become a member without a transfer.
    fn would_readmit(&self, id: BlockId, holder: NodeId) -> bool {
        let view = &self.groups[&id];
        let leader = view.members().iter().rev().copied().find(|&member| self.is_live(member));
        leader == Some(self.me) && !view.contains(holder) && !self.is_full(id, view)
    }

    /// Handles an answer: drops copies that r members store, sends blocks that a member lacks.
    pub(super) fn handle_confirm_reply(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        held: Vec<BlockGroup>,
        lost: &[BlockId],
    ) {
        for BlockGroup { id, view } in held {
            let Some(extra) = self.extras.get_mut(&id) else { continue };
            extra.unanswered = 0;
            let own = &self.groups[&id];
            if view == *own && own.contains(from) {
                if !extra.confirmed.contains(&from) {
                    extra.confirmed.push(from);
                }
                if extra.confirmed.len() >= self.replicas {
                    self.drop_block(ctx, id);
                    self.trimmed.push(id);
                }
            } else if self.merge(ctx, from, id, view).is_some() {
                self.announce_view_to(from, id);
            }
        }
        let wanted = |id: &BlockId| self.extras.contains_key(id) && self.groups[id].contains(from);
        let give: Vec<BlockId> = lost.iter().copied().filter(wanted).collect();
        for ids in give.chunks(BLOCKS_MAX) {
            ids.iter().for_each(|id| self.extras.get_mut(id).expect("just filtered").unanswered = 0);
            self.repairs.pushes.queue(from, ids.iter().copied());
        }
    }
}
