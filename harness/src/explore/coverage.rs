//! How often scenarios have come to what they are to test: a search that never sees a repair proves nothing of repairs.

use std::collections::BTreeMap;
use std::fmt;

use crate::events::{EventKind, Retrieved};
use crate::run::RunRecord;
use crate::series::Source;

/// What is counted, in the order in which it is shown.
pub const SUBJECTS: [&str; 14] = [
    "items acknowledged",
    "puts failed",
    "queries found",
    "queries not found or incomplete",
    "nodes killed",
    "nodes that left",
    "nodes paused",
    "partitions",
    "rebinds",
    "deaths detected",
    "repairs",
    "repairs failed",
    "relayed links",
    "punched links",
];

/// Counts of each subject, and the runs in which it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<usize, (u64, u64)>,
    runs: u64,
}

impl Coverage {
    /// What one run has come to.
    pub fn of(record: &RunRecord) -> Self {
        let mut counts = [0_u64; SUBJECTS.len()];
        for event in &record.events {
            let subject = match &event.kind {
                EventKind::Stored { result: Ok(_), .. } => 0,
                EventKind::Stored { result: Err(_), .. } => 1,
                EventKind::Retrieved { result: Retrieved::Found { .. }, .. } => 2,
                EventKind::Retrieved { result: Retrieved::NotFound | Retrieved::Incomplete(_), .. } => 3,
                EventKind::Killed { .. } => 4,
                EventKind::Stopped { .. } => 5,
                EventKind::Suspended { .. } => 6,
                EventKind::Partitioned { .. } => 7,
                EventKind::Rebound { .. } => 8,
                EventKind::RepairFailed { .. } => 11,
                _ => continue,
            };
            counts[subject] += 1;
        }
        counts[9] = last_sum(record, "butter_peer_failures_detected_total", None);
        counts[10] = last_sum(record, "butter_repairs_total", None);
        counts[12] = last_sum(record, "butter_links", Some("relayed"));
        counts[13] = last_sum(record, "butter_links", Some("punched"));
        let seen = counts.iter().enumerate().map(|(subject, &count)| (subject, (count, u64::from(count > 0))));
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
        let seen = |subject: &usize| self.counts.get(subject).is_some_and(|(count, _)| *count > 0);
        (0..SUBJECTS.len()).filter(move |subject| !seen(subject)).map(|subject| SUBJECTS[subject])
    }
}

impl fmt::Display for Coverage {
    /// One line for each subject.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (subject, name) in SUBJECTS.iter().enumerate() {
            let (count, runs) = self.counts.get(&subject).copied().unwrap_or_default();
            writeln!(f, "  {name}: {count} in {runs} of {} runs", self.runs)?;
        }
        Ok(())
    }
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
