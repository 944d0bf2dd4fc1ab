//! Failed puts, gets and links, counted by reason.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::events::{AbsentResult, Event, EventKind, LinkResult, Retrieved, SearchResult};

/// Most reasons listed in `result.json`.
const REASONS_MAX: usize = 100;

/// An entry of `failed_operations` in `result.json`: operations of one kind that failed for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedOperations {
    /// Kind of operation: `put`, `get`, `search` or `link`.
    pub operation: &'static str,
    /// One line that says why they failed.
    pub reason: String,
    /// How many failed so.
    pub count: u64,
}

/// Failed operations by kind and reason, the most frequent first.
pub(super) fn failed_operations(events: &[Event]) -> Vec<FailedOperations> {
    let mut counts: BTreeMap<(&'static str, &str), u64> = BTreeMap::new();
    for event in events {
        let failed = match &event.kind {
            EventKind::Stored { result: Err(why), .. } => Some(("put", why.as_str())),
            EventKind::Connected { result: LinkResult::Down { why }, .. } => Some(("link", why.as_str())),
            EventKind::Retrieved { result, .. } => query_failure(result).map(|why| ("get", why)),
            EventKind::SoughtAbsent { result, .. } => absent_failure(result).map(|why| ("get of an absent key", why)),
            EventKind::Searched { result, .. } => search_failure(result).map(|why| ("search", why)),
            _ => None,
        };
        if let Some(failed) = failed {
            *counts.entry(failed).or_default() += 1;
        }
    }
    let entry = |((operation, reason), count): ((&'static str, &str), u64)| FailedOperations {
        operation,
        reason: reason.to_owned(),
        count,
    };
    let mut failed: Vec<FailedOperations> = counts.into_iter().map(entry).collect();
    failed.sort_by_key(|entry| std::cmp::Reverse(entry.count));
    failed.truncate(REASONS_MAX);
    failed
}

fn absent_failure(result: &AbsentResult) -> Option<&str> {
    match result {
        AbsentResult::Absent { .. } => None,
        AbsentResult::Incomplete(_) => Some("not every peer had answered in time"),
        AbsentResult::WrongBytes => Some("the node returned bytes that no item has"),
        AbsentResult::TimedOut => Some("the node gave no answer in time"),
        AbsentResult::Unasked { why } => Some(why),
    }
}

fn search_failure(result: &SearchResult) -> Option<&str> {
    match result {
        SearchResult::Ended { .. } => None,
        SearchResult::TimedOut => Some("the node gave no answer in time"),
        SearchResult::Unasked { why } => Some(why),
    }
}

fn query_failure(result: &Retrieved) -> Option<&str> {
    match result {
        Retrieved::Found { .. } => None,
        Retrieved::WrongBytes => Some("the node returned other bytes than were stored"),
        Retrieved::NotFound => Some("every peer answered the node, and none has the item"),
        Retrieved::Incomplete(search) if search.asked == 0 => Some("the node had no neighbour to ask"),
        Retrieved::Incomplete(_) => Some("the time was up before every peer had answered the node"),
        Retrieved::TimedOut => Some("the node gave no answer in time"),
        Retrieved::Unasked { why } => Some(why),
        Retrieved::NeverStored => Some("not sent, because the put of the item was never acknowledged"),
    }
}
