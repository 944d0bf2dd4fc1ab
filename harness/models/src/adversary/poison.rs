//! Nodes that send groups whose epoch cannot grow any more.

use std::collections::BTreeSet;

use butter::core::blob::Blob;
use butter::core::identity::{BlockId, NodeId};
use butter::core::message::Message;
use butter::overlay::data::DataMessage;
use butter::overlay::data::block::{Block, BlockKind};
use butter::overlay::data::keywords::Keywords;
use butter::overlay::data::message::{BlockGroup, InvitedBlock};
use butter::overlay::data::view::GroupView;
use rand::Rng;

use super::{Act, Attack};

/// The greatest epoch that is well-formed.
const LAST_EPOCH: u64 = 1 << 56;
/// Most groups that are remembered.
const KNOWN_MAX: usize = 1_024;
/// Groups that are poisoned at a time.
const POISONED_AT_ONCE: usize = 16;

/// `poison`: made-up blocks and known groups, with the greatest epoch.
#[derive(Debug, Default)]
pub struct PoisonEpochs {
    known: BTreeSet<BlockId>,
}

/// A block that no application has put.
pub(super) fn made_up(act: &mut Act<'_>, length: usize) -> Block {
    let mut bytes = vec![0; length];
    act.random.fill_bytes(&mut bytes);
    Block { kind: BlockKind::Part, bytes: Blob::from(bytes) }
}

impl Attack for PoisonEpochs {
    fn hears(&mut self, _: &mut Act<'_>, _: NodeId, message: &mut Message<DataMessage>) -> bool {
        if let Message::Overlay(DataMessage::Invite { items, .. }) = message
            && self.known.len() < KNOWN_MAX
        {
            self.known.extend(items.iter().map(|item| item.id));
        }
        true
    }

    fn acts(&mut self, act: &mut Act<'_>) {
        for peer in act.linked.iter().copied().collect::<Vec<_>>() {
            let absent = NodeId([9; 32]);
            let block = made_up(act, 64);
            let view = GroupView::new(LAST_EPOCH, [act.me, peer, absent]);
            let items = vec![InvitedBlock {
                id: block.id(),
                view: view.clone(),
                founded: true,
                block,
                keywords: Keywords::default(),
            }];
            act.say(peer, DataMessage::Invite { batch: 1, items, contacts: Vec::new() });
            let known = self.known.iter().take(POISONED_AT_ONCE);
            let views = known.map(|&id| BlockGroup { id, view: view.clone() }).collect();
            act.say(peer, DataMessage::Views { views, contacts: Vec::new() });
        }
    }
}
