//! Room is used wherever it is, blocks spread over the nodes that have it, and a refusal comes at once with its reason.

use std::collections::BTreeSet;
use std::time::Duration;

use butter::core::identity::BlockId;
use butter::overlay::data::block::{Block, BlockKind};
use butter::overlay::data::keywords::Keywords;
use butter::overlay::data::message::InvitedBlock;
use butter::overlay::data::view::GroupView;
use butter::overlay::data::{DataConfig, DataMessage, PutError};

use crate::net::{Net, value};

const SECOND: Duration = Duration::from_secs(1);
const STORAGE: u64 = 16 << 20;
const VALUE: usize = 32 << 10;

fn config() -> DataConfig {
    DataConfig { storage: STORAGE, ..DataConfig::default() }
}

/// Share of the storage of all nodes that is used.
fn used(net: &Net) -> f64 {
    net.sum(|stats| stats.stored_bytes) as f64 / net.sum(|stats| stats.storage_limit_bytes) as f64
}

/// Puts values in turn from each of `writers` until one is refused. Returns how long each took, and the refusal with its time.
fn fill(net: &mut Net, writers: &[usize]) -> (Vec<Duration>, (PutError, Duration)) {
    let mut took = Vec::new();
    loop {
        let began = net.now;
        let by = writers[took.len() % writers.len()];
        match net.put(by, &value(1_000 + took.len(), VALUE)) {
            Ok(_) => took.push(net.now.since(began)),
            Err(error) => return (took, (error, net.now.since(began))),
        }
    }
}

fn check_fill(writers: &[usize], seed: u64) {
    let mut net = Net::joined(4, &config(), seed);
    let (took, (refusal, refused_in)) = fill(&mut net, writers);
    let shares: Vec<f64> =
        net.live().map(|at| net.node(at).overlay().stats().stored_bytes as f64 / STORAGE as f64).collect();
    println!("{} values, used {:.3} {shares:.3?}, {refusal}, {refused_in:?}", took.len(), used(&net));
    assert!(used(&net) >= 0.90, "used {} by {writers:?}: {shares:?}", used(&net));
    let PutError::TooFewCopies { shortage, .. } = refusal else { panic!("{refusal:?}") };
    assert!(shortage.no_room > 0 && refused_in < SECOND, "{refusal} after {refused_in:?}");
    let time = |some: &[Duration]| some.iter().sum::<Duration>();
    let (first, last) = (time(&took[..100]), time(&took[took.len() - 100..]));
    assert!(last <= first * 2, "the last hundred took {last:?}, the first {first:?}");
    // Two more nodes: together with a node that is full they have room for three copies.
    (0..2).for_each(|_| _ = net.start(&config()));
    let began = net.now;
    let full = writers[0];
    let again = value(999, VALUE);
    while net.put(full, &again).is_err() {
        assert!(net.now.since(began) < SECOND * 5, "two nodes have room");
        net.run(SECOND / 4);
    }
    assert!(net.now.since(began) < SECOND * 5, "{:?}", net.now.since(began));
}

#[test]
fn one_writer_fills_four_nodes() {
    check_fill(&[1], 1);
}

#[test]
fn four_writers_fill_four_nodes() {
    check_fill(&[0, 1, 2, 3], 2);
}

#[test]
fn full_node_stores_with_others_that_have_room() {
    let mut net = Net::joined(0, &config(), 3);
    net.start(&DataConfig { storage: 100 << 10, ..config() });
    (0..4).for_each(|_| _ = net.start(&config()));
    net.run(SECOND * 10);
    let mut stored: Vec<BlockId> = Vec::new();
    for seed in 0..20 {
        stored.extend(net.put(0, &value(seed, VALUE)).unwrap().blocks);
    }
    net.run(SECOND * 5);
    let stats = net.node(0).overlay().stats();
    assert!(stats.stored_bytes <= stats.storage_limit_bytes, "{stats:?}");
    assert!(stored.iter().all(|&block| net.holders(block).len() == 3));
}

#[test]
fn in_four_nodes_each_holds_its_share_whoever_writes() {
    for writers in [&[2][..], &[0, 1, 2, 3], &[0, 3]] {
        let mut net = Net::joined(4, &config(), 4);
        let mut stored: BTreeSet<BlockId> = BTreeSet::new();
        for seed in 0..40 {
            let by = writers[seed % writers.len()];
            stored.extend(net.put(by, &value(seed, VALUE)).unwrap().blocks);
        }
        net.run(SECOND * 20);
        let held = |at: usize| net.node(at).overlay().blocks().count() as f64 / stored.len() as f64;
        let shares: Vec<f64> = net.live().map(held).collect();
        println!("{writers:?}: {shares:.3?}");
        assert!(shares.iter().all(|share| (0.6..=0.9).contains(share)), "{writers:?}: {shares:?}");
        assert!(stored.iter().all(|&block| net.holders(block).len() == 3));
    }
}

#[test]
fn blocks_of_a_dead_node_are_spread_over_many() {
    let takers: Vec<usize> = (1..=6).map(takers_of_a_dead_nodes_blocks).collect();
    assert!(takers.iter().sum::<usize>() >= 4 * takers.len(), "takers by seed: {takers:?}");
}

/// Kills the node that holds most. How many others take its blocks, none of them more than half.
fn takers_of_a_dead_nodes_blocks(seed: u64) -> usize {
    let mut net = Net::joined(30, &config(), seed);
    for number in 0..40 {
        net.put(number % 30, &value(number, 16 << 10)).unwrap();
    }
    net.run(SECOND * 5);
    let victim = net.live().max_by_key(|&at| net.node(at).overlay().blocks().count()).unwrap();
    let blocks: BTreeSet<BlockId> = net.node(victim).overlay().blocks().collect();
    let before: Vec<usize> = net.live().map(|at| net.node(at).overlay().blocks().count()).collect();
    net.kill(victim);
    net.run(SECOND * 15);
    assert!(blocks.iter().all(|&block| net.holders(block).len() == 3), "seed {seed}");
    let gained: Vec<usize> =
        net.live().map(|at| net.node(at).overlay().blocks().count().saturating_sub(before[at])).collect();
    let most = gained.iter().max().unwrap();
    assert!(most * 2 <= blocks.len(), "seed {seed}, {} blocks: {gained:?}", blocks.len());
    gained.iter().filter(|&&gained| gained > 0).count()
}

#[test]
fn one_identity_cannot_fill_all_stores() {
    let small = DataConfig { storage: 1 << 20, ..DataConfig::default() };
    let mut net = Net::joined(15, &small, 6);
    for round in 0..60 {
        for to in 1..15 {
            let items = (0..12).map(|at| {
                let block = Block { kind: BlockKind::Part, bytes: value(10_000 + round * 200 + to * 13 + at, 4_000) };
                let made_up = |seed| net.id(1_000 + seed);
                let view = GroupView::new(2, [net.id(to), made_up(to), made_up(to + 1)]);
                InvitedBlock { id: block.id(), view, founded: true, block, keywords: Keywords::default() }
            });
            let invite = DataMessage::Invite { batch: round as u64, items: items.collect(), contacts: Vec::new() };
            net.inject(0, to, invite);
        }
        net.run(SECOND);
    }
    net.run(SECOND * 60);
    println!("used {:.3}", used(&net));
    for by in [3, 5, 7, 9, 11] {
        let stored = net.put(by, &value(by, 1_000)).unwrap();
        assert!(net.holders(stored.id).len() >= 3);
    }
}
