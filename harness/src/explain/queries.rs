//! The story of a query: which nodes it asked, and why it failed.

use super::fates::{Fate, split};
use super::record::{Asked, Record, RecordedQuery};
use super::{items, list, partitions, seconds};

/// The story of a query, or `None` if there were not so many.
pub(super) fn story(record: &Record, number: usize) -> Option<String> {
    let (end, query) = record.queries().find(|(_, query)| query.query == number)?;
    let began = end.saturating_sub(query.took_us);
    let mut text = format!(
        "query {number}: {} asked for item {} at {}: {} after {}\n",
        query.node,
        query.item,
        seconds(began),
        outcome(query),
        seconds(query.took_us)
    );
    let mut line = |at: u64, what: &str| text += &format!("  {:>12}  {what}\n", seconds(at));
    if let Some((seen, change)) = record.holders_before(query, began) {
        let holders: Vec<&str> = change.holders.iter().map(|holder| holder.node.as_str()).collect();
        let missing = if change.missing_blocks > 0 { ", and a part of it by no live node" } else { "" };
        match holders.is_empty() {
            true => line(seen, "no live node held any of the item"),
            false => line(seen, &format!("the item was held by {}{missing}", list(&holders))),
        }
    }
    let mut steps: Vec<(u64, String)> = partitions::changes(record, (0, end)).collect();
    steps.extend(query.asked_nodes.iter().map(|asked| (began + asked.after_us, asked_line(asked))));
    steps.sort_by_key(|(at, _)| *at);
    steps.iter().for_each(|(at, what)| line(*at, what));
    line(end, &format!("the query ended: {}", outcome(query)));
    if let Some(cause) = cause(record, end, query) {
        text += &format!("cause: {cause}\n");
    }
    Some(text)
}

/// A failed query in the story of its item.
pub(super) fn line(query: &RecordedQuery) -> String {
    format!("query {} by {}: {} after {}", query.query, query.node, outcome(query), seconds(query.took_us))
}

/// Why a query failed, as far as the record shows; `None` if it did not.
pub(super) fn cause(record: &Record, end: u64, query: &RecordedQuery) -> Option<String> {
    let began = end.saturating_sub(query.took_us);
    match query.result.outcome.as_str() {
        "found" => return None,
        "wrong_bytes" => {
            return Some("the node returned other bytes than were stored, which is a fault of the node".to_owned());
        }
        "never_stored" => {
            let error = items::put_error(record, query.item);
            let error =
                error.map_or_else(|| "its put had not ended".to_owned(), |error| format!("its put failed: {error}"));
            return Some(format!("item {} was never stored: {error}", query.item));
        }
        "unasked" => {
            let fate = Fate::at(record, &query.node, end).describe();
            let fate = fate.map(|fate| format!("{} {fate}", query.node));
            return Some(fate.or_else(|| query.result.why.clone()).unwrap_or_else(|| "it was not asked".to_owned()));
        }
        _ => {}
    }
    let Some((seen, change)) = record.holders_before(query, end) else {
        return Some("no inspection before the query has seen who held the item".to_owned());
    };
    if change.missing_blocks > 0 {
        return Some(format!("no live node held the item: {}", items::loss(record, query.item, seen, change)));
    }
    let holders: Vec<&str> = change.holders.iter().map(|holder| holder.node.as_str()).collect();
    let (up, down) = split(record, &holders, began);
    let whole =
        |node: &&str| change.holders.iter().any(|holder| holder.node == *node && holder.blocks == change.blocks);
    if up.is_empty() {
        return Some(format!("no holder of the item was up: {}", list(&down)));
    }
    if let Some(partition) = partitions::between(record, &query.node, &up, (began, end)) {
        let holders = list(&up);
        return Some(format!("the partition {partition} kept {} apart from every live holder ({holders})", query.node));
    }
    if !up.iter().any(whole) && !down.is_empty() {
        return Some(format!("only parts of the item were held by live nodes ({}): {}", list(&up), list(&down)));
    }
    Some(search_failure(query, &up))
}

/// Why a search did not get an item that these live nodes held.
fn search_failure(query: &RecordedQuery, holders: &[&str]) -> String {
    let held = format!("live nodes held the item ({})", list(holders));
    if query.asked_nodes.is_empty() {
        return match query.result.asked {
            Some(0) | None if query.took_us < 10_000 => format!("{held}, and the search had no neighbour to ask"),
            _ => format!("{held}, and the search did not get it from them{}", counts(query)),
        };
    }
    let of_holders: Vec<&Asked> = query
        .asked_nodes
        .iter()
        .filter(|asked| asked.node.as_deref().is_some_and(|node| holders.contains(&node)))
        .collect();
    if of_holders.is_empty() {
        return format!("{held}, and the search asked none of them{}", counts(query));
    }
    let each: Vec<String> = of_holders.iter().map(|asked| asked_line(asked)).collect();
    format!("{held}: {}", each.join("; "))
}

fn counts(query: &RecordedQuery) -> String {
    let result = &query.result;
    match (result.asked, result.answered) {
        (Some(asked), Some(answered)) => format!(
            " ({asked} asked, {answered} answered, {} timed out, {} unreachable)",
            result.timed_out.unwrap_or(0),
            result.unreachable.unwrap_or(0)
        ),
        _ => String::new(),
    }
}

fn asked_line(asked: &Asked) -> String {
    let node = asked.node.as_deref().unwrap_or("a node of no run");
    let path = match asked.path.as_deref() {
        Some(path) => format!("over a {path} link"),
        None => "without a link at first".to_owned(),
    };
    let answer = match (asked.answer.as_str(), asked.took_us) {
        ("had", Some(took)) => format!("it had the item, after {}", seconds(took)),
        ("lacked", Some(took)) => format!("it did not have it, after {}", seconds(took)),
        ("unreachable", Some(took)) => format!("it could not be reached, after {}", seconds(took)),
        ("unreachable", None) => "it could not be reached".to_owned(),
        ("silent", _) => "no answer".to_owned(),
        (answer, _) => answer.to_owned(),
    };
    format!("asked {node} {path}: {answer}")
}

/// `not found`, `incomplete (9 asked, 7 answered, 2 timed out, 0 unreachable)`
fn outcome(query: &RecordedQuery) -> String {
    let outcome = query.result.outcome.replace('_', " ");
    match (query.result.outcome.as_str(), &query.result.why, query.result.hops) {
        ("found", _, Some(hops)) => format!("found {hops} hops away"),
        (_, Some(why), _) => format!("{outcome} ({why})"),
        _ => format!("{outcome}{}", counts(query)),
    }
}
