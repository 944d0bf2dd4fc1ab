//! Whether a simulated run and real ones of the same topology agree, measure by measure.
//!
//! Two backends agree in a measure if their means over seeds differ by no more than its tolerance. Shares agree also if one
//! mean lies within the other's 95 % interval: of ten queries one is ten percent. Means that are further apart differ if chance
//! does not explain it, by a permutation test over runs ([`crate::statistics::permutation`]). Otherwise the measure is left open,
//! because runs of more seeds would tell. Fewer than four seeds can show no difference.
//!
//! The simulator has no processors. So where real nodes share every core with something else, latencies are shown and not compared.

use super::check_result::CheckUnit;
use super::compare::LEVEL;
use super::run_set::{MeasureName, RunFigures};
use crate::statistics::permutation::adjusted_p;
use crate::statistics::{mean_and_deviation, mean_interval};

/// Largest relative difference of latencies.
const LATENCY_TOLERANCE: f64 = 0.15;
/// Difference of latencies that is none, in seconds: real processes wait that long for a core, simulated ones never do.
const LATENCY_SLACK_S: f64 = 0.005;
/// Largest relative difference of messages and bytes, per query and per node.
const MESSAGES_TOLERANCE: f64 = 0.10;
/// Largest relative difference of copies per block.
const COPIES_TOLERANCE: f64 = 0.02;
/// Largest difference of shares that is none.
const SHARE_TOLERANCE: f64 = 0.005;

/// A measure of one backend, over all its seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AgreementFigure {
    /// Mean over runs.
    pub mean: f64,
    /// The 95 % interval of the mean, of two runs or more.
    pub interval: Option<(f64, f64)>,
}

/// A measure of a topology on two backends.
#[derive(Clone, Debug, PartialEq)]
pub struct AgreementRow {
    /// Name of the topology.
    pub topology: String,
    /// The measure that is compared.
    pub measure: MeasureName,
    /// Names of both backends, the reference first.
    pub backends: [String; 2],
    /// The measure on each; `None` where no run had it.
    pub figures: [Option<AgreementFigure>; 2],
    /// Whether both backends agree in it.
    pub verdict: AgreementVerdict,
}

/// Whether two backends agree in a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgreementVerdict {
    /// The difference is within the tolerance, or a share within the other's interval.
    Agrees,
    /// Neither the tolerance nor chance explains the difference, or only one backend has the measure.
    Differs,
    /// Chance may explain the difference: more seeds would decide.
    Open,
    /// The simulator does not model what the measure depends on.
    NotCompared,
}

/// A topology of which runs are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreementTopology {
    /// Its name, as in the file.
    pub name: String,
    /// Whether real nodes share every core with something else.
    pub has_busy_cores: bool,
}

/// Measures that are judged.
const MEASURES: [MeasureName; 13] = [
    MeasureName::Stored,
    MeasureName::Persistence,
    MeasureName::Copies,
    MeasureName::Retrieval,
    MeasureName::RetrievalP50,
    MeasureName::RetrievalP95,
    MeasureName::RetrievalMessages,
    MeasureName::AbsentKeys,
    MeasureName::AbsentMessages,
    MeasureName::SearchRecall,
    MeasureName::SearchPrecision,
    MeasureName::NodeMessages,
    MeasureName::NodeBytes,
];

/// Compares the runs of `backend` with those of `reference`, topology by topology. Runs that were not played to their end, or not in
/// the environment that they declare, do not count.
pub fn agreement(
    runs: &[RunFigures],
    topologies: &[AgreementTopology],
    reference: &str,
    backend: &str,
) -> Vec<AgreementRow> {
    let mut rows = Vec::new();
    for topology in topologies {
        let sets = [reference, backend].map(|of| ended_runs(runs, &topology.name, of));
        for (measure, p) in MEASURES.iter().zip(chances(&sets)) {
            let [one, other] = [&sets[0], &sets[1]].map(|set| values(set, measure).flatten().collect::<Vec<f64>>());
            let is_latency = matches!(measure, MeasureName::RetrievalP50 | MeasureName::RetrievalP95);
            if !one.is_empty() || !other.is_empty() {
                rows.push(AgreementRow {
                    topology: topology.name.clone(),
                    measure: measure.clone(),
                    backends: [reference, backend].map(str::to_owned),
                    figures: [&one, &other].map(|values| AgreementFigure::of(values)),
                    verdict: match topology.has_busy_cores && is_latency {
                        true => AgreementVerdict::NotCompared,
                        false => judge(measure, &one, &other, p),
                    },
                });
            }
        }
    }
    rows
}

