//! Where a run stands, for those who watch it.

use super::QueryCounts;
use crate::events::RunTime;
use crate::metrics::run::RunMetrics;

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunStatus {
    /// The run's clock.
    pub now: RunTime,
    /// The step being played, an index into the plan's steps.
    pub step: Option<usize>,
    /// When that step ends at the latest, if nothing goes wrong.
    pub step_ends: Option<RunTime>,
    /// Nodes that run.
    pub live: usize,
    /// Items acknowledged.
    pub acknowledged: usize,
    /// Items kept, and those that were acknowledged by then, when last inspected.
    pub persistent: Option<(usize, usize)>,
    /// QueryCounts by how they ended.
    pub queries: QueryCounts,
}

impl RunStatus {
    /// The status as metrics.
    pub fn metrics(&self) -> RunMetrics {
        RunMetrics {
            clock: self.now,
            step: self.step,
            nodes_live: self.live,
            items_acknowledged: self.acknowledged,
            items_persistent: self.persistent.map(|(persistent, _)| persistent),
            queries: self.queries.by_outcome(),
        }
    }
}
