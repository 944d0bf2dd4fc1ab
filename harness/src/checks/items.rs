//! Items: how many are stored, how many persist, and in how many copies.

use super::check::{Activity, Form, MeasureFamily, Measurements};
use super::words::{Fault, Names, Word, nothing_more};
use crate::plan::{Measure, Statistic};
use crate::results::check_result::{CheckFailures, CheckUnit};
use crate::results::items::ItemSnapshot;
use crate::statistics::ratio;

/// Persistence: the share of acknowledged items that live nodes still hold.
pub(super) struct Persistence;
/// Stored: the share of items whose store was acknowledged.
pub(super) struct Stored;
/// Copies: how many live copies a block has.
pub(super) struct Copies;

impl MeasureFamily for Persistence {
    fn name(&self) -> &'static str {
        "persistence"
    }

    fn forms(&self) -> &'static [Form] {
        &[Form {
            syntax: "persistence",
            example: "persistence >= 99%",
            meaning: "Share of the acknowledged items of which a live node holds every block.",
        }]
    }

    fn parse(&self, rest: &[Word<'_>], _: &Names<'_>) -> Result<Measure, Fault> {
        nothing_more(Measure::new(self.name(), Statistic::Main), rest)
    }

    fn unit(&self, _: &Measure) -> CheckUnit {
        CheckUnit::Share
    }

    fn missing(&self, _: &Measure, before: &Activity) -> Option<&'static str> {
        nothing_stored(before)
    }

    fn evaluate(&self, _: &Measure, run: &Measurements<'_>) -> Result<f64, String> {
        let snapshot = snapshot(run)?;
        share(snapshot.persistent, snapshot.acknowledged, "no item was acknowledged")
    }

    fn failures(&self, _: &Measure, run: &Measurements<'_>) -> Option<CheckFailures> {
        CheckFailures::of("item", run.tally.items.lost.iter().map(|item| item.0))
    }
}

impl MeasureFamily for Stored {
    fn name(&self) -> &'static str {
        "stored"
    }

    fn forms(&self) -> &'static [Form] {
        &[Form {
            syntax: "stored",
            example: "stored == 100%",
            meaning: "Share of the items to be stored whose store was acknowledged.",
        }]
    }

    fn parse(&self, rest: &[Word<'_>], _: &Names<'_>) -> Result<Measure, Fault> {
        nothing_more(Measure::new(self.name(), Statistic::Main), rest)
    }

    fn unit(&self, _: &Measure) -> CheckUnit {
        CheckUnit::Share
    }

    fn missing(&self, _: &Measure, before: &Activity) -> Option<&'static str> {
        nothing_stored(before)
    }

    fn evaluate(&self, _: &Measure, run: &Measurements<'_>) -> Result<f64, String> {
        let items = &run.tally.items;
        share(items.acknowledged.len(), items.planned, "no item was to be stored")
    }

    fn failures(&self, _: &Measure, run: &Measurements<'_>) -> Option<CheckFailures> {
        CheckFailures::of("item", run.tally.items.refused.iter().map(|item| item.0))
    }
}

impl MeasureFamily for Copies {
    fn name(&self) -> &'static str {
        "copies"
    }

    fn forms(&self) -> &'static [Form] {
        &[Form {
            syntax: "copies",
            example: "copies <= 3.2",
            meaning: "Mean number of live copies per block of the acknowledged items.",
        }]
    }

    fn parse(&self, rest: &[Word<'_>], _: &Names<'_>) -> Result<Measure, Fault> {
        nothing_more(Measure::new(self.name(), Statistic::Main), rest)
    }

    fn unit(&self, _: &Measure) -> CheckUnit {
        CheckUnit::Plain
    }

    fn missing(&self, _: &Measure, before: &Activity) -> Option<&'static str> {
        nothing_stored(before)
    }

    fn evaluate(&self, _: &Measure, run: &Measurements<'_>) -> Result<f64, String> {
        let snapshot = snapshot(run)?;
        share(snapshot.copies, snapshot.blocks, "no item was acknowledged")
    }
}

fn nothing_stored(before: &Activity) -> Option<&'static str> {
    (!before.stored).then_some("no step before it stores an item")
}

fn snapshot(run: &Measurements<'_>) -> Result<ItemSnapshot, String> {
    let missing = || match run.tally.items.snapshot {
        None if run.tally.items.look_failed => "the look at the nodes failed",
        None => "no snapshot of the nodes was taken",
        Some(_) => "no snapshot of the nodes was taken since an item was acknowledged",
    };
    run.tally.items.telling_snapshot().copied().ok_or_else(|| missing().to_owned())
}

fn share(part: usize, whole: usize, nothing: &str) -> Result<f64, String> {
    ratio(part as u64, whole as u64).ok_or_else(|| nothing.to_owned())
}
