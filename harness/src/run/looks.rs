//! When all nodes are looked at: from time to time in some steps, and whenever something is judged.

use std::time::Duration;

use super::{Leave, Runner, SEE_DEADLINE};
use crate::backend::Backend;
use crate::events::RunTime;
use crate::op::{Op, OpTarget};
use crate::plan::{EndCondition, Step};

/// Pause between looks while nodes are joining.
const INSPECT_JOINING_EVERY: Duration = Duration::from_millis(250);
/// Pause between looks while a step waits for what they show.
const INSPECT_WAITING_EVERY: Duration = Duration::from_millis(500);
/// Pause between looks otherwise.
const INSPECT_EVERY: Duration = Duration::from_secs(5);

impl<B: Backend> Runner<'_, B> {
    /// Looks at all nodes and samples all metrics, both as they are from now on. Checks are judged by that.
    pub(super) async fn see_now(&mut self) -> Leave {
        let now = self.backend.now();
        while self.pending.samples() {
            if let Some(leave) = self.cut_short() {
                return leave;
            }
            self.turn(RunTime(u64::MAX)).await;
        }
        if self.last_sample.as_ref().is_none_or(|(at, _)| *at < now) {
            self.next_sample = self.backend.now();
        }
        self.inspect_now().await
    }

    /// Looks at all nodes and waits for what is seen. A look that fails leaves an incident in the record and is tried no more.
    pub(super) async fn inspect_now(&mut self) -> Leave {
        let mut begun = false;
        while !begun || self.pending.inspects() || self.pending.samples() {
            if !begun && !self.pending.inspects() {
                self.submit_inspect(self.backend.now());
                begun = true;
            }
            if let Some(leave) = self.cut_short() {
                return leave;
            }
            self.turn(RunTime(u64::MAX)).await;
        }
        Leave::Over
    }

    pub(super) fn submit_inspect(&mut self, now: RunTime) {
        self.inspect_begun = Some(now);
        self.inspect_generation = self.state.generation();
        self.submit(now, Op::Inspect, OpTarget::InPlan, None, SEE_DEADLINE);
    }
}

/// Whether a step without inspections of its own may leave items with other holders.
pub(super) fn changes_holders(step: &Step) -> bool {
    let changes = |op: &Op| matches!(op, Op::Put { .. }) || op.lifecycle().is_some();
    matches!(step.ends, EndCondition::Done { .. }) && step.ops.iter().any(|timed| changes(&timed.op))
}

/// Pause between the looks of a step; `None` if it needs none before its end.
pub(super) fn inspect_pause(ends: &EndCondition) -> Option<Duration> {
    match ends {
        EndCondition::Joined { .. } => Some(INSPECT_JOINING_EVERY),
        EndCondition::Until { .. } => Some(INSPECT_WAITING_EVERY),
        EndCondition::Elapsed { .. } => Some(INSPECT_EVERY),
        EndCondition::Watched { inspect, .. } => Some(*inspect),
        EndCondition::Done { .. } | EndCondition::Checked { .. } => None,
    }
}
