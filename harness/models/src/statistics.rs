//! Statistics of measurements: shares, quantiles, and how sure a share is that was measured on a sample.

use serde::{Deserialize, Serialize};

pub mod permutation;

/// Standard deviations to each side that hold 95 % of a normal distribution.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// `part / whole`. `None` if the whole is 0.
pub fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// A quantile (above 0, up to 1) of values in ascending order, by nearest rank. `None` without values.
pub fn quantile<T: Copy>(sorted: &[T], quantile: f64) -> Option<T> {
    censored_quantile(sorted, sorted.len() as u64, quantile)
}

/// A quantile, by nearest rank, of `total` values of which only the lowest are known, in ascending order. `None` if the
/// rank lies among the unknown ones.
pub fn censored_quantile<T: Copy>(sorted: &[T], total: u64, quantile: f64) -> Option<T> {
    let rank = (quantile * total as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The median by nearest rank; of an even number of values the lower of the two in the middle. `None` without values.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// Mean and sample standard deviation; the latter is 0 of a single value. `None` without values.
pub fn mean_and_deviation(values: &[f64]) -> Option<(f64, f64)> {
    let count = values.len() as f64;
    let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / count)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, if values.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 }))
}

/// 97.5 % quantiles of Student's distribution, from one degree of freedom on.
const STUDENT_975: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// The 95 % interval of the true mean of which these values are samples, by Student's distribution. `None` of fewer than two.
pub fn mean_interval(values: &[f64]) -> Option<(f64, f64)> {
    let (mean, deviation) = mean_and_deviation(values).filter(|_| values.len() > 1)?;
    let freedom = values.len() - 1;
    // Beyond the table, the first two terms of its expansion for many degrees of freedom (Fisher 1925).
    let beyond = || Z_95 + (Z_95.powi(3) + Z_95) / (4.0 * freedom as f64);
    let t = STUDENT_975.get(freedom - 1).copied().unwrap_or_else(beyond);
    let half = t * deviation / (values.len() as f64).sqrt();
    Some((mean - half, mean + half))
}

/// Standard deviations to each side of a normal distribution that leave `alpha` outside, to about three digits (Abramowitz and
/// Stegun 26.2.23). `alpha` is above 0 and below 1.
pub fn z_outside(alpha: f64) -> f64 {
    let t = (-2.0 * (alpha / 2.0).ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

/// Quantiles of durations by nearest rank, in seconds. `None` where no duration has that rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DurationQuantiles {
    /// The median (50th percentile), in seconds.
    pub p50: Option<f64>,
    /// 95th percentile, in seconds.
    pub p95: Option<f64>,
    /// The longest duration, in seconds.
    pub max: Option<f64>,
}

impl DurationQuantiles {
    /// From a function that returns a quantile (0..1) in seconds.
    pub fn of(quantile_s: impl Fn(f64) -> Option<f64>) -> Self {
        DurationQuantiles { p50: quantile_s(0.5), p95: quantile_s(0.95), max: quantile_s(1.0) }
    }
}

/// A share measured on a sample: `part` of `whole` trials succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proportion {
    /// Number of trials that succeeded.
    pub part: u64,
    /// All trials of the sample.
    pub whole: u64,
}

impl Proportion {
    /// `part / whole`. `None` without trials.
    pub fn share(self) -> Option<f64> {
        ratio(self.part, self.whole)
    }

    /// Wilson's score interval (1927) of the true share, `z` standard deviations to each side. `None` without trials.
    pub fn interval(self, z: f64) -> Option<(f64, f64)> {
        let (p, n, zz) = (self.share()?, self.whole as f64, z * z);
        let centre = p + zz / (2.0 * n);
        let spread = z * (p * (1.0 - p) / n + zz / (4.0 * n * n)).sqrt();
        let bound = |edge: f64| (edge / (1.0 + zz / n)).clamp(0.0, 1.0);
        Some((bound(centre - spread), bound(centre + spread)))
    }

