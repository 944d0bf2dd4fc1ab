//! How often `harness compare` finds a difference where there is none: sets of runs that differ in nothing but their seeds.

use std::fmt;

use crate::results::compare::{Agreement, CompareError, LEVEL, RunComparison};
use crate::results::run_set::RunFigures;
use crate::statistics::{Proportion, Z_95, z_outside};

/// Chance that a comparison that keeps its level is said not to.
const DOUBT: f64 = 0.002;

/// Pairs of like sets, and in how many of them a difference was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FalseAlarms {
    /// Runs of each set.
    pub runs: usize,
    /// Pairs with a difference, of all.
    pub alarms: Proportion,
    /// The measures that differed, in each such pair.
    pub measures: Vec<Vec<String>>,
}

/// Divides runs into pairs of sets of so many runs, each run in one set at most, and compares those.
///
/// # Errors
/// If the runs are not comparable.
pub fn measure(runs: &[RunFigures], runs_per_set: usize) -> Result<FalseAlarms, CompareError> {
    let mut found = FalseAlarms { runs: runs_per_set, alarms: Proportion { part: 0, whole: 0 }, measures: Vec::new() };
    for pair in runs.chunks_exact(2 * runs_per_set) {
        let (one, other) = pair.split_at(runs_per_set);
        let compared = RunComparison::of([one, other], 0.0)?;
        found.alarms.whole += 1;
        if compared.agreement() == Agreement::Differs {
            found.alarms.part += 1;
            let differing = compared.measures.into_iter().filter(|measure| measure.agreement == Agreement::Differs);
            found.measures.push(differing.map(|measure| measure.name).collect());
        }
    }
    Ok(found)
}

impl FalseAlarms {
    /// Whether there are no more than the comparison allows, as far as so many pairs can tell.
    pub fn keeps_level(&self) -> bool {
        self.alarms.interval(z_outside(DOUBT)).is_none_or(|(low, _)| low <= LEVEL)
    }
}

impl fmt::Display for FalseAlarms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Proportion { part, whole } = self.alarms;
        write!(f, "{part} of {whole} pairs of like sets of {} runs differ", self.runs)?;
        if let (Some(share), Some((low, high))) = (self.alarms.share(), self.alarms.interval(Z_95)) {
            let [share, low, high] = [share, low, high].map(|share| 100.0 * share);
            write!(f, ": {share:.1} % (95 % interval {low:.1}–{high:.1} %; allowed are {} %)", 100.0 * LEVEL)?;
        }
        self.measures.iter().try_for_each(|measures| write!(f, "\n  {}", measures.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rand::RngExt;

    use super::*;
    use crate::results::fixture::record;

    #[test]
    fn like_runs_seldom_differ_and_each_run_counts_once() {
        let mut random = butter::core::random::child(3, 0);
        let mut run = |seed: u64, most: u64| {
            let direct = random.random_range(0..=most);
            RunFigures::read(Path::new("r"), &record("sim", seed, 20, direct).to_string()).unwrap()
        };
        let runs: Vec<_> = (0..403).map(|seed| run(seed, 20)).collect();
        let alarms = measure(&runs, 5).unwrap();
        assert_eq!(alarms.alarms.whole, 40);
        assert!(alarms.keeps_level(), "{alarms}");
        // Sets that take turns do differ.
        let runs: Vec<_> = (0..80).map(|seed| run(seed, if seed / 5 % 2 == 0 { 2 } else { 20 })).collect();
        let alarms = measure(&runs, 5).unwrap();
        assert!(!alarms.keeps_level() && alarms.to_string().contains("direct: a, b"), "{alarms}");
    }
}
