//! Two sets of runs of a topology compared: on two backends, before and after a change, with two settings.
//!
//! A run is one observation, whatever happens in it: its items and queries depend on each other. So every measure is tested over
//! runs, all of them at once ([`crate::statistics::permutation`]). Where there are too few runs for that, only shares whose trials
//! are independent within a run are judged, by the interval of their difference (Newcombe). Either way the chance that any
//! difference is found between sets that do not differ is at most [`LEVEL`].

use std::collections::BTreeSet;

use super::check_result::CheckUnit;
use super::run_set::{MeasureName, RunFigures};
use super::topology_shape::ShapeDifference;
use crate::statistics::permutation::{adjusted_p, least_p};
use crate::statistics::{Proportion, mean_and_deviation, mean_interval, z_outside};

/// Chance that sets that do not differ are called different.
pub const LEVEL: f64 = 0.05;

/// Why two sets of runs cannot be compared.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// The runs are of topologies with different names.
    #[error("the runs are of different topologies: {} and {}", .0[0], .0[1])]
    Names([String; 2]),
    /// The topologies have one name, but differ in a part that decides what is measured.
    #[error("the topologies differ in their {}: {} and {}", .0.part, .0.values[0], .0.values[1])]
    Shape(ShapeDifference),
    /// One set of runs holds several backends, so that its spread is not that of chance.
    #[error("set {set} mixes runs of {} and {}: compare sets of one backend each", .backends[0], .backends[1])]
    Backends {
        /// `A` or `B`.
        set: &'static str,
        /// Two of its backends.
        backends: [String; 2],
    },
    /// A run was not played to its end, or not in the environment that it declares.
    #[error("the run of seed {seed} in set {set} did not end as a run does: {verdict}")]
    NotEnded {
        /// `A` or `B`.
        set: &'static str,
        /// Seed of that run.
        seed: u64,
        /// How it ended.
        verdict: String,
    },
}

/// What is made of a measure's difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Chance, or the tolerance, explains it.
    Agrees,
    /// Neither does.
    Differs,
    /// There are too few runs to tell, or only one set has the measure.
    NotJudged,
}

/// A measure in one set of runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SetFigure {
    /// Runs that have the measure.
    pub runs: usize,
    /// Mean over those runs.
    pub mean: f64,
    /// Standard deviation between runs; 0 of a single one.
    pub deviation: f64,
    /// The 95 % interval of the mean, of two runs or more.
    pub interval: Option<(f64, f64)>,
}

/// A measure in both sets.
#[derive(Clone, Debug)]
pub struct ComparedMeasure {
    /// Its name, such as `direct: home, office`.
    pub name: String,
    /// Its unit.
    pub unit: CheckUnit,
    /// The figures of both sets; `None` where no run has the measure.
    pub sets: [Option<SetFigure>; 2],
    /// Probability of such a difference by chance, adjusted for all measures, if it was tested over runs.
    pub p: Option<f64>,
    /// What is made of the difference.
    pub agreement: Agreement,
}

/// How the sets were judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareMethod {
    /// By a permutation test over runs.
    OverRuns,
    /// There are too few runs: by independent trials within runs.
    WithinRuns,
}

/// Two sets of runs, measure by measure.
#[derive(Clone, Debug)]
pub struct RunComparison {
    /// Both sets in a line each.
    pub sets: [String; 2],
    /// How they were judged.
    pub method: CompareMethod,
    /// Differences up to so much do not count: of shares as such, of other values as a part of the greater one.
    pub tolerance: f64,
    /// Every measure that any run has.
    pub measures: Vec<ComparedMeasure>,
}

impl RunComparison {
    /// Compares two sets of runs, none of them empty. Differences up to `tolerance` do not count.
    ///
    /// # Errors
    /// If the runs are not comparable.
    pub fn of(sets: [&[RunFigures]; 2], tolerance: f64) -> Result<Self, CompareError> {
        check_alike(sets)?;
        let all = || sets.into_iter().flatten();
        let names: BTreeSet<&MeasureName> = all().flat_map(|run| run.values.keys()).collect();
        let enough = least_p(sets[0].len(), sets[1].len()) <= LEVEL;
        let method = if enough { CompareMethod::OverRuns } else { CompareMethod::WithinRuns };
        let values: Vec<Vec<Option<f64>>> =
            names.iter().map(|name| all().map(|run| value(run, name)).collect()).collect();
        let p = if enough { adjusted_p(&values, sets[0].len()) } else { Vec::new() };
        let independent = names.iter().filter(|name| name.has_independent_trials()).count();
        let measure = |(place, name): (usize, &&MeasureName)| {
            let figures = sets.map(|set| figure(set, name));
            let p = p.get(place).copied();
            let agreement = match (figures, p) {
                ([Some(one), Some(other)], Some(p)) => {
                    let is_apart = p <= LEVEL && !is_tolerated(name.unit(), one.mean, other.mean, tolerance);
                    if is_apart { Agreement::Differs } else { Agreement::Agrees }
                }
                ([Some(_), Some(_)], None) => judge_within(sets, name, independent, tolerance),
                _ => Agreement::NotJudged,
            };
            ComparedMeasure { name: name.to_string(), unit: name.unit(), sets: figures, p, agreement }
        };
        let measures = names.iter().enumerate().map(measure).collect();
        Ok(RunComparison { sets: sets.map(title), method, tolerance, measures })
    }

