//! Searches of a retrieve step: queries whose answers follow from the plan.

use butter::core::random::{Random, sample};
use butter::overlay::data::keywords::KEYWORDS_MAX;
use butter::overlay::data::search::SEARCH_LIMIT_MAX;
use rand::RngExt;

use super::step::ScheduleError;
use crate::plan::Item;
use crate::topology::diagnostics::DiagnosticSink;
use crate::topology::fields::{Fields, MapSpec, key};
use crate::topology::form::ValueForm;

/// Most queries from one name.
const QUERIES_MAX: u64 = 100_000;
/// Hits of a search where the file names no bound.
const LIMIT_DEFAULT: usize = 1_000;

/// The keys of `search`.
pub(super) static SEARCH: MapSpec = MapSpec {
    what: "a search",
    keys: &[
        key("terms", "2", "keywords of each query, all of which an item must have; 1 if absent")
            .of(ValueForm::Count(1, KEYWORDS_MAX as u64)),
        key("queries", "50", "how many from each name").of(ValueForm::Count(1, QUERIES_MAX)).needed(),
        key("limit", "1000", "most hits of a search; 1000 if absent").of(ValueForm::Count(1, SEARCH_LIMIT_MAX as u64)),
    ],
    later: &[],
};

/// Queries to draw.
#[derive(Clone, Copy, Debug)]
pub(super) struct SearchDraw {
    terms: usize,
    pub(super) queries: u64,
    pub(super) limit: usize,
}

impl SearchDraw {
    /// Reads the key `search` of a retrieve step, if it is there.
    pub(super) fn read(retrieve: &Fields<'_>, problems: &mut DiagnosticSink) -> Option<Self> {
        let (key, node) = retrieve.entry("search")?;
        let fields = Fields::open(node, &key.span, &SEARCH, problems);
        fields.need("queries", problems);
        Some(SearchDraw {
            terms: fields.count("terms", 1, KEYWORDS_MAX as u64, problems).unwrap_or(1) as usize,
            queries: fields.count("queries", 1, QUERIES_MAX, problems).unwrap_or(1),
            limit: fields
                .count("limit", 1, SEARCH_LIMIT_MAX as u64, problems)
                .map_or(LIMIT_DEFAULT, |most| most as usize),
        })
    }

    /// In words, for the summary of a step.
    pub(super) fn text(&self) -> String {
        let keywords = if self.terms == 1 { "keyword" } else { "keywords" };
        format!("search {} times for {} {keywords}", self.queries, self.terms)
    }

    /// The queries. Each asks for keywords of an item, so that it has an answer; what others have it too follows from the plan.
    ///
    /// # Errors
    /// If no item has so many keywords.
    pub(super) fn draw(&self, items: &[Item], random: &mut Random) -> Result<Vec<String>, ScheduleError> {
        let described: Vec<&Item> = items.iter().filter(|item| item.keywords.len() >= self.terms).collect();
        if described.is_empty() {
            return Err(ScheduleError::NoKeywords { terms: self.terms });
        }
        let mut query = || {
            let item = described[random.random_range(0..described.len() as u64) as usize];
            query_of(item, self.terms, random)
        };
        Ok((0..self.queries).map(|_| query()).collect())
    }
}

/// A query for so many keywords of an item, all of which an answer must have.
pub(super) fn query_of(item: &Item, terms: usize, random: &mut Random) -> String {
    sample(random, item.keywords.clone(), terms).join(" AND ")
}
