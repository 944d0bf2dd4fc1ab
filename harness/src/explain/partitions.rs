//! Which nodes a partition kept apart at a moment.

use super::record::{Record, RecordedKind};

/// The name of a partition in force during this time that had `node` on one side and each of `others` on another one.
pub(super) fn between<'r>(record: &'r Record, node: &str, others: &[&str], during: (u64, u64)) -> Option<&'r str> {
    let mut in_force: Vec<(&str, &[Vec<String>])> = Vec::new();
    let mut apart = None;
    let separates = |sides: &[Vec<String>]| {
        let side_of = |name: &str| sides.iter().position(|side| side.iter().any(|member| member == name));
        side_of(node).is_some_and(|own| {
            !others.is_empty() && others.iter().all(|other| side_of(other).is_some_and(|side| side != own))
        })
    };
    for event in record.events.iter().take_while(|event| event.at <= during.1) {
        // What holds when the query begins counts as well as what begins during it.
        if event.at > during.0 && apart.is_none() {
            apart = in_force.iter().find(|(_, sides)| separates(sides)).map(|(name, _)| *name);
        }
        match &event.kind {
            RecordedKind::Partitioned { name, sides } => in_force.push((name, sides)),
            RecordedKind::Healed { names } => in_force.retain(|(name, _)| !names.iter().any(|healed| healed == name)),
            _ => {}
        }
    }
    apart.or_else(|| in_force.iter().find(|(_, sides)| separates(sides)).map(|(name, _)| *name))
}

/// The partitions of which the node is part, for the story of a query: name and begin.
pub(super) fn changes<'r>(record: &'r Record, during: (u64, u64)) -> impl Iterator<Item = (u64, String)> + 'r {
    let within = record.events.iter().filter(move |event| event.at >= during.0 && event.at <= during.1);
    within.filter_map(|event| match &event.kind {
        RecordedKind::Partitioned { name, .. } => Some((event.at, format!("the partition {name} began"))),
        RecordedKind::Healed { names } => Some((event.at, format!("the partition {} ended", super::list(names)))),
        _ => None,
    })
}
