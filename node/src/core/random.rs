//! Randomness that is the same on every machine: one small generator per node and purpose, from one seed.

use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A small, fast, seeded generator. Not for keys.
pub type Random = Xoshiro256PlusPlus;

/// The generator for `purpose` under `seed`: independent of those for other purposes.
pub fn child(seed: u64, purpose: u64) -> Random {
    // SplitMix64's odd constant keeps neighbouring purposes far apart before seed_from_u64 mixes again.
    Random::seed_from_u64(seed ^ purpose.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// Up to `count` different items of `items`, in random order.
pub fn sample<T>(random: &mut impl Rng, mut items: Vec<T>, count: usize) -> Vec<T> {
    let count = count.min(items.len());
    for i in 0..count {
        let j = random.random_range(i..items.len());
        items.swap(i, j);
    }
    items.truncate(count);
    items
}
