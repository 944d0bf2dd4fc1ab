//! What must hold at the end of a run, after a time of quiet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use butter::core::identity::BlockId;

use super::breach::Breach;
use super::watched::WatchedSim;
use crate::events::{Event, EventKind, Retrieved};
use crate::plan::{NodeIndex, Plan};
use crate::run::RunRecord;
use crate::sim::invariants;

/// What does not hold, by the record of the run and by the nodes as they are at its end.
pub(super) fn breaches(plan: &Plan, record: &RunRecord, watched: &WatchedSim) -> Vec<Breach> {
    let sim = watched.sim();
    let engine = sim.engine();
    let liars = plan.nodes.iter().filter(|node| !node.behaviours.is_empty()).count();
    let replicas = plan.nodes.first().map_or(0, |node| plan.node_config(node).data.replicas);
    let mut breaches = of_steps(&record.events);
    breaches.extend(of_drops(plan, replicas, &record.events));
    breaches.extend(of_queries(&record.events));
    breaches.extend(of_copies(liars, &record.events, watched));
    // Searches go from neighbour to neighbour.
    match invariants::neighbour_components(engine) {
        0 | 1 => {}
        components => breaches.push(Breach::Apart { components }),
    }
    let live = engine.nodes().count();
    let honest = engine.nodes().filter(|(slot, _)| sim.is_honest(*slot));
    let isolated = honest.filter(|(_, node)| node.neighbours().count() == 0).count();
    if live > 1 && isolated > 0 {
        breaches.push(Breach::Isolated { nodes: isolated });
    }
    breaches
}

fn of_steps(events: &[Event]) -> Vec<Breach> {
    let breach = |event: &Event| match &event.kind {
        EventKind::StepEnded { step, problem: Some(problem) } => {
            Some(Breach::Step { step: step + 1, problem: problem.clone() })
        }
        EventKind::Incident { message, .. } => Some(Breach::Incident { at: event.at, message: message.clone() }),
        _ => None,
    };
    events.iter().filter_map(breach).collect()
}

/// How old a proof of possession may be when a copy is dropped for it.
const PROOF_AGE_MAX: Duration = Duration::from_secs(10);

/// Items that are lost though nodes that held them last have run ever since. Fewer nodes than an item has copies must have
/// ended since then: otherwise others may have held it between two inspections. Or shortly before: proofs of nodes that are frozen
/// just now still arrive, and a surplus copy is dropped for them.
fn of_drops(plan: &Plan, replicas: usize, events: &[Event]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    // Where each item was last seen whole.
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        let EventKind::HoldersChanged { item, missing, missing_blocks, .. } = &event.kind else { continue };
        if *missing_blocks == 0 {
            seen.insert(item.0, index);
            continue;
        }
        let since = seen.get(&item.0).copied().unwrap_or(0);
        let seen_at = events[since].at;
        let counts = |event: &&Event| event.at.plus(PROOF_AGE_MAX) > seen_at;
        let ended: BTreeSet<NodeIndex> = events[..index].iter().filter(counts).filter_map(end_of).collect();
        if ended.len() >= replicas {
            continue;
        }
        let last: BTreeSet<NodeIndex> = missing.iter().flat_map(|block| block.last_holders.iter().copied()).collect();
        let up: Vec<String> =
            last.iter().filter(|node| !ended.contains(node)).map(|&node| plan.node(node).name.clone()).collect();
        if !up.is_empty() {
            breaches.push(Breach::Dropped { item: item.0, at: event.at, nodes: up });
        }
    }
    breaches
}

fn end_of(event: &Event) -> Option<NodeIndex> {
    match event.kind {
        EventKind::Killed { node }
        | EventKind::Stopped { node }
        | EventKind::Suspended { node, .. }
        | EventKind::NodeDied { node, .. } => Some(node),
        _ => None,
    }
}

/// Queries of the last step that did not find what live nodes hold, and queries at any time that returned wrong bytes.
fn of_queries(events: &[Event]) -> Vec<Breach> {
    let last_step = events.iter().rposition(|event| matches!(event.kind, EventKind::StepBegan { .. })).unwrap_or(0);
    let mut lost = BTreeSet::new();
    let mut breaches = Vec::new();
    for (index, event) in events.iter().enumerate() {
        match &event.kind {
            EventKind::HoldersChanged { item, missing_blocks: 0, .. } => {
                lost.remove(item);
            }
            EventKind::HoldersChanged { item, .. } => {
                lost.insert(*item);
            }
            EventKind::Retrieved { query, result: Retrieved::WrongBytes, .. } => {
                breaches.push(Breach::WrongBytes { query: *query });
            }
            EventKind::Retrieved { query, item, result, .. } if index > last_step && !lost.contains(item) => {
                let outcome = match result {
                    Retrieved::NotFound => "not found".to_owned(),
                    Retrieved::Incomplete(_) => "incomplete".to_owned(),
                    Retrieved::TimedOut => "timed out".to_owned(),
                    Retrieved::Unasked { why } => format!("unasked ({why})"),
                    Retrieved::Found { .. } | Retrieved::WrongBytes | Retrieved::NeverStored => continue,
                };
                breaches.push(Breach::Unfound { query: *query, item: item.0, outcome });
            }
            _ => {}
        }
    }
    breaches
}

/// Blocks of acknowledged items that somebody honest holds, and of which there are too few copies or too many. A hostile node may
/// hold a copy, or be believed for a while to do so. One that claims to have room is handed copies until it is found out, whatever
/// the hour: that a block has too many is a breach if it has had them for long.
fn of_copies(liars: usize, events: &[Event], watched: &WatchedSim) -> Option<Breach> {
    let (sim, lasting) = (watched.sim(), watched.lasting_surplus());
    let wanted = watched.copies_wanted();
    let fewest_allowed = wanted.saturating_sub(liars).max(1);
    let acknowledged: BTreeSet<BlockId> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Stored { result: Ok(blocks), .. } => Some(blocks),
            _ => None,
        })
        .flatten()
        .copied()
        .collect();
    let copies = invariants::copies_at(sim.engine(), |slot| sim.is_honest(slot))
        .into_iter()
        .filter(|(block, _)| acknowledged.contains(block));
    let is_wrong = |block: &BlockId, copies: usize| copies < fewest_allowed || lasting.contains(block);
    let wrong: Vec<usize> =
        copies.filter(|(block, copies)| is_wrong(block, *copies)).map(|(_, copies)| copies).collect();
    let (fewest, most) = (wrong.iter().min()?, wrong.iter().max()?);
    Some(Breach::Copies { blocks: wrong.len(), fewest: *fewest, most: *most, wanted })
}
