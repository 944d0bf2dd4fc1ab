//! Nothing that a peer says can fill a node, corrupt what it holds, or be taken for an answer that was not asked for.

use std::time::Duration;

use butter::core::blob::Blob;
use butter::core::identity::{BlockId, NodeId};
use butter::overlay::data::block::{Block, BlockKind};
use butter::overlay::data::keywords::Keywords;
use butter::overlay::data::message::{BlockGroup, FloodCounts, InvitedBlock, Nonce};
use butter::overlay::data::view::GroupView;
use butter::overlay::data::{DataConfig, DataMessage};

use crate::net::{Net, value};

const SECOND: Duration = Duration::from_secs(1);

fn block(seed: usize) -> Block {
    Block { kind: BlockKind::Part, bytes: value(seed, 4_096) }
}

fn invite(net: &Net, from: usize, to: usize, id: BlockId, block: Block) -> DataMessage {
    let view = GroupView::new(2, [net.id(from), net.id(to), NodeId([9; 32])]);
    DataMessage::Invite {
        batch: 1,
        items: vec![InvitedBlock { id, view, founded: true, block, keywords: Keywords::default() }],
        contacts: Vec::new(),
    }
}

#[test]
fn a_block_under_a_false_name_is_not_taken() {
    let mut net = Net::joined(6, &DataConfig::default(), 1);
    let (liar, node) = net.linked_pair();
    let message = invite(&net, liar, node, BlockId([1; 32]), block(1));
    net.inject(liar, node, message);
    let manifest = Block { kind: BlockKind::Manifest, ..block(2) };
    let message = invite(&net, liar, node, block(2).id(), manifest);
    net.inject(liar, node, message);
    assert_eq!(net.node(node).overlay().blocks().count(), 0);
}

#[test]
fn one_peer_leaves_storage_for_others() {
    let mut net = Net::joined(6, &DataConfig { storage: 64 << 10, ..DataConfig::default() }, 2);
    let (greedy, node) = net.linked_pair();
    for seed in 0..20 {
        let message = invite(&net, greedy, node, block(seed).id(), block(seed));
        net.inject(greedy, node, message);
    }
    let stats = net.node(node).overlay().stats();
    let used = stats.stored_bytes as f64 / stats.storage_limit_bytes as f64;
    assert!((0.85..0.95).contains(&used), "{stats:?}");
}

#[test]
fn an_oversized_message_is_ignored() {
    let mut net = Net::joined(6, &DataConfig::default(), 3);
    let (liar, node) = net.linked_pair();
    let large = Block { kind: BlockKind::Part, bytes: Blob::from(vec![1; 4_097]) };
    let message = invite(&net, liar, node, large.id(), large);
    net.inject(liar, node, message);
    assert_eq!(net.node(node).overlay().blocks().count(), 0);
}

#[test]
fn answers_that_were_not_asked_for_change_nothing() {
    let mut net = Net::joined(6, &DataConfig::default(), 4);
    let (liar, node) = net.linked_pair();
    let stored = net.put(node, &value(5, 1_000)).unwrap();
    let get = net.begin_get(node, block(1).id());
    for number in 0..50 {
        let blocks = vec![Block { kind: BlockKind::Part, bytes: Blob::from(vec![7; 10]) }];
        net.inject(
            liar,
            node,
            DataMessage::FindReply { query: number, blocks, hosts: Vec::new(), holders: Vec::new(), inventories: 0 },
        );
        net.inject(
            liar,
            node,
            DataMessage::FloodAck { query: number, counts: FloodCounts { messages: 9, ..FloodCounts::default() } },
        );
        let (taken, refused) = (vec![stored.id], Vec::new());
        net.inject(liar, node, DataMessage::InviteReply { batch: number, taken, refused, views: Vec::new(), held: 0 });
        net.inject(
            liar,
            node,
            DataMessage::ConfirmReply { nonce: Nonce([0; 16]), held: Vec::new(), lost: vec![stored.id] },
        );
        net.inject(liar, node, DataMessage::SyncReply { views: Vec::new(), lost: vec![stored.id] });
    }
    drop(net.wait(get));
    net.run(SECOND * 20);
    // The node distrusts the liar, whose false bytes it has seen, and has three copies beside the liar's. Others do not.
    let holders = net.holders(stored.id);
    assert_eq!(holders.iter().filter(|&&holder| holder != liar).count(), 3, "{holders:?}");
}

