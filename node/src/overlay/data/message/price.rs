//! What a message of the data overlay costs its receiver: see [`crate::overlay::Overlay::price`].

use super::DataMessage;
use crate::overlay::data::Retrieval;

/// A flood goes on to all neighbours, and from there to theirs. Who does not search so itself serves few.
const FLOOD: u32 = 2_000;
const FLOOD_WHERE_USUAL: u32 = 20;
/// Views in a question for proofs that cost as much as one message: each makes this node hash a block.
const PROOFS: u32 = 4;

impl DataMessage {
    /// Its price for a node that searches by `retrieval`. Answers, and what keeps groups alive, cost 1.
    pub(in super::super) fn price(&self, retrieval: Retrieval) -> u32 {
        match self {
            DataMessage::Flood { .. } if retrieval.floods() => FLOOD_WHERE_USUAL,
            DataMessage::Flood { .. } => FLOOD,
            DataMessage::Reunion => 200,
            DataMessage::Suspect { .. } | DataMessage::Search { .. } | DataMessage::Light { .. } => 40,
            DataMessage::IndirectProbe { .. } => 10,
            DataMessage::Sync { .. }
            | DataMessage::Ranges { .. }
            | DataMessage::Vacant { .. }
            | DataMessage::Inventories { .. }
            | DataMessage::InventoryRequests { .. } => 10,
            DataMessage::PeerList { .. } | DataMessage::Absent { .. } => 5,
            DataMessage::Confirm { views, .. } => 1 + views.len() as u32 / PROOFS,
            DataMessage::Find { .. } => 2,
            _ => 1,
        }
    }
}
