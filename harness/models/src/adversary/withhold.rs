//! Nodes that accept blocks and do not give them back.

use butter::core::blob::Blob;
use butter::core::identity::NodeId;
use butter::core::message::Message;
use butter::overlay::data::DataMessage;
use butter::overlay::data::block::Block;
use butter::overlay::data::message::{FloodCounts, PossessionProof};
use rand::{Rng, RngExt};

use super::{Act, Attack};

/// `drop`: says what a node would that has accepted every block and kept none.
#[derive(Debug)]
pub struct DropBlocks;

impl Attack for DropBlocks {
    fn hears(&mut self, act: &mut Act<'_>, from: NodeId, message: &mut Message<DataMessage>) -> bool {
        if let Message::Overlay(DataMessage::Flood { query, .. }) = message {
            act.say(from, DataMessage::FloodAck { query: *query, counts: FloodCounts::default() });
            return false;
        }
        true
    }

    fn says(&mut self, act: &mut Act<'_>, _: NodeId, message: &mut Message<DataMessage>) -> bool {
        match message {
            // Without the block it can only guess, or admit the loss.
            Message::Overlay(DataMessage::Heartbeat { answer: Some(answer), .. }) => {
                let mut guess = PossessionProof([0; 32]);
                act.random.fill_bytes(&mut guess.0);
                answer.proof = act.random.random_bool(0.5).then_some(guess);
                true
            }
            Message::Overlay(DataMessage::ConfirmReply { held, .. }) => {
                held.iter_mut().for_each(|held| act.random.fill_bytes(&mut held.proof.0));
                true
            }
            Message::Overlay(DataMessage::FindReply { blocks, hosts, .. }) => {
                blocks.clear();
                hosts.clear();
                true
            }
            Message::Overlay(DataMessage::FloodReply { .. } | DataMessage::Invite { .. }) => false,
            _ => true,
        }
    }
}

/// `wrong-bytes`: gives blocks with a changed byte.
#[derive(Debug)]
pub struct FalsifyBlocks;

fn falsify(block: &mut Block) {
    let mut bytes = block.bytes.0.to_vec();
    match bytes.first_mut() {
        Some(byte) => *byte ^= 1,
        None => bytes.push(1),
    }
    block.bytes = Blob::from(bytes);
}

impl Attack for FalsifyBlocks {
    fn says(&mut self, _: &mut Act<'_>, _: NodeId, message: &mut Message<DataMessage>) -> bool {
        match message {
            Message::Overlay(DataMessage::FindReply { blocks, .. }) => blocks.iter_mut().for_each(falsify),
            Message::Overlay(DataMessage::FloodReply { block, .. }) => falsify(block),
            Message::Overlay(DataMessage::Invite { items, .. }) => {
                items.iter_mut().for_each(|item| falsify(&mut item.block));
            }
            _ => {}
        }
        true
    }
}

/// `mute`: lives, and says nothing else.
#[derive(Debug)]
pub struct Silence;

impl Attack for Silence {
    fn says(&mut self, _: &mut Act<'_>, _: NodeId, message: &mut Message<DataMessage>) -> bool {
        match message {
            Message::Overlay(message) => {
                matches!(message, DataMessage::Heartbeat { .. } | DataMessage::ProbeAck { .. })
            }
            _ => true,
        }
    }
}
