//! Nodes that restart, with their blocks or without.

use std::time::Duration;

use butter::core::blob::Blob;
use butter::core::identity::BlockId;
use butter::core::storage::{BlockStore, StoreOp, StoreRecord};
use butter::overlay::data::DataConfig;

use crate::net::{Net, value};

const SECOND: Duration = Duration::from_secs(1);

fn config() -> DataConfig {
    DataConfig { heartbeat: SECOND, ..DataConfig::default() }
}

fn stored(net: &mut Net, by: usize, length: usize) -> Vec<BlockId> {
    net.put(by, &value(by, length)).expect("there are peers enough").blocks
}

fn holders(net: &Net, blocks: &[BlockId]) -> Vec<Vec<usize>> {
    blocks.iter().map(|&block| net.holders(block)).collect()
}

#[test]
fn nodes_that_all_restart_with_their_blocks_lose_and_copy_nothing() {
    for seed in 0..4 {
        let mut net = Net::with_slow_stores(12, &config(), seed);
        let blocks: Vec<BlockId> = (0..12).flat_map(|by| stored(&mut net, by, 20_000)).collect();
        net.run(SECOND * 3);
        let before = holders(&net, &blocks);
        (0..12).for_each(|at| net.kill(at));
        net.run(SECOND);
        (0..12).for_each(|at| net.come_back(at, &config()));
        net.run(SECOND * 30);
        assert_eq!(holders(&net, &blocks), before, "seed {seed}");
        assert_eq!(net.sum(|stats| stats.repairs), 0, "seed {seed}");
        assert_eq!(net.sum(|stats| stats.groups_under_replicated), 0, "seed {seed}");
    }
}

#[test]
fn node_that_restarts_with_its_blocks_is_a_member_at_once() {
    let mut net = Net::with_slow_stores(6, &config(), 5);
    let blocks: Vec<BlockId> = (0..6).flat_map(|by| stored(&mut net, by, 100_000)).collect();
    net.run(SECOND * 3);
    let (before, repairs) = (holders(&net, &blocks), net.sum(|stats| stats.repairs));
    net.kill(2);
    net.come_back(2, &config());
    net.run(SECOND * 5);
    assert_eq!(holders(&net, &blocks), before);
    assert_eq!(net.sum(|stats| stats.groups_under_replicated), 0);
    assert_eq!(net.sum(|stats| stats.repairs), repairs);
}

#[test]
fn node_that_was_long_away_takes_no_surplus_copies_along() {
    let mut net = Net::with_slow_stores(12, &config(), 6);
    let blocks: Vec<BlockId> = (0..12).flat_map(|by| stored(&mut net, by, 30_000)).collect();
    net.run(SECOND * 3);
    net.kill(2);
    net.run(SECOND * 30);
    assert!(blocks.iter().all(|&block| net.holders(block).len() == 3), "repaired without it");
    net.come_back(2, &config());
    let exact = |net: &Net| blocks.iter().all(|&block| net.holders(block).len() == 3);
    assert!(net.run_until(SECOND * 40, exact).is_some(), "{:?}", holders(&net, &blocks));
}

#[test]
fn blocks_of_a_node_that_comes_back_empty_are_copied_at_full_speed() {
    // With three nodes and three copies, there is no other place for them.
    let mut net = Net::with_slow_stores(3, &config(), 7);
    let blocks: Vec<BlockId> = (0..3).flat_map(|by| stored(&mut net, by, 2_000_000)).collect();
    net.run(SECOND * 3);
    net.restart(2, &config());
    let whole = |net: &Net| net.node(2).overlay().stats().blocks as usize == blocks.len();
    let took = net.run_until(SECOND * 60, whole);
    assert!(took.is_some_and(|took| took < SECOND * 6), "{took:?} for {} blocks", blocks.len());
}

#[test]
fn damaged_block_is_found_when_it_is_read_and_copied_anew() {
    let mut net = Net::with_slow_stores(8, &config(), 8);
    let stored = net.put(1, &value(1, 3_000)).unwrap();
    net.run(SECOND * 3);
    let holder = net.holders(stored.id)[0];
    let record = StoreRecord { tag: 0, bytes: Blob::from(vec![0; 3_000]) };
    let damage = StoreOp::Write { id: stored.id, record, note: Blob::default() };
    net.store(holder).execute(damage).unwrap();
    assert_eq!(net.get(holder, stored.id).unwrap().value, value(1, 3_000), "from the others");
    assert_eq!(net.node(holder).overlay().stats().blocks_damaged, 1);
    let healthy = |net: &Net| net.holders(stored.id).len() == 3 && net.sum(|stats| stats.groups_under_replicated) == 0;
    assert!(net.run_until(SECOND * 20, healthy).is_some());
}

/// Blocks of a node that restarts: time until all groups have their copies again.
fn full_again(with_blocks: bool) -> (usize, Duration) {
    // With three nodes and three copies, each holds all of them.
    let mut net = Net::with_slow_stores(3, &config(), 9);
    for part in 0..40 {
        net.put(part % 3, &value(part, 4_000_000)).expect("there are peers enough");
    }
    net.run(SECOND * 5);
    let total = net.sum(|stats| stats.blocks);
    let held = net.node(1).overlay().stats().blocks as usize;
    match with_blocks {
        true => {
            net.kill(1);
            net.come_back(1, &config());
        }
        false => net.restart(1, &config()),
    }
    net.run(SECOND);
    let full =
        |net: &Net| net.sum(|stats| stats.blocks) == total && net.sum(|stats| stats.groups_under_replicated) == 0;
    let took = net.run_until(SECOND * 300, full);
    (held, took.expect("full again within five minutes") + SECOND)
}

#[test]
#[ignore = "takes minutes: cargo test -p butter --test data -- --ignored forty_thousand --nocapture"]
fn forty_thousand_blocks_are_full_again_soon_after_a_restart() {
    let (held, with) = full_again(true);
    println!("restart with {held} blocks: full again after {with:?}");
    assert!(with < SECOND * 5, "{with:?}");
    let (held, without) = full_again(false);
    println!("restart without the {held} blocks: full again after {without:?}");
    assert!(without < SECOND * 60, "{without:?}");
}
