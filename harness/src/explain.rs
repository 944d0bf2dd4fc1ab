//! The stories of a recorded run: what became of items, puts, queries and nodes, in plain sentences with times.
//!
//! Everything is read from the record, so that a run can be explained long after it, on another machine.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `record` | the events of a record, as far as stories need them |
//! | `fates` | whether a node was up at a moment, and if not, what had happened to it |
//! | `partitions` | which nodes a partition kept apart at a moment |
//! | `items` | the story of an item: its holders, their ends, its loss |
//! | `links` | links that did not come up, stayed relayed, or did not come back after a rebind |
//! | `queries` | the story of a query: which nodes it asked, and why it failed |
//! | `searches` | searches for keywords that missed items or brought wrong ones |
//! | `overview` | everything that failed, one line each |

use std::fmt;

mod fates;
mod items;
mod links;
mod overview;
mod partitions;
mod queries;
mod record;
mod searches;

pub use overview::{FailureCase, FailureList, failures, overview};
pub use record::{Record, RecordError};

/// What a story is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorySubject {
    /// The item of this number.
    Item(usize),
    /// The query of this number.
    Query(usize),
}

impl fmt::Display for StorySubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StorySubject::Item(number) => write!(f, "item {number}"),
            StorySubject::Query(number) => write!(f, "query {number}"),
        }
    }
}

/// Why there is no such story. Nothing is wrong with the record.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoryError {
    /// No event of the record is about such an item.
    #[error("the record has no item {0}: no event names it")]
    NoItem(usize),
    /// The run ended before so many queries.
    #[error("the record has no query {wanted}: it has {queries}, numbered from 0")]
    NoQuery {
        /// The number that was asked for.
        wanted: usize,
        /// Queries of the run.
        queries: usize,
    },
}

/// The story of an item, with a newline at its end.
///
/// # Errors
/// If the record has no such item.
pub fn item(record: &Record, item: usize) -> Result<String, StoryError> {
    items::story(record, item).ok_or(StoryError::NoItem(item))
}

/// The story of a query, with a newline at its end.
///
/// # Errors
/// If the record has no such query.
pub fn query(record: &Record, query: usize) -> Result<String, StoryError> {
    queries::story(record, query)
        .ok_or_else(|| StoryError::NoQuery { wanted: query, queries: record.queries().count() })
}

/// `12.345 s`, of microseconds.
fn seconds(us: u64) -> String {
    format!("{:.3} s", us as f64 / 1e6)
}

/// `a, b and c`; `none` of nothing.
fn list(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}
