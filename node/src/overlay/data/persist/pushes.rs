//! How much of pushed blocks may be under way: what the paths carry, and no more.
//!
//! What waits in a queue in front of a slow link delays everything behind it, and an acknowledgement that is late for this
//! reason looks like a lost one. So the bytes under way are limited, for each peer and for all together, because peers may share
//! this node's own link. A limit grows by what was acknowledged in time and halves when an acknowledgement was late
//! (additive increase and multiplicative decrease, as Chiu and Jain describe it: Computer Networks and ISDN Systems 1989).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::block::BLOCK_MAX;
use super::super::message::BLOCKS_MAX;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Bytes of a full invitation.
const BATCH_BYTES: u64 = (BLOCKS_MAX * BLOCK_MAX) as u64;
/// Limits for one peer.
const PEER_LIMITS: Limits = Limits { min: BATCH_BYTES / 4, first: BATCH_BYTES, max: 4 * BATCH_BYTES };
/// Limits for all peers together.
const TOTAL_LIMITS: Limits = Limits { min: BATCH_BYTES, first: 4 * BATCH_BYTES, max: 16 * BATCH_BYTES };
/// Most peers whose limits are remembered while nothing is under way to them.
const IDLE_PEERS_MAX: usize = 64;
/// Most blocks that wait for room.
const QUEUED_MAX: usize = 16 * BLOCKS_MAX;

/// Bounds of a window, in bytes.
#[derive(Clone, Copy, Debug)]
struct Limits {
    min: u64,
    first: u64,
    max: u64,
}

/// Bytes under way and how many there may be.
#[derive(Debug)]
struct PushWindow {
    under_way: u64,
    limit: u64,
    /// What was sent before this tells nothing new: the limit was halved then.
    halved: Time,
}

impl PushWindow {
    fn new(limits: Limits) -> Self {
        PushWindow { under_way: 0, limit: limits.first, halved: Time::ZERO }
    }

    /// Bytes that may be sent now; something may always be sent if nothing is under way.
    fn room(&self) -> u64 {
        self.limit.saturating_sub(self.under_way)
    }

    fn acknowledged(&mut self, bytes: u64, in_time: bool, sent: Time, now: Time, limits: Limits) {
        if in_time {
            self.limit = (self.limit + bytes).min(limits.max);
        } else if sent >= self.halved {
            self.limit = (self.limit / 2).max(limits.min);
            self.halved = now;
        }
    }
}

/// A push that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentPush {
    pub(super) to: NodeId,
    pub(super) bytes: u64,
    pub(super) sent: Time,
    /// Time in which its acknowledgement shows that the path carries it.
    pub(super) target: Duration,
}

/// What a block takes of a push.
#[derive(Clone, Copy, Debug)]
pub(super) struct PushSize {
    pub(super) bytes: u64,
    /// Of the [`BLOCKS_MAX`] places of a message.
    pub(super) places: usize,
}

/// Windows of all peers, and the blocks that wait for room in them.
#[derive(Debug)]
pub(super) struct Pushes {
    total: PushWindow,
    by_peer: BTreeMap<NodeId, PushWindow>,
    queued: BTreeMap<NodeId, VecDeque<BlockId>>,
}

impl Default for Pushes {
    fn default() -> Self {
        Pushes { total: PushWindow::new(TOTAL_LIMITS), by_peer: BTreeMap::new(), queued: BTreeMap::new() }
    }
}

impl Pushes {
    /// Queues blocks for `to`.
    pub(super) fn queue(&mut self, to: NodeId, ids: impl IntoIterator<Item = BlockId>) {
        self.queued.entry(to).or_default().extend(ids);
    }

    /// Whether too many blocks wait for more to be queued.
    pub(super) fn is_full(&self) -> bool {
        self.queued.values().map(VecDeque::len).sum::<usize>() >= QUEUED_MAX
    }

    /// Peers for which blocks wait.
    pub(super) fn waiting_peers(&self) -> Vec<NodeId> {
        self.queued.keys().copied().collect()
    }

