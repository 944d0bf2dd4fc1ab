//! Everything that failed in a run, one line each.

use super::fates::Fate;
use super::record::{Record, RecordedEvent, RecordedKind, RecordedQuery, StoredResult};
use super::{StorySubject, items, links, queries, searches, seconds};

/// Most lines of a section. What is left out is counted.
const LINES_MAX: usize = 100;
/// Place of the section on searches, if there are any: after that on queries.
const SEARCHES_AT: usize = 3;

/// Failures of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureList {
    /// What they are, such as `lost items`.
    pub title: &'static str,
    /// How many there are.
    pub total: usize,
    /// The first of them.
    pub cases: Vec<FailureCase>,
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureCase {
    /// What failed, and why.
    pub line: String,
    /// What has a story that says more, if anything.
    pub subject: Option<StorySubject>,
}

/// A failure whose cause is looked for only when it is shown: that takes a walk through all events.
pub(super) type LateCase<'r> = Box<dyn FnOnce() -> FailureCase + 'r>;

/// A failure without a story of its own.
pub(super) fn plain<'r>(line: impl FnOnce() -> String + 'r) -> LateCase<'r> {
    Box::new(move || FailureCase { line: line(), subject: None })
}

/// Lost items, failed puts, queries and searches, nodes that were down at the end, and incidents. With a newline at its end.
pub fn overview(record: &Record) -> String {
    let mut text = record.result.as_ref().map_or_else(
        || "the run was cut off: its record has no result\n".to_owned(),
        |result| format!("{} on {}, seed {}: {}\n", result.name, result.backend, result.seed, result.verdict),
    );
    for FailureList { title, total, cases } in failures(record, LINES_MAX) {
        text += &format!("{title}: {total}\n");
        cases.iter().for_each(|case| text += &format!("  {}\n", case.line));
        if total > cases.len() {
            text += &format!("  … and {} more\n", total - cases.len());
        }
    }
    text
}

/// Every kind of failure, each with its first `most` cases. Kinds without a case are there, too, except for searches if there were
/// none.
pub fn failures(record: &Record, most: usize) -> Vec<FailureList> {
    let mut kinds = vec![
        ("lost items", lost_items(record)),
        ("failed puts", failed_puts(record)),
        ("failed queries", failed_queries(record)),
        ("links that did not come up", links::failed(record)),
        ("relayed links", links::relayed(record)),
        ("links that were lost in a rebind", links::lost_in_rebinds(record)),
        ("nodes that were down at the end", dead_nodes(record)),
        ("dead routers", dead_routers(record)),
        ("incidents", incidents(record)),
    ];
    if searches::any(record) {
        let searches = searches::failed(record).into_iter().map(|line| plain(|| line)).collect();
        kinds.insert(SEARCHES_AT, ("searches that went wrong", searches));
    }
    let list = |(title, cases): (&'static str, Vec<LateCase<'_>>)| FailureList {
        title,
        total: cases.len(),
        cases: cases.into_iter().take(most).map(|case| case()).collect(),
    };
    kinds.into_iter().map(list).collect()
}

fn lost_items(record: &Record) -> Vec<LateCase<'_>> {
    let case = |item| -> LateCase<'_> {
        Box::new(move || {
            let cause = items::cause(record, item).unwrap_or_else(|| "unknown".to_owned());
            FailureCase { line: format!("item {item}: {cause}"), subject: Some(StorySubject::Item(item)) }
        })
    };
    items::lost(record).into_iter().map(case).collect()
}

fn failed_puts(record: &Record) -> Vec<LateCase<'_>> {
    let case = |event: &RecordedEvent| match &event.kind {
        RecordedKind::Stored { item, node, result: StoredResult::Error(error), .. } => {
            let line = format!("item {item} by {node} at {}: {error}", seconds(event.at));
            Some(plain(|| line))
        }
        _ => None,
    };
    record.events.iter().filter_map(case).collect()
}

fn failed_queries<'r>(record: &'r Record) -> Vec<LateCase<'r>> {
    let failed = record.queries().filter(|(_, query)| !query.is_found());
    let case = |(end, query): (u64, &'r RecordedQuery)| -> LateCase<'r> {
        Box::new(move || {
            let cause = queries::cause(record, end, query).unwrap_or_else(|| "unknown".to_owned());
            let line = format!("query {} (item {} by {}): {cause}", query.query, query.item, query.node);
            FailureCase { line, subject: Some(StorySubject::Query(query.query)) }
        })
    };
    failed.map(case).collect()
}

fn dead_nodes(record: &Record) -> Vec<LateCase<'_>> {
    let case = |(node, fate): (&str, Fate<'_>)| fate.describe().map(|fate| format!("{node} {fate}"));
    Fate::at_end(record).into_iter().filter_map(case).map(|line| plain(|| line)).collect()
}

fn dead_routers(record: &Record) -> Vec<LateCase<'_>> {
    let line = |event: &RecordedEvent| match &event.kind {
        RecordedKind::RouterDied { network, message } => Some(format!("{network} at {}: {message}", seconds(event.at))),
        _ => None,
    };
    record.events.iter().filter_map(line).map(|line| plain(|| line)).collect()
}

fn incidents(record: &Record) -> Vec<LateCase<'_>> {
    let line = |event: &RecordedEvent| match &event.kind {
        RecordedKind::Incident { node, message } => {
            let node = node.as_deref().map_or_else(String::new, |node| format!("{node}: "));
            Some(format!("at {}: {node}{message}", seconds(event.at)))
        }
        _ => None,
    };
    record.events.iter().filter_map(line).map(|line| plain(|| line)).collect()
}
