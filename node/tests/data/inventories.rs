//! Searches by inventories: few messages for what is there, an early end for what is not, and liars who gain little.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use butter::core::contact::Contact;
use butter::core::identity::{BlockId, NodeId};
use butter::overlay::data::{
    CensusMark, DataConfig, DataMessage, GetError, InventoryFilter, InventoryNews, InventoryNotice, OwnerKey,
};

use crate::net::{Net, value};

const SECOND: Duration = Duration::from_secs(1);
const NODES: usize = 200;
const VALUES: usize = 40;

/// Nodes that have stored values, after their inventories had time to spread.
fn stored(seed: u64) -> (Net, Vec<BlockId>) {
    let mut net = Net::joined(NODES, &DataConfig::default(), seed);
    let ids = (0..VALUES).map(|at| net.put(at * 5, &value(at, 200)).unwrap().id).collect();
    net.run(SECOND * 30);
    (net, ids)
}

/// Two nodes, each in the active view of the other.
fn neighbours(net: &Net) -> (usize, usize) {
    let neighbour = net.node(3).neighbours().next().expect("it has joined");
    let liar = (0..NODES).find(|&at| net.id(at) == neighbour).expect("it is one of them");
    (liar, 3)
}

/// A block that no node has.
fn absent(number: u8) -> BlockId {
    let mut id = [number; 32];
    id[0] = number.wrapping_mul(37);
    BlockId(id)
}

#[test]
fn what_is_there_takes_few_messages_and_what_is_not_ends_early() {
    let (mut net, ids) = stored(1);
    let (mut messages, mut found) = (0, 0);
    for (at, &id) in ids.iter().enumerate() {
        let asker = (at * 7 + 3) % NODES;
        if let Ok(value) = net.get(asker, id) {
            (messages, found) = (messages + value.messages, found + 1);
        }
    }
    assert_eq!(found, VALUES, "all are there");
    assert!(messages < 8 * VALUES as u64, "{messages} messages for {VALUES} values");
    for number in 0..10 {
        match net.get(usize::from(number) * 11, absent(number)) {
            Err(GetError::ProbablyAbsent(tally)) => assert!(tally.asked < 60, "{tally}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_exhaustive_get_asks_every_peer() {
    let (mut net, _) = stored(2);
    assert!(matches!(net.get_exhaustively(17, absent(1)), Err(GetError::NotFound(_))));
    let asked = net.node(17).overlay().stats().retrieval_messages;
    assert!(asked >= NODES as u64 - 1, "{asked} messages");
}

#[test]
fn what_was_stored_a_moment_ago_is_found() {
    let (mut net, _) = stored(3);
    for at in 0..20 {
        let id = net.put(at * 9, &value(1_000 + at, 100)).unwrap().id;
        let asker = (at * 13 + 101) % NODES;
        assert!(net.get(asker, id).is_ok(), "value {at}");
    }
}

#[test]
fn nodes_know_about_how_many_they_are() {
    let (net, _) = stored(4);
    for at in 0..NODES {
        let estimate = net.node(at).overlay().stats().network_nodes as f64 / NODES as f64;
        assert!((0.6..2.5).contains(&estimate), "node {at} estimates {estimate} of the nodes");
    }
}

#[test]
fn inventories_of_lost_nodes_are_withdrawn() {
    let (mut net, _) = stored(5);
    (NODES / 2..NODES).for_each(|at| net.kill(at));
    net.run(SECOND * 40);
    let dead: BTreeSet<NodeId> = (NODES / 2..NODES).map(|at| net.id(at)).collect();
    let owners = || (0..NODES / 2).flat_map(|at| net.node(at).overlay().inventory_owners());
    let (of_dead, of_all) = (owners().filter(|owner| dead.contains(owner)).count(), owners().count());
    assert!(of_dead * 5 < of_all, "{of_dead} of {of_all} inventories are of lost nodes");
}

#[test]
fn upkeep_at_rest_is_small() {
    let (mut net, _) = stored(6);
    net.run(SECOND * 60);
    let sent = |net: &Net| (0..NODES).map(|at| net.node(at).overlay().stats().inventory_bytes).sum::<u64>();
    let before = sent(&net);
    net.run(SECOND * 240);
    let each = (sent(&net) - before) as f64 / NODES as f64 / 240.0;
    assert!(each < 200.0, "{each:.0} bytes per node and second");
}

/// A liar claims for other nodes what they do not hold: each such claim costs a visit, and soon not even that.
#[test]
fn false_inventories_cost_few_visits() {
    let (mut net, ids) = stored(7);
    let wanted = absent(9);
    let (liar, asker) = neighbours(&net);
    for victim in (0..NODES).filter(|&victim| victim != liar && victim != asker).take(30) {
        let mut contact = Contact::at(net.id(victim), net.address(victim));
        contact.ambassador = false;
        let mut filter = InventoryFilter::default();
        ids.iter().chain([&wanted]).for_each(|&id| _ = filter.add_id(id));
        let news = InventoryNews::Full { contact: contact.into(), filter: Arc::new(filter.condensed()) };
        let owner = OwnerKey::of(net.id(victim));
        let notice = InventoryNotice { owner, version: u32::MAX, spread: 1, hops: 1, news };
        net.inject(liar, asker, DataMessage::Inventories { notices: vec![notice], marks: Vec::new() });
    }
    let before = net.node(asker).overlay().stats().retrieval_messages;
    let result = net.get(asker, wanted);
    assert!(matches!(result, Err(GetError::ProbablyAbsent(_))), "{result:?}");
    let first = net.node(asker).overlay().stats().retrieval_messages - before;
    assert!(first < 100, "{first} messages");
    for &id in &ids {
        assert!(net.get(asker, id).is_ok());
    }
}

/// Whoever is no neighbour has no say, and a census that counts nodes by the million makes searches longer, not wrong.
#[test]
fn a_false_census_finds_no_less() {
    let (mut net, ids) = stored(8);
    let (liar, asker) = neighbours(&net);
    let marks = (0..32).map(|hash| CensusMark { hash, age_s: 0 }).collect();
    net.inject(liar, asker, DataMessage::Inventories { notices: Vec::new(), marks });
    assert!(net.node(asker).overlay().stats().network_nodes > 1_000_000);
    for &id in ids.iter().take(10) {
        assert!(net.get(asker, id).is_ok());
    }
    assert!(matches!(net.get(asker, absent(1)), Err(GetError::NotFound(_))), "every peer was asked");
}
