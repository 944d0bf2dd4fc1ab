//! Searches: what they find of what is there, whether what they find is right, and what they cost.

use super::check::{Activity, Form, MeasureFamily, Measurements};
use super::words::{Fault, Names, Word, nothing_more, unexpected};
use crate::events::SearchResult;
use crate::plan::{Measure, Statistic};
use crate::results::check_result::{CheckFailures, CheckUnit};

/// Measures of searches for keywords.
pub(super) struct Search;

/// Names of what is measured.
const RECALL: &str = "recall";
const PRECISION: &str = "precision";
const MESSAGES: &str = "messages";
const HELP: &str = "write search recall, search precision or search messages";

impl MeasureFamily for Search {
    fn name(&self) -> &'static str {
        "search"
    }

    fn forms(&self) -> &'static [Form] {
        &[
            Form {
                syntax: "search recall",
                example: "search recall >= 99%",
                meaning: "Share of the acknowledged items with the keywords of a search that it finds, over all searches.",
            },
            Form {
                syntax: "search precision",
                example: "search precision == 100%",
                meaning: "Share of the hits of all searches that are items with the keywords.",
            },
            Form {
                syntax: "search messages",
                example: "search messages <= 40",
                meaning: "Mean number of questions of a search.",
            },
        ]
    }

    fn parse(&self, rest: &[Word<'_>], _: &Names<'_>) -> Result<Measure, Fault> {
        let Some((first, more)) = rest.split_first() else {
            return Err(Fault {
                at: 0..self.name().len(),
                what: "it does not say what of searches".to_owned(),
                help: Some(HELP.to_owned()),
            });
        };
        let known = [RECALL, PRECISION, MESSAGES].into_iter().find(|name| *name == first.0);
        let statistic = known.map(Statistic::Mean).ok_or_else(|| unexpected(first, HELP))?;
        nothing_more(Measure::new(self.name(), statistic), more)
    }

    fn unit(&self, measure: &Measure) -> CheckUnit {
        if measure.statistic == Statistic::Mean(MESSAGES) { CheckUnit::Plain } else { CheckUnit::Share }
    }

    fn missing(&self, _: &Measure, before: &Activity) -> Option<&'static str> {
        (!before.searched).then_some("no step before it searches for keywords")
    }

    fn was_exercised(&self, run: &Measurements<'_>) -> bool {
        !run.tally.searches.searches.is_empty()
    }

    fn evaluate(&self, measure: &Measure, run: &Measurements<'_>) -> Result<f64, String> {
        let figures = run.tally.searches.figures();
        let value = match measure.statistic {
            Statistic::Mean(RECALL) => figures.recall().ok_or("no search had anything to find"),
            Statistic::Mean(PRECISION) => figures.precision().ok_or("no search has found anything"),
            _ => figures.messages_mean().ok_or("no search has ended"),
        };
        value.map_err(str::to_owned)
    }

    fn failures(&self, measure: &Measure, run: &Measurements<'_>) -> Option<CheckFailures> {
        let has_failed = |result: &SearchResult| match (&measure.statistic, result) {
            (Statistic::Mean(RECALL), SearchResult::Ended { expected, found, .. }) => found < expected,
            (Statistic::Mean(RECALL), _) => true,
            (Statistic::Mean(PRECISION), SearchResult::Ended { wrong, .. }) => *wrong > 0,
            _ => false,
        };
        let failed = run.tally.searches.searches.iter().filter(|search| has_failed(&search.result));
        CheckFailures::of("search", failed.map(|search| search.number))
    }
}