    /// Blocks that wait for room to go to `to`.
    pub(super) fn queued_for(&self, to: NodeId) -> impl Iterator<Item = BlockId> + '_ {
        self.queued.get(&to).into_iter().flatten().copied()
    }

    /// A block need not go to `to` any more.
    pub(super) fn withdraw(&mut self, to: NodeId, id: BlockId) {
        if let Some(queue) = self.queued.get_mut(&to) {
            queue.retain(|queued| *queued != id);
            if queue.is_empty() {
                self.queued.remove(&to);
            }
        }
    }

    /// Takes the blocks for `to` that may be sent now, at most as many as one message holds. `size_of` says how much each
    /// takes; `None` if it need not be sent any more. Returns them with their bytes.
    pub(super) fn take(
        &mut self,
        to: NodeId,
        size_of: impl Fn(BlockId) -> Option<PushSize>,
    ) -> Option<(Vec<BlockId>, u64)> {
        let of_peer = self.by_peer.entry(to).or_insert_with(|| PushWindow::new(PEER_LIMITS));
        let mut room = of_peer.room().min(self.total.room());
        // A block that is longer than the room left goes if nothing else is under way: a window never closes for good.
        let mut may_exceed = of_peer.under_way == 0 && self.total.under_way == 0;
        let queue = self.queued.get_mut(&to)?;
        let (mut ids, mut bytes, mut places) = (Vec::new(), 0, 0);
        while let Some(&id) = queue.front() {
            if let Some(size) = size_of(id) {
                let length = size.bytes;
                places += size.places;
                if places > BLOCKS_MAX || (length > room && !may_exceed) {
                    break;
                }
                (room, may_exceed) = (room.saturating_sub(length), false);
                bytes += length;
                ids.push(id);
            }
            queue.pop_front();
        }
        if queue.is_empty() {
            self.queued.remove(&to);
        }
        (!ids.is_empty()).then_some((ids, bytes))
    }

    /// Takes all blocks that wait for `to`.
    pub(super) fn take_queued(&mut self, to: NodeId) -> Vec<BlockId> {
        self.queued.remove(&to).map_or(Vec::new(), Vec::from)
    }

    /// So many bytes are under way to `to`.
    pub(super) fn sent(&mut self, to: NodeId, bytes: u64) {
        self.total.under_way += bytes;
        self.by_peer.entry(to).or_insert_with(|| PushWindow::new(PEER_LIMITS)).under_way += bytes;
    }

    /// A push was acknowledged.
    pub(super) fn acknowledged(&mut self, now: Time, push: SentPush) {
        let in_time = now.since(push.sent) <= push.target;
        self.over(push.to, push.bytes);
        self.total.acknowledged(push.bytes, in_time, push.sent, now, TOTAL_LIMITS);
        if let Some(of_peer) = self.by_peer.get_mut(&push.to) {
            of_peer.acknowledged(push.bytes, in_time, push.sent, now, PEER_LIMITS);
        }
    }

    /// So many bytes to `to` are not under way any more, or never were.
    pub(super) fn over(&mut self, to: NodeId, bytes: u64) {
        self.total.under_way -= bytes;
        if let Some(of_peer) = self.by_peer.get_mut(&to) {
            of_peer.under_way -= bytes;
        }
        if self.by_peer.len() > IDLE_PEERS_MAX
            && let Some(idle) = self.by_peer.iter().find(|(_, window)| window.under_way == 0).map(|(&peer, _)| peer)
        {
            self.by_peer.remove(&idle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId([1; 32]);
    const TARGET: Duration = Duration::from_secs(1);

    fn after(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn queued(count: u8) -> Pushes {
        let mut pushes = Pushes::default();
        pushes.queue(PEER, (0..count).map(|seed| BlockId([seed; 32])));
        pushes
    }

    fn sized(bytes: u64) -> Option<PushSize> {
        Some(PushSize { bytes, places: 1 })
    }

    fn take(pushes: &mut Pushes, now: Time) -> Option<SentPush> {
        let (_, bytes) = pushes.take(PEER, |_| sized(BLOCK_MAX as u64))?;
        pushes.sent(PEER, bytes);
        Some(SentPush { to: PEER, bytes, sent: now, target: TARGET })
    }

    #[test]
    fn window_grows_with_acknowledgements_in_time_and_shrinks_when_one_is_late() {
        let mut pushes = queued(255);
        let first = take(&mut pushes, Time::ZERO).unwrap();
        assert_eq!(first.bytes, PEER_LIMITS.first);
        assert!(take(&mut pushes, Time::ZERO).is_none(), "the window is full");
        pushes.acknowledged(after(1), first);
        let two: Vec<SentPush> = std::iter::from_fn(|| take(&mut pushes, after(1))).collect();
        assert_eq!(two.iter().map(|push| push.bytes).sum::<u64>(), 2 * PEER_LIMITS.first);
        two.into_iter().for_each(|push| pushes.acknowledged(after(9), push));
        let less = take(&mut pushes, after(9)).unwrap();
        assert_eq!(less.bytes, PEER_LIMITS.first, "halved once for what was sent together");
    }

    #[test]
    fn smallest_window_still_lets_a_block_pass() {
        let mut pushes = queued(255);
        for round in 0..10 {
            let push = take(&mut pushes, after(round * 10)).unwrap();
            assert!(push.bytes >= PEER_LIMITS.min.min(BLOCK_MAX as u64));
            pushes.acknowledged(after(round * 10 + 9), push);
        }
        assert_eq!(take(&mut pushes, after(200)).unwrap().bytes, PEER_LIMITS.min);
    }

    #[test]
    fn what_need_not_be_sent_any_more_is_skipped() {
        let mut pushes = queued(3);
        let (ids, bytes) = pushes.take(PEER, |id| sized(10).filter(|_| id.0[0] != 1)).unwrap();
        assert_eq!((ids, bytes), (vec![BlockId([0; 32]), BlockId([2; 32])], 20));
        assert!(pushes.waiting_peers().is_empty());
    }
}
