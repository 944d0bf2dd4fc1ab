//! Views healed: how soon the graph of neighbours is whole after nodes have failed.

use super::check::{Activity, Form, MeasureFamily, Measurements};
use super::words::{Fault, Names, Word, nothing_more};
use crate::plan::{Measure, Statistic};
use crate::results::check_result::CheckUnit;
use crate::results::views::ViewFigures;

/// The time until nearly all survivors are in one component.
pub(super) struct ViewsHealed;

impl MeasureFamily for ViewsHealed {
    fn name(&self) -> &'static str {
        "views healed"
    }

    fn forms(&self) -> &'static [Form] {
        &[Form {
            syntax: "views healed",
            example: "views healed <= 30s",
            meaning: "Time from the last failure of a node to the look from which on 99 of 100 live nodes stay in one component of the \
                      graph of active views, as each look until the end shows.",
        }]
    }

    fn parse(&self, rest: &[Word<'_>], _: &Names<'_>) -> Result<Measure, Fault> {
        nothing_more(Measure::new(self.name(), Statistic::Main), rest)
    }

    fn unit(&self, _: &Measure) -> CheckUnit {
        CheckUnit::Seconds
    }

    fn missing(&self, _: &Measure, before: &Activity) -> Option<&'static str> {
        (!before.killed).then_some("no step before it kills a node")
    }

    fn was_exercised(&self, run: &Measurements<'_>) -> bool {
        ViewFigures::of(&run.tally.views).after_kill.is_some()
    }

    fn evaluate(&self, _: &Measure, run: &Measurements<'_>) -> Result<f64, String> {
        let figures = ViewFigures::of(&run.tally.views);
        figures.healed_s.ok_or_else(|| "the survivors did not come together".to_owned())
    }
}
