//! The story of an item: its holders, their ends, its loss.

use std::collections::{BTreeMap, BTreeSet};

use super::fates::{Fate, split};
use super::record::{HoldersChange, Record, RecordedKind, StoredResult};
use super::{list, queries, seconds};

/// Most lines of one story. What is left out is counted.
const LINES_MAX: usize = 200;

/// The story of an item, or `None` if no event is about it.
pub(super) fn story(record: &Record, item: usize) -> Option<String> {
    let mut lines = Vec::new();
    let mut holders: BTreeSet<&str> = BTreeSet::new();
    for event in &record.events {
        let line = match &event.kind {
            RecordedKind::Stored { item: other, node, took_us, result } if *other == item => {
                holders.insert(node);
                Some(stored_line(node, *took_us, result))
            }
            RecordedKind::HoldersChanged(change) if change.item == item => {
                holders = change.holders.iter().map(|holder| holder.node.as_str()).collect();
                Some(holders_line(change))
            }
            RecordedKind::Killed { node } if holders.contains(node.as_str()) => Some(format!("{node} was killed")),
            RecordedKind::NodeDied { node, message } if holders.contains(node.as_str()) => {
                Some(format!("{node} ended unasked: {message}"))
            }
            RecordedKind::RouterDied { network, message } if !holders.is_empty() => {
                Some(format!("network {network} was cut off: {message}"))
            }
            RecordedKind::RepairFailed { item: other, node, peer, failure } if *other == item => {
                Some(repair_line(node, peer.as_deref(), failure))
            }
            RecordedKind::Stopped { node } if holders.contains(node.as_str()) => Some(format!("{node} left")),
            RecordedKind::Suspended { node, op } if holders.contains(node.as_str()) => {
                Some(format!("{node} was suspended by {op}"))
            }
            RecordedKind::Incident { node: Some(node), message } if holders.contains(node.as_str()) => {
                Some(format!("{node}: {message}"))
            }
            RecordedKind::Retrieved(query) if query.item == item && !query.is_found() => Some(queries::line(query)),
            RecordedKind::Partitioned { name, .. } if !holders.is_empty() => {
                Some(format!("the partition {name} began"))
            }
            RecordedKind::Healed { names } if !holders.is_empty() => {
                Some(format!("the partition {} ended", list(names)))
            }
            _ => None,
        };
        lines.extend(line.map(|line| format!("  {:>12}  {line}", seconds(event.at))));
    }
    let is_named = record.events.iter().any(|event| match &event.kind {
        RecordedKind::Stored { item: other, .. } => *other == item,
        RecordedKind::Retrieved(query) => query.item == item,
        _ => false,
    });
    if !is_named {
        return None;
    }
    let more = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    if more > 0 {
        lines.push(format!("  … and {more} more lines in events.jsonl"));
    }
    let mut text = format!("item {item}: {}\n", state(record, item));
    lines.iter().for_each(|line| text += &format!("{line}\n"));
    if let Some(cause) = cause(record, item) {
        text += &format!("cause: {cause}\n");
    }
    Some(text)
}

/// Numbers of the items that no live node holds as a whole at the end of the record.
pub(super) fn lost(record: &Record) -> Vec<usize> {
    let mut lost = BTreeSet::new();
    for event in &record.events {
        if let RecordedKind::HoldersChanged(change) = &event.kind {
            match change.missing_blocks {
                0 => lost.remove(&change.item),
                _ => lost.insert(change.item),
            };
        }
    }
    lost.into_iter().collect()
}

/// Why an item is lost, or was never stored; `None` if neither is so.
pub(super) fn cause(record: &Record, item: usize) -> Option<String> {
    if let Some(error) = put_error(record, item) {
        return Some(format!("its put was refused or failed: {error}"));
    }
    let (seen, change) = record.holders(item).last()?;
    let tried = failed_repairs(record, item).map_or_else(String::new, |tried| format!("; repairs failed: {tried}"));
    (change.missing_blocks > 0).then(|| format!("{}{tried}", loss(record, item, seen, change)))
}

