//! Blocks have r copies, and get them back.

use std::time::Duration;

use butter::core::identity::BlockId;
use butter::overlay::data::block::split;
use butter::overlay::data::{CopyShortage, DataConfig, PutError};

use crate::net::{Ended, Net, value};

const SECOND: Duration = Duration::from_secs(1);

fn config() -> DataConfig {
    DataConfig { heartbeat: SECOND * 2, ..DataConfig::default() }
}

fn stored(net: &mut Net, by: usize, length: usize) -> Vec<BlockId> {
    net.put(by, &value(by, length)).expect("there are peers enough").blocks
}

fn check_copies(net: &Net, blocks: &[BlockId], copies: usize) {
    for &block in blocks {
        assert_eq!(net.holders(block).len(), copies, "block {block:?} is held by {:?}", net.holders(block));
    }
}

#[test]
fn an_acknowledged_value_has_r_copies_of_each_block() {
    for length in [0, 100, 4_096, 30_000, 600_000] {
        let mut net = Net::joined(20, &config(), 1);
        let blocks = stored(&mut net, 3, length);
        assert_eq!(blocks.len(), split(&value(3, length)).len());
        check_copies(&net, &blocks, 3);
        assert!(net.holders(blocks[0]).contains(&3));
        net.run(SECOND * 20);
        // A block that is just handed on to a node with fewer has one copy more for a moment.
        let is_settled = |net: &Net| blocks.iter().all(|&block| net.holders(block).len() == 3);
        assert!(net.run_until(SECOND * 10, is_settled).is_some(), "{length} bytes");
        assert_eq!(net.sum(|stats| stats.peer_failures_detected), 0);
        assert_eq!(net.sum(|stats| stats.groups_healthy), blocks.len() as u64);
        assert_eq!(net.sum(|stats| stats.groups_under_replicated + stats.groups_over_replicated), 0);
    }
}

#[test]
fn a_node_puts_its_values_with_few_buddies() {
    let mut net = Net::joined(30, &config(), 2);
    for i in 0..20 {
        net.put(5, &value(1_000 + i, 2_000)).unwrap();
    }
    assert!(net.node(5).overlay().stats().group_peers <= 4, "{} buddies", net.node(5).overlay().stats().group_peers);
}

#[test]
fn two_nodes_cannot_make_three_copies_and_say_so() {
    let mut net = Net::joined(2, &config(), 3);
    let result = net.put(0, &value(0, 100));
    // What was made stays, and is completed when somebody comes.
    let id = split(&value(0, 100))[0].0;
    let shortage = CopyShortage { copies: 2, wanted: 3, lacking: 1, blocks: 1, ..CopyShortage::default() };
    assert_eq!(result, Err(PutError::TooFewCopies { id, shortage }));
    assert_eq!(net.holders(id).len(), 2);
    net.start(&config());
    assert!(net.run_until(SECOND * 5, |net| net.holders(id).len() == 3).is_some());
}

#[test]
fn a_full_node_stores_nothing_and_full_peers_are_passed_over() {
    let tiny = DataConfig { storage: 12_000, ..config() };
    let mut net = Net::joined(3, &tiny, 4);
    let full = net.put(0, &value(0, 20_000));
    let Err(PutError::TooFewCopies { shortage, .. }) = full else { panic!("{full:?}") };
    assert_eq!((shortage.copies, shortage.no_room), (0, 2));
    let full = net.put(0, &value(1, 40_000));
    assert!(matches!(full, Err(PutError::Full { wanted: 40_000.., free: 12_000 })), "{full:?}");
    assert_eq!(net.node(0).overlay().blocks().count(), 0);
    (0..4).for_each(|_| _ = net.start(&config()));
    net.run(SECOND * 10);
    let blocks = net.put(0, &value(7, 9_000)).unwrap().blocks;
    net.run(SECOND);
    check_copies(&net, &blocks, 3);
    assert!(net.holders(blocks[1]).iter().all(|&holder| holder == 0 || holder > 2));
}

#[test]
fn a_death_is_repaired_soon() {
    let mut times = Vec::new();
    for seed in 0..5 {
        let mut net = Net::joined(30, &config(), seed);
        let blocks: Vec<BlockId> = (0..30).flat_map(|by| stored(&mut net, by, 1_000)).collect();
        net.run(SECOND * 5 + Duration::from_millis(seed * 97));
        let victim = (seed as usize * 7) % 30;
        net.kill(victim);
        let whole = |net: &Net| blocks.iter().all(|&block| net.holders(block).len() >= 3);
        times.push(net.run_until(SECOND * 10, whole).unwrap_or_else(|| panic!("seed {seed}: not repaired")));
        net.run(SECOND * 10);
        check_copies(&net, &blocks, 3);
    }
    let mean = times.iter().sum::<Duration>() / times.len() as u32;
    assert!(mean <= SECOND * 4 / 5, "all groups of a dead node are whole again after {mean:?} in the mean: {times:?}");
}

#[test]
fn whoever_is_declared_dead_by_mistake_comes_back_and_copies_are_trimmed() {
    let mut net = Net::joined(20, &config(), 6);
    let blocks = stored(&mut net, 4, 1_000);
    let others: Vec<usize> = net.live().filter(|&other| other != 4).collect();
    net.run(SECOND * 3);
    others.iter().for_each(|&other| net.deafen(4, other, true));
    assert!(net.run_until(SECOND * 6, |net| net.holders(blocks[0]).len() == 4).is_some(), "it was replaced");
    assert_eq!(net.sum(|stats| stats.peer_failures_reversed), 0);
    others.iter().for_each(|&other| net.deafen(4, other, false));
    net.run(SECOND * 20);
    check_copies(&net, &blocks, 3);
    assert_eq!(net.sum(|stats| stats.groups_healthy), 1);
    let [detected, reversed] =
        [net.sum(|stats| stats.peer_failures_detected), net.sum(|stats| stats.peer_failures_reversed)];
    assert!(reversed >= 2 && reversed <= detected, "{reversed} of {detected}");
}

