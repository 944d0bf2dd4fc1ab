//! Searches of a run: what they found of what the plan says is there, and what they cost.

use serde::Serialize;

use crate::events::{Event, EventKind, SearchResult};
use crate::statistics::{DurationQuantiles, quantile, ratio};

/// Searches as the events so far show them.
#[derive(Clone, Debug, Default)]
pub struct SearchesTally {
    /// Every search that has ended.
    pub searches: Vec<SearchRecord>,
}

/// A search that has ended.
#[derive(Clone, Debug)]
pub struct SearchRecord {
    /// Number of the search in the run, from 0.
    pub number: usize,
    /// Time until it ended, in microseconds.
    pub took_us: u64,
    /// What came of the search.
    pub result: SearchResult,
}

impl SearchesTally {
    /// Adds a search, if the event is one.
    pub(super) fn add(&mut self, event: &Event) {
        if let EventKind::Searched { search, took_us, result, .. } = &event.kind {
            let (number, took_us, result) = (*search, *took_us, result.clone());
            self.searches.push(SearchRecord { number, took_us, result });
        }
    }

    /// Sums over all searches so far.
    pub fn figures(&self) -> SearchFigures {
        let mut figures = SearchFigures { searches: self.searches.len() as u64, ..SearchFigures::default() };
        for SearchRecord { took_us, result, .. } in &self.searches {
            if let SearchResult::Ended { expected, found, wrong, messages, .. } = result {
                figures.ended += 1;
                figures.expected += *expected as u64;
                figures.found += *found as u64;
                figures.wrong += *wrong as u64;
                figures.messages += messages;
                figures.took_us.push(*took_us);
            }
        }
        figures.took_us.sort_unstable();
        figures
    }
}

/// Sums over the searches of a run. One without an answer finds nothing and is not counted as expecting something.
#[derive(Clone, Debug, Default)]
pub struct SearchFigures {
    /// All searches, those that could not be made included.
    pub searches: u64,
    /// Those that the nodes have ended.
    pub ended: u64,
    /// Hits that they should have, together.
    pub expected: u64,
    /// Those of them that they have.
    pub found: u64,
    /// Hits that they should not have.
    pub wrong: u64,
    /// Questions that they took.
    pub messages: u64,
    /// Durations in ascending order, in microseconds.
    took_us: Vec<u64>,
}

impl SearchFigures {
    /// Share of what is there that was found. A search that a node did not end counts as one that found nothing. `None` if
    /// there was nothing to find.
    pub fn recall(&self) -> Option<f64> {
        let share = ratio(self.found, self.expected)?;
        Some(share * ratio(self.ended, self.searches)?)
    }

    /// Share of the hits that are right. `None` without hits.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.found, self.found + self.wrong)
    }

    /// Mean number of questions of a search. `None` without one.
    pub fn messages_mean(&self) -> Option<f64> {
        ratio(self.messages, self.ended)
    }

    /// A quantile (0..1) of the durations, in seconds. `None` without a search.
    pub fn latency_s(&self, share: f64) -> Option<f64> {
        quantile(&self.took_us, share).map(|us| us as f64 / 1e6)
    }
}

/// The section `searches` of `result.json`.
#[derive(Clone, Debug, Serialize)]
pub struct SearchSummary {
    /// All searches, those that could not be made included.
    pub searches: u64,
    /// Searches that the nodes have ended.
    pub ended: u64,
    /// Hits that they should have: acknowledged items that match.
    pub expected: u64,
    /// Those of them that they have.
    pub found: u64,
    /// Hits that they should not have.
    pub wrong: u64,
    /// Share of what is there that was found.
    pub recall: Option<f64>,
    /// Share of the hits that are right.
    pub precision: Option<f64>,
    /// Durations until the end, in seconds.
    pub latency_s: DurationQuantiles,
    /// Mean number of questions of a search.
    pub messages_mean: Option<f64>,
}

impl SearchSummary {
    /// Sums up the searches of a run. `None` without one.
    pub(super) fn of(tally: &SearchesTally) -> Option<Self> {
        let figures = tally.figures();
        (figures.searches > 0).then(|| SearchSummary {
            searches: figures.searches,
            ended: figures.ended,
            expected: figures.expected,
            found: figures.found,
            wrong: figures.wrong,
            recall: figures.recall(),
            precision: figures.precision(),
            latency_s: DurationQuantiles::of(|share| figures.latency_s(share)),
            messages_mean: figures.messages_mean(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::NodeIndex;
    use crate::results::fixture::event;

    fn searched(result: SearchResult) -> Event {
        let (search, node, query) = (0, NodeIndex(0), "a".to_owned());
        event(EventKind::Searched { search, node, query, took_us: 2_000_000, result })
    }

    fn ended(expected: usize, found: usize, wrong: usize) -> SearchResult {
        let (missing, stop) = (Vec::new(), "all_answered".to_owned());
        SearchResult::Ended { expected, found, wrong, missing, messages: 6, unanswered: 0, stop }
    }

    #[test]
    fn recall_and_precision_are_over_all_hits() {
        let mut tally = SearchesTally::default();
        [ended(10, 9, 0), ended(0, 0, 0), ended(2, 2, 1)].into_iter().for_each(|result| tally.add(&searched(result)));
        let figures = tally.figures();
        assert_eq!((figures.recall(), figures.precision()), (Some(11.0 / 12.0), Some(11.0 / 12.0)));
        assert_eq!((figures.messages_mean(), figures.latency_s(0.5)), (Some(6.0), Some(2.0)));
        tally.add(&searched(SearchResult::TimedOut));
        assert_eq!(tally.figures().recall(), Some(11.0 / 12.0 * 0.75));
        assert_eq!(SearchesTally::default().figures().recall(), None);
        assert!(SearchSummary::of(&SearchesTally::default()).is_none());
    }
}
