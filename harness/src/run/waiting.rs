//! Steps that last until checks hold: judged after each look at the nodes and each sample of their metrics.

use std::time::Duration;

use super::{Leave, Runner};
use crate::backend::Backend;
use crate::events::Event;
use crate::metrics::history::MetricHistory;
use crate::plan::{Check, Plan};

/// What has happened in a run that is still going on.
#[derive(Clone, Copy, Debug)]
pub struct RunSoFar<'r> {
    /// What it plays.
    pub plan: &'r Plan,
    /// Everything done and seen.
    pub events: &'r [Event],
    /// The metrics that checks are about.
    pub metric_history: &'r MetricHistory,
}

impl<B: Backend> Runner<'_, B> {
    /// Whether a step that waits is over: its checks hold, or it is too late for them.
    pub(super) fn waited(&mut self, wanted: &[Check], within: Duration, is_late: bool) -> Option<Leave> {
        if self.judged == Some(self.seen) && !is_late {
            return None;
        }
        self.judged = Some(self.seen);
        let so_far = RunSoFar { plan: self.plan, events: &self.events, metric_history: &self.metric_history };
        let Some(unmet) = self.observer.unmet(wanted, &so_far) else { return Some(Leave::Over) };
        is_late.then(|| {
            let within = humantime::format_duration(within);
            Leave::Problem(format!("what it waits for did not come within {within}: {unmet}"))
        })
    }
}
