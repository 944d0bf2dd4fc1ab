//! Active views of a run: into how many components the graph of neighbours falls, and how soon it heals.

use serde::Serialize;

use crate::events::{Event, EventKind, RunTime};
use crate::statistics::ratio;

/// Share of the live nodes that are in one component of a graph that has healed.
const HEALED: f64 = 0.99;

/// The graph of neighbours at a look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ViewSnapshot {
    /// When the nodes were looked at.
    pub at: RunTime,
    /// Share of the live nodes in the largest component.
    pub largest: f64,
}

/// Every look, and the last failure of a node.
#[derive(Clone, Debug, Default)]
pub struct ViewTally {
    /// In order of time; looks without live nodes are left out.
    pub snapshots: Vec<ViewSnapshot>,
    /// When a node last ended without notice.
    pub failed_at: Option<RunTime>,
    /// Number of looks before that.
    before: usize,
}

impl ViewTally {
    /// Takes a look or a failure, if the event is one.
    pub(super) fn add(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Killed { .. } | EventKind::NodeDied { .. } => {
                (self.failed_at, self.before) = (Some(event.at), self.snapshots.len());
            }
            EventKind::Inspected { live, views, .. } => {
                if let Some(largest) = ratio(views.largest as u64, *live as u64) {
                    self.snapshots.push(ViewSnapshot { at: event.at, largest });
                }
            }
            _ => {}
        }
    }
}

/// The section `views` of `result.json`: figures of the graph of neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ViewFigures {
    /// Share of the live nodes in the largest component at the last look.
    pub last: Option<f64>,
    /// The same at the first look after the last failure of a node.
    pub after_kill: Option<f64>,
    /// Seconds from that failure to the look from which on 99 of 100 are in one component.
    pub healed_s: Option<f64>,
}

impl ViewFigures {
    /// Of the looks so far.
    pub fn of(tally: &ViewTally) -> Self {
        let last = tally.snapshots.last().map(|snapshot| snapshot.largest);
        let Some(failed_at) = tally.failed_at else { return ViewFigures { last, ..ViewFigures::default() } };
        let after = &tally.snapshots[tally.before..];
        let broken = after.iter().rposition(|snapshot| snapshot.largest < HEALED);
        let whole = after.get(broken.map_or(0, |at| at + 1));
        ViewFigures {
            last,
            after_kill: after.first().map(|snapshot| snapshot.largest),
            healed_s: whole.map(|snapshot| (snapshot.at.0 - failed_at.0) as f64 / 1e6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{BlockSpread, ViewGraph};
    use crate::plan::NodeIndex;

    fn look(at_s: u64, largest: usize, live: usize) -> Event {
        let kind = EventKind::Inspected {
            live,
            components: 1,
            persistent: 0,
            acknowledged: 0,
            copies: 0,
            blocks: 0,
            copies_max: 0,
            spread: BlockSpread::default(),
            views: ViewGraph { components: 1 + live - largest, largest },
        };
        Event { at: RunTime(at_s * 1_000_000), kind }
    }

    #[test]
    fn the_graph_has_healed_once_it_stays_whole() {
        let mut tally = ViewTally::default();
        tally.add(&look(1, 200, 200));
        assert_eq!(ViewFigures::of(&tally), ViewFigures { last: Some(1.0), ..ViewFigures::default() });
        tally.add(&Event { at: RunTime(2_000_000), kind: EventKind::Killed { node: NodeIndex(0) } });
        for (at, largest) in [(2, 60), (4, 100), (6, 90)] {
            tally.add(&look(at, largest, 100));
        }
        let figures = ViewFigures::of(&tally);
        assert_eq!((figures.after_kill, figures.last, figures.healed_s), (Some(0.6), Some(0.9), None));
        tally.add(&look(8, 99, 100));
        tally.add(&look(10, 100, 100));
        assert_eq!(ViewFigures::of(&tally).healed_s, Some(6.0));
    }
}
