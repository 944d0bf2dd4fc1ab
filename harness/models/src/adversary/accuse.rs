//! Nodes that report healthy peers as silent.

use butter::core::identity::NodeId;
use butter::overlay::data::DataMessage;
use rand::RngExt;

use super::{Act, Attack};

/// Accusations at a time.
const ACCUSED_AT_ONCE: usize = 16;

/// `accuse`: reports linked peers to each other, at random.
#[derive(Debug)]
pub struct AccusePeers;

impl Attack for AccusePeers {
    fn acts(&mut self, act: &mut Act<'_>) {
        let linked: Vec<NodeId> = act.linked.iter().copied().collect();
        if linked.len() < 2 {
            return;
        }
        for _ in 0..ACCUSED_AT_ONCE {
            let to = linked[act.random.random_range(0..linked.len())];
            let peer = linked[act.random.random_range(0..linked.len())];
            act.say(to, DataMessage::Suspect { peer });
        }
    }
}
