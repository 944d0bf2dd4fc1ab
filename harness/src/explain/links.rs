//! Links that did not come up, stayed relayed, or did not come back after a rebind.

use super::fates::Fate;
use super::overview::{LateCase, plain};
use super::partitions;
use super::record::{Record, RecordedKind, RecordedLink};
use super::seconds;

/// Links that were wanted and did not come up, one line each.
pub(super) fn failed<'r>(record: &'r Record) -> Vec<LateCase<'r>> {
    let case = |(at, from, to, link): LinkEnd<'r>| match link {
        RecordedLink::Down { why } => {
            Some(plain(move || format!("{from} to {to} at {}: {}", seconds(at), cause(record, at, (from, to), why))))
        }
        RecordedLink::Up { .. } => None,
    };
    links(record).filter_map(case).collect()
}

/// Links that came up and are relayed, one line each.
pub(super) fn relayed<'r>(record: &'r Record) -> Vec<LateCase<'r>> {
    let case = |(at, from, to, link): LinkEnd<'r>| match link {
        RecordedLink::Up { path, tries } if path == "relayed" => {
            let line = format!("{from} to {to} at {}: tries to link directly: {tries}", seconds(at));
            Some(plain(|| line))
        }
        _ => None,
    };
    links(record).filter_map(case).collect()
}

/// Ends of links that got no answer after a rebind, one line each.
pub(super) fn lost_in_rebinds(record: &Record) -> Vec<LateCase<'_>> {
    let rebinds: Vec<(u64, &str)> = record
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            RecordedKind::Rebound { network } => Some((event.at, network.as_str())),
            _ => None,
        })
        .collect();
    let lost = record.events.iter().filter_map(|event| match &event.kind {
        RecordedKind::Recovered { rebind, node, peer, result } if result.outcome == "lost" => {
            let of = rebinds.get(*rebind).map_or_else(String::new, |(began, network)| {
                format!(" after the rebind of {network} at {}", seconds(*began))
            });
            Some(plain(move || {
                format!("{node} to {peer}{of}: {}", cause(record, event.at, (node, peer), "no answer in time"))
            }))
        }
        _ => None,
    });
    lost.collect()
}

/// When a link that was wanted came about or not, between which nodes, and how.
type LinkEnd<'r> = (u64, &'r str, &'r str, &'r RecordedLink);

fn links(record: &Record) -> impl Iterator<Item = LinkEnd<'_>> {
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