fn ended_runs<'r>(runs: &'r [RunFigures], topology: &str, backend: &str) -> Vec<&'r RunFigures> {
    runs.iter().filter(|run| run.name == topology && run.backend == backend && run.has_ended()).collect()
}

/// A measure in every run of a set.
fn values(set: &[&RunFigures], measure: &MeasureName) -> impl Iterator<Item = Option<f64>> {
    set.iter().map(|run| run.values.get(measure).map(|measured| measured.value))
}

/// For each measure, the probability of a difference as great as that seen if the backends do not differ, adjusted for all of them.
fn chances(sets: &[Vec<&RunFigures>; 2]) -> Vec<f64> {
    let all = |measure| sets.iter().flat_map(|set| values(set, measure)).collect();
    adjusted_p(&MEASURES.iter().map(all).collect::<Vec<_>>(), sets[0].len())
}

/// `p` is the probability of such a difference by chance.
fn judge(measure: &MeasureName, values: &[f64], other_values: &[f64], p: f64) -> AgreementVerdict {
    let (Some(one), Some(other)) = (AgreementFigure::of(values), AgreementFigure::of(other_values)) else {
        // What one backend measures and the other never does is a difference.
        return AgreementVerdict::Differs;
    };
    let tolerance = tolerance(measure, one.mean.max(other.mean));
    let is_share = measure.unit() == CheckUnit::Share;
    if (one.mean - other.mean).abs() <= tolerance || is_share && (one.holds(other.mean) || other.holds(one.mean)) {
        AgreementVerdict::Agrees
    } else if p > LEVEL {
        AgreementVerdict::Open
    } else {
        AgreementVerdict::Differs
    }
}

/// The largest difference that is none, where the greater mean is `scale`.
fn tolerance(measure: &MeasureName, scale: f64) -> f64 {
    match measure {
        MeasureName::RetrievalP50 | MeasureName::RetrievalP95 => LATENCY_SLACK_S.max(LATENCY_TOLERANCE * scale),
        MeasureName::RetrievalMessages
        | MeasureName::AbsentMessages
        | MeasureName::NodeMessages
        | MeasureName::NodeBytes => MESSAGES_TOLERANCE * scale,
        MeasureName::Copies => COPIES_TOLERANCE * scale,
        _ => SHARE_TOLERANCE,
    }
}

impl AgreementFigure {
    fn of(values: &[f64]) -> Option<Self> {
        let (mean, _) = mean_and_deviation(values)?;
        Some(AgreementFigure { mean, interval: mean_interval(values) })
    }