#[test]
fn a_stranger_cannot_talk_a_group_out_of_its_block() {
    let mut net = Net::joined(12, &DataConfig::default(), 5);
    let stored = net.put(3, &value(3, 1_000)).unwrap();
    net.run(SECOND * 3);
    let holders = net.holders(stored.id);
    let (stranger, member) = net.linked_to(&holders);
    for epoch in [5, 50, 1 << 20, 1 << 50, u64::MAX] {
        // The stranger and some who do not exist; a view that leaves everybody out who holds the block.
        let view = GroupView::new(epoch, [net.id(stranger), NodeId([200; 32]), NodeId([201; 32])]);
        let views = vec![BlockGroup { id: stored.id, view }];
        net.inject(stranger, member, DataMessage::Views { views: views.clone(), contacts: Vec::new() });
        net.inject(stranger, member, DataMessage::Confirm { nonce: Nonce([0; 16]), views });
    }
    net.run(SECOND * 60);
    assert_eq!(net.holders(stored.id).len(), 3, "held by {:?}, once by {holders:?}", net.holders(stored.id));
}

#[test]
fn a_member_cannot_talk_the_others_out_of_their_groups() {
    let mut net = Net::joined(12, &DataConfig::default(), 5);
    let blocks: Vec<BlockId> = (0..24).map(|number| net.put(3, &value(number, 1_000)).unwrap().id).collect();
    net.run(SECOND * 3);
    for &block in &blocks {
        let holders = net.holders(block);
        let ally = (0..12).find(|node| !holders.contains(node)).unwrap();
        for &victim in &holders[1..] {
            // Enough members, of which one does not hold the block.
            let members = [holders[0], if victim == holders[1] { holders[2] } else { holders[1] }, ally];
            let view = GroupView::new(40, members.map(|node| net.id(node)));
            let views = vec![BlockGroup { id: block, view }];
            net.inject(holders[0], victim, DataMessage::Views { views, contacts: Vec::new() });
        }
    }
    net.run(SECOND * 90);
    for block in blocks {
        let holders = net.holders(block);
        assert_eq!(holders.len(), 3, "held by {holders:?}");
        for &holder in &holders {
            let view = net.node(holder).overlay().view_of(block).unwrap();
            assert!(holders.iter().all(|&other| view.contains(net.id(other))), "node {holder}: {view:?}");
        }
    }
}

#[test]
fn false_alarms_cost_no_copies() {
    let mut net = Net::joined(12, &DataConfig::default(), 6);
    let stored = net.put(3, &value(3, 1_000)).unwrap();
    net.run(SECOND * 3);
    let holders = net.holders(stored.id);
    let (stranger, member) = net.linked_to(&holders);
    let victim = holders.iter().copied().find(|&holder| holder != member).unwrap();
    for _ in 0..100 {
        let peer = net.id(victim);
        net.inject(stranger, member, DataMessage::Suspect { peer });
        net.run(Duration::from_millis(50));
    }
    assert_eq!(net.sum(|stats| stats.peer_failures_detected), 0);
    assert_eq!(net.holders(stored.id), holders);
}

#[test]
fn an_invitation_does_not_make_a_node_watch_many_who_do_not_exist() {
    let mut net = Net::joined(6, &DataConfig::default(), 7);
    let (liar, node) = net.linked_pair();
    for seed in 0..50_usize {
        let items = (0..12).map(|at| {
            let number = seed * 12 + at;
            let made_up = (0..14).map(|member| net.id(1_000 + number * 14 + member));
            let view = GroupView::new(2, made_up.chain([net.id(liar), net.id(node)]));
            InvitedBlock {
                id: block(number).id(),
                view,
                founded: true,
                block: block(number),
                keywords: Keywords::default(),
            }
        });
        let invite = DataMessage::Invite { batch: seed as u64, items: items.collect(), contacts: Vec::new() };
        net.inject(liar, node, invite);
    }
    let stats = net.node(node).overlay().stats();
    assert!(stats.group_peers <= 40 && stats.blocks <= 12, "{stats:?}");
}
