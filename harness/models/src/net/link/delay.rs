//! Latency with jitter. The usual ways to draw from a distribution need logarithms or tables of floating-point numbers, which
//! differ between mathematical libraries; these need integers alone.

use std::time::Duration;

use butter::core::random::Random;
use rand::Rng;

use super::{Distribution, LinkConfig};

/// How long packets take.
#[derive(Debug)]
pub(super) struct Delay {
    latency_ns: u64,
    jitter_ns: u64,
    distribution: Distribution,
    coherence_ns: u64,
    /// What it is now, and until when.
    now_ns: u64,
    until_ns: u64,
}

/// One standard deviation of a variate.
pub(super) const DEVIATION: i64 = 1 << 16;

impl Delay {
    pub(super) fn new(config: &LinkConfig) -> Self {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Delay {
            latency_ns: nanos(config.latency),
            jitter_ns: nanos(config.jitter),
            distribution: config.distribution,
            coherence_ns: nanos(config.coherence()),
            now_ns: 0,
            until_ns: 0,
        }
    }

    /// Of a packet that leaves then, in nanoseconds: never less than nothing. The moments given never run backwards.
    pub(super) fn of(&mut self, leaves_ns: u64, random: &mut Random) -> u64 {
        if self.jitter_ns == 0 {
            return self.latency_ns;
        }
        if leaves_ns >= self.until_ns {
            self.now_ns = self.draw(random);
            self.until_ns = leaves_ns.saturating_add(self.coherence_ns);
        }
        self.now_ns
    }

    fn draw(&self, random: &mut Random) -> u64 {
        let deviation = (i128::from(self.jitter_ns) * i128::from(variate(self.distribution, random))) >> 16;
        u64::try_from((i128::from(self.latency_ns) + deviation).max(0)).unwrap_or(u64::MAX)
    }
}

/// A variate with a mean of zero, in units of 1/65536 standard deviation ([`DEVIATION`]).
pub(super) fn variate(distribution: Distribution, random: &mut Random) -> i64 {
    match distribution {
        Distribution::Normal => normal(random),
        Distribution::Uniform => uniform(random),
        Distribution::Pareto => pareto(random),
    }
}

/// The sum of twelve uniform variates, each of 16 bits.
///
/// Twelve of them have a variance of one; the sum is within 0.2 % of the normal distribution up to two deviations and ends at
/// six.
fn normal(random: &mut Random) -> i64 {
    let sum: u64 = (0..3)
        .map(|_| random.next_u64())
        .map(|bits| (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48))
        .sum();
    sum as i64 - 6 * 0xffff
}

/// Up to √3 deviations to either side, which is where a uniform distribution ends that has a variance of one.
fn uniform(random: &mut Random) -> i64 {
    /// √3 · 65536
    const END: i64 = 113_512;
    (((random.next_u64() >> 32) as i64 * (2 * END + 1)) >> 32) - END
}

/// Pareto's distribution with the least value 1 and the shape 3: the third root of 1/u, where u is uniform. It has a mean of
/// 3/2 and a variance of 3/4; here less the mean, and over the deviation.
fn pareto(random: &mut Random) -> i64 {
    const MEAN: i64 = 3 * DEVIATION / 2;
    /// 65536 / √(3/4)
    const SCALE: i64 = 75_674;
    // From 2^-32 to 1 in steps of 2^-32. The root of 2^80/u is 2^16 times that of 2^32/u.
    let u = u128::from(random.next_u64() >> 32) + 1;
    ((third_root((1 << 80) / u) as i64 - MEAN) * SCALE) >> 16
}

/// The greatest integer whose third power is not above `of`, which is at most 2^80.
pub(super) fn third_root(of: u128) -> u64 {
    let highest = (u128::BITS - of.leading_zeros()) / 3;
    let mut root: u128 = 0;
    for bit in (0..=highest).rev() {
        let more = root | 1 << bit;
        if more * more * more <= of {
            root = more;
        }
    }
    root as u64
}