    fn holds(&self, value: f64) -> bool {
        self.interval.is_some_and(|(low, high)| (low..=high).contains(&value))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::results::fixture::record;

    /// Runs on a backend of which a get took so long in the median.
    fn runs(backend: &str, p50: &[f64]) -> Vec<RunFigures> {
        let run = |(seed, &p50): (u64, &f64)| {
            let mut text = record(backend, seed, 0, 0);
            text["queries"]["total"] = serde_json::json!({"queries": 9, "found": 9, "latency_s": {"p50": p50}});
            RunFigures::read(Path::new("r"), &text.to_string()).unwrap()
        };
        (1..).zip(p50).map(run).collect()
    }

    fn verdict_of(sim: &[f64], netns: &[f64], has_busy_cores: bool) -> AgreementVerdict {
        let topology = AgreementTopology { name: "t".to_owned(), has_busy_cores };
        let runs = [runs("sim", sim), runs("netns", netns)].concat();
        let rows = agreement(&runs, &[topology], "sim", "netns");
        assert_eq!(rows.len(), 4, "stored, persistence, retrieval and its median");
        let others = rows.iter().filter(|row| row.measure != MeasureName::RetrievalP50);
        assert!(others.into_iter().all(|row| row.verdict == AgreementVerdict::Agrees), "{rows:?}");
        rows.iter().find(|row| row.measure == MeasureName::RetrievalP50).unwrap().verdict
    }

    #[test]
    fn quantities_agree_within_their_tolerance() {
        let judge = |measure, one: f64, other: f64| judge(&measure, &[one; 5], &[other; 5], 0.01);
        let agree = |measure, one, other| judge(measure, one, other) == AgreementVerdict::Agrees;
        assert!(agree(MeasureName::RetrievalP50, 1.0, 1.15));
        assert_eq!(judge(MeasureName::RetrievalP95, 1.0, 1.3), AgreementVerdict::Differs);
        assert!(agree(MeasureName::RetrievalP50, 0.0008, 0.0017) && !agree(MeasureName::RetrievalP50, 0.02, 0.03));
        assert!(agree(MeasureName::RetrievalMessages, 10.0, 9.1) && !agree(MeasureName::RetrievalMessages, 10.0, 8.0));
        assert!(agree(MeasureName::Copies, 3.0, 3.05) && !agree(MeasureName::Copies, 3.0, 3.2));
    }

    #[test]
    fn what_chance_may_explain_is_left_open() {
        let sim = [1.0, 1.1, 0.9, 1.05, 0.95];
        assert_eq!(verdict_of(&sim, &[1.5, 1.6, 1.4, 1.55, 1.45], false), AgreementVerdict::Differs);
        assert_eq!(verdict_of(&sim, &[0.5, 2.6, 0.4, 2.55, 1.45], false), AgreementVerdict::Open);
        // Three runs may lie apart by chance, however far.
        assert_eq!(verdict_of(&sim[..3], &[9.0, 9.1, 9.2], false), AgreementVerdict::Open);
        // One slow run does not hide that all are slower.
        let fast = [0.003, 0.0031, 0.0029, 0.003, 0.003];
        assert_eq!(verdict_of(&fast, &[0.07, 0.2, 0.02, 0.03, 0.05], false), AgreementVerdict::Differs);
        assert_eq!(verdict_of(&fast, &[0.07, 0.2, 0.02, 0.03, 0.05], true), AgreementVerdict::NotCompared);
    }

    #[test]
    fn shares_agree_if_one_lies_within_the_others_interval() {
        let judge = |one: &[f64], other: &[f64]| judge(&MeasureName::Retrieval, one, other, 0.01);
        assert_eq!(judge(&[1.0, 1.0, 1.0], &[0.99, 1.0, 0.97]), AgreementVerdict::Agrees);
        assert_eq!(judge(&[1.0, 1.0, 1.0], &[0.9, 0.89, 0.91]), AgreementVerdict::Differs);
        assert_eq!(judge(&[1.0, 1.0, 1.0], &[0.996, 0.996, 0.996]), AgreementVerdict::Agrees);
        assert_eq!(judge(&[1.0, 1.0, 1.0], &[]), AgreementVerdict::Differs);
    }

    #[test]
    fn runs_that_the_environment_has_spoiled_do_not_count() {
        let mut runs = [runs("sim", &[1.0]), runs("netns", &[1.0, 9.0])].concat();
        runs[2].verdict = "environment failed".to_owned();
        let topology = AgreementTopology { name: "t".to_owned(), has_busy_cores: false };
        let rows = agreement(&runs, &[topology], "sim", "netns");
        assert!(rows.iter().all(|row| row.verdict == AgreementVerdict::Agrees), "{rows:?}");
    }
}