/// Why no live node held a part of an item, as an inspection at `seen` found.
pub(super) fn loss(record: &Record, item: usize, seen: u64, change: &HoldersChange) -> String {
    let last: BTreeSet<&str> =
        change.missing.iter().flat_map(|block| &block.last_holders).map(String::as_str).collect();
    let last: Vec<&str> = last.into_iter().collect();
    let (running, mut down) = split(record, &last, seen);
    let before = record.holders(item).take_while(|(at, _)| *at < seen).last();
    let begun = before.map_or(0, |(at, _)| at);
    let mut up = Vec::new();
    for node in running {
        match Fate::last_end(record, node, (begun, seen)).and_then(Fate::describe) {
            Some(end) => down.push(format!("{node} {end} and came back without it")),
            None => up.push(node),
        }
    }
    let since = before.map_or_else(String::new, |(at, _)| format!(" after {}", seconds(at)));
    match (down.is_empty(), up.is_empty()) {
        (true, true) => "no inspection has seen a holder of it: its holders ended soon after the put".to_owned(),
        (false, true) => {
            let (verb, them) = if down.len() == 1 {
                ("its only holder was gone", "it")
            } else {
                ("all of its holders were gone", "them")
            };
            format!("{verb}{since} before a new node had a copy from {them}: {}", list(&down))
        }
        (true, false) => {
            format!("{} dropped it{since} and still {}", list(&up), if up.len() == 1 { "runs" } else { "run" })
        }
        (false, false) => format!("{}; {} dropped it{since}", list(&down), list(&up)),
    }
}

/// Why the item's put failed, if it did.
pub(super) fn put_error(record: &Record, item: usize) -> Option<&str> {
    record.events.iter().rev().find_map(|event| match &event.kind {
        RecordedKind::Stored { item: other, result, .. } if *other == item => Some(match result {
            StoredResult::Error(error) => Some(error.as_str()),
            StoredResult::Blocks(_) => None,
        }),
        _ => None,
    })?
}

fn state(record: &Record, item: usize) -> String {
    if put_error(record, item).is_some() {
        return "not stored".to_owned();
    }
    match record.holders(item).last() {
        None => "stored, and no inspection has seen its holders".to_owned(),
        Some((at, change)) if change.missing_blocks > 0 => {
            format!("lost, as seen at {}: {}", seconds(at), missing(change))
        }
        Some((_, change)) => {
            let all_up = |holder: &&super::record::Holder| Fate::at(record, &holder.node, u64::MAX) == Fate::Up;
            format!("held by {} live nodes at the end", change.holders.iter().filter(all_up).count())
        }
    }
}

fn stored_line(node: &str, took_us: u64, result: &StoredResult) -> String {
    match result {
        StoredResult::Blocks(blocks) => {
            let blocks = blocks.len();
            let plural = if blocks == 1 { "" } else { "s" };
            format!("{node} stored it: {blocks} block{plural}, acknowledged after {}", seconds(took_us))
        }
        StoredResult::Error(error) => format!("{node} could not store it, after {}: {error}", seconds(took_us)),
    }
}

fn repair_line(node: &str, peer: Option<&str>, failure: &str) -> String {
    let peer = peer.unwrap_or("a node of no run");
    match failure {
        "no_candidate" => format!("{node} wanted a further holder and knew no candidate"),
        "no_room" => format!("{node} wanted {peer} to hold it: no room"),
        "store_failed" => format!("{node} wanted {peer} to hold it: its store failed"),
        "leaving" => format!("{node} wanted {peer} to hold it: it was leaving"),
        "unanswered" => format!("{node} wanted {peer} to hold it: no answer"),
        other => format!("{node} wanted {peer} to hold it: {other}"),
    }
}

/// Attempts to find further holders for an item that failed, by what came of them; nothing if there were none.
fn failed_repairs(record: &Record, item: usize) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &record.events {
        if let RecordedKind::RepairFailed { item: other, failure, .. } = &event.kind
            && *other == item
        {
            *counts.entry(failure).or_default() += 1;
        }
    }
    let counts: Vec<String> =
        counts.iter().map(|(failure, count)| format!("{} ({count})", failure.replace('_', " "))).collect();
    (!counts.is_empty()).then(|| list(&counts))
}

fn holders_line(change: &HoldersChange) -> String {
    let part = |holder: &super::record::Holder| match holder.blocks {
        all if all == change.blocks => holder.node.clone(),
        part => format!("{} ({part} of {} blocks)", holder.node, change.blocks),
    };
    let holders: Vec<String> = change.holders.iter().map(part).collect();
    match (change.missing_blocks, holders.is_empty()) {
        (0, _) => format!("held by {}", list(&holders)),
        (_, true) => format!("no live node holds any of it: {}", missing(change)),
        (_, false) => format!("held in part by {}: {}", list(&holders), missing(change)),
    }
}

fn missing(change: &HoldersChange) -> String {
    let last: BTreeSet<&String> = change.missing.iter().flat_map(|block| &block.last_holders).collect();
    let last: Vec<&String> = last.into_iter().collect();
    let (missing, blocks) = (change.missing_blocks, change.blocks);
    match last.is_empty() {
        true => format!("{missing} of {blocks} blocks missing"),
        false => format!("{missing} of {blocks} blocks missing, last held by {}", list(&last)),
    }
}
