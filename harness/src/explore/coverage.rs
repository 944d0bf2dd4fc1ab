//! How often scenarios have come to what they are to test: a search that never sees a repair proves nothing of repairs.

use std::collections::BTreeMap;
use std::fmt;

use crate::events::{EventKind, Retrieved};
use crate::run::RunRecord;
use crate::series::Source;

/// Something that scenarios are to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CoverageSubject {
    /// Puts that were acknowledged.
    Acknowledged,
    /// Puts that ended with an error.
    FailedPuts,
    /// Queries that returned the value.
    Found,
    /// Queries that returned nothing.
    Unfound,
    /// Nodes that were killed.
    Killed,
    /// Nodes that left gracefully.
    Left,
    /// Nodes that were suspended.
    Paused,
    /// Partitions that began.
    Partitions,
    /// NATs that forgot their mappings.
    Rebinds,
    /// Peers that nodes have declared dead.
    Deaths,
    /// Members recruited in place of others.
    Repairs,
    /// Attempts to recruit one that failed.
    FailedRepairs,
    /// Links through a relay, at the end.
    Relayed,
    /// Links by hole punching, at the end.
    Punched,
}

/// All subjects with their names, in the order in which they are shown.
pub const SUBJECTS: [(CoverageSubject, &str); 14] = [
    (CoverageSubject::Acknowledged, "items acknowledged"),
    (CoverageSubject::FailedPuts, "puts failed"),
    (CoverageSubject::Found, "queries found"),
    (CoverageSubject::Unfound, "queries not found or incomplete"),
    (CoverageSubject::Killed, "nodes killed"),
    (CoverageSubject::Left, "nodes that left"),
    (CoverageSubject::Paused, "nodes paused"),
    (CoverageSubject::Partitions, "partitions"),
    (CoverageSubject::Rebinds, "rebinds"),
    (CoverageSubject::Deaths, "deaths detected"),
    (CoverageSubject::Repairs, "repairs"),
    (CoverageSubject::FailedRepairs, "repairs failed"),
    (CoverageSubject::Relayed, "relayed links"),
    (CoverageSubject::Punched, "punched links"),
];

/// Counts of each subject, and the runs in which it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<CoverageSubject, (u64, u64)>,
    runs: u64,
}

impl Coverage {
    /// What one run has come to.
    pub fn of(record: &RunRecord) -> Self {
        let mut counts: BTreeMap<CoverageSubject, u64> = BTreeMap::new();
        for subject in record.events.iter().filter_map(|event| subject_of(&event.kind)) {
            *counts.entry(subject).or_default() += 1;
        }
        counts.extend([
            (CoverageSubject::Deaths, last_sum(record, "butter_peer_failures_detected_total", None)),
            (CoverageSubject::Repairs, last_sum(record, "butter_repairs_total", None)),
            (CoverageSubject::Relayed, last_sum(record, "butter_links", Some("relayed"))),
            (CoverageSubject::Punched, last_sum(record, "butter_links", Some("punched"))),
        ]);
        let seen = counts.into_iter().map(|(subject, count)| (subject, (count, u64::from(count > 0))));
        Coverage { counts: seen.collect(), runs: 1 }
    }

    /// Adds what another run, or several, have come to.
    pub fn add(&mut self, other: &Coverage) {
        for (&subject, (count, runs)) in &other.counts {
            let sum = self.counts.entry(subject).or_default();
            *sum = (sum.0 + count, sum.1 + runs);
        }
        self.runs += other.runs;
    }

    /// What no run has come to.
    pub fn never(&self) -> impl Iterator<Item = &'static str> + '_ {
        let seen = |subject: CoverageSubject| self.counts.get(&subject).is_some_and(|(count, _)| *count > 0);
        SUBJECTS.into_iter().filter(move |&(subject, _)| !seen(subject)).map(|(_, name)| name)
    }
}

impl fmt::Display for Coverage {
    /// One line for each subject.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (subject, name) in SUBJECTS {
            let (count, runs) = self.counts.get(&subject).copied().unwrap_or_default();
            writeln!(f, "  {name}: {count} in {runs} of {} runs", self.runs)?;
        }
        Ok(())
    }
}

/// What an event is an instance of.
fn subject_of(event: &EventKind) -> Option<CoverageSubject> {
    Some(match event {
        EventKind::Stored { result: Ok(_), .. } => CoverageSubject::Acknowledged,
        EventKind::Stored { result: Err(_), .. } => CoverageSubject::FailedPuts,
        EventKind::Retrieved { result: Retrieved::Found { .. }, .. } => CoverageSubject::Found,
        EventKind::Retrieved { result: Retrieved::NotFound | Retrieved::Incomplete(_), .. } => CoverageSubject::Unfound,
        EventKind::Killed { .. } => CoverageSubject::Killed,
        EventKind::Stopped { .. } => CoverageSubject::Left,
        EventKind::Suspended { .. } => CoverageSubject::Paused,
        EventKind::Partitioned { .. } => CoverageSubject::Partitions,
        EventKind::Rebound { .. } => CoverageSubject::Rebinds,
        EventKind::RepairFailed { .. } => CoverageSubject::FailedRepairs,
        _ => return None,
    })
}

/// The sum of a metric over all live nodes at the last sample, of the series with this label value if one is given.
fn last_sum(record: &RunRecord, name: &str, label: Option<&str>) -> u64 {
    let Some((_, scrapes)) = &record.last_sample else { return 0 };
    let nodes = scrapes.iter().filter(|scrape| matches!(scrape.source, Source::Node(_)));
    let series = nodes.flat_map(|scrape| &scrape.series).filter(|series| *series.name == *name);
    let labelled =
        series.filter(|series| label.is_none_or(|label| series.labels.iter().any(|(_, value)| **value == *label)));
    labelled.map(|series| series.value).sum::<f64>() as u64
}
