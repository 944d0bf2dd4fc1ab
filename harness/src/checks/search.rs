//! Searches: what they find of what is there, whether what they find is right, and what they cost.

use super::check::{Activity, Form, MeasureFamily, Measurements};
use super::words::{Fault, Names, Word, nothing_more};
use crate::events::SearchResult;
use crate::plan::{Measure, Statistic};
use crate::results::check_result::{CheckFailures, CheckUnit};

/// A measure of searches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    Recall,
    Precision,
    Messages,
}

impl MeasureFamily for Search {
    fn name(&self) -> &'static str {
        match self {
            Search::Recall => "search recall",
            Search::Precision => "search precision",
            Search::Messages => "search messages",
        }
    }

    fn forms(&self) -> &'static [Form] {
        match self {
            Search::Recall => &[Form {
                syntax: "search recall",
                example: "search recall >= 99%",
                meaning: "Share of the acknowledged items with the keywords of a search that it finds, over all searches.",
            }],
            Search::Precision => &[Form {
                syntax: "search precision",
                example: "search precision == 100%",
                meaning: "Share of the hits of all searches that are items with the keywords.",
            }],
            Search::Messages => &[Form {
                syntax: "search messages",
                example: "search messages <= 40",
                meaning: "Mean number of questions of a search.",
            }],
        }
    }

    fn parse(&self, rest: &[Word<'_>], _: &Names<'_>) -> Result<Measure, Fault> {
        nothing_more(Measure::new(self.name(), Statistic::Main), rest)
    }

    fn unit(&self, _: &Measure) -> CheckUnit {
        if *self == Search::Messages { CheckUnit::Plain } else { CheckUnit::Share }
    }

    fn missing(&self, _: &Measure, before: &Activity) -> Option<&'static str> {
        (!before.searched).then_some("no step before it searches for keywords")
    }

    fn was_exercised(&self, run: &Measurements<'_>) -> bool {
        !run.tally.searches.searches.is_empty()
    }

    fn evaluate(&self, _: &Measure, run: &Measurements<'_>) -> Result<f64, String> {
        let figures = run.tally.searches.figures();
        match self {
            Search::Recall => figures.recall().ok_or("no search had anything to find"),
            Search::Precision => figures.precision().ok_or("no search has found anything"),
            Search::Messages => figures.messages_mean().ok_or("no search has ended"),
        }
        .map_err(str::to_owned)
    }

    fn failures(&self, _: &Measure, run: &Measurements<'_>) -> Option<CheckFailures> {
        let has_failed = |result: &SearchResult| match (self, result) {
            (Search::Recall, SearchResult::Ended { expected, found, .. }) => found < expected,
            (Search::Recall, _) => true,
            (Search::Precision, SearchResult::Ended { wrong, .. }) => *wrong > 0,
            _ => false,
        };
        let failed = run.tally.searches.searches.iter().filter(|search| has_failed(&search.result));
        CheckFailures::of("search", failed.map(|search| search.number))
    }
}
