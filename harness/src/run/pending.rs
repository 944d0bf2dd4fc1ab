//! What was submitted to a backend and has not been reported yet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use butter::core::identity::NodeId;

use super::rebind_recovery::End;
use crate::events::RunTime;
use crate::op::OpId;
use crate::plan::{ItemIndex, NetworkIndex, NodeIndex};

/// A submitted action.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) what: What,
    pub(super) submitted: RunTime,
    /// When the backend has broken its promise to report.
    pub(super) deadline: RunTime,
    /// The step that it belongs to; `None` for looks and samples.
    pub(super) step: Option<usize>,
}

/// What a pending action is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Start {
        node: NodeIndex,
    },
    Kill {
        node: NodeIndex,
    },
    Stop {
        node: NodeIndex,
    },
    Put {
        item: ItemIndex,
        node: NodeIndex,
    },
    Get {
        item: ItemIndex,
        node: NodeIndex,
    },
    /// With its addresses from then on, and the ends of links over it, with who is at either end.
    Rebind {
        network: NetworkIndex,
        addresses: Vec<Ipv4Addr>,
        ends: Vec<(End, [NodeId; 2])>,
    },
    /// One end of such a link asks the other.
    Ask {
        end: End,
    },
    SetLink {
        network: NetworkIndex,
    },
    Link {
        node: NodeIndex,
        peer: NodeIndex,
        within: Duration,
    },
    /// With the count of changes to the live nodes at the time.
    Look {
        generation: u64,
    },
    Sample,
}

impl What {
    /// The node whose life changes.
    pub(super) fn changes(&self) -> Option<NodeIndex> {
        match self {
            What::Start { node } | What::Kill { node } | What::Stop { node } => Some(*node),
            _ => None,
        }
    }

    /// For a person.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            What::Start { .. } => "a start",
            What::Kill { .. } => "a kill",
            What::Stop { .. } => "a stop",
            What::Put { .. } => "a put",
            What::Get { .. } => "a get",
            What::Rebind { .. } => "a rebind",
            What::Ask { .. } => "a question",
            What::SetLink { .. } => "a change of a link",
            What::Link { .. } => "a link",
            What::Look { .. } => "a look at all nodes",
            What::Sample => "a sample of all metrics",
        }
    }
}

/// Everything that is pending: no more than the plan's actions, a question of each end that asks, one look and one sample. Every question is cheap, as they are
/// asked at each report.
#[derive(Debug, Default)]
pub(super) struct Ops {
    next: u64,
    pending: BTreeMap<OpId, Pending>,
    deadlines: BTreeSet<(RunTime, OpId)>,
    per_step: BTreeMap<Option<usize>, usize>,
    /// Nodes with a pending start, kill or stop: at most one each.
    changing: BTreeSet<NodeIndex>,
    looks: usize,
    samples: usize,
}

impl Ops {
    pub(super) fn insert(&mut self, pending: Pending) -> OpId {
        let op = OpId(self.next);
        self.next += 1;
        self.deadlines.insert((pending.deadline, op));
        *self.per_step.entry(pending.step).or_default() += 1;
        match &pending.what {
            What::Look { .. } => self.looks += 1,
            What::Sample => self.samples += 1,
            what => self.changing.extend(what.changes()),
        }
        self.pending.insert(op, pending);
        op
    }

    pub(super) fn remove(&mut self, op: OpId) -> Option<Pending> {
        let pending = self.pending.remove(&op)?;
        self.deadlines.remove(&(pending.deadline, op));
        if let Some(count) = self.per_step.get_mut(&pending.step) {
            *count -= 1;
        }
        match &pending.what {
            What::Look { .. } => self.looks -= 1,
            What::Sample => self.samples -= 1,
            what => {
                what.changes().map(|node| self.changing.remove(&node));
            }
        }
        Some(pending)
    }

    /// Takes one that should have been reported by `now`.
    pub(super) fn overdue(&mut self, now: RunTime) -> Option<Pending> {
        let &(deadline, op) = self.deadlines.first()?;
        if deadline <= now { self.remove(op) } else { None }
    }

    /// When the first of them is overdue.
    pub(super) fn deadline(&self) -> Option<RunTime> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// How many of a step's actions are pending.
    pub(super) fn of_step(&self, step: usize) -> usize {
        self.per_step.get(&Some(step)).copied().unwrap_or(0)
    }

    /// Whether any action of the plan is pending.
    pub(super) fn any_act(&self) -> bool {
        self.pending.len() > self.looks + self.samples
    }

    /// Whether a start, kill or stop of the node is pending.
    pub(super) fn is_changing(&self, node: NodeIndex) -> bool {
        self.changing.contains(&node)
    }

    pub(super) fn looks(&self) -> bool {
        self.looks > 0
    }

    pub(super) fn samples(&self) -> bool {
        self.samples > 0
    }
}
