//! A repair that brought no copy, as the snapshot of a node tells it.

use serde::{Deserialize, Serialize};

use crate::core::identity::{BlockId, NodeId};
use crate::overlay::data::{FailedRepair, InviteRefusal, RepairFailure};

/// A repair that brought no copy: as [`FailedRepair`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRepairBody {
    /// Number among all that the node has failed at, from 0.
    pub number: u64,
    /// The block.
    pub block: BlockId,
    /// The peer that was to hold it; `None` if there was no candidate.
    pub peer: Option<NodeId>,
    /// What came of it.
    pub failure: RepairFailureBody,
}

/// Why a repair brought no copy: as [`RepairFailure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairFailureBody {
    /// No peer is known that could hold the block.
    NoCandidate,
    /// See [`InviteRefusal::NoRoom`].
    NoRoom,
    /// See [`InviteRefusal::StoreFailed`].
    StoreFailed,
    /// See [`InviteRefusal::Leaving`].
    Leaving,
    /// The peer did not answer, or could not be reached.
    Unanswered,
}

impl From<&FailedRepair> for FailedRepairBody {
    fn from(failed: &FailedRepair) -> Self {
        let (peer, failure) = match failed.failure {
            RepairFailure::NoCandidate => (None, RepairFailureBody::NoCandidate),
            RepairFailure::Unanswered(peer) => (Some(peer), RepairFailureBody::Unanswered),
            RepairFailure::Refused(peer, refusal) => (Some(peer), refusal.into()),
        };
        FailedRepairBody { number: failed.number, block: failed.block, peer, failure }
    }
}

impl From<InviteRefusal> for RepairFailureBody {
    fn from(refusal: InviteRefusal) -> Self {
        match refusal {
            InviteRefusal::NoRoom => RepairFailureBody::NoRoom,
            InviteRefusal::StoreFailed => RepairFailureBody::StoreFailed,
            InviteRefusal::Leaving => RepairFailureBody::Leaving,
        }
    }
}
