//! Absent keys: whether gets of keys that no item has end, how fast, and with how many messages.

use super::check::{Activity, Form, MeasureFamily, Measurements};
use super::words::{Fault, Names, Word, main_or_quantile, nothing_more};
use crate::plan::{Measure, Statistic};
use crate::results::check_result::CheckUnit;

/// Measures of gets of absent keys.
pub(super) struct AbsentKeys;

impl MeasureFamily for AbsentKeys {
    fn name(&self) -> &'static str {
        "absent keys"
    }

    fn forms(&self) -> &'static [Form] {
        &[
            Form {
                syntax: "absent keys",
                example: "absent keys == 100%",
                meaning: "Share of the gets of keys that no item has of which the node says in time that there is no such item.",
            },
            Form {
                syntax: "absent keys pN",
                example: "absent keys p95 <= 5s",
                meaning: "A percentile of the durations of these.",
            },
            Form {
                syntax: "absent keys messages",
                example: "absent keys messages <= 40",
                meaning: "Mean number of query messages of these.",
            },
        ]
    }

    fn parse(&self, rest: &[Word<'_>], _: &Names<'_>) -> Result<Measure, Fault> {
        match rest {
            [("messages", _), more @ ..] => nothing_more(Measure::new(self.name(), Statistic::Mean("messages")), more),
            rest => main_or_quantile(self.name(), rest),
        }
    }

    fn unit(&self, measure: &Measure) -> CheckUnit {
        match measure.statistic {
            Statistic::Quantile(_) => CheckUnit::Seconds,
            Statistic::Mean(_) => CheckUnit::Plain,
            _ => CheckUnit::Share,
        }
    }

    fn missing(&self, _: &Measure, before: &Activity) -> Option<&'static str> {
        (!before.sought_absent).then_some("no retrieve step before it looks for absent keys")
    }

    fn was_exercised(&self, run: &Measurements<'_>) -> bool {
        run.tally.absents.queries > 0
    }

    fn evaluate(&self, measure: &Measure, run: &Measurements<'_>) -> Result<f64, String> {
        let absents = &run.tally.absents;
        let value = match measure.statistic {
            Statistic::Quantile(share) => absents.latency_s(share),
            Statistic::Mean(_) => absents.messages_mean(),
            _ => absents.share(),
        };
        value.ok_or_else(|| "no get of an absent key ended so".to_owned())
    }
}
