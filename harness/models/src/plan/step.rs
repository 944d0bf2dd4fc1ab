//! What happens in a run, and when.

use std::time::Duration;

use serde::Serialize;

use super::Check;
use crate::duration_text;
use crate::op::Op;

/// One step, expanded: its operations at their times, counted from its beginning, and when it ends.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// The name of its verb in the file, such as `join`.
    pub verb: &'static str,
    /// One line for progress and reports: `churn for 60s: 1 %/s of all nodes fail, replaced by fresh nodes`.
    pub summary: String,
    /// Its operations, in order of time.
    pub ops: Vec<TimedOp>,
    /// The condition that ends the step.
    pub ends: EndCondition,
    /// Line in the file, from 1.
    pub line: usize,
}

/// An operation at its time.
#[derive(Clone, Debug, Serialize)]
pub struct TimedOp {
    /// Time from the beginning of its step.
    #[serde(serialize_with = "duration_text::serialize")]
    pub after: Duration,
    /// The operation that is submitted then.
    #[serde(flatten)]
    pub op: Op,
}

impl TimedOp {
    /// At the beginning of the step.
    pub fn at_once(op: Op) -> Self {
        TimedOp { after: Duration::ZERO, op }
    }
}

/// When a step ends.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCondition {
    /// The known-host graph of all live nodes is one component.
    Joined {
        /// The run fails if that takes longer.
        #[serde(serialize_with = "duration_text::serialize")]
        deadline: Duration,
    },
    /// A time has passed, and all its operations are done.
    Elapsed {
        /// Time from its beginning.
        #[serde(serialize_with = "duration_text::serialize")]
        duration: Duration,
    },
    /// The same, and all nodes are inspected every so often meanwhile.
    Watched {
        /// Time from its beginning.
        #[serde(serialize_with = "duration_text::serialize")]
        duration: Duration,
        /// Pause between inspections.
        #[serde(serialize_with = "duration_text::serialize")]
        inspect: Duration,
    },
    /// All its operations are done.
    Done {
        /// The step fails if that takes longer.
        #[serde(serialize_with = "duration_text::serialize")]
        deadline: Duration,
    },
    /// Checks hold, all at once.
    Until {
        /// What must hold.
        checks: Vec<Check>,
        /// The step fails if that takes longer.
        #[serde(serialize_with = "duration_text::serialize")]
        deadline: Duration,
    },
    /// Checks are evaluated on the state of the run.
    Checked {
        /// The step fails if one of these does.
        checks: Vec<Check>,
    },
}

impl EndCondition {
    /// How long the step may last at most; evaluating checks takes no time.
    pub fn limit(&self) -> Duration {
        match self {
            EndCondition::Joined { deadline }
            | EndCondition::Done { deadline }
            | EndCondition::Until { deadline, .. } => *deadline,
            EndCondition::Elapsed { duration } | EndCondition::Watched { duration, .. } => *duration,
            EndCondition::Checked { .. } => Duration::ZERO,
        }
    }
}
