//! Everything that failed in a run, one line each.

use std::collections::BTreeSet;

use super::fates::Fate;
use super::record::{Record, RecordedKind, StoredResult};
use super::{items, links, queries, searches, seconds};

/// Most lines of a section. What is left out is counted.
const LINES_MAX: usize = 100;

/// Place of the section on searches, if there are any: after that on queries.
const SEARCHES_AT: usize = 3;

/// Lost items, failed puts, queries and searches, nodes that were down at the end, and incidents. With a newline at its end.
pub fn overview(record: &Record) -> String {
    let mut text = record.result.as_ref().map_or_else(
        || "the run was cut off: its record has no result\n".to_owned(),
        |result| format!("{} on {}, seed {}: {}\n", result.name, result.backend, result.seed, result.verdict),
    );
    let mut sections = vec![
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
        sections.insert(SEARCHES_AT, ("searches that went wrong", searches::failed(record)));
    }
    for (title, lines) in sections {
        text += &format!("{title}: {}\n", lines.len());
        lines.iter().take(LINES_MAX).for_each(|line| text += &format!("  {line}\n"));
        if lines.len() > LINES_MAX {
            text += &format!("  … and {} more\n", lines.len() - LINES_MAX);
        }
    }
    text
}

fn lost_items(record: &Record) -> Vec<String> {
    let line = |item| {
        let cause = items::cause(record, item).unwrap_or_else(|| "unknown".to_owned());
        format!("item {item}: {cause}")
    };
    items::lost(record).into_iter().map(line).collect()
}

fn failed_puts(record: &Record) -> Vec<String> {
    let line = |event: &super::record::RecordedEvent| match &event.kind {
        RecordedKind::Stored { item, node, result: StoredResult::Error(error), .. } => {
            Some(format!("item {item} by {node} at {}: {error}", seconds(event.at)))
        }
        _ => None,
    };
    record.events.iter().filter_map(line).collect()
}

fn failed_queries(record: &Record) -> Vec<String> {
    let failed = record.queries().filter(|(_, query)| !query.is_found());
    let line = |(end, query)| {
        let query: &super::record::RecordedQuery = query;
        let cause = queries::cause(record, end, query).unwrap_or_else(|| "unknown".to_owned());
        format!("query {} (item {} by {}): {cause}", query.query, query.item, query.node)
    };
    failed.map(line).collect()
}

fn dead_nodes(record: &Record) -> Vec<String> {
    let mut names = BTreeSet::new();
    for event in &record.events {
        if let RecordedKind::Killed { node }
        | RecordedKind::Stopped { node }
        | RecordedKind::Suspended { node, .. }
        | RecordedKind::NodeDied { node, .. } = &event.kind
        {
            names.insert(node.as_str());
        }
    }
    let fate = |node: &str| Fate::at(record, node, u64::MAX).describe().map(|fate| format!("{node} {fate}"));
    names.into_iter().filter_map(fate).collect()
}

fn dead_routers(record: &Record) -> Vec<String> {
    let line = |event: &super::record::RecordedEvent| match &event.kind {
        RecordedKind::RouterDied { network, message } => Some(format!("{network} at {}: {message}", seconds(event.at))),
        _ => None,
    };
    record.events.iter().filter_map(line).collect()
}

fn incidents(record: &Record) -> Vec<String> {
    let line = |event: &super::record::RecordedEvent| match &event.kind {
        RecordedKind::Incident { node, message } => {
            let node = node.as_deref().map_or_else(String::new, |node| format!("{node}: "));
            Some(format!("at {}: {node}{message}", seconds(event.at)))
        }
        _ => None,
    };
    record.events.iter().filter_map(line).collect()
}
