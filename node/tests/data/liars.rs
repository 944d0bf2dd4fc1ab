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
    /// Of each run: kept blocks of those acknowledged.
    kept_shares: Vec<f64>,
}

/// Half the width of the 95 % interval of a mean, from the values of runs.
fn half_interval(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    1.96 * (variance / count).sqrt()
}

impl Tally {
    fn share(&self, of: usize) -> f64 {
        of as f64 / self.acknowledged as f64
    }

    fn add(&mut self, other: &Tally) {
        self.acknowledged += other.acknowledged;
        self.kept += other.kept;
        self.found += other.found;
    }
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
        let kept_before = total.kept;
        for block in &blocks {
            let copies = net.holders(*block).into_iter().filter(|&at| at >= self.hostile && at != fresh).count();
            total.kept += usize::from(copies > 0);
            total.copies += copies;
        }
        total.kept_shares.push((total.kept - kept_before) as f64 / blocks.len().max(1) as f64);
        let gets: Vec<_> = blocks.iter().map(|&block| net.begin_get(fresh, block)).collect();
        for get in gets {
            total.found += usize::from(matches!(net.wait(get), Ended::Got(Ok(_))));
        }
        total.acknowledged += blocks.len();
    }

    /// Plays one run for each seed, and prints what they came to.
    fn measure(&self, behaviours: &[Behaviour], seeds: std::ops::Range<u64>) -> Tally {
        let mut total = Tally::default();
        let (honest, runs) = ((self.nodes - self.hostile) as u64, seeds.end - seeds.start);
        seeds.for_each(|seed| self.play(behaviours, seed, &mut total));
        total.messages /= honest * runs;
        let names: Vec<&str> = behaviours.iter().map(|behaviour| behaviour.name()).collect();
        println!(
            "{}, {} of {} at {}: acknowledged {} of {}, kept {:.4} ± {:.4}, found {:.4}, copies {:.2}, messages {}",
            names.join("+"),
            self.hostile,
            self.nodes,
            self.die,
            total.acknowledged,
            honest * runs,
            total.share(total.kept),
            half_interval(&total.kept_shares),
            total.share(total.found),
            total.copies as f64 / total.kept.max(1) as f64,
            total.messages,
        );
        assert!(total.acknowledged as f64 >= 0.99 * (honest * runs) as f64, "{behaviours:?}: {total:?}");
        total
    }

    fn check(&self, behaviours: &[Behaviour], seeds: std::ops::Range<u64>, least: f64) {
        let total = self.measure(behaviours, seeds);
        let (kept, found) = (total.share(total.kept), total.share(total.found));
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
fn members_that_do_not_exist_cost_few_messages() {
    let rig = Rig { seconds: 180, ..rig(3, 0.0) };
    let without = rig.measure(&[], 1..4).messages;
    let with = rig.measure(&[Behaviour::InventMembers], 1..4);
    assert_eq!(with.kept, with.acknowledged);
    assert!(with.messages < 3 * without, "{} beside {without}", with.messages);
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

/// Each behaviour alone, and several together, at each rate of deaths. All runs of a rate keep `least` of what was acknowledged,
/// and each row `least_of_row`. No row costs an honest node three times the messages that it sends without liars.
fn table(seeds: std::ops::Range<u64>, least_of_row: [f64; 3]) {
    let single = Behaviour::NAMES.iter().map(|&(_, behaviour)| vec![behaviour]);
    let rows: Vec<Vec<Behaviour>> = single.chain([DROP_AND_BOAST.to_vec(), ALL.to_vec()]).collect();
    for ((die, least), least_of_row) in [(0.0, 0.99), (0.01, 0.99), (0.02, 0.98)].into_iter().zip(least_of_row) {
        let calm = rig(3, die).measure(&[], seeds.clone());
        let mut all = Tally::default();
        for behaviours in &rows {
            let row = rig(3, die).measure(behaviours, seeds.clone());
            let (kept, found) = (row.share(row.kept), row.share(row.found));
            assert!(kept >= least_of_row && found >= least_of_row, "{behaviours:?} at {die}: {row:?}");
            assert!(
                row.messages <= 3 * calm.messages,
                "{behaviours:?} at {die}: {} of {}",
                row.messages,
                calm.messages
            );
            all.add(&row);
        }
        let (kept, found) = (all.share(all.kept), all.share(all.found));
        println!("all rows at {die}: kept {kept:.4}, found {found:.4}");
        assert!(kept >= least && found >= least, "at {die}: {all:?}");
    }
}

#[test]
#[ignore = "minutes long: run it by name"]
fn table_of_behaviours() {
    table(1..21, [0.99, 0.98, 0.97]);
}
