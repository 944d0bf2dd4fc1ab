//! Nodes that claim groups for themselves.

use std::collections::{BTreeMap, BTreeSet};

use butter::core::identity::{BlockId, NodeId};
use butter::core::message::Message;
use butter::core::random::Random;
use butter::overlay::data::DataMessage;
use butter::overlay::data::message::BlockGroup;
use butter::overlay::data::view::{GroupView, rank};

use super::{Act, Attack, made_up_node};

/// Most groups that are remembered.
const GROUPS_MAX: usize = 4_096;
/// Groups that are claimed at a time.
const CLAIMED_AT_ONCE: usize = 32;
/// Ids that are drawn for each member that it makes up. The one of the highest rank in the group is taken.
const DRAWN_IDS: usize = 16;
/// Epoch before the first claim to a group of which only the block's id is known. A holder answers a claim that is too small
/// with its own view, and so tells what the next claim must beat.
const UNKNOWN_EPOCH: u64 = 0;

/// Tells all peers that the groups it has heard of consist of itself and others. Asked to show the block of a group that it has only
/// claimed, it says nothing: a false proof would have it distrusted.
#[derive(Debug)]
pub struct StealGroups {
    others: OtherMembers,
    /// Groups with the greatest epoch heard of.
    epochs: BTreeMap<BlockId, u64>,
    /// Groups to which it was invited, of at most as many.
    invited: BTreeSet<BlockId>,
    /// Where the next claims begin.
    at: usize,
}

/// Who is in a stolen group beside the thief.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherMembers {
    /// `steal-views`: its allies.
    Allies,
    /// `invent-members`: members that do not exist, of high ranks in the group.
    Invented,
}

impl OtherMembers {
    /// Members of a group that is stolen.
    fn members(self, act: &mut Act<'_>, id: BlockId) -> Vec<NodeId> {
        let others: Vec<NodeId> = match self {
            OtherMembers::Allies => act.allies.iter().copied().take(2).collect(),
            OtherMembers::Invented => (0..2).map(|_| invented(id, act.random)).collect(),
        };
        others.into_iter().chain([act.me]).collect()
    }
}

/// A member that does not exist, of a high rank in the group.
fn invented(id: BlockId, random: &mut Random) -> NodeId {
    let drawn = (0..DRAWN_IDS).map(|_| made_up_node(random));
    drawn.max_by_key(|&member| rank(id, member)).expect("some are drawn")
}

impl StealGroups {
    /// Has claimed nothing yet.
    pub fn new(others: OtherMembers) -> Self {
        StealGroups { others, epochs: BTreeMap::new(), invited: BTreeSet::new(), at: 0 }
    }

    fn note(&mut self, id: BlockId, epoch: u64) {
        if self.epochs.len() < GROUPS_MAX || self.epochs.contains_key(&id) {
            let known = self.epochs.entry(id).or_default();
            *known = epoch.max(*known);
        }
    }

    fn note_all(&mut self, views: &[BlockGroup]) {
        views.iter().for_each(|viewed| self.note(viewed.id, viewed.view.epoch));
    }
}

impl Attack for StealGroups {
    fn hears(&mut self, _: &mut Act<'_>, _: NodeId, message: &mut Message<DataMessage>) -> bool {
        let Message::Overlay(message) = message else { return true };
        match message {
            DataMessage::Invite { items, .. } => {
                for item in items.iter() {
                    self.note(item.id, item.view.epoch);
                    if self.epochs.contains_key(&item.id) {
                        self.invited.insert(item.id);
                    }
                }
            }
            DataMessage::Views { views, .. }
            | DataMessage::Sync { views, .. }
            | DataMessage::SyncReply { views, .. }
            | DataMessage::InviteReply { views, .. } => self.note_all(views),
            DataMessage::Find { ids, .. } => ids.iter().for_each(|&id| self.note(id, UNKNOWN_EPOCH)),
            DataMessage::Flood { id, .. } => self.note(*id, UNKNOWN_EPOCH),
            DataMessage::Confirm { views, .. } => {
                self.note_all(views);
                views.retain(|viewed| self.invited.contains(&viewed.id));
                return !views.is_empty();
            }
            _ => {}
        }
        true
    }

    fn acts(&mut self, act: &mut Act<'_>) {
        let count = self.epochs.len();
        let begin = if count == 0 { 0 } else { self.at % count };
        let claimed: Vec<BlockGroup> = self
            .epochs
            .iter_mut()
            .skip(begin)
            .take(CLAIMED_AT_ONCE)
            .map(|(&id, epoch)| {
                *epoch += 1;
                BlockGroup { id, view: GroupView::new(*epoch, self.others.members(act, id)) }
            })
            .collect();
        self.at = begin + claimed.len();
        if claimed.is_empty() {
            return;
        }
        for &peer in act.linked {
            if !act.allies.contains(&peer) {
                act.said.push((
                    peer,
                    Message::Overlay(DataMessage::Views { views: claimed.clone(), contacts: Vec::new() }),
                ));
            }
        }
    }
}
