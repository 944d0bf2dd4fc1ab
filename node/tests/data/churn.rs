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
    /// Nodes without a block, and blocks of the node that 99 of 100 do not exceed.
    empty: usize,
    p99: usize,
    /// Messages of all nodes while nodes died.
    messages: u64,
}

/// The times of a run.
#[derive(Clone, Copy, Debug)]
struct Rig {
    nodes: usize,
    heartbeat: Duration,
    die: f64,
    seconds: u32,
}

fn play(Rig { nodes, heartbeat, die, seconds }: Rig, seed: u64) -> Tally {
    let config = DataConfig { heartbeat, ..DataConfig::default() };
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
    let before = net.messages;
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
    let messages = net.messages - before;
    net.run(Duration::from_secs(10));
    let mut held: Vec<usize> = net.live().map(|at| net.node(at).overlay().blocks().count()).collect();
    held.sort_unstable();
    let refused: u64 = net.live().map(|at| net.node(at).stats().messages_refused).sum();
    assert_eq!(refused, 0, "honest nodes stay within their budgets of work");
    let copies: Vec<usize> = blocks.iter().map(|&block| net.holders(block).len()).collect();
    Tally {
        stored: blocks.len(),
        kept: copies.iter().filter(|&&copies| copies > 0).count(),
        copies: copies.iter().sum(),
        copies_max: copies.iter().copied().max().unwrap_or(0),
        empty: held.iter().filter(|&&held| held == 0).count(),
        p99: held[(held.len() * 99).div_ceil(100) - 1],
        messages,
    }
}

fn check(rig: Rig, seeds: std::ops::Range<u64>, kept_least: f64) {
    let runs: Vec<(u64, Tally)> = seeds.map(|seed| (seed, play(rig, seed))).collect();
    let sum = |of: fn(&Tally) -> usize| runs.iter().map(|(_, tally)| of(tally)).sum::<usize>() as f64;
    let (kept, copies) = (sum(|run| run.kept) / sum(|run| run.stored), sum(|run| run.copies) / sum(|run| run.kept));
    let node_runs = (runs.len() * rig.nodes) as f64;
    let mean = sum(|run| run.copies) / node_runs;
    println!(
        "{rig:?}: kept {kept:.4}, copies {copies:.3} (max {:.1}), empty {:.3}, p99/mean {:.2}, messages {:.2} per node and second",
        sum(|run| run.copies_max) / runs.len() as f64,
        sum(|run| run.empty) / node_runs,
        sum(|run| run.p99) / runs.len() as f64 / mean,
        runs.iter().map(|(_, run)| run.messages).sum::<u64>() as f64 / node_runs / f64::from(rig.seconds),
    );
    let die = rig.die;
    assert!(sum(|tally| tally.stored) >= 99.0 * runs.len() as f64, "{runs:#?}");
    assert!(kept >= kept_least, "kept {kept} at {die} per second: {runs:#?}");
    assert!((2.9..=3.2).contains(&copies), "{copies} copies: {runs:#?}");
}

fn rig(die: f64) -> Rig {
    Rig { nodes: 100, heartbeat: Duration::from_secs(2), die, seconds: 60 }
}

#[test]
fn items_outlive_churn_of_one_in_fifty_a_second() {
    check(rig(1.0 / 50.0), 0..4, 0.99);
}

#[test]
fn items_outlive_churn_of_one_in_a_hundred_a_second() {
    check(rig(1.0 / 100.0), 10..14, 0.995);
}

/// Round trips take 40 ms here, as between homes.
#[test]
#[ignore = "takes minutes: run it by name"]
fn hard_churn_at_a_heartbeat_of_one_second() {
    let hard = |die| Rig { heartbeat: Duration::from_secs(1), ..rig(die) };
    check(hard(1.0 / 20.0), 0..8, 0.99);
    check(hard(1.0 / 10.0), 0..8, 0.95);
}
