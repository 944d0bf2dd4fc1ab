//! What is to be said to each neighbour about inventories, gathered for one message and paid from one budget.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::notice::{CHANGES_MAX, InventoryChange, InventoryRequest, OWNERS_MAX, OwnerKey};
use crate::core::identity::NodeId;
use crate::core::time::Time;

/// Bytes of inventories and of the census that a node sends per second in the long run, to all neighbours together.
const BYTES_PER_SECOND: u64 = 1_024;
/// Bytes that it may send at once after a time without.
const BURST_BYTES: u64 = 48 * 1024;
/// Most notices that wait for one neighbour.
const WAITING_MAX: usize = 2_048;
/// Pause before news is sent: what comes meanwhile goes along.
pub(super) const NEWS_PAUSE: Duration = Duration::from_millis(700);
/// Pause before renewals are sent, which are in no hurry.
pub(super) const RENEWAL_PAUSE: Duration = Duration::from_secs(6);

/// News of one inventory that waits.
#[derive(Clone, Debug)]
pub(super) enum QueuedNews {
    Withdrawn,
    Renewed,
    /// A change that leads to version `to`.
    Changed {
        change: Arc<InventoryChange>,
        to: u32,
    },
    /// The whole inventory as it is when the message is made.
    Full,
}

/// A notice that waits.
#[derive(Clone, Debug)]
pub(super) struct QueuedNotice {
    pub(super) spread: u16,
    pub(super) hops: u8,
    pub(super) news: QueuedNews,
}

/// What waits for one neighbour.
#[derive(Debug, Default)]
pub(super) struct NeighbourQueue {
    pub(super) notices: BTreeMap<OwnerKey, QueuedNotice>,
    pub(super) marks: BTreeSet<u64>,
    pub(super) requests: BTreeMap<OwnerKey, InventoryRequest>,
    due: Option<Time>,
}

/// What waits for all neighbours.
#[derive(Debug)]
pub(super) struct Outbox {
    queues: BTreeMap<NodeId, NeighbourQueue>,
    /// Bytes that may be sent; below zero after a large message.
    credit: i64,
    /// When the credit was last brought up to date.
    credited: Time,
}

impl Default for Outbox {
    fn default() -> Self {
        Outbox { queues: BTreeMap::new(), credit: BURST_BYTES as i64, credited: Time::ZERO }
    }
}

impl Outbox {
    /// Queues a notice about the inventory of `owner`.
    pub(super) fn notice(&mut self, now: Time, to: NodeId, owner: OwnerKey, notice: QueuedNotice) {
        let pause = if matches!(notice.news, QueuedNews::Renewed) { RENEWAL_PAUSE } else { NEWS_PAUSE };
        let queue = self.queue(now, to, pause);
        let has_room = queue.notices.len() < WAITING_MAX;
        match queue.notices.entry(owner) {
            Entry::Occupied(mut waiting) => waiting.get_mut().absorb(notice),
            Entry::Vacant(place) if has_room => _ = place.insert(notice),
            Entry::Vacant(_) => {}
        }
    }

    /// Queues marks of the census. Marks are few.
    pub(super) fn marks(&mut self, now: Time, to: NodeId, hashes: impl IntoIterator<Item = u64>, pause: Duration) {
        self.queue(now, to, pause).marks.extend(hashes);
    }

    /// Queues a request for a whole inventory.
    pub(super) fn request(&mut self, now: Time, to: NodeId, request: InventoryRequest) {
        let queue = self.queue(now, to, NEWS_PAUSE);
        if queue.requests.len() < OWNERS_MAX {
            queue.requests.insert(request.owner, request);
        }
    }

    fn queue(&mut self, now: Time, to: NodeId, pause: Duration) -> &mut NeighbourQueue {
        let queue = self.queues.entry(to).or_default();
        queue.due = Some(queue.due.map_or(now + pause, |due| due.min(now + pause)));
        queue
    }

    /// Forgets what waits for a peer that is no neighbour any more.
    pub(super) fn remove(&mut self, peer: NodeId) {
        self.queues.remove(&peer);
    }

    /// What to send now and to which neighbour, if the budget allows.
    pub(super) fn next(&mut self, now: Time) -> Option<(NodeId, NeighbourQueue)> {
        self.bring_up_to_date(now);
        if self.credit <= 0 {
            return None;
        }
        // Whoever has waited longest comes first, also when the budget is short.
        let due = self.queues.iter().filter_map(|(&peer, queue)| Some((queue.due.filter(|&due| due <= now)?, peer)));
        let (_, peer) = due.min()?;
        self.queues.remove(&peer).map(|queue| (peer, queue))
    }

