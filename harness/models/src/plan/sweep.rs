//! What a file varies: values of variables or settings, each combination a number of times.

use butter::core::random::child;
use rand::Rng;

/// Most runs of a file, of all combinations together.
pub const RUNS_MAX: u64 = 100_000;

/// Keeps these generators apart from those of other users of the seed: `swep`, in the upper half.
const PURPOSE: u64 = 0x7377_6570_0000_0000;
/// Bits of a derived seed: few enough for names of directories, and for readers of JSON.
const SEED_BITS: u32 = 31;

/// Variables or settings with the values that they take in turn, and how often each combination is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// In the order of the file.
    pub variables: Vec<(String, Vec<String>)>,
    /// Runs of each combination; `None` for one, with the file's own seed.
    pub runs: Option<u64>,
}

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepRun {
    /// The combination: a value for each variable.
    pub set: Vec<(String, String)>,
    /// Its own seed.
    pub seed: u64,
}

impl Sweep {
    /// Whether it is more than one run.
    pub fn is_used(&self) -> bool {
        !self.variables.is_empty() || self.runs.is_some()
    }

    /// The same but for what has a value already: a variable that the command line sets does not vary.
    #[must_use]
    pub fn without(&self, set: &[(String, String)]) -> Sweep {
        let varies = |(name, _): &&(String, Vec<String>)| !set.iter().any(|(given, _)| given == name);
        Sweep { variables: self.variables.iter().filter(varies).cloned().collect(), runs: self.runs }
    }

    /// How many runs it is.
    pub fn len(&self) -> u64 {
        let combinations = self.variables.iter().map(|(_, values)| values.len() as u64);
        combinations.fold(self.runs.unwrap_or(1), u64::saturating_mul)
    }

    /// Whether a variable has no value at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every combination of values, one empty one without variables.
    pub fn combinations(&self) -> Vec<Vec<(String, String)>> {
        self.variables.iter().fold(vec![Vec::new()], |before, (name, values)| {
            let extended = |set: &Vec<(String, String)>| {
                let with = |value: &String| [set.clone(), vec![(name.clone(), value.clone())]].concat();
                values.iter().map(with).collect::<Vec<_>>()
            };
            before.iter().flat_map(extended).collect()
        })
    }

    /// Every run, by combination. Seeds derive from `seed`: one does not depend on how many there are of the others.
    pub fn expand(&self, seed: u64) -> Vec<SweepRun> {
        if !self.is_used() {
            return vec![SweepRun { set: Vec::new(), seed }];
        }
        let mut runs = Vec::new();
        for (cell, set) in (0..).zip(self.combinations()) {
            for run in 0..self.runs.unwrap_or(1) {
                let seed = child(child(seed, PURPOSE | cell).next_u64(), run).next_u64() >> (u64::BITS - SEED_BITS);
                runs.push(SweepRun { set: set.clone(), seed });
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_has_its_runs_and_every_run_its_seed() {
        let values = |values: &[&str]| values.iter().map(ToString::to_string).collect();
        let variables = vec![("a".to_owned(), values(&["1", "2"])), ("b".to_owned(), values(&["x", "y", "z"]))];
        let sweep = Sweep { variables, runs: Some(4) };
        let runs = sweep.expand(7);
        assert_eq!((runs.len() as u64, sweep.len()), (24, 24));
        assert_eq!(runs[0].set, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "x".to_owned())]);
        assert_eq!(runs[23].set, [("a".to_owned(), "2".to_owned()), ("b".to_owned(), "z".to_owned())]);
        let pinned = sweep.without(&[("b".to_owned(), "y".to_owned())]);
        assert_eq!((pinned.len(), pinned.combinations().len()), (8, 2));
        let seeds: std::collections::BTreeSet<u64> = runs.iter().map(|run| run.seed).collect();
        assert_eq!(seeds.len(), 24);
        assert_ne!(sweep.expand(8)[0].seed, runs[0].seed);
        // More runs of each leave the seeds of those before as they are.
        assert_eq!(Sweep { runs: Some(9), ..sweep }.expand(7)[10].seed, runs[5].seed);
    }

    #[test]
    fn a_file_without_a_sweep_is_one_run() {
        assert!(!Sweep::default().is_used());
        assert_eq!(Sweep::default().expand(7), [SweepRun { set: Vec::new(), seed: 7 }]);
    }
}
