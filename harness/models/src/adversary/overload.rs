//! Nodes that take more than their share: of searches, of storage, of neighbours.

use butter::core::identity::{BlockId, NodeId};
use butter::core::message::{MembershipMessage, Message};
use butter::overlay::data::keywords::Keywords;
use butter::overlay::data::message::InvitedBlock;
use butter::overlay::data::view::GroupView;
use butter::overlay::data::{DataMessage, FloodChoice};
use rand::Rng;

use super::poison::made_up;
use super::{Act, Attack};

/// Searches at a time, to each peer.
const SEARCHES_AT_ONCE: usize = 5;
/// Made-up blocks at a time, to each peer.
const BLOCKS_AT_ONCE: usize = 4;

/// `flood`: searches for blocks that do not exist.
#[derive(Debug)]
pub struct FloodSearches;

impl Attack for FloodSearches {
    fn acts(&mut self, act: &mut Act<'_>) {
        for peer in act.linked.iter().copied().collect::<Vec<_>>() {
            for _ in 0..SEARCHES_AT_ONCE {
                let mut id = BlockId([0; 32]);
                act.random.fill_bytes(&mut id.0);
                let query = act.random.next_u64();
                act.say(
                    peer,
                    DataMessage::Flood { query, id, ttl: 32, hops: 1, choice: FloodChoice::All, budget_ms: 10_000 },
                );
            }
        }
    }
}

/// `fill`: made-up blocks, with a member that does not exist, so that honest nodes spread them.
#[derive(Debug)]
pub struct FillStores;

impl Attack for FillStores {
    fn acts(&mut self, act: &mut Act<'_>) {
        for peer in act.linked.iter().copied().collect::<Vec<_>>() {
            let mut items = Vec::new();
            for _ in 0..BLOCKS_AT_ONCE {
                let block = made_up(act, 4_096);
                let view = GroupView::new(2, [act.me, peer, NodeId([9; 32])]);
                items.push(InvitedBlock { id: block.id(), view, founded: true, block, keywords: Keywords::default() });
            }
            act.say(peer, DataMessage::Invite { batch: 1, items, contacts: Vec::new() });
        }
    }
}

/// `eclipse`: asks every linked peer to be its neighbour; that may not be refused to a peer that has none.
#[derive(Debug)]
pub struct CrowdNeighbours;

impl Attack for CrowdNeighbours {
    fn acts(&mut self, act: &mut Act<'_>) {
        let Some(contact) = act.contact.cloned() else { return };
        for peer in act.linked.iter().copied().collect::<Vec<_>>() {
            let ask = MembershipMessage::Neighbour { contact: contact.clone(), urgent: true };
            act.say_core(peer, Message::Membership(ask));
        }
    }
}
