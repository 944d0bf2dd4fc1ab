//! Repairs that did not bring a copy, and why: the evidence of why a block was lost.

use std::collections::VecDeque;

use super::super::message::InviteRefusal;
use crate::core::identity::{BlockId, NodeId};

/// Most failed repairs that are remembered: the last ones.
const REMEMBERED_MAX: usize = 128;

/// An attempt of this node to find another holder for a block that had too few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedRepair {
    /// Number among all that this node has failed at, from 0.
    pub number: u64,
    /// The block.
    pub block: BlockId,
    /// What came of it.
    pub failure: RepairFailure,
}

/// Why an attempt brought no copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepairFailure {
    /// No peer is known that could hold the block.
    NoCandidate,
    /// The peer declined the block.
    Refused(NodeId, InviteRefusal),
    /// The peer did not answer, or could not be reached.
    Unanswered(NodeId),
}

/// The last failed repairs, oldest first. Two of one block that failed in the same way are one.
#[derive(Debug, Default)]
pub(super) struct FailedRepairs {
    last: VecDeque<FailedRepair>,
    count: u64,
}

impl FailedRepairs {
    pub(super) fn note(&mut self, block: BlockId, failure: RepairFailure) {
        if self.last.iter().any(|noted| noted.block == block && noted.failure == failure) {
            return;
        }
        if self.last.len() >= REMEMBERED_MAX {
            self.last.pop_front();
        }
        self.last.push_back(FailedRepair { number: self.count, block, failure });
        self.count += 1;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &FailedRepair> {
        self.last.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_each_once() {
        let mut failed = FailedRepairs::default();
        let block = |number: usize| BlockId([number as u8; 32]);
        failed.note(block(0), RepairFailure::NoCandidate);
        failed.note(block(0), RepairFailure::NoCandidate);
        assert_eq!(failed.iter().count(), 1);
        for number in 1..=REMEMBERED_MAX {
            failed.note(block(number), RepairFailure::NoCandidate);
        }
        let numbers: Vec<u64> = failed.iter().map(|failed| failed.number).collect();
        assert_eq!(numbers, (1..=REMEMBERED_MAX as u64).collect::<Vec<_>>());
    }
}
