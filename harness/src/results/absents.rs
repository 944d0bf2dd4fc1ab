//! Gets of keys that no item has: how many ended rightly, how long they took, and with how many messages.

use serde::Serialize;

use crate::events::{AbsentResult, Event, EventKind};
use crate::statistics::{DurationQuantiles, quantile, ratio};

/// Gets of absent keys as the events so far show them.
#[derive(Clone, Debug, Default)]
pub struct AbsentTally {
    /// Number of gets that have ended.
    pub queries: u64,
    /// Those of which the node said that the key is not there.
    pub absent: u64,
    /// Query messages of those.
    messages: u64,
    /// Their durations, in microseconds and in the order of their ends.
    took_us: Vec<u64>,
}

impl AbsentTally {
    /// Adds a get, if the event is the end of one.
    pub(super) fn add(&mut self, event: &Event) {
        let EventKind::SoughtAbsent { took_us, result, .. } = &event.kind else { return };
        self.queries += 1;
        if let AbsentResult::Absent { messages } = result {
            self.absent += 1;
            self.messages += messages;
            self.took_us.push(*took_us);
        }
    }

    /// Share of the gets that ended rightly. `None` without any.
    pub fn share(&self) -> Option<f64> {
        ratio(self.absent, self.queries)
    }

    /// Mean number of query messages of those. `None` without one.
    pub fn messages_mean(&self) -> Option<f64> {
        ratio(self.messages, self.absent)
    }

    /// A quantile (0..1) of their durations, in seconds. `None` without one.
    pub fn latency_s(&self, share: f64) -> Option<f64> {
        let mut sorted = self.took_us.clone();
        sorted.sort_unstable();
        quantile(&sorted, share).map(|us| us as f64 / 1e6)
    }
}

/// The section `absent` of `result.json`.
#[derive(Clone, Debug, Serialize)]
pub struct AbsentSummary {
    /// All gets of absent keys.
    pub queries: u64,
    /// Those of which the node said that the key is not there.
    pub absent: u64,
    /// Durations of those, in seconds.
    pub latency_s: DurationQuantiles,
    /// Mean number of query messages of those.
    pub messages_mean: Option<f64>,
}

impl AbsentSummary {
    /// Sums up the gets of a run. `None` without one.
    pub(super) fn of(tally: &AbsentTally) -> Option<Self> {
        (tally.queries > 0).then(|| AbsentSummary {
            queries: tally.queries,
            absent: tally.absent,
            latency_s: DurationQuantiles::of(|share| tally.latency_s(share)),
            messages_mean: tally.messages_mean(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::NodeIndex;
    use crate::results::fixture::event;

    #[test]
    fn only_gets_that_end_rightly_count() {
        let mut tally = AbsentTally::default();
        let results = [
            (1_000_000, AbsentResult::Absent { messages: 10 }),
            (3_000_000, AbsentResult::Absent { messages: 20 }),
            (9_000_000, AbsentResult::TimedOut),
            (9_000_000, AbsentResult::WrongBytes),
        ];
        for (took_us, result) in results {
            tally.add(&event(EventKind::SoughtAbsent { node: NodeIndex(0), took_us, result }));
        }
        assert_eq!((tally.share(), tally.messages_mean(), tally.latency_s(1.0)), (Some(0.5), Some(15.0), Some(3.0)));
        assert!(AbsentSummary::of(&AbsentTally::default()).is_none());
    }
}
