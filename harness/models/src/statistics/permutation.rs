//! A permutation test of several measures at once, over runs: which of them differ between two sets of runs.
//!
//! If the sets do not differ, any division of all runs into two sets of these sizes was as likely as the one seen. Each measure's
//! difference of means is held against the greatest difference of any measure in every such division (Westfall and Young,
//! *Resampling-Based Multiple Testing*, 1993, maxT). So the chance that any measure at all is called different by mistake is
//! below the level, however many measures there are and however they depend on each other. Nothing is assumed of what happens
//! within a run: its items and queries may depend on each other as they like.

use butter::core::random::{child, sample};

/// Divisions that are all tried; of more, so many are drawn.
const DIVISIONS_MAX: u64 = 10_000;
/// Of the drawing: the same runs always get the same answer.
const SEED: u64 = 0x7065_726d;
/// Differences closer to each other than this, in standard errors, count as equal.
const CLOSE: f64 = 1e-9;

/// The least p-value that sets of these sizes can reach: no difference is significant below it.
pub fn least_p(first: usize, second: usize) -> f64 {
    // Of sets of one size, each division has a mirror image with the same difference.
    let extreme = if first == second { 2.0 } else { 1.0 };
    if first == 0 || second == 0 { 1.0 } else { extreme / divisions(first, second).min(DIVISIONS_MAX) as f64 }
}

/// The p-value of each measure, adjusted for all of them. `measures` has each measure's value in every run, those of the `first`
/// runs first; `None` where a run has no such value.
///
/// # Panics
/// If a measure has fewer values than `first`.
pub fn adjusted_p(measures: &[Vec<Option<f64>>], first: usize) -> Vec<f64> {
    let runs = measures.first().map_or(0, Vec::len);
    let spreads: Vec<f64> = measures.iter().map(|values| spread(values)).collect();
    let differences = |in_first: &[bool]| -> Vec<f64> {
        measures.iter().zip(&spreads).map(|(values, &spread)| difference(values, in_first, spread)).collect()
    };
    let seen: Vec<bool> = (0..runs).map(|run| run < first).collect();
    let observed = differences(&seen);
    let (mut total, mut as_far) = (0_u64, vec![0_u64; measures.len()]);
    let mut count = |in_first: &[bool]| {
        let greatest = differences(in_first).into_iter().fold(0.0, f64::max);
        total += 1;
        for (count, observed) in as_far.iter_mut().zip(&observed) {
            *count += u64::from(greatest >= observed - CLOSE);
        }
    };
    if divisions(first, runs - first) <= DIVISIONS_MAX {
        let mut chosen: Vec<usize> = (0..first).collect();
        loop {
            count(&marked(&chosen, runs));
            if !next_combination(&mut chosen, runs) {
                break;
            }
        }
    } else {
        count(&seen);
        let mut random = child(SEED, 0);
        for _ in 1..DIVISIONS_MAX {
            count(&marked(&sample(&mut random, (0..runs).collect(), first), runs));
        }
    }
    as_far.into_iter().map(|count| count as f64 / total as f64).collect()
}

fn marked(chosen: &[usize], runs: usize) -> Vec<bool> {
    let mut marked = vec![false; runs];
    chosen.iter().for_each(|&run| marked[run] = true);
    marked
}

/// The next choice of as many of `runs`, in order; whether there is one.
fn next_combination(chosen: &mut [usize], runs: usize) -> bool {
    let count = chosen.len();
    let Some(place) = (0..count).rev().find(|&place| chosen[place] < runs - count + place) else { return false };
    let next = chosen[place] + 1;
    chosen[place..].iter_mut().zip(next..).for_each(|(slot, value)| *slot = value);
    true
}

/// How many divisions there are, up to what a number holds.
fn divisions(first: usize, second: usize) -> u64 {
    let smaller = first.min(second) as u64;
    let total = (first + second) as u64;
    (1..=smaller).fold(1, |count, k| u64::saturating_mul(count, total - smaller + k) / k)
}

