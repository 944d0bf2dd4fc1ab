//! Rebind recovery: whether links work again after a NAT dropped its mappings, and how fast.

use super::check::{Activity, Form, MeasureFamily, Measurements};
use super::words::{Fault, Names, Word, main_or_quantile};
use crate::plan::{Measure, Statistic};
use crate::results::check_result::CheckUnit;
use crate::results::rebind_recovery::RecoveryFigures;

/// Measures of the ends of links through NATs that were rebound.
pub(super) struct RebindRecovered;

impl MeasureFamily for RebindRecovered {
    fn name(&self) -> &'static str {
        "rebind recovered"
    }

    fn forms(&self) -> &'static [Form] {
        &[
            Form {
                syntax: "rebind recovered",
                example: "rebind recovered == 100%",
                meaning: "Share of the ends of links through a rebound NAT that get an answer again.",
            },
            Form {
                syntax: "rebind recovered pN",
                example: "rebind recovered p50 <= 5s",
                meaning: "A percentile of the times until they get one. An end without an answer counts with an infinite time.",
            },
        ]
    }

    fn parse(&self, rest: &[Word<'_>], _: &Names<'_>) -> Result<Measure, Fault> {
        main_or_quantile(self.name(), rest)
    }

    fn unit(&self, measure: &Measure) -> CheckUnit {
        match measure.statistic {
            Statistic::Quantile(_) => CheckUnit::Seconds,
            _ => CheckUnit::Share,
        }
    }

    fn missing(&self, _: &Measure, before: &Activity) -> Option<&'static str> {
        (!before.rebound).then_some("no rebind step before it makes a NAT drop its mappings")
    }

    fn was_exercised(&self, run: &Measurements<'_>) -> bool {
        RecoveryFigures::of(&run.tally.rebinds.rebinds).share().is_some()
    }

    fn evaluate(&self, measure: &Measure, run: &Measurements<'_>) -> Result<f64, String> {
        let figures = RecoveryFigures::of(&run.tally.rebinds.rebinds);
        let share = figures.share().ok_or_else(|| "no link ran through a NAT that was rebound".to_owned())?;
        match measure.statistic {
            Statistic::Quantile(quantile) => {
                figures.after_s(quantile).ok_or_else(|| "fewer link ends than that got an answer again".to_owned())
            }
            _ => Ok(share),
        }
    }
}
