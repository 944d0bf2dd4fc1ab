//! Attacks on groups, each of which cost blocks or stopped repairs before possession had to be proven.

use std::time::Duration;

use butter::core::blob::Blob;
use butter::core::identity::{BlockId, NodeId};
use butter::overlay::data::block::{Block, BlockKind, split};
use butter::overlay::data::keywords::Keywords;
use butter::overlay::data::message::{BlockGroup, HeldBlock, InvitedBlock, Nonce, PossessionProof};
use butter::overlay::data::view::GroupView;
use butter::overlay::data::{DataConfig, DataMessage, PutError};

use crate::adversary::{Adversary, Behaviour};
use crate::net::{Ended, Net, value};

const SECOND: Duration = Duration::from_secs(1);
/// A node that does not exist.
const ABSENT: NodeId = NodeId([9; 32]);

fn config() -> DataConfig {
    DataConfig { heartbeat: SECOND * 2, ..DataConfig::default() }
}

/// A network with one block, the block, and its holders.
fn with_block(seed: u64) -> (Net, BlockId, Vec<usize>) {
    let mut net = Net::joined(12, &config(), seed);
    let id = net.put(3, &value(3, 1_000)).expect("there are peers enough").id;
    net.run(SECOND * 5);
    let holders = net.holders(id);
    assert_eq!(holders.len(), 3);
    (net, id, holders)
}

fn claim(id: BlockId, epoch: u64, members: &[NodeId]) -> DataMessage {
    let view = GroupView::new(epoch, members.iter().copied());
    DataMessage::Views { views: vec![BlockGroup { id, view }], contacts: Vec::new() }
}

/// A stranger names itself the only member, and says that it holds the block.
#[test]
fn freeze() {
    let (mut net, id, holders) = with_block(1);
    let stranger = (0..12).find(|at| !holders.contains(at)).unwrap();
    let me = net.id(stranger);
    for round in 0..20 {
        for &holder in &holders {
            net.inject(stranger, holder, claim(id, 10 + round, &[me]));
            let view = GroupView::new(10 + round, [me]);
            let held = vec![HeldBlock { id, view, proof: PossessionProof([0; 32]) }];
            net.inject(stranger, holder, DataMessage::ConfirmReply { nonce: Nonce([0; 16]), held, lost: Vec::new() });
        }
        net.run(SECOND / 2);
    }
    net.kill(holders[0]);
    net.run(SECOND * 20);
    assert_eq!(net.holders(id).len(), 3, "held by {:?}, before by {holders:?}", net.holders(id));
}

/// Three strangers name themselves the members.
#[test]
fn delete() {
    let (mut net, id, holders) = with_block(2);
    let strangers: Vec<usize> = (0..12).filter(|at| !holders.contains(at)).take(3).collect();
    let ids: Vec<NodeId> = strangers.iter().map(|&at| net.id(at)).collect();
    for &at in &strangers {
        net.corrupt(at, Adversary::new(net.id(at), &[Behaviour::StealViews, Behaviour::Drop], &ids, at as u64));
    }
    for _ in 0..20 {
        for &holder in &holders {
            net.inject(strangers[0], holder, claim(id, 10, &ids));
        }
        net.run(SECOND / 2);
    }
    let left: Vec<usize> = net.holders(id).into_iter().filter(|at| !strangers.contains(at)).collect();
    assert!(left.len() >= 3, "held by {left:?}, before by {holders:?}");
}

/// A member names five members where three are wanted.
#[test]
fn crowd() {
    let (mut net, id, holders) = with_block(5);
    let others = (0..12).filter(|at| !holders.contains(at)).take(2);
    let crowd: Vec<NodeId> = holders.iter().copied().chain(others).map(|at| net.id(at)).collect();
    for &holder in &holders[1..] {
        net.inject(holders[0], holder, claim(id, 20, &crowd));
    }
    let members = |net: &Net, at: usize| net.node(at).overlay().view_of(id).map_or(0, |view| view.members().len());
    net.run(SECOND / 2);
    assert_eq!(members(&net, holders[1]), 5);
    let is_small = |net: &Net| holders.iter().all(|&at| members(net, at) == 3) && net.holders(id).len() == 3;
    assert!(net.run_until(SECOND * 30, is_small).is_some(), "held by {:?}", net.holders(id));
}

/// A member announces a change twice a second, so that the others wait for it to complete the group.
#[test]
fn defer() {
    let (mut net, id, holders) = with_block(3);
    let mute = Adversary::new(net.id(holders[0]), &[Behaviour::Mute], &[], 1);
    net.corrupt(holders[0], mute);
    net.kill(holders[2]);
    let members = [net.id(holders[0]), net.id(holders[1]), net.id(holders[2])];
    for epoch in 10..70 {
        net.inject(holders[0], holders[1], claim(id, epoch, &members));
        net.run(SECOND / 2);
    }
    let copies = net.holders(id).len();
    assert!(copies >= 3, "held by {:?}, before by {holders:?}", net.holders(id));
}