/// Difference of the means of both sets, in units of the measure's spread.
fn difference(values: &[Option<f64>], in_first: &[bool], spread: f64) -> f64 {
    let mean = |of_first: bool| {
        let chosen = values.iter().zip(in_first).filter(|(_, is_first)| **is_first == of_first);
        let chosen: Vec<f64> = chosen.filter_map(|(value, _)| *value).collect();
        (!chosen.is_empty()).then(|| chosen.iter().sum::<f64>() / chosen.len() as f64)
    };
    match mean(true).zip(mean(false)) {
        Some((one, other)) if spread > 0.0 => (one - other).abs() / spread,
        _ => 0.0,
    }
}

fn spread(values: &[Option<f64>]) -> f64 {
    let values: Vec<f64> = values.iter().copied().flatten().collect();
    super::mean_and_deviation(&values).map_or(0.0, |(_, deviation)| deviation)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    fn all(values: &[f64]) -> Vec<Option<f64>> {
        values.iter().copied().map(Some).collect()
    }

    #[test]
    fn one_measure_is_tested_exactly() {
        // Two of 70 divisions are as far apart as two sets of four that do not overlap.
        assert_eq!(adjusted_p(&[all(&[1.0, 2.0, 3.0, 4.0, 11.0, 12.0, 13.0, 14.0])], 4), [2.0 / 70.0]);
        assert_eq!(least_p(4, 4), 2.0 / 70.0);
        assert_eq!(adjusted_p(&[all(&[1.0; 8])], 4), [1.0]);
        // One against nineteen: only its own place is as extreme.
        let mut values = vec![9.0];
        values.extend((0..19).map(f64::from).map(|value| value / 19.0));
        assert_eq!(adjusted_p(&[all(&values)], 1), [0.05]);
        assert_eq!(least_p(1, 19), 0.05);
    }

    #[test]
    fn more_measures_make_each_less_significant() {
        let apart = all(&[1.0, 2.0, 3.0, 4.0, 11.0, 12.0, 13.0, 14.0]);
        let noise = all(&[1.0, 9.0, 2.0, 8.0, 3.0, 9.5, 0.0, 9.0]);
        let p = adjusted_p(&[apart, noise], 4);
        assert!(p[0] >= 2.0 / 70.0 && p[0] < 0.1 && p[1] > 0.3, "{p:?}");
    }

    #[test]
    fn values_that_runs_lack_count_for_nothing() {
        let mut values = all(&[1.0, 1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0]);
        (values[0], values[7]) = (None, None);
        assert!(adjusted_p(&[values], 4)[0] < 0.2);
        assert_eq!(adjusted_p(&[vec![None; 8]], 4), [1.0]);
    }

    /// With five measures that depend on each other, of runs that do not differ.
    #[test]
    fn few_sets_of_like_runs_are_called_different() {
        let mut random = child(7, 0);
        let trials = 400;
        let mut alarms = 0;
        for _ in 0..trials {
            let common: Vec<f64> = (0..10).map(|_| random.random::<f64>()).collect();
            let measure = |random: &mut butter::core::random::Random| {
                common.iter().map(|common| Some(common + random.random::<f64>())).collect::<Vec<_>>()
            };
            let measures: Vec<_> = (0..5).map(|_| measure(&mut random)).collect();
            alarms += u32::from(adjusted_p(&measures, 5).into_iter().any(|p| p <= 0.05));
        }
        assert!(alarms <= trials * 7 / 100, "{alarms} of {trials}");
        assert!(alarms >= trials / 100, "the test never sees anything: {alarms} of {trials}");
    }

    #[test]
    fn divisions_are_counted_without_overflow() {
        assert_eq!([divisions(4, 4), divisions(1, 20), divisions(5, 5)], [70, 21, 252]);
        assert!(divisions(100, 100) > DIVISIONS_MAX);
        assert_eq!(least_p(100, 99), 1.0 / DIVISIONS_MAX as f64);
    }
}
