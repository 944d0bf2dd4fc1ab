//! Nodes whose inventories claim what they do not hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use butter::core::contact::Contact;
use butter::core::identity::{BlockId, NodeId};
use butter::core::message::Message;
use butter::overlay::data::{DataMessage, InventoryFilter, InventoryNews};
use rand::Rng;

use super::{Act, Attack};

/// Made-up keys in an inventory, beside all that were heard of: the more, the more often it matches by chance.
const MADE_UP: usize = 8_192;
/// Most ids that are remembered.
const HEARD_MAX: usize = 16_384;

/// `claim-all`: says that it holds every block that it hears of and many others, gives none, and names itself and its allies to
/// whoever looks for a block.
#[derive(Debug, Default)]
pub struct ClaimInventory {
    heard: BTreeSet<BlockId>,
    /// Contacts of hostile nodes that it knows.
    allies: Vec<Contact>,
    filter: Option<Arc<InventoryFilter>>,
}

impl ClaimInventory {
    fn note(&mut self, ids: &[BlockId]) {
        let before = self.heard.len();
        self.heard.extend(ids.iter().take(HEARD_MAX.saturating_sub(before)));
        if self.heard.len() > before {
            self.filter = None;
        }
    }

    fn claimed(&mut self, act: &mut Act<'_>) -> Arc<InventoryFilter> {
        let heard = &self.heard;
        let claim = || {
            let mut filter = InventoryFilter::default();
            heard.iter().for_each(|&id| _ = filter.add_id(id));
            for _ in 0..MADE_UP {
                let mut id = BlockId([0; 32]);
                act.random.fill_bytes(&mut id.0);
                filter.add_id(id);
            }
            Arc::new(filter.condensed())
        };
        self.filter.get_or_insert_with(claim).clone()
    }
}

impl Attack for ClaimInventory {
    fn hears(&mut self, act: &mut Act<'_>, _: NodeId, message: &mut Message<DataMessage>) -> bool {
        match message {
            Message::Overlay(DataMessage::Find { ids, .. }) => self.note(ids),
            Message::Overlay(DataMessage::Invite { items, contacts, .. }) => {
                self.note(&items.iter().map(|item| item.id).collect::<Vec<_>>());
                let known = |contact: &&Contact| self.allies.iter().any(|ally| ally.id == contact.id);
                let new = contacts.iter().filter(|contact| act.allies.contains(&contact.id) && !known(contact));
                let new: Vec<Contact> = new.cloned().collect();
                self.allies.extend(new);
            }
            _ => {}
        }
        true
    }

    fn says(&mut self, act: &mut Act<'_>, _: NodeId, message: &mut Message<DataMessage>) -> bool {
        match message {
            Message::Overlay(DataMessage::Inventories { notices, .. }) => {
                for notice in notices {
                    if let InventoryNews::Full { contact, filter } = &mut notice.news
                        && (contact.id == act.me || act.allies.contains(&contact.id))
                    {
                        *filter = self.claimed(act);
                    }
                }
            }
            Message::Overlay(DataMessage::FindReply { blocks, hosts, holders, inventories, .. }) => {
                blocks.clear();
                hosts.clear();
                *holders = act.contact.into_iter().chain(&self.allies).take(4).cloned().collect();
                *inventories = u16::MAX;
            }
            _ => {}
        }
        true
    }
}
