//! What a message of the data overlay is sent for: see [`crate::overlay::Overlay::purpose`].

use super::DataMessage;
use crate::core::stats::MessagePurpose;

impl DataMessage {
    /// Blocks that an application stores anew are its payload, and so are those that answer a query. The same blocks are repair where
    /// a group lacks members, or where they move to a peer that holds fewer.
    pub(in super::super) fn purpose(&self) -> MessagePurpose {
        match self {
            DataMessage::Heartbeat { .. }
            | DataMessage::Probe { .. }
            | DataMessage::ProbeAck { .. }
            | DataMessage::IndirectProbe { .. }
            | DataMessage::IndirectAck { .. }
            | DataMessage::Suspect { .. }
            | DataMessage::PeerList { .. }
            | DataMessage::Light { .. }
            | DataMessage::Views { .. }
            | DataMessage::Ranges { .. }
            | DataMessage::Vacant { .. }
            | DataMessage::Sync { .. }
            | DataMessage::SyncReply { .. }
            | DataMessage::Confirm { .. }
            | DataMessage::ConfirmReply { .. }
            | DataMessage::Inventories { .. }
            | DataMessage::InventoryRequests { .. }
            | DataMessage::Reunion
            | DataMessage::Absent { .. } => MessagePurpose::Upkeep,
            DataMessage::Invite { items, .. } if items.iter().any(|item| item.founded) => MessagePurpose::Payload,
            DataMessage::Invite { .. } | DataMessage::InviteReply { .. } => MessagePurpose::Repair,
            DataMessage::FindReply { blocks, .. } if !blocks.is_empty() => MessagePurpose::Payload,
            DataMessage::FloodReply { .. } | DataMessage::Describe { .. } => MessagePurpose::Payload,
            DataMessage::Find { .. }
            | DataMessage::FindReply { .. }
            | DataMessage::Flood { .. }
            | DataMessage::FloodAck { .. }
            | DataMessage::Search { .. }
            | DataMessage::SearchReply { .. } => MessagePurpose::Query,
        }
    }
}
