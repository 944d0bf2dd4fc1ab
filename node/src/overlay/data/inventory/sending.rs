//! Messages of what waits for neighbours, as of the moment in which they are sent.

use std::sync::Arc;

use super::super::DataCx;
use super::super::message::DataMessage;
use super::Inventories;
use super::census::{CensusMark, MARKS_MAX};
use super::notice::{InventoryNews, InventoryNotice, InventoryRequest, NOTICES_MAX, OwnerKey};
use super::outbox::{NeighbourQueue, QueuedNews, QueuedNotice};
use crate::core::identity::NodeId;
use crate::core::wire;

/// Bytes of notices in one message, unless one alone has more.
const MESSAGE_BYTES: usize = 16 * 1024;

impl Inventories {
    /// Sends what is due, as far as the budget goes.
    pub(super) fn send(&mut self, ctx: &mut DataCx<'_, '_>) {
        while let Some((peer, mut queue)) = self.outbox.next(ctx.now) {
            let message = self.notices_of(ctx, &mut queue);
            let requests: Vec<InventoryRequest> = std::mem::take(&mut queue.requests).into_values().collect();
            if !queue.notices.is_empty() {
                self.outbox.put_back(ctx.now, peer, queue);
            }
            if !requests.is_empty() {
                self.post(ctx, peer, DataMessage::InventoryRequests { requests });
            }
            if let Some(message) = message {
                self.post(ctx, peer, message);
            }
        }
    }

    fn post(&mut self, ctx: &mut DataCx<'_, '_>, peer: NodeId, message: DataMessage) {
        let bytes = wire::encoded_len(&message).unwrap_or(wire::FRAME_MAX);
        self.outbox.paid(bytes);
        ctx.stats.inventory_messages += 1;
        ctx.stats.inventory_bytes += bytes as u64;
        ctx.send(peer, message);
    }

    /// Takes from a queue what fits one message.
    fn notices_of(&self, ctx: &DataCx<'_, '_>, queue: &mut NeighbourQueue) -> Option<DataMessage> {
        let mut notices = Vec::new();
        let mut bytes = 0;
        while bytes < MESSAGE_BYTES && notices.len() < NOTICES_MAX {
            let Some((owner, queued)) = queue.notices.pop_first() else { break };
            let Some(notice) = self.notice_of(ctx, owner, &queued) else { continue };
            let length = notice.bytes_at_most();
            if bytes > 0 && bytes + length > MESSAGE_BYTES {
                queue.notices.insert(owner, queued);
                break;
            }
            bytes += length;
            notices.push(notice);
        }
        let marks = std::mem::take(&mut queue.marks);
        let marks: Vec<CensusMark> =
            marks.iter().filter_map(|&hash| self.census.mark(ctx.now, hash)).take(MARKS_MAX).collect();
        (!notices.is_empty() || !marks.is_empty()).then_some(DataMessage::Inventories { notices, marks })
    }

    /// A queued notice with what it says as of now; `None` if the inventory is not kept any more.
    fn notice_of(&self, ctx: &DataCx<'_, '_>, owner: OwnerKey, queued: &QueuedNotice) -> Option<InventoryNotice> {
        let QueuedNotice { spread, hops, ref news } = *queued;
        if matches!(news, QueuedNews::Withdrawn) {
            return Some(InventoryNotice { owner, version: 0, spread, hops, news: InventoryNews::Withdrawn });
        }
        let held = self.index.get(owner);
        let is_own = owner == OwnerKey::of(ctx.me.id);
        let version = match held {
            None if is_own && self.own.is_published() => self.own.version(),
            held => held?.version,
        };
        let whole = || match held {
            None => InventoryNews::Full { contact: Arc::new(ctx.me.clone()), filter: self.own.published() },
            Some(held) => InventoryNews::Full { contact: held.contact.clone(), filter: held.filter.clone() },
        };
        let news = match news {
            QueuedNews::Renewed => InventoryNews::Renewed,
            QueuedNews::Changed { change, to } if *to == version => InventoryNews::Changed(change.clone()),
            _ => whole(),
        };
        Some(InventoryNotice { owner, version, spread, hops, news })
    }
}