    /// How many measures ended so.
    pub fn count(&self, agreement: Agreement) -> usize {
        self.measures.iter().filter(|measure| measure.agreement == agreement).count()
    }

    /// What is made of all measures together.
    pub fn agreement(&self) -> Agreement {
        if self.count(Agreement::Differs) > 0 {
            Agreement::Differs
        } else if self.count(Agreement::Agrees) > 0 {
            Agreement::Agrees
        } else {
            Agreement::NotJudged
        }
    }
}

fn value(run: &RunFigures, name: &MeasureName) -> Option<f64> {
    run.values.get(name).map(|measured| measured.value)
}

fn figure(set: &[RunFigures], name: &MeasureName) -> Option<SetFigure> {
    let values: Vec<f64> = set.iter().filter_map(|run| value(run, name)).collect();
    let (mean, deviation) = mean_and_deviation(&values)?;
    Some(SetFigure { runs: values.len(), mean, deviation, interval: mean_interval(&values) })
}

fn is_tolerated(unit: CheckUnit, one: f64, other: f64, tolerance: f64) -> bool {
    let scale = match unit {
        CheckUnit::Share => 1.0,
        CheckUnit::Seconds | CheckUnit::Plain => one.max(other),
    };
    (one - other).abs() <= tolerance * scale
}

/// Judges a measure by the trials of all runs of each set, as one of `judged` measures.
fn judge_within(sets: [&[RunFigures]; 2], name: &MeasureName, judged: usize, tolerance: f64) -> Agreement {
    if !name.has_independent_trials() {
        return Agreement::NotJudged;
    }
    let pooled = |set: &[RunFigures]| {
        let trials = set.iter().filter_map(|run| run.values.get(name)?.trials);
        trials.fold(Proportion { part: 0, whole: 0 }, |sum, trials| Proportion {
            part: sum.part + trials.part,
            whole: sum.whole + trials.whole,
        })
    };
    let [one, other] = sets.map(pooled);
    // Bonferroni's bound for all of them together.
    match one.agrees_with(other, z_outside(LEVEL / judged.max(1) as f64), tolerance) {
        Some(true) => Agreement::Agrees,
        Some(false) => Agreement::Differs,
        None => Agreement::NotJudged,
    }
}

fn check_alike(sets: [&[RunFigures]; 2]) -> Result<(), CompareError> {
    let Some(first) = sets.into_iter().flatten().next() else { return Ok(()) };
    for (set, runs) in ["A", "B"].into_iter().zip(sets) {
        for run in runs {
            if run.name != first.name {
                return Err(CompareError::Names([first, run].map(|run| format!("`{}`", run.name))));
            }
            if let Some(difference) = first.shape.difference(&run.shape) {
                return Err(CompareError::Shape(difference));
            }
            if !run.has_ended() {
                return Err(CompareError::NotEnded { set, seed: run.seed, verdict: run.verdict.clone() });
            }
            if run.backend != runs[0].backend {
                return Err(CompareError::Backends { set, backends: [runs[0].backend.clone(), run.backend.clone()] });
            }
        }
    }
    Ok(())
}

