//! Messages that make others send many more: whoever repeats them keeps the network about as busy as it is at rest.

use std::net::SocketAddr;
use std::time::Duration;

use butter::core::contact::Contact;
use butter::core::identity::{BlockId, NodeId};
use butter::core::message::{MembershipMessage, Message};
use butter::overlay::data::message::FloodChoice;
use butter::overlay::data::{DataConfig, DataMessage};

use crate::net::Net;

const SECOND: Duration = Duration::from_secs(1);
const NODES: usize = 33;
/// How long an attack lasts, in seconds.
const ATTACK_S: u32 = 20;

/// Makes the message with a number, from the first of two linked nodes to the second.
type Attack = fn(&Net, (usize, usize), u64) -> Message<DataMessage>;

/// Messages that the network sends while one node repeats a message a hundred times per second; without it, if there is none.
fn sent_during(attack: Option<Attack>) -> u64 {
    let config = DataConfig { heartbeat: SECOND * 2, ..DataConfig::default() };
    let mut net = Net::joined(NODES, &config, 7);
    let pair = net.linked_pair();
    let before = net.messages;
    for number in 0..u64::from(ATTACK_S) * 100 {
        if let Some(attack) = attack {
            let message = attack(&net, pair, number);
            net.inject_core(pair.0, pair.1, message);
        }
        net.run(SECOND / 100);
    }
    net.messages - before
}

/// A host that does not exist.
fn invented(number: u64) -> Contact {
    let id = NodeId(std::array::from_fn(|at| if at < 8 { number.to_be_bytes()[at] } else { 250 }));
    Contact::at(id, SocketAddr::from(([203, 0, 113, (number % 250) as u8], 4001)))
}

#[test]
fn floods_joins_walks_and_rumours_have_a_budget() {
    let idle = sent_during(None);
    let flood = |_: &Net, _: (usize, usize), number: u64| {
        let id = BlockId(std::array::from_fn(|at| (number >> (8 * (at % 8))) as u8));
        let choice = FloodChoice::All;
        Message::Overlay(DataMessage::Flood { query: number, id, ttl: 32, hops: 0, choice, budget_ms: 10_000 })
    };
    let join = |net: &Net, (from, _): (usize, usize), _: u64| {
        Message::Membership(MembershipMessage::Join(Contact::at(net.id(from), net.address(from))))
    };
    let walk = |_: &Net, _: (usize, usize), number: u64| {
        Message::Membership(MembershipMessage::ForwardJoin { newcomer: invented(number), ttl: 5 })
    };
    let suspicion = |net: &Net, (_, to): (usize, usize), number: u64| {
        let peer = net.id((to + 1 + number as usize % (NODES - 1)) % NODES);
        Message::Overlay(DataMessage::Suspect { peer })
    };
    // Most messages per node and second that each attack may add. Without budgets floods add hundreds.
    for (name, attack, most) in
        [("flood", flood as Attack, 20), ("join", join, 5), ("walk", walk, 5), ("suspicion", suspicion, 5)]
    {
        let added = sent_during(Some(attack)).saturating_sub(idle);
        println!("{name}: {added} messages more than {idle}");
        assert!(added <= most * NODES as u64 * u64::from(ATTACK_S), "{name}: {added} more than {idle}");
    }
}
