//! Spread: how evenly blocks lie on the nodes.

use super::check::{Activity, Form, MeasureFamily, Measurements};
use super::words::{Fault, Names, Word, nothing_more, unexpected};
use crate::events::BlockSpread;
use crate::plan::{Measure, Statistic};
use crate::results::check_result::CheckUnit;
use crate::statistics::ratio;

/// Blocks per node: a quantile relative to the mean, and the share of nodes without any.
pub(super) struct Spread;

const HELP: &str = "write blocks per node p99/mean, or p50 or p100 in its place, or blocks per node empty";

/// Quantiles that snapshots have.
const QUANTILES: [(&str, f64); 3] = [("p50/mean", 0.5), ("p99/mean", 0.99), ("p100/mean", 1.0)];

impl MeasureFamily for Spread {
    fn name(&self) -> &'static str {
        "blocks per node"
    }

    fn forms(&self) -> &'static [Form] {
        &[
            Form {
                syntax: "blocks per node p99/mean",
                example: "blocks per node p99/mean <= 3",
                meaning: "How many times the mean a node holds, such as the one that 99 of 100 do not exceed.",
            },
            Form {
                syntax: "blocks per node empty",
                example: "blocks per node empty <= 5%",
                meaning: "Share of the live nodes that hold no block.",
            },
        ]
    }

    fn parse(&self, rest: &[Word<'_>], _: &Names<'_>) -> Result<Measure, Fault> {
        let (word, more) = match rest {
            [] => {
                let what = "it is not said what of the blocks per node".to_owned();
                return Err(Fault { at: 0..0, what, help: Some(HELP.to_owned()) });
            }
            [word, more @ ..] => (word, more),
        };
        let quantile = QUANTILES.iter().find(|(known, _)| *known == word.0);
        let statistic = match quantile {
            _ if word.0 == "empty" => Statistic::Main,
            Some((_, quantile)) => Statistic::Quantile(*quantile),
            None => return Err(unexpected(word, HELP)),
        };
        nothing_more(Measure::new(self.name(), statistic), more)
    }

    fn unit(&self, measure: &Measure) -> CheckUnit {
        match measure.statistic {
            Statistic::Quantile(_) => CheckUnit::Plain,
            _ => CheckUnit::Share,
        }
    }

    fn missing(&self, _: &Measure, before: &Activity) -> Option<&'static str> {
        (!before.stored).then_some("no step before it stores an item")
    }

    fn evaluate(&self, measure: &Measure, run: &Measurements<'_>) -> Result<f64, String> {
        let snapshot = run.tally.items.snapshot.ok_or("no snapshot of the nodes was taken")?;
        let BlockSpread { nodes, empty, p50, p99, max, .. } = snapshot.spread;
        let held = match measure.statistic {
            Statistic::Quantile(0.5) => p50,
            Statistic::Quantile(1.0) => max,
            Statistic::Quantile(_) => p99,
            _ => return ratio(empty as u64, nodes as u64).ok_or_else(|| "no node is live".to_owned()),
        };
        let mean = snapshot.spread.mean().filter(|mean| *mean > 0.0).ok_or("no node holds a block")?;
        Ok(held as f64 / mean)
    }
}
