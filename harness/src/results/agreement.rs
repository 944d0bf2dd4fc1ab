//! Whether a simulated run and real ones of the same topology agree, measure by measure.
//!
//! Two backends agree in a measure if their means over seeds differ by no more than its tolerance. Shares agree also if one
//! mean lies within the other's 95 % interval: of ten queries one is ten percent.

use std::collections::BTreeSet;

use super::run_set::{MeasureName, RunFigures};
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
    /// The measure.
    pub measure: MeasureName,
    /// Names of both backends, the reference first.
    pub backends: [String; 2],
    /// The measure on each; `None` where no run had it.
    pub figures: [Option<AgreementFigure>; 2],
    /// Whether they agree.
    pub agrees: bool,
}

/// Measures that are judged.
const MEASURES: [MeasureName; 9] = [
    MeasureName::Stored,
    MeasureName::Persistence,
    MeasureName::Copies,
    MeasureName::Retrieval,
    MeasureName::RetrievalP50,
    MeasureName::RetrievalP95,
    MeasureName::RetrievalMessages,
    MeasureName::NodeMessages,
    MeasureName::NodeBytes,
];

/// Compares the runs of `backend` with those of `reference`, topology by topology, in the order of their names.
pub fn agreement(runs: &[RunFigures], reference: &str, backend: &str) -> Vec<AgreementRow> {
    let topologies: BTreeSet<&str> = runs.iter().map(|run| &*run.name).collect();
    let mut rows = Vec::new();
    for topology in topologies {
        for measure in &MEASURES {
            let figures = [reference, backend].map(|of| figure(runs, topology, of, measure));
            if figures.iter().any(Option::is_some) {
                rows.push(AgreementRow {
                    topology: topology.to_owned(),
                    measure: measure.clone(),
                    backends: [reference, backend].map(str::to_owned),
                    figures,
                    agrees: agrees(measure, figures),
                });
            }
        }
    }
    rows
}

fn figure(runs: &[RunFigures], topology: &str, backend: &str, measure: &MeasureName) -> Option<AgreementFigure> {
    let of = runs.iter().filter(|run| run.name == topology && run.backend == backend);
    let values: Vec<f64> = of.filter_map(|run| Some(run.values.get(measure)?.value)).collect();
    let (mean, _) = mean_and_deviation(&values)?;
    Some(AgreementFigure { mean, interval: mean_interval(&values) })
}

fn agrees(measure: &MeasureName, figures: [Option<AgreementFigure>; 2]) -> bool {
    let [Some(one), Some(other)] = figures else { return false };
    let difference = (one.mean - other.mean).abs();
    let within = |tolerance: f64| difference <= tolerance * one.mean.max(other.mean);
    match measure {
        MeasureName::RetrievalP50 | MeasureName::RetrievalP95 => {
            difference <= LATENCY_SLACK_S || within(LATENCY_TOLERANCE)
        }
        MeasureName::RetrievalMessages | MeasureName::NodeMessages | MeasureName::NodeBytes => {
            within(MESSAGES_TOLERANCE)
        }
        MeasureName::Copies => within(COPIES_TOLERANCE),
        _ => difference <= SHARE_TOLERANCE || one.holds(other.mean) || other.holds(one.mean),
    }
}

impl AgreementFigure {
    fn holds(&self, value: f64) -> bool {
        self.interval.is_some_and(|(low, high)| (low..=high).contains(&value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(mean: f64, half: f64) -> Option<AgreementFigure> {
        Some(AgreementFigure { mean, interval: Some((mean - half, mean + half)) })
    }

    #[test]
    fn quantities_agree_within_their_tolerance() {
        let agree = |measure, one, other| agrees(&measure, [figure(one, 9.0), figure(other, 9.0)]);
        assert!(agree(MeasureName::RetrievalP50, 1.0, 1.15));
        assert!(!agree(MeasureName::RetrievalP95, 1.0, 1.3));
        assert!(agree(MeasureName::RetrievalP50, 0.0008, 0.0017) && !agree(MeasureName::RetrievalP50, 0.02, 0.03));
        assert!(agree(MeasureName::RetrievalMessages, 10.0, 9.1) && !agree(MeasureName::RetrievalMessages, 10.0, 8.0));
        assert!(agree(MeasureName::Copies, 3.0, 3.05) && !agree(MeasureName::Copies, 3.0, 3.2));
    }

    #[test]
    fn shares_agree_if_one_lies_within_the_others_interval() {
        let agree = |one, other| agrees(&MeasureName::Retrieval, [one, other]);
        assert!(agree(figure(1.0, 0.0), figure(0.97, 0.04)));
        assert!(!agree(figure(1.0, 0.0), figure(0.9, 0.04)));
        assert!(agree(figure(1.0, 0.0), figure(0.996, 0.0)));
        assert!(!agree(figure(1.0, 0.0), None));
    }
}
