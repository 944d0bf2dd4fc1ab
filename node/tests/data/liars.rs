//! Acknowledged items are kept and found although some nodes lie. What a hostile node holds does not count.

use std::time::Duration;

use butter::core::identity::BlockId;
use butter::core::random::child;
use butter::overlay::data::DataConfig;
use rand::RngExt;

use crate::adversary::{Adversary, Behaviour};
use crate::net::{Ended, Net, value};

const SECOND: Duration = Duration::from_secs(1);

/// A network with liars in it.
#[derive(Clone, Copy, Debug)]
struct Rig {
    nodes: usize,
    /// The first so many nodes are hostile.
    hostile: usize,
    /// Chance of each honest node to die in each second.
    die: f64,
    seconds: u32,
}

/// What runs came to.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: usize,
    kept: usize,
    found: usize,
    copies: usize,
    messages: u64,
}

impl Rig {
    /// The network before anything is stored.
    fn joined(&self, behaviours: &[Behaviour], seed: u64) -> (Net, DataConfig) {
        let config = DataConfig { heartbeat: SECOND * 2, ..DataConfig::default() };
        let mut net = Net::joined(0, &config, seed);
        let hostile: Vec<_> = (0..self.hostile).map(|at| net.id(at)).collect();
        for at in 0..self.nodes {
            if at < self.hostile {
                net.corrupt(at, Adversary::new(net.id(at), behaviours, &hostile, seed << 8 | at as u64));
            }
            net.start(&config);
        }
        net.run(SECOND * 10);
        (net, config)
    }

    fn churn(&self, net: &mut Net, config: &DataConfig, seed: u64) {
        let mut random = child(seed, 77);
        for _ in 0..self.seconds {
            let dying: Vec<usize> =
                net.live().filter(|&at| at >= self.hostile && random.random_bool(self.die)).collect();
            for at in dying {
                net.kill(at);
                net.start(config);
            }
            net.run(SECOND);
        }
        net.run(SECOND * 10);
    }

    fn play(&self, behaviours: &[Behaviour], seed: u64, total: &mut Tally) {
        let (mut net, config) = self.joined(behaviours, seed);
        let puts: Vec<_> = (self.hostile..self.nodes).map(|by| net.begin_put(by, &value(by, 1_000))).collect();
        let mut blocks: Vec<BlockId> = Vec::new();
        for put in puts {
            if let Ended::Put(Ok(stored)) = net.wait(put) {
                blocks.extend(stored.blocks);
            }
        }
        self.churn(&mut net, &config, seed);
        total.messages += net.messages_of_honest();
        let fresh = net.start(&config);
        net.run(SECOND * 3);
        for block in &blocks {
            let copies = net.holders(*block).into_iter().filter(|&at| at >= self.hostile && at != fresh).count();
            total.kept += usize::from(copies > 0);
            total.copies += copies;
        }
        let gets: Vec<_> = blocks.iter().map(|&block| net.begin_get(fresh, block)).collect();
        for get in gets {
            total.found += usize::from(matches!(net.wait(get), Ended::Got(Ok(_))));
        }
        total.acknowledged += blocks.len();
    }

    fn check(&self, behaviours: &[Behaviour], seeds: std::ops::Range<u64>, least: f64) {
        let mut total = Tally::default();
        let runs = seeds.end - seeds.start;
        seeds.for_each(|seed| self.play(behaviours, seed, &mut total));
        let of_acknowledged = |count: usize| count as f64 / total.acknowledged as f64;
        let (kept, found) = (of_acknowledged(total.kept), of_acknowledged(total.found));
        let copies = total.copies as f64 / total.kept.max(1) as f64;
        let honest = (self.nodes - self.hostile) as u64;
        println!(
            "{behaviours:?}, {} of {} at {}: acknowledged {}, kept {kept:.4}, found {found:.4}, copies {copies:.2}, messages {}",
            self.hostile,
            self.nodes,
            self.die,
            total.acknowledged,
            total.messages / honest / runs,
        );
        let put = (honest * runs) as f64;
        assert!(total.acknowledged as f64 >= 0.99 * put, "acknowledged {} of {put}", total.acknowledged);
        assert!(kept >= least && found >= least, "{behaviours:?} at {}: {total:?}", self.die);
    }
}

