//! Repair overhead: what repair sends beside what it has to send at least.

use super::check::{Activity, Form, MeasureFamily, Measurements};
use super::words::{Fault, Names, Word, nothing_more};
use crate::plan::{Measure, Statistic};
use crate::results::check_result::CheckUnit;
use crate::results::repair::RepairResults;

/// Repair bytes over the bytes that end with nodes.
pub(super) struct RepairOverhead;

impl MeasureFamily for RepairOverhead {
    fn name(&self) -> &'static str {
        "repair overhead"
    }

    fn forms(&self) -> &'static [Form] {
        &[Form {
            syntax: "repair overhead",
            example: "repair overhead <= 1.5",
            meaning: "Bytes that nodes send to repair, over the bytes that a node holds divided by the mean lifetime of a node. Each byte that \
                      ends with a node must be sent once, so 1 is the least. The goal is at most 1.5.",
        }]
    }

    fn parse(&self, rest: &[Word<'_>], _: &Names<'_>) -> Result<Measure, Fault> {
        nothing_more(Measure::new(self.name(), Statistic::Main), rest)
    }

    fn unit(&self, _: &Measure) -> CheckUnit {
        CheckUnit::Plain
    }

    fn missing(&self, _: &Measure, before: &Activity) -> Option<&'static str> {
        match before {
            Activity { stored: false, .. } => Some("no step before it stores an item"),
            Activity { ended: false, .. } => Some("no step before it kills or stops a node"),
            _ => None,
        }
    }

    fn evaluate(&self, _: &Measure, run: &Measurements<'_>) -> Result<f64, String> {
        let sums = run.metrics.repair(run.tally.end);
        let results = RepairResults::of(sums, &run.tally.node_ends);
        let why = match results {
            RepairResults { bytes: None, .. } => "no sample shows a node that holds a block",
            RepairResults { node_ends: 0, .. } => "no node ended after an item was stored and before the last sample",
            _ => "nodes held no block between samples",
        };
        results.overhead.ok_or_else(|| why.to_owned())
    }
}
