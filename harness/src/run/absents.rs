//! Gets of keys that no item has: what they cost, and that they end.

use butter::core::identity::BlockId;
use butter::core::random::child;
use rand::Rng;

use super::Runner;
use crate::backend::Backend;
use crate::events::{AbsentResult, EventKind, RunTime};
use crate::op::OpResult;
use crate::plan::NodeIndex;

/// Keeps these generators apart from those of other users of a seed: `absn`, in the upper half.
const PURPOSE: u64 = 0x6162_736E_0000_0000;

/// The id that a key of the plan stands for: random, so that no item has it.
pub(super) fn key_of(key: u64) -> BlockId {
    let mut id = BlockId([0; 32]);
    child(key, PURPOSE).fill_bytes(&mut id.0);
    id
}

/// What a result means for such a key; `None` if it is no result of a get.
pub(super) fn result_of(result: &OpResult) -> Option<AbsentResult> {
    match result {
        OpResult::NotFound { messages, .. } => Some(AbsentResult::Absent { messages: *messages }),
        OpResult::Incomplete { search, .. } => Some(AbsentResult::Incomplete(*search)),
        OpResult::Found(_) => Some(AbsentResult::WrongBytes),
        OpResult::Unanswered => Some(AbsentResult::TimedOut),
        _ => None,
    }
}

impl<B: Backend> Runner<'_, B> {
    /// A get of such a key has ended.
    pub(super) fn sought_absent(&mut self, began: RunTime, at: RunTime, node: NodeIndex, result: AbsentResult) {
        let took_us = at.0.saturating_sub(began.0);
        self.record(at, EventKind::SoughtAbsent { node, took_us, result });
    }
}
