//! Views connected: whether the graph of neighbours is one.

use super::check::{Activity, Form, MeasureFamily, Measurements};
use super::words::{Fault, Names, Word, nothing_more};
use crate::plan::{Measure, Statistic};
use crate::results::check_result::CheckUnit;
use crate::results::views::ViewFigures;

/// The share of the live nodes in the largest component of the graph of neighbours.
pub(super) struct ViewsConnected;

impl MeasureFamily for ViewsConnected {
    fn name(&self) -> &'static str {
        "views connected"
    }

    fn forms(&self) -> &'static [Form] {
        &[
            Form {
                syntax: "views connected",
                example: "views connected >= 99%",
                meaning: "Share of the live nodes in the largest component of the graph of active views, at the last look.",
            },
            Form {
                syntax: "views connected after kill",
                example: "views connected after kill >= 50%",
                meaning: "The same share at the first look after nodes last failed.",
            },
        ]
    }

    fn parse(&self, rest: &[Word<'_>], _: &Names<'_>) -> Result<Measure, Fault> {
        match rest {
            [("after", _), ("kill", _), more @ ..] => {
                nothing_more(Measure::new(self.name(), Statistic::Mean("after kill")), more)
            }
            more => nothing_more(Measure::new(self.name(), Statistic::Main), more),
        }
    }

    fn unit(&self, _: &Measure) -> CheckUnit {
        CheckUnit::Share
    }

    fn missing(&self, measure: &Measure, before: &Activity) -> Option<&'static str> {
        let about_kills = matches!(measure.statistic, Statistic::Mean(_));
        (about_kills && !before.killed).then_some("no step before it kills a node")
    }

    fn evaluate(&self, measure: &Measure, run: &Measurements<'_>) -> Result<f64, String> {
        let figures = ViewFigures::of(&run.tally.views);
        match measure.statistic {
            Statistic::Mean(_) => figures.after_kill.ok_or("no node failed, or none was looked at after it"),
            _ => figures.last.ok_or("no snapshot of the nodes was taken"),
        }
        .map_err(str::to_owned)
    }
}