    /// Puts back what did not fit a message.
    pub(super) fn put_back(&mut self, now: Time, peer: NodeId, mut left: NeighbourQueue) {
        left.due = left.due.or(Some(now));
        self.queues.insert(peer, left);
    }

    /// A message of so many bytes was sent.
    pub(super) fn paid(&mut self, bytes: usize) {
        self.credit -= bytes as i64;
    }

    fn bring_up_to_date(&mut self, now: Time) {
        let earned = now.since(self.credited).as_micros() as u64 * BYTES_PER_SECOND / 1_000_000;
        if earned > 0 {
            self.credit = self.credit.saturating_add(earned as i64).min(BURST_BYTES as i64);
            self.credited = now;
        }
    }

    /// When there is something to send.
    pub(super) fn due(&self) -> Time {
        let queued = self.queues.values().filter_map(|queue| queue.due).min().unwrap_or(Time::NEVER);
        if queued == Time::NEVER || self.credit > 0 {
            return queued;
        }
        let lacking = Duration::from_micros((1 - self.credit) as u64 * 1_000_000 / BYTES_PER_SECOND + 1);
        queued.max(self.credited + lacking)
    }
}

impl QueuedNotice {
    /// Says what a later notice says too.
    fn absorb(&mut self, later: QueuedNotice) {
        let earlier = std::mem::replace(&mut self.news, QueuedNews::Full);
        self.news = match (earlier, later.news) {
            (_, QueuedNews::Withdrawn) => QueuedNews::Withdrawn,
            (QueuedNews::Withdrawn | QueuedNews::Full, _) | (_, QueuedNews::Full) => QueuedNews::Full,
            (QueuedNews::Renewed, news) | (news, QueuedNews::Renewed) => news,
            (QueuedNews::Changed { change, to }, QueuedNews::Changed { change: next, to: then }) => {
                match (to == then, to == next.base && change.len() + next.len() <= CHANGES_MAX) {
                    (true, _) => QueuedNews::Changed { change, to },
                    (_, true) => QueuedNews::Changed { change: Arc::new(change.joined(&next)), to: then },
                    _ => QueuedNews::Full,
                }
            }
        };
        self.spread = self.spread.max(later.spread);
        self.hops = self.hops.min(later.hops);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId([1; 32]);
    const OWNER: OwnerKey = OwnerKey(7);

    fn changed(base: u32, to: u32, added: u32) -> QueuedNotice {
        let change = Arc::new(InventoryChange { base, added: vec![added], removed: Vec::new() });
        QueuedNotice { spread: 3, hops: 1, news: QueuedNews::Changed { change, to } }
    }

    fn waiting(outbox: &mut Outbox, now: Time) -> QueuedNews {
        let (peer, queue) = outbox.next(now).expect("something waits");
        assert_eq!(peer, PEER);
        queue.notices[&OWNER].news.clone()
    }

    #[test]
    fn changes_that_follow_each_other_become_one() {
        let mut outbox = Outbox::default();
        outbox.notice(Time::ZERO, PEER, OWNER, changed(1, 2, 5));
        outbox.notice(Time::ZERO, PEER, OWNER, changed(2, 3, 6));
        assert!(outbox.next(Time::ZERO).is_none(), "more may come");
        let QueuedNews::Changed { change, to: 3 } = waiting(&mut outbox, Time::ZERO + NEWS_PAUSE) else { panic!() };
        assert_eq!((change.base, &change.added[..]), (1, &[5, 6][..]));
    }

    #[test]
    fn a_gap_between_changes_makes_it_whole() {
        let mut outbox = Outbox::default();
        outbox.notice(Time::ZERO, PEER, OWNER, changed(1, 2, 5));
        outbox.notice(Time::ZERO, PEER, OWNER, changed(3, 4, 6));
        assert!(matches!(waiting(&mut outbox, Time::ZERO + NEWS_PAUSE), QueuedNews::Full));
    }

    #[test]
    fn the_budget_holds_in_the_long_run() {
        let mut outbox = Outbox::default();
        let (mut now, mut sent) = (Time::ZERO, 0);
        while now < Time::ZERO + Duration::from_secs(600) {
            outbox.notice(now, PEER, OWNER, changed(1, 2, 5));
            now = outbox.due().max(now + NEWS_PAUSE);
            while outbox.next(now).is_some() {
                outbox.paid(5_000);
                sent += 5_000;
            }
        }
        // The last message may have been sent a little after that time, and on credit.
        let seconds = now.since(Time::ZERO).as_secs() + 1;
        assert!(sent <= BURST_BYTES + seconds * BYTES_PER_SECOND + 5_000, "{sent} bytes in {seconds} s");
        assert!(sent >= (seconds - 10) * BYTES_PER_SECOND, "{sent} bytes in {seconds} s");
    }
}
