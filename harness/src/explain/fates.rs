//! Whether a node was up at a moment, and if not, what had happened to it.

use std::collections::BTreeMap;

use super::record::{Record, RecordedKind};
use super::seconds;

/// What last happened to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate<'r> {
    /// It runs, from the beginning or since it was started.
    Up,
    /// It was killed at that time.
    Killed(u64),
    /// It ended at that time without being asked to.
    Died(u64, &'r str),
    /// It left gracefully at that time.
    Left(u64),
    /// Another operation has suspended it, such as `pause`.
    Suspended(u64, &'r str),
}

impl<'r> Fate<'r> {
    /// What had happened to a node by a moment.
    pub(super) fn at(record: &'r Record, node: &str, moment: u64) -> Self {
        let before = record.events.iter().take_while(|event| event.at <= moment);
        before.filter_map(|event| Fate::of(node, event.at, &event.kind)).last().unwrap_or(Fate::Up)
    }

    /// The last end of a node within a stretch of time. It may run again since.
    pub(super) fn last_end(record: &'r Record, node: &str, (from, to): (u64, u64)) -> Option<Self> {
        let within = record.events.iter().filter(|event| (from..=to).contains(&event.at));
        within.filter_map(|event| Fate::of(node, event.at, &event.kind)).rfind(|fate| *fate != Fate::Up)
    }

    /// What had happened to each node by the end: of those to which anything has.
    pub(super) fn at_end(record: &'r Record) -> BTreeMap<&'r str, Self> {
        record.events.iter().filter_map(|event| Fate::change(event.at, &event.kind)).collect()
    }

    /// What an event says about a node.
    fn of(node: &str, at: u64, kind: &'r RecordedKind) -> Option<Self> {
        Fate::change(at, kind).filter(|(other, _)| *other == node).map(|(_, fate)| fate)
    }

    /// The node that an event is about, and what happened to it.
    fn change(at: u64, kind: &'r RecordedKind) -> Option<(&'r str, Self)> {
        match kind {
            RecordedKind::Started { node } => Some((node, Fate::Up)),
            RecordedKind::Killed { node } => Some((node, Fate::Killed(at))),
            RecordedKind::NodeDied { node, message } => Some((node, Fate::Died(at, message))),
            RecordedKind::Stopped { node } => Some((node, Fate::Left(at))),
            RecordedKind::Suspended { node, op } => Some((node, Fate::Suspended(at, op))),
            _ => None,
        }
    }

    /// `was killed at 41.200 s`; `None` of a node that is up.
    pub(super) fn describe(self) -> Option<String> {
        match self {
            Fate::Up => None,
            Fate::Killed(at) => Some(format!("was killed at {}", seconds(at))),
            Fate::Died(at, message) => Some(format!("ended unasked at {} ({message})", seconds(at))),
            Fate::Left(at) => Some(format!("left at {}", seconds(at))),
            Fate::Suspended(at, "pause") => Some(format!("was paused at {}", seconds(at))),
            Fate::Suspended(at, op) => Some(format!("was suspended by {op} at {}", seconds(at))),
        }
    }
}

/// The nodes among these that were up at a moment, and what had happened to each of the others.
pub(super) fn split<'n>(record: &Record, nodes: &[&'n str], moment: u64) -> (Vec<&'n str>, Vec<String>) {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for node in nodes {
        match Fate::at(record, node, moment).describe() {
            None => up.push(*node),
            Some(fate) => down.push(format!("{node} {fate}")),
        }
    }
    (up, down)
}
