//! Shares that were measured on a sample, and how sure they are.

use crate::results::tally::ratio;

/// Standard deviations to each side that hold 95 % of a normal distribution.
pub const Z_95: f64 = 1.959_963_984_540_054;
/// The same for 99.9 %: of fifty such statements together all are true 95 times in 100.
pub const Z_999: f64 = 3.290_526_731_491_895;

/// So many of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proportion {
    /// Those of which something is true.
    pub part: u64,
    /// All of them.
    pub whole: u64,
}

impl Proportion {
    /// `part / whole`; `None` of nothing.
    pub fn share(self) -> Option<f64> {
        ratio(self.part, self.whole)
    }

    /// Between which shares the true one lies (Wilson 1927), `z` standard deviations to each side. `None` of nothing.
    pub fn interval(self, z: f64) -> Option<(f64, f64)> {
        let (p, n, zz) = (self.share()?, self.whole as f64, z * z);
        let centre = p + zz / (2.0 * n);
        let spread = z * (p * (1.0 - p) / n + zz / (4.0 * n * n)).sqrt();
        let bound = |edge: f64| (edge / (1.0 + zz / n)).clamp(0.0, 1.0);
        Some((bound(centre - spread), bound(centre + spread)))
    }

    /// Between which values the difference of the true shares lies, this one's less the other's: Newcombe's hybrid score interval
    /// (Interval estimation for the difference between independent proportions, Statistics in Medicine 17, 1998, method 10).
    /// `None` if either is of nothing.
    pub fn difference(self, other: Proportion, z: f64) -> Option<(f64, f64)> {
        let (p, q) = (self.share()?, other.share()?);
        let ((p_low, p_high), (q_low, q_high)) = (self.interval(z)?, other.interval(z)?);
        let low = p - q - (p - p_low).hypot(q_high - q);
        let high = p - q + (p_high - p).hypot(q - q_low);
        Some((low, high))
    }

    /// Whether both may be samples of one share. `None` if either is of nothing.
    pub fn agrees_with(self, other: Proportion, z: f64) -> Option<bool> {
        self.difference(other, z).map(|(low, high)| low <= 0.0 && high >= 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(part: u64, whole: u64) -> Proportion {
        Proportion { part, whole }
    }

    /// Newcombe: Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I.
    #[test]
    fn the_interval_is_wilsons() {
        for (part, whole, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let (l, h) = of(part, whole).interval(Z_95).unwrap();
            assert!((l - low).abs() < 6e-5 && (h - high).abs() < 6e-5, "{part}/{whole}: {l} {h}");
        }
        assert_eq!(of(0, 0).interval(Z_95), None);
    }

    /// The same author's paper on differences, table II, method 10.
    #[test]
    fn the_interval_of_a_difference_is_newcombes() {
        for (one, other, low, high) in [
            (of(56, 70), of(48, 80), 0.0524, 0.3339),
            (of(9, 10), of(3, 10), 0.1705, 0.8090),
            (of(10, 10), of(0, 10), 0.6075, 1.0),
        ] {
            let (l, h) = one.difference(other, Z_95).unwrap();
            assert!((l - low).abs() < 6e-5 && (h - high).abs() < 6e-5, "{one:?} {other:?}: {l} {h}");
        }
    }

    #[test]
    fn what_is_far_apart_does_not_agree() {
        assert_eq!(of(20, 20).agrees_with(of(1_035, 1_035), Z_999), Some(true));
        assert_eq!(of(0, 20).agrees_with(of(1_035, 1_035), Z_999), Some(false));
        assert_eq!(of(15, 20).agrees_with(of(700, 1_000), Z_999), Some(true));
        assert_eq!(of(10, 20).agrees_with(of(990, 1_000), Z_999), Some(false));
        assert_eq!(of(0, 0).agrees_with(of(1, 1), Z_999), None);
    }
}