/// `churn on sim, 5 runs (seeds 1 to 5): 4 passed`
fn title(set: &[RunFigures]) -> String {
    match set {
        [] => "no run".to_owned(),
        [RunFigures { name, backend, seed, verdict, .. }] => format!("{name} on {backend}, seed {seed}: {verdict}"),
        [first, ..] => {
            let (least, most) =
                set.iter().fold((u64::MAX, 0), |(least, most), run| (least.min(run.seed), most.max(run.seed)));
            let passed = set.iter().filter(|run| run.verdict == "passed").count();
            let RunFigures { name, backend, .. } = first;
            format!("{name} on {backend}, {} runs (seeds {least} to {most}): {passed} passed", set.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::results::fixture::record;

    fn run(backend: &str, seed: u64, pairs: u64, direct: u64) -> RunFigures {
        RunFigures::read(Path::new("r"), &record(backend, seed, pairs, direct).to_string()).unwrap()
    }

    fn compare(one: &[RunFigures], other: &[RunFigures], tolerance: f64) -> RunComparison {
        RunComparison::of([one, other], tolerance).unwrap()
    }

    /// Runs with so many direct links of twenty each.
    fn set(direct: &[u64]) -> Vec<RunFigures> {
        direct.iter().zip(1..).map(|(&direct, seed)| run("sim", seed, 20, direct)).collect()
    }

    fn differing(comparison: &RunComparison) -> Vec<&str> {
        let differing = comparison.measures.iter().filter(|measure| measure.agreement == Agreement::Differs);
        differing.map(|measure| measure.name.as_str()).collect()
    }

    #[test]
    fn single_runs_are_judged_by_their_independent_trials_alone() {
        let same = compare(&[run("netns", 7, 20, 19)], &[run("sim", 7, 1_000, 980)], 0.0);
        assert_eq!((same.method, same.agreement()), (CompareMethod::WithinRuns, Agreement::Agrees));
        assert_eq!(same.sets, ["t on netns, seed 7: passed", "t on sim, seed 7: passed"]);
        assert_eq!(
            (same.count(Agreement::Agrees), same.count(Agreement::NotJudged)),
            (2, 3),
            "stored, persistence, time"
        );
        let far = compare(&[run("netns", 7, 20, 5)], &[run("sim", 7, 1_000, 980)], 0.0);
        assert_eq!(differing(&far), ["direct: a, b"]);
    }

    #[test]
    fn differences_within_the_tolerance_do_not_count() {
        let two_missing = [run("netns", 7, 20, 18)];
        let all = [run("sim", 7, 1_000, 1_000)];
        assert_eq!(compare(&two_missing, &all, 0.0).agreement(), Agreement::Differs);
        assert_eq!(compare(&two_missing, &all, 0.1).agreement(), Agreement::Agrees);
        assert_eq!(compare(&[run("netns", 7, 20, 5)], &all, 0.1).agreement(), Agreement::Differs);
        let (low, high) = (set(&[10, 10, 11, 10, 10]), set(&[12, 11, 12, 12, 12]));
        assert_eq!(compare(&low, &high, 0.0).agreement(), Agreement::Differs);
        assert_eq!(compare(&low, &high, 0.1).agreement(), Agreement::Agrees);
    }

    #[test]
    fn sets_are_judged_by_what_differs_from_run_to_run() {
        let comparison = compare(&set(&[12, 13, 12, 14, 13]), &set(&[18, 19, 17, 18, 19]), 0.0);
        assert_eq!((comparison.method, differing(&comparison)), (CompareMethod::OverRuns, vec!["direct: a, b"]));
        assert_eq!(comparison.sets[0], "t on sim, 5 runs (seeds 1 to 5): 5 passed");
        // The same shares in all, but from run to run they vary as much.
        let comparison = compare(&set(&[20, 4, 20, 5, 13]), &set(&[6, 20, 19, 20, 9]), 0.0);
        assert_eq!(comparison.agreement(), Agreement::Agrees);
    }

    #[test]
    fn nothing_is_judged_where_nothing_can_be() {
        let single = |persistent: u64| {
            let mut text = record("sim", 7, 0, 0);
            text["items"]["persistent"] = persistent.into();
            [RunFigures::read(Path::new("r"), &text.to_string()).unwrap()]
        };
        assert_eq!(compare(&single(10), &single(2), 0.0).agreement(), Agreement::NotJudged);
    }

    #[test]
    fn measure_of_one_set_only_is_listed_and_not_judged() {
        let comparison = compare(&[run("netns", 7, 20, 20)], &[run("sim", 7, 0, 0)], 0.0);
        let direct = comparison.measures.iter().find(|measure| measure.name == "direct: a, b").unwrap();
        assert!(direct.agreement == Agreement::NotJudged && direct.sets[1].is_none());
    }

    #[test]
    fn unlike_runs_are_refused() {
        let refused = |other: RunFigures| RunComparison::of([&set(&[1]), &[other]], 0.0).unwrap_err().to_string();
        let like = run("sim", 7, 20, 20);
        let other = RunFigures { name: "u".to_owned(), ..like.clone() };
        assert_eq!(refused(other), "the runs are of different topologies: `t` and `u`");
        for (part, change) in [("networks", 0), ("node groups", 1), ("steps", 2)] {
            let mut other = like.clone();
            *[&mut other.shape.networks, &mut other.shape.groups, &mut other.shape.steps][change] =
                vec!["x".to_owned()];
            let text = refused(other);
            assert!(
                text.starts_with(&format!("the topologies differ in their {part}: ")) && text.ends_with(" and x"),
                "{text}"
            );
        }
        let not_played = RunFigures { verdict: "not played".to_owned(), ..like.clone() };
        assert_eq!(refused(not_played), "the run of seed 7 in set B did not end as a run does: not played");
        let mixed = [like.clone(), run("netns", 7, 20, 20)];
        let error = RunComparison::of([&[like], &mixed], 0.0).unwrap_err().to_string();
        assert_eq!(error, "set B mixes runs of sim and netns: compare sets of one backend each");
    }
}
