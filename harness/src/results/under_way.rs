//! A run that goes on: its record so far, and the pace at which that is summed up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::events::{Event, RunTime};
use crate::metrics::history::MetricHistory;
use crate::plan::Plan;
use crate::run::{RunEnd, RunRecord, RunStatus};
use crate::series::Scrape;

/// Least pause between two sums.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The pause after a sum, in times of what it took: so a run is hardly slower because it is shown.
const PAUSE_PER_COST: u32 = 20;

/// What is known of a run that goes on.
#[derive(Debug)]
pub(crate) struct RunUnderWay {
    pub(crate) plan: Arc<Plan>,
    pub(crate) backend: String,
    /// What has happened so far, as if the run had ended with it.
    pub(crate) record: RunRecord,
    pub(crate) status: RunStatus,
}

impl RunUnderWay {
    /// A run that is about to begin, on the backend of this name.
    pub(crate) fn new(plan: Arc<Plan>, backend: &str) -> Self {
        let metric_history = MetricHistory::of(&plan);
        let record = RunRecord { events: Vec::new(), metric_history, last_sample: None, ended: RunEnd::Finished };
        RunUnderWay { plan, backend: backend.to_owned(), record, status: RunStatus::default() }
    }

    /// Adds an event.
    pub(crate) fn event(&mut self, event: Event) {
        self.record.events.push(event);
    }

    /// Adds a sample of all nodes and routers.
    pub(crate) fn sampled(&mut self, at: RunTime, scrapes: Arc<Vec<Scrape>>) {
        self.record.metric_history.take(at, &scrapes);
        self.record.last_sample = Some((at, scrapes));
    }
}

/// When a run that goes on is to be summed up again: the longer that takes, the less often.
#[derive(Debug)]
pub(crate) struct SumPace {
    due: Instant,
    began: Instant,
}

impl Default for SumPace {
    /// The first sum is due at once.
    fn default() -> Self {
        let now = Instant::now();
        SumPace { due: now, began: now }
    }
}

impl SumPace {
    /// Makes the next sum due at once.
    pub(crate) fn hurry(&mut self) {
        self.due = Instant::now();
    }

    /// Whether a sum is due, which then begins.
    pub(crate) fn begin(&mut self) -> bool {
        self.began = Instant::now();
        self.began >= self.due
    }

    /// Ends the sum that has begun.
    pub(crate) fn end(&mut self) {
        self.due = self.began + pause(self.began.elapsed());
    }
}

/// From the beginning of a sum that took so long to the next one.
fn pause(took: Duration) -> Duration {
    PAUSE_MIN.max(took * PAUSE_PER_COST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture;

    #[test]
    fn sums_are_paced_by_what_they_cost() {
        assert_eq!(pause(Duration::from_millis(3)), PAUSE_MIN);
        assert_eq!(pause(Duration::from_secs(2)), Duration::from_secs(40));
        let mut pace = SumPace::default();
        assert!(pace.begin());
        pace.end();
        assert!(!pace.begin());
        pace.hurry();
        assert!(pace.begin());
    }

    #[test]
    fn a_sample_is_the_last_one_and_part_of_the_history() {
        let mut run = RunUnderWay::new(Arc::new(fixture::plan()), "sim");
        run.event(fixture::step_began(0));
        run.sampled(RunTime(5), Arc::default());
        assert_eq!(run.record.events.len(), 1);
        assert_eq!(run.record.last_sample.map(|(at, _)| at), Some(RunTime(5)));
    }
}