/// Made-up blocks whose epoch cannot grow must not keep the blocks beside them from being repaired.
#[test]
fn epoch_poison() {
    let (mut net, id, holders) = with_block(4);
    let liar = (0..12).find(|at| !holders.contains(at)).unwrap();
    let block = Block { kind: BlockKind::Part, bytes: Blob::from(vec![5; 100]) };
    for &holder in &holders {
        for epoch in [1 << 56, u64::MAX] {
            let view = GroupView::new(epoch, [net.id(holder), net.id(liar), ABSENT]);
            let items = vec![InvitedBlock {
                id: block.id(),
                view,
                founded: false,
                block: block.clone(),
                keywords: Keywords::default(),
            }];
            net.inject(liar, holder, DataMessage::Invite { batch: 1, items, contacts: Vec::new() });
        }
        assert!(!net.holders(block.id()).contains(&holder), "a group that cannot change is not joined");
    }
    net.kill(holders[0]);
    assert!(net.run_until(SECOND * 10, |net| net.holders(id).len() == 3).is_some(), "the death is repaired");
}

/// One poisoned item does not cost the others of its message.
#[test]
fn poisoned_item_is_dropped_and_the_rest_of_its_message_counts() {
    let mut net = Net::joined(6, &config(), 5);
    let (sender, node) = net.linked_pair();
    let item = |net: &Net, byte: u8, epoch| {
        let block = Block { kind: BlockKind::Part, bytes: Blob::from(vec![byte; 100]) };
        InvitedBlock {
            id: block.id(),
            view: GroupView::new(epoch, [net.id(sender), net.id(node)]),
            founded: true,
            block,
            keywords: Keywords::default(),
        }
    };
    let (poisoned, good) = (item(&net, 1, u64::MAX), item(&net, 2, 2));
    let wanted = good.id;
    net.inject(sender, node, DataMessage::Invite { batch: 1, items: vec![poisoned, good], contacts: Vec::new() });
    assert_eq!(net.node(node).overlay().blocks().collect::<Vec<_>>(), [wanted]);
}

/// A put counts who acknowledged to this node, not members that somebody names.
#[test]
fn early_ack() {
    let mut net = Net::joined(2, &config(), 6);
    let bytes = value(7, 100);
    let id = split(&bytes)[0].0;
    let put = net.begin_put(0, &bytes);
    let members = [net.id(0), net.id(1), ABSENT];
    for epoch in [5, 6, 7] {
        net.run(SECOND / 10);
        net.inject(1, 0, claim(id, epoch, &members));
    }
    match net.wait(put) {
        Ended::Put(Err(PutError::TooFewCopies { shortage, .. })) => assert_eq!(shortage.copies, 2),
        other => panic!("two nodes hold it at most: {other:?}"),
    }
}

/// A node that wants many copies of its own blocks makes no more of those of others, nor do peers that hear of its wish.
#[test]
fn mixed_r() {
    let greedy = DataConfig { replicas: 16, ..config() };
    let mut net = Net::joined(20, &config(), 7);
    let wanting: Vec<usize> = (0..3).map(|_| net.start(&greedy)).collect();
    net.run(SECOND * 5);
    let ids: Vec<BlockId> =
        (0..12).map(|at| net.put(at, &value(at, 500)).expect("there are peers enough").id).collect();
    for &id in &ids {
        let members: Vec<NodeId> = net.holders(id).iter().map(|&at| net.id(at)).collect();
        let liar = net.holders(id)[0];
        for to in net.holders(id).into_iter().skip(1) {
            let view = GroupView::new(50, members.iter().copied()).wanting(16);
            net.inject(liar, to, DataMessage::Views { views: vec![BlockGroup { id, view }], contacts: Vec::new() });
        }
    }
    for dead in 12..17 {
        net.kill(dead);
        net.run(SECOND * 5);
    }
    net.run(SECOND * 20);
    let copies: Vec<usize> = ids.iter().map(|&id| net.holders(id).len()).collect();
    let held: Vec<usize> = wanting.iter().map(|&at| net.node(at).overlay().blocks().count()).collect();
    assert!(copies.iter().all(|&copies| copies == 3), "copies {copies:?}; those who want many hold {held:?}");
    assert!(held.iter().sum::<usize>() > 0, "they were in no group: {held:?}");
}

/// Whoever passes on a block that is not what its id says is believed nothing for a while.
#[test]
fn wrong_bytes() {
    let mut net = Net::joined(6, &config(), 8);
    let (liar, node) = net.linked_pair();
    let invite = |net: &Net, bytes: Vec<u8>, id: Option<BlockId>| {
        let block = Block { kind: BlockKind::Part, bytes: Blob::from(bytes) };
        let view = GroupView::new(2, [net.id(liar), net.id(node)]);
        let id = id.unwrap_or(block.id());
        let items = vec![InvitedBlock { id, view, founded: true, block, keywords: Keywords::default() }];
        DataMessage::Invite { batch: 1, items, contacts: Vec::new() }
    };
    let held = |net: &Net| net.node(node).overlay().blocks().count();
    net.inject(liar, node, invite(&net, vec![1; 100], None));
    assert_eq!(held(&net), 1, "it is believed at first");
    net.inject(liar, node, invite(&net, vec![2; 100], Some(BlockId([7; 32]))));
    net.inject(liar, node, invite(&net, vec![3; 100], None));
    assert_eq!(held(&net), 1, "and not after false bytes");
}
