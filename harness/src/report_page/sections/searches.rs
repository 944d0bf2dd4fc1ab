//! Searches for keywords: how long they took, and which missed values or brought wrong ones.

use serde::Serialize;
use serde_json::{Value, json};

use super::super::run_files::RunFiles;
use super::super::section::PageSection;
use super::super::thin::{ThinList, shortened};
use super::queries::{FOUND, QueryData};

/// Most searches that are listed: the worst.
const LISTED_MAX: usize = 60;
/// Most searches that are kept until the worst are known.
const KEPT_MAX: usize = 4 * LISTED_MAX;
/// Longest query, in bytes.
const QUERY_BYTES_MAX: usize = 160;

/// Searches as they ended.
#[derive(Debug, Default)]
pub(in super::super) struct SearchData {
    ended: QueryData,
    /// The worst of those that did not bring exactly what is there.
    incomplete: Vec<ListedSearch>,
    /// How many these are.
    incomplete_of: usize,
}

#[derive(Clone, Debug, Serialize)]
struct ListedSearch {
    search: u64,
    at_ms: u64,
    node: String,
    query: String,
    took_us: u64,
    outcome: &'static str,
    expected: Option<u64>,
    found: Option<u64>,
    wrong: Option<u64>,
    messages: Option<u64>,
}

impl PageSection for SearchData {
    fn event(&mut self, at_us: u64, name: &str, event: &Value, files: &RunFiles) {
        if name != "searched" {
            return;
        }
        let outcome = outcome(&event["result"]);
        self.ended.take(at_us, event, outcome, files);
        if outcome == FOUND {
            return;
        }
        let count = |key: &str| event["result"][key].as_u64();
        self.incomplete_of += 1;
        self.incomplete.push(ListedSearch {
            search: event["search"].as_u64().unwrap_or_default(),
            at_ms: at_us / 1_000,
            node: event["node"].as_str().unwrap_or_default().to_owned(),
            query: shortened(event["query"].as_str().unwrap_or_default(), QUERY_BYTES_MAX),
            took_us: event["took_us"].as_u64().unwrap_or_default(),
            outcome,
            expected: count("expected"),
            found: count("found"),
            wrong: count("wrong"),
            messages: count("messages"),
        });
        if self.incomplete.len() > KEPT_MAX {
            self.incomplete = worst(std::mem::take(&mut self.incomplete));
        }
    }

    fn data(&self, files: &RunFiles) -> Value {
        let mut data = self.ended.data(files);
        if !data.is_null() {
            data["incomplete"] = json!(ThinList { rows: worst(self.incomplete.clone()), of: self.incomplete_of });
        }
        data
    }
}

/// Those that brought the least of what is there, in the order in which they ended.
fn worst(mut searches: Vec<ListedSearch>) -> Vec<ListedSearch> {
    let share = |search: &ListedSearch| match (search.found, search.expected) {
        (Some(found), Some(expected)) if expected > 0 => found as f64 / expected as f64,
        (Some(_), Some(_)) => 1.0,
        _ => 0.0,
    };
    searches.sort_by(|one, other| share(one).total_cmp(&share(other)).then(one.search.cmp(&other.search)));
    searches.truncate(LISTED_MAX);
    searches.sort_by_key(|search| search.search);
    searches
}

/// What came of a search: success is everything that is there, and nothing else.
fn outcome(result: &Value) -> &'static str {
    let count = |key: &str| result[key].as_u64().unwrap_or_default();
    match result["outcome"].as_str() {
        Some("ended") if count("wrong") > 0 => "wrong_hits",
        Some("ended") if count("found") < count("expected") => "incomplete",
        Some("ended") => FOUND,
        Some("timed_out") => "timed_out",
        _ => "unasked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_everything_and_nothing_else_is_success() {
        let of = |expected, found, wrong| {
            outcome(&json!({"outcome": "ended", "expected": expected, "found": found, "wrong": wrong}))
        };
        assert_eq!((of(3, 3, 0), of(0, 0, 0), of(3, 2, 0), of(3, 3, 1)), (FOUND, FOUND, "incomplete", "wrong_hits"));
        assert_eq!((outcome(&json!({"outcome": "timed_out"})), outcome(&json!({}))), ("timed_out", "unasked"));
    }

    #[test]
    fn of_many_incomplete_searches_the_worst_are_listed_in_their_order() {
        let search = |search: u64| ListedSearch {
            search,
            at_ms: search,
            node: String::new(),
            query: String::new(),
            took_us: 0,
            outcome: "incomplete",
            expected: Some(1_000),
            found: Some(search),
            wrong: Some(0),
            messages: None,
        };
        let listed = worst((0..500).rev().map(search).collect());
        assert_eq!(listed.iter().map(|search| search.search).collect::<Vec<_>>(), (0..60).collect::<Vec<_>>());
    }
}
