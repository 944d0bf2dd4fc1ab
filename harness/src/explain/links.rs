//! Links that did not come up, stayed relayed, or did not come back after a rebind.

use super::fates::Fate;
use super::partitions;
use super::record::{Record, RecordedKind, RecordedLink};
use super::seconds;

/// Links that were wanted and did not come up, one line each.
pub(super) fn failed(record: &Record) -> Vec<String> {
    let line = |(at, from, to, link): (u64, &str, &str, &RecordedLink)| match link {
        RecordedLink::Down { why } => {
            Some(format!("{from} to {to} at {}: {}", seconds(at), cause(record, at, (from, to), why)))
        }
        RecordedLink::Up { .. } => None,
    };
    links(record).filter_map(line).collect()
}

/// Links that came up and are relayed, one line each.
pub(super) fn relayed(record: &Record) -> Vec<String> {
    let line = |(at, from, to, link): (u64, &str, &str, &RecordedLink)| match link {
        RecordedLink::Up { path, tries } if path == "relayed" => {
            Some(format!("{from} to {to} at {}: tries to link directly: {tries}", seconds(at)))
        }
        _ => None,
    };
    links(record).filter_map(line).collect()
}

/// Ends of links that got no answer after a rebind, one line each.
pub(super) fn lost_in_rebinds(record: &Record) -> Vec<String> {
    let rebinds: Vec<(u64, &str)> = record
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            RecordedKind::Rebound { network } => Some((event.at, network.as_str())),
            _ => None,
        })
        .collect();
    let line = |at: u64, rebind: usize, node: &str, peer: &str| {
        let of = rebinds.get(rebind).map_or_else(String::new, |(began, network)| {
            format!(" after the rebind of {network} at {}", seconds(*began))
        });
        format!("{node} to {peer}{of}: {}", cause(record, at, (node, peer), "no answer in time"))
    };
    let lost = record.events.iter().filter_map(|event| match &event.kind {
        RecordedKind::Recovered { rebind, node, peer, result } if result.outcome == "lost" => {
            Some(line(event.at, *rebind, node, peer))
        }
        _ => None,
    });
    lost.collect()
}

fn links(record: &Record) -> impl Iterator<Item = (u64, &str, &str, &RecordedLink)> {
    record.events.iter().filter_map(|event| match &event.kind {
        RecordedKind::Connected { from, to, result } => Some((event.at, from.as_str(), to.as_str(), result)),
        _ => None,
    })
}

/// Why two nodes did not reach each other by `at`; `said` is what the node itself gave as the reason.
fn cause(record: &Record, at: u64, (from, to): (&str, &str), said: &str) -> String {
    for node in [to, from] {
        if let Some(fate) = Fate::at(record, node, at).describe() {
            return format!("{said}; {node} {fate}");
        }
    }
    match partitions::between(record, from, &[to], (at, at)) {
        Some(partition) => format!("{said}; the partition {partition} kept them apart"),
        None => said.to_owned(),
    }
}
