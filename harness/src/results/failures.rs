//! Why puts, gets and links failed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::events::{Event, EventKind, LinkResult, Retrieved};

/// Most reasons told.
const FAILURES_MAX: usize = 100;

/// Puts, gets or links that failed for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// `put`, `get`, `link`.
    pub what: &'static str,
    /// For a person.
    pub why: String,
    /// How many.
    pub count: u64,
}

/// Every reason, the most frequent first.
pub(crate) fn failures(events: &[Event]) -> Vec<Failure> {
    let mut counts: BTreeMap<(&'static str, &str), u64> = BTreeMap::new();
    for event in events {
        let failed = match &event.kind {
            EventKind::Stored { result: Err(why), .. } => Some(("put", why.as_str())),
            EventKind::Linked { result: LinkResult::Down { why }, .. } => Some(("link", why.as_str())),
            EventKind::Retrieved { result, .. } => retrieval_failure(result).map(|why| ("get", why)),
            _ => None,
        };
        if let Some(failed) = failed {
            *counts.entry(failed).or_default() += 1;
        }
    }
    let failure = |((what, why), count): ((&'static str, &str), u64)| Failure { what, why: why.to_owned(), count };
    let mut failures: Vec<Failure> = counts.into_iter().map(failure).collect();
    failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
    failures.truncate(FAILURES_MAX);
    failures
}

fn retrieval_failure(result: &Retrieved) -> Option<&str> {
    match result {
        Retrieved::Found { .. } => None,
        Retrieved::WrongBytes => Some("other bytes came than were stored"),
        Retrieved::NotFound => Some("the node says that nobody has it"),
        Retrieved::TimedOut => Some("no answer in time"),
        Retrieved::Unasked { why } => Some(why),
        Retrieved::NeverStored => Some("not asked for, as its put was never acknowledged"),
    }
}
