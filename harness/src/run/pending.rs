//! Operations that were submitted to the backend and have not completed.

use std::collections::{BTreeMap, BTreeSet};

use crate::events::RunTime;
use crate::op::{Op, OpId};
use crate::plan::NodeIndex;

/// A submitted operation.
#[derive(Clone, Debug)]
pub(super) struct PendingOp {
    pub(super) id: OpId,
    pub(super) op: Op,
    pub(super) submitted: RunTime,
    /// The backend is at fault if it has not completed by then.
    pub(super) deadline: RunTime,
    /// The step that it belongs to; `None` for inspections, samples and pings.
    pub(super) step: Option<usize>,
}

/// Everything that is pending: no more than the plan's operations, one ping for each end of a watched link, one inspection and
/// one sample. Every query is cheap, as they are made at each event.
#[derive(Debug, Default)]
pub(super) struct PendingOps {
    next: u64,
    by_id: BTreeMap<OpId, PendingOp>,
    deadlines: BTreeSet<(RunTime, OpId)>,
    per_step: BTreeMap<Option<usize>, usize>,
    /// Nodes that a pending operation starts or ends: at most one operation each.
    changing: BTreeSet<NodeIndex>,
    inspections: usize,
    samples: usize,
}

impl PendingOps {
    pub(super) fn insert(&mut self, op: Op, submitted: RunTime, deadline: RunTime, step: Option<usize>) -> OpId {
        let id = OpId(self.next);
        self.next += 1;
        self.deadlines.insert((deadline, id));
        *self.per_step.entry(step).or_default() += 1;
        match &op {
            Op::Inspect => self.inspections += 1,
            Op::Sample => self.samples += 1,
            op => self.changing.extend(op.lifecycle_of()),
        }
        self.by_id.insert(id, PendingOp { id, op, submitted, deadline, step });
        id
    }

    pub(super) fn remove(&mut self, id: OpId) -> Option<PendingOp> {
        let pending = self.by_id.remove(&id)?;
        self.deadlines.remove(&(pending.deadline, id));
        if let Some(count) = self.per_step.get_mut(&pending.step) {
            *count -= 1;
        }
        match &pending.op {
            Op::Inspect => self.inspections -= 1,
            Op::Sample => self.samples -= 1,
            op => {
                op.lifecycle_of().map(|node| self.changing.remove(&node));
            }
        }
        Some(pending)
    }

    /// Takes one that should have completed by `now`.
    pub(super) fn overdue(&mut self, now: RunTime) -> Option<PendingOp> {
        let &(deadline, id) = self.deadlines.first()?;
        if deadline <= now { self.remove(id) } else { None }
    }

    /// When the first of them is overdue.
    pub(super) fn deadline(&self) -> Option<RunTime> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// How many operations of a step are pending.
    pub(super) fn of_step(&self, step: usize) -> usize {
        self.per_step.get(&Some(step)).copied().unwrap_or(0)
    }

    /// Whether anything but inspections and samples is pending.
    pub(super) fn any_of_plan(&self) -> bool {
        self.by_id.len() > self.inspections + self.samples
    }

    /// Whether an operation that starts or ends the node is pending.
    pub(super) fn is_changing(&self, node: NodeIndex) -> bool {
        self.changing.contains(&node)
    }

    pub(super) fn inspects(&self) -> bool {
        self.inspections > 0
    }

    pub(super) fn samples(&self) -> bool {
        self.samples > 0
    }
}