#[test]
fn a_stopped_node_neither_loses_its_blocks_nor_thinks_the_others_dead() {
    for (seed, stop) in [(30, 1), (31, 3), (32, 4)] {
        let mut net = Net::joined(20, &config(), seed);
        let blocks: Vec<BlockId> = (0..20).flat_map(|by| stored(&mut net, by, 1_000)).collect();
        net.run(SECOND * 3);
        net.freeze(4, SECOND * stop);
        net.run(SECOND * 30);
        check_copies(&net, &blocks, 3);
        assert_eq!(net.node(4).overlay().stats().peer_failures_detected, 0, "stopped for {stop} s");
        assert!(net.run_until(SECOND, |net| net.sum(|stats| stats.groups_healthy) == 20).is_some());
    }
}

#[test]
fn a_cut_between_two_members_only_costs_no_copy() {
    let mut net = Net::joined(20, &config(), 7);
    let blocks = stored(&mut net, 4, 1_000);
    net.run(SECOND * 3);
    let holders = net.holders(blocks[0]);
    net.deafen(holders[0], holders[1], true);
    net.run(SECOND * 30);
    assert!(net.holders(blocks[0]).len() >= 3);
    net.deafen(holders[0], holders[1], false);
    net.run(SECOND * 20);
    check_copies(&net, &blocks, 3);
}

#[test]
fn a_member_that_comes_back_empty_is_replaced() {
    let mut net = Net::joined(20, &config(), 8);
    let blocks = stored(&mut net, 4, 20_000);
    net.run(SECOND * 3);
    let member = net.holders(blocks[0]).into_iter().find(|&holder| holder != 4).unwrap();
    net.restart(member, &config());
    net.run(SECOND * 15);
    check_copies(&net, &blocks, 3);
}

#[test]
fn who_leaves_hands_over() {
    for seed in 10..14 {
        let mut net = Net::joined(20, &config(), seed);
        let blocks: Vec<BlockId> = (0..20).flat_map(|by| stored(&mut net, by, 10_000)).collect();
        net.run(SECOND * 3);
        let took = net.leave(6);
        assert!(took <= Duration::from_millis(2_600), "seed {seed}: {took:?}");
        check_copies(&net, &blocks, 3);
        net.run(SECOND * 10);
        check_copies(&net, &blocks, 3);
    }
}

#[test]
fn who_has_nothing_leaves_at_once() {
    let mut net = Net::joined(5, &config(), 15);
    assert_eq!(net.leave(2), Duration::ZERO);
}

#[test]
fn the_same_value_put_twice_has_one_group() {
    let mut net = Net::joined(20, &config(), 16);
    let blocks = stored(&mut net, 4, 1_000);
    let holder = net.holders(blocks[0]).into_iter().find(|&holder| holder != 4).unwrap();
    let again = net.put(holder, &value(4, 1_000)).unwrap();
    assert_eq!(again.blocks, blocks);
    // A copy too many goes after a heartbeat.
    net.run(SECOND * 8);
    check_copies(&net, &blocks, 3);
}

#[test]
fn two_of_three_die_at_once_and_the_third_recruits_both() {
    for seed in 20..26 {
        let mut net = Net::joined(20, &config(), seed);
        let blocks = stored(&mut net, 4, 1_000);
        net.run(SECOND * 3);
        net.holders(blocks[0]).into_iter().take(2).for_each(|holder| net.kill(holder));
        net.run(SECOND * 20);
        check_copies(&net, &blocks, 3);
        assert_eq!(net.sum(|stats| stats.peer_failures_reversed), 0, "they are dead");
    }
}

#[test]
fn when_networks_come_apart_and_meet_again_copies_are_trimmed() {
    let mut net = Net::joined(12, &config(), 12);
    let blocks: Vec<BlockId> = (0..12).flat_map(|by| stored(&mut net, by, 300)).collect();
    let across: Vec<(usize, usize)> = (0..6).flat_map(|a| (6..12).map(move |b| (a, b))).collect();
    across.iter().for_each(|&(a, b)| net.deafen(a, b, true));
    net.run(Duration::from_secs(20));
    let apart: usize = blocks.iter().map(|&id| net.holders(id).len()).sum();
    assert!(apart > 3 * blocks.len(), "each side has made good what it lacks: {apart} copies of {}", blocks.len());
    across.iter().for_each(|&(a, b)| net.deafen(a, b, false));
    net.run(Duration::from_secs(60));
    check_copies(&net, &blocks, 3);
}

#[test]
fn what_others_keep_already_is_acknowledged() {
    for seed in 0..5 {
        let config = DataConfig { replicas: 2, ..config() };
        let mut net = Net::joined(3, &config, 100 + seed);
        for length in [0, 4_096, 2_000_000] {
            let value = value(length, length);
            let first = net.put(0, &value).unwrap();
            let puts: Vec<_> = [1, 2, 0].map(|by| net.begin_put(by, &value)).into();
            let ended: Vec<Ended> = Vec::into_iter(puts).map(|put| net.wait(put)).collect();
            for ended in ended {
                assert!(
                    matches!(&ended, Ended::Put(Ok(stored)) if *stored == first),
                    "seed {seed}, {length} bytes: {ended:?}"
                );
            }
            net.run(SECOND * 15);
            check_copies(&net, &first.blocks, 2);
        }
    }
}
