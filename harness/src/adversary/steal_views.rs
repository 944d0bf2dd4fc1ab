//! Nodes that claim groups for themselves.

use std::collections::BTreeMap;

use butter::core::identity::{BlockId, NodeId};
use butter::core::message::Message;
use butter::overlay::data::DataMessage;
use butter::overlay::data::message::{BlockGroup, HeldBlock, PossessionProof};
use butter::overlay::data::view::GroupView;

use super::{Act, Attack};

/// Most groups that are remembered.
const GROUPS_MAX: usize = 4_096;
/// Groups that are claimed at a time.
const CLAIMED_AT_ONCE: usize = 32;
/// Epoch of a claim to a group of which only the block's id is known.
const UNKNOWN_EPOCH: u64 = 1_000;

/// `steal-views`: tells all peers that the groups it has heard of consist of itself and its allies.
#[derive(Debug, Default)]
pub struct StealGroups {
    /// Groups with the greatest epoch heard of.
    epochs: BTreeMap<BlockId, u64>,
    /// Where the next claims begin.
    at: usize,
}

impl StealGroups {
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
    fn hears(&mut self, act: &mut Act<'_>, from: NodeId, message: &mut Message<DataMessage>) -> bool {
        let Message::Overlay(message) = message else { return true };
        match message {
            DataMessage::Invite { items, .. } => items.iter().for_each(|item| self.note(item.id, item.view.epoch)),
            DataMessage::Views { views, .. }
            | DataMessage::Sync { views, .. }
            | DataMessage::SyncReply { views, .. }
            | DataMessage::InviteReply { views, .. } => self.note_all(views),
            DataMessage::Find { ids, .. } => ids.iter().for_each(|&id| self.note(id, UNKNOWN_EPOCH)),
            DataMessage::Flood { id, .. } => self.note(*id, UNKNOWN_EPOCH),
            DataMessage::Confirm { nonce, views } => {
                self.note_all(views);
                let (nonce, proof) = (*nonce, PossessionProof([0; 32]));
                let held = views.drain(..).map(|BlockGroup { id, view }| HeldBlock { id, view, proof }).collect();
                act.say(from, DataMessage::ConfirmReply { nonce, held, lost: Vec::new() });
                return false;
            }
            _ => {}
        }
        true
    }

    fn acts(&mut self, act: &mut Act<'_>) {
        let members: Vec<NodeId> = act.allies.iter().copied().take(2).chain([act.me]).collect();
        let count = self.epochs.len();
        let begin = if count == 0 { 0 } else { self.at % count };
        let claimed: Vec<BlockGroup> = self
            .epochs
            .iter_mut()
            .skip(begin)
            .take(CLAIMED_AT_ONCE)
            .map(|(&id, epoch)| {
                *epoch += 1;
                BlockGroup { id, view: GroupView::new(*epoch, members.iter().copied()) }
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