/// What searches came to.
#[derive(Debug, Default)]
struct SearchCost {
    gets: u64,
    found: u64,
    messages: u64,
}

impl SearchCost {
    fn each(&self) -> f64 {
        self.messages as f64 / self.found as f64
    }
}

impl Rig {
    /// Honest nodes store values, and look for those of others once inventories have spread.
    fn search(&self, behaviours: &[Behaviour], seed: u64, total: &mut SearchCost) {
        let (mut net, _) = self.joined(behaviours, seed);
        let puts: Vec<_> = (self.hostile..self.nodes).map(|by| net.begin_put(by, &value(by, 1_000))).collect();
        let stored: Vec<_> = puts.into_iter().map(|put| net.wait(put)).collect();
        net.run(SECOND * 60);
        let mut random = child(seed, 78);
        for ended in stored {
            let Ended::Put(Ok(stored)) = ended else { continue };
            for _ in 0..4 {
                let asker = random.random_range(self.hostile..self.nodes);
                let get = net.begin_get(asker, stored.id);
                total.gets += 1;
                if let Ended::Got(Ok(found)) = net.wait(get) {
                    total.found += 1;
                    total.messages += found.messages;
                }
            }
        }
    }
}

fn rig(hostile: usize, die: f64) -> Rig {
    Rig { nodes: 33, hostile, die, seconds: 60 }
}

const ALL: &[Behaviour] = &[Behaviour::Drop, Behaviour::Boast, Behaviour::StealViews, Behaviour::Accuse];
const DROP_AND_BOAST: &[Behaviour] = &[Behaviour::Drop, Behaviour::Boast];

#[test]
fn items_outlive_three_liars_in_calm() {
    rig(3, 0.0).check(ALL, 1..4, 0.99);
}

#[test]
fn items_outlive_three_liars_and_churn() {
    rig(3, 0.01).check(ALL, 1..4, 0.99);
    rig(3, 0.02).check(ALL, 1..4, 0.98);
}

#[test]
fn liars_that_boast_do_not_crowd_out_honest_holders() {
    rig(3, 0.01).check(DROP_AND_BOAST, 1..4, 0.99);
}

#[test]
fn liars_that_keep_their_blocks_and_boast_get_no_more_than_others() {
    rig(3, 0.01).check(&[Behaviour::Boast], 1..7, 0.99);
}

#[test]
fn a_third_of_liars_in_calm_costs_few_items() {
    rig(10, 0.0).check(ALL, 1..4, 0.95);
}

#[test]
fn inventories_that_claim_everything_mislead_few_searches() {
    let rig = rig(3, 0.0);
    let cost = |behaviours: &[Behaviour]| {
        let mut total = SearchCost::default();
        (1..5).for_each(|seed| rig.search(behaviours, seed, &mut total));
        total
    };
    let (honest, misled) = (cost(&[]), cost(&[Behaviour::ClaimAll]));
    println!("messages of a get: {:.2} of honest nodes alone, {:.2} with liars", honest.each(), misled.each());
    assert!(misled.found as f64 >= 0.99 * misled.gets as f64, "{misled:?}");
    assert!(misled.each() <= 2.0 * honest.each(), "{honest:?} {misled:?}");
}

/// The whole table: each behaviour alone and all together, at each rate of deaths. It takes minutes.
#[test]
#[ignore = "minutes long: run it by name"]
fn table_of_behaviours() {
    let single = Behaviour::NAMES.iter().map(|&(_, behaviour)| vec![behaviour]);
    let together = [Vec::new(), DROP_AND_BOAST.to_vec(), ALL.to_vec()];
    for behaviours in single.chain(together) {
        for (die, least) in [(0.0, 0.99), (0.01, 0.99), (0.02, 0.98)] {
            rig(3, die).check(&behaviours, 1..7, least);
        }
    }
}
