//! Ranks drawn from a Zipf distribution: the first of many is drawn often, most are drawn rarely (Zipf 1949).

use butter::core::random::Random;
use rand::RngExt;

/// Weight of the first rank. That of every other is at least 1.
const WEIGHT_FIRST: f64 = 1e12;

/// Ranks with their sums of weights.
#[derive(Debug)]
pub(super) struct ZipfRanks(Vec<u64>);

impl ZipfRanks {
    /// Of so many ranks, one at least; rank k weighs k to the power of minus `exponent`.
    pub(super) fn new(ranks: u64, exponent: f64) -> Self {
        let weight = |rank: u64| (WEIGHT_FIRST / (rank as f64).powf(exponent)).max(1.0) as u64;
        let sums = (1..=ranks).scan(0, |sum, rank| {
            *sum += weight(rank);
            Some(*sum)
        });
        ZipfRanks(sums.collect())
    }

    /// How many ranks there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// A rank, from 0.
    pub(super) fn draw(&self, random: &mut Random) -> usize {
        let at = random.random_range(0..self.0[self.0.len() - 1]);
        self.0.partition_point(|&sum| sum <= at)
    }
}
