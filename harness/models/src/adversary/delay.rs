//! Nodes that answer late.

use std::collections::VecDeque;

use butter::core::identity::NodeId;
use butter::core::message::Message;
use butter::overlay::data::DataMessage;

use super::{Act, Attack};

/// Turns for which a message is held back: two seconds.
const HELD_TURNS: u32 = 4;
/// Most messages held back; more go out at once.
const HELD_MAX: usize = 10_000;

/// `delay`: sends every message of the overlay two seconds late, heartbeats too.
#[derive(Debug, Default)]
pub struct DelayMessages {
    turn: u32,
    held: VecDeque<(u32, NodeId, Message<DataMessage>)>,
}

impl Attack for DelayMessages {
    fn says(&mut self, _: &mut Act<'_>, to: NodeId, message: &mut Message<DataMessage>) -> bool {
        if !matches!(message, Message::Overlay(_)) || self.held.len() >= HELD_MAX {
            return true;
        }
        self.held.push_back((self.turn, to, message.clone()));
        false
    }

    fn acts(&mut self, act: &mut Act<'_>) {
        self.turn += 1;
        while self.held.front().is_some_and(|(turn, ..)| self.turn - turn >= HELD_TURNS) {
            let (_, to, message) = self.held.pop_front().expect("just seen");
            act.say_core(to, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use butter::core::random::child;

    use super::*;

    #[test]
    fn a_message_goes_out_after_two_seconds_and_once() {
        let peer = NodeId([1; 32]);
        let (linked, mut random, mut said) = (BTreeSet::from([peer]), child(1, 0), Vec::new());
        let mut act = Act {
            me: NodeId([2; 32]),
            contact: None,
            allies: &[],
            linked: &linked,
            random: &mut random,
            said: &mut said,
        };
        let mut delay = DelayMessages::default();
        let mut message = Message::Overlay(DataMessage::Suspect { peer });
        assert!(!delay.says(&mut act, peer, &mut message));
        for turn in 1..=2 * HELD_TURNS {
            delay.acts(&mut act);
            assert_eq!(act.said.len(), usize::from(turn >= HELD_TURNS), "turn {turn}");
        }
    }
}