    /// Newcombe's hybrid score interval of the difference between the true shares, this one minus the other. See "Interval
    /// estimation for the difference between independent proportions", Statistics in Medicine 17 (1998), method 10.
    /// `None` if either has no trials.
    pub fn difference(self, other: Proportion, z: f64) -> Option<(f64, f64)> {
        let (p, q) = (self.share()?, other.share()?);
        let ((p_low, p_high), (q_low, q_high)) = (self.interval(z)?, other.interval(z)?);
        let low = p - q - (p - p_low).hypot(q_high - q);
        let high = p - q + (p_high - p).hypot(q - q_low);
        Some((low, high))
    }

    /// Whether both may be samples of true shares that differ by no more than `tolerance`. `None` if either has no trials.
    pub fn agrees_with(self, other: Proportion, z: f64, tolerance: f64) -> Option<bool> {
        self.difference(other, z).map(|(low, high)| low <= tolerance && high >= -tolerance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(part: u64, whole: u64) -> Proportion {
        Proportion { part, whole }
    }

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let sorted = [1, 2, 3, 4];
        assert_eq!([0.01, 0.25, 0.26, 0.5, 1.0].map(|q| quantile(&sorted, q)), [1, 1, 2, 2, 4].map(Some));
        assert_eq!(quantile::<u64>(&[], 0.5), None);
        assert_eq!([0.5, 0.51].map(|q| censored_quantile(&[1, 2], 4, q)), [Some(2), None]);
    }

    #[test]
    fn median_sorts_its_values() {
        assert_eq!(median([9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median([4.0, 2.0]), Some(2.0));
        assert_eq!(median([]), None);
    }

    /// Newcombe: Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I.
    #[test]
    fn interval_matches_wilson() {
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
    fn interval_of_a_difference_matches_newcombe() {
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
    fn shares_agree_unless_chance_or_tolerance_explains_the_difference() {
        let z = z_outside(0.001);
        let agrees = |one: Proportion, other: Proportion, tolerance| one.agrees_with(other, z, tolerance);
        assert_eq!(agrees(of(20, 20), of(1_035, 1_035), 0.0), Some(true));
        assert_eq!(agrees(of(0, 20), of(1_035, 1_035), 0.0), Some(false));
        assert_eq!(agrees(of(15, 20), of(700, 1_000), 0.0), Some(true));
        assert_eq!(agrees(of(10, 20), of(990, 1_000), 0.0), Some(false));
        assert_eq!(agrees(of(18, 20), of(1_000, 1_000), 0.0), Some(false));
        assert_eq!(agrees(of(18, 20), of(1_000, 1_000), 0.1), Some(true));
        assert_eq!(agrees(of(0, 0), of(1, 1), 0.0), None);
    }

    #[test]
    fn mean_has_students_interval() {
        let (low, high) = mean_interval(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        // 3 ± 2.776 · √2.5 / √5
        assert!((low - 1.037).abs() < 1e-3 && (high - 4.963).abs() < 1e-3, "{low} {high}");
        assert_eq!(
            (mean_interval(&[1.0]), mean_and_deviation(&[1.0]), mean_and_deviation(&[])),
            (None, Some((1.0, 0.0)), None)
        );
        let many: Vec<f64> = (0..101).map(f64::from).collect();
        let (low, high) = mean_interval(&many).unwrap();
        // Of 100 degrees of freedom the quantile is 1.984.
        assert!(((high - low) / 2.0 - 1.984 * mean_and_deviation(&many).unwrap().1 / 101.0_f64.sqrt()).abs() < 0.01);
    }

    #[test]
    fn quantiles_of_the_normal_distribution_are_those_of_tables() {
        for (alpha, z) in [(0.05, 1.960), (0.01, 2.576), (0.001, 3.291), (0.000_1, 3.891)] {
            assert!((z_outside(alpha) - z).abs() < 1e-3, "{alpha}: {}", z_outside(alpha));
        }
    }
}
