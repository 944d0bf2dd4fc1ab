//! Butter's rig: each node stores one item, then each node dies with a given chance each second and a fresh one starts.

use std::time::Duration;

use butter::core::identity::BlockId;
use butter::core::random::child;
use butter::overlay::data::DataConfig;
use rand::RngExt;

use crate::net::{Ended, Net, value};

/// What a run came to.
#[derive(Debug, Default)]
struct Tally {
    stored: usize,
    kept: usize,
    copies: usize,
    copies_max: usize,
}

fn play(nodes: usize, die: f64, seconds: u32, seed: u64) -> Tally {
    let config = DataConfig { heartbeat: Duration::from_secs(2), ..DataConfig::default() };
    let mut net = Net::joined(nodes, &config, seed);
    let puts: Vec<_> = (0..nodes).map(|by| net.begin_put(by, &value(by, 1_000))).collect();
    let mut blocks: Vec<BlockId> = Vec::new();
    for put in puts {
        if let Ended::Put(Ok(stored)) = net.wait(put) {
            blocks.extend(stored.blocks);
        }
    }
    net.run(Duration::from_secs(5));
    let mut random = child(seed, 77);
    for _ in 0..seconds {
        let dying: Vec<usize> = net.live().filter(|_| random.random_bool(die)).collect();
        let mut deaths: Vec<(u64, usize)> = dying.into_iter().map(|at| (random.random_range(0..1_000), at)).collect();
        deaths.sort_unstable();
        let mut passed = 0;
        for (after, at) in deaths {
            net.run(Duration::from_millis(after - passed));
            passed = after;
            net.kill(at);
            net.start(&config);
        }
        net.run(Duration::from_millis(1_000 - passed));
    }
    net.run(Duration::from_secs(10));
    let copies: Vec<usize> = blocks.iter().map(|&block| net.holders(block).len()).collect();
    Tally {
        stored: blocks.len(),
        kept: copies.iter().filter(|&&copies| copies > 0).count(),
        copies: copies.iter().sum(),
        copies_max: copies.iter().copied().max().unwrap_or(0),
    }
}

fn check(die: f64, seeds: std::ops::Range<u64>, kept_least: f64) {
    let runs: Vec<(u64, Tally)> = seeds.map(|seed| (seed, play(100, die, 60, seed))).collect();
    let sum = |of: fn(&Tally) -> usize| runs.iter().map(|(_, tally)| of(tally)).sum::<usize>() as f64;
    let kept = sum(|tally| tally.kept) / sum(|tally| tally.stored);
    let copies = sum(|tally| tally.copies) / sum(|tally| tally.kept);
    println!(
        "die {die}: kept {kept}, copies {copies}, most of one {}",
        sum(|tally| tally.copies_max) / runs.len() as f64
    );
    assert!(sum(|tally| tally.stored) >= 99.0 * runs.len() as f64, "{runs:#?}");
    assert!(kept >= kept_least, "kept {kept} at {die} per second: {runs:#?}");
    assert!((2.9..=3.2).contains(&copies), "{copies} copies: {runs:#?}");
}

#[test]
fn items_outlive_churn_of_one_in_fifty_a_second() {
    check(1.0 / 50.0, 0..4, 0.99);
}

#[test]
fn items_outlive_churn_of_one_in_a_hundred_a_second() {
    check(1.0 / 100.0, 10..14, 0.995);
}
