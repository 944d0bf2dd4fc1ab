//! Copies beyond the group: how a hot group cools without losing the block.
//!
//! After two leaders acted at once, after networks merged, after a false suspicion, a node holds a block of whose group it is
//! not a member. It drops it only when r members have said, in one and the same view, that they hold it; a member that does not
//! is given it; a group that has too few takes the holder in; and if no member answers at all, the holder founds the group anew.

use std::collections::BTreeMap;
use std::time::Duration;

use smallvec::SmallVec;

use super::super::Ctx;
use super::super::message::{BLOCKS_MAX, DataMessage, VIEWS_MAX, Viewed};
use super::super::store::Store;
use super::super::view::View;
use super::Persist;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Pause before members are asked again; doubles each time, up to eight times this.
const PAUSE: Duration = Duration::from_secs(1);
/// Members who have been asked so often without one answer are gone.
const UNANSWERED_MAX: u32 = 4;

/// A block held beyond its group.
#[derive(Debug)]
pub(super) struct Extra {
    due: Time,
    /// Members that hold the block in this node's view of the group.
    confirmed: SmallVec<[NodeId; 3]>,
    /// Rounds of questions since anybody answered.
    unanswered: u32,
}

impl Extra {
    pub(super) fn new(now: Time) -> Self {
        Extra { due: now, confirmed: SmallVec::new(), unanswered: 0 }
    }

    pub(super) fn due(&self) -> Time {
        self.due
    }
}

impl Persist {
    /// Asks the groups of blocks held beyond them, where that is due.
    pub(super) fn trim(&mut self, ctx: &mut Ctx<'_>) {
        let mut questions: BTreeMap<NodeId, Vec<Viewed>> = BTreeMap::new();
        let mut orphans = Vec::new();
        let due = self.extras.iter_mut().filter(|(_, extra)| extra.due <= ctx.now);
        for (&id, extra) in due {
            extra.due = ctx.now + PAUSE * (1 << extra.unanswered.min(3));
            extra.unanswered += 1;
            if extra.unanswered > UNANSWERED_MAX {
                orphans.push(id);
                continue;
            }
            let view = &self.groups[&id];
            for &member in view.members().iter().filter(|member| !extra.confirmed.contains(member)) {
                questions.entry(member).or_default().push(Viewed { id, view: view.clone() });
            }
        }
        for (member, views) in questions {
            for views in views.chunks(VIEWS_MAX) {
                ctx.send(member, DataMessage::Confirm { views: views.to_vec() });
            }
        }
        for id in orphans {
            let epoch = self.groups[&id].epoch + 1;
            self.adopt(ctx, id, View::new(epoch, [self.me]));
        }
    }

    /// Somebody holds blocks beyond their groups and wants to know whether it may drop them.
    pub(super) fn confirm(&mut self, ctx: &mut Ctx<'_>, from: NodeId, views: Vec<Viewed>) {
        let (mut held, mut lost) = (Vec::new(), Vec::new());
        for Viewed { id, view } in views {
            if !self.knows(id) {
                lost.push(id);
                continue;
            }
            self.merge(ctx, from, id, view);
            if self.would_readmit(id, from) {
                self.admit(ctx, id, from, None);
            }
            held.extend(self.viewed(id));
        }
        ctx.send(from, DataMessage::Confirmed { held, lost });
    }

    /// Whether this node leads a group that has too few members, so that a holder may come in without a copy being made.
    fn would_readmit(&self, id: BlockId, holder: NodeId) -> bool {
        let view = &self.groups[&id];
        let leader = view.members().iter().rev().copied().find(|&member| self.is_live(member));
        leader == Some(self.me) && !view.contains(holder) && !self.is_full(id, view)
    }

    /// Members have answered: drops what r of them hold, hands over what one of them lacks.
    pub(super) fn confirmed(
        &mut self,
        ctx: &mut Ctx<'_>,
        store: &mut Store,
        from: NodeId,
        held: Vec<Viewed>,
        lost: &[BlockId],
    ) {
        for Viewed { id, view } in held {
            let Some(extra) = self.extras.get_mut(&id) else { continue };
            extra.unanswered = 0;
            let own = &self.groups[&id];
            if view == *own && own.contains(from) {
                if !extra.confirmed.contains(&from) {
                    extra.confirmed.push(from);
                }
                if extra.confirmed.len() >= self.replicas {
                    self.drop_block(ctx, store, id);
                    self.trimmed.push(id);
                }
            } else if self.merge(ctx, from, id, view).is_some() {
                self.tell(from, id);
            }
        }
        let wanted = |id: &BlockId| self.extras.contains_key(id) && self.groups[id].contains(from);
        let give: Vec<BlockId> = lost.iter().copied().filter(wanted).collect();
        for ids in give.chunks(BLOCKS_MAX) {
            ids.iter().for_each(|id| self.extras.get_mut(id).expect("just filtered").unanswered = 0);
            self.invite(ctx, store, from, ids.to_vec());
        }
    }
}
