//! How long the data overlay waits before it asks elsewhere, again, or gives up. Each wait follows from the path to the peer
//! (see [`crate::core::patience`]) and has a floor and a ceiling.

use std::time::Duration;

use super::DataCx;
use super::block::BLOCK_MAX;
use super::message::BLOCKS_MAX;
use crate::core::identity::NodeId;
use crate::core::path::PathEstimate;
use crate::core::patience::{self, Bounds, Exchange};

/// When the answer to a question is late, so that others are asked beside the peer.
const LATE_ANSWER: Bounds = Bounds::new(Duration::from_millis(100), Duration::from_secs(5));
/// Pause before a question is repeated over the same link.
const REPEAT: Bounds = Bounds::new(Duration::from_secs(1), Duration::from_secs(8));
/// Pause before peers that could not be reached are tried again. Each further pause is twice as long.
const ROUND_PAUSE: Bounds = Bounds::new(Duration::from_millis(500), Duration::from_secs(4));
/// When an invitation without an answer is looked into.
const INVITE_ANSWER: Bounds = Bounds::new(Duration::from_millis(300), Duration::from_secs(15));
/// The same for a peer without a link: that has to be made first.
const INVITE_ANSWER_UNLINKED: Bounds = Bounds::new(Duration::from_secs(1), Duration::from_secs(15));
/// Acknowledgement of an invitation that shows that the path carries what is under way.
const PUSH_TARGET: Bounds = Bounds::new(Duration::from_millis(500), Duration::from_secs(3));
/// Pause for each rank below the highest before a member repairs a group.
const RANK_PAUSE: Bounds = Bounds::new(Duration::from_millis(300), Duration::from_secs(2));
/// Time for the member that last changed a group to complete it.
const OTHERS_TURN: Bounds = Bounds::new(Duration::from_secs(2), Duration::from_secs(10));
/// Pause before members are asked again whether they hold a surplus copy's block.
const CONFIRM_PAUSE: Bounds = Bounds::new(Duration::from_secs(1), Duration::from_secs(8));
/// Time for a peer to prove that it holds a block, before heartbeats without the proof count against it.
const PROOF_ANSWER: Bounds = Bounds::new(Duration::from_secs(2), Duration::from_secs(15));
/// Pause before views are compared again with the same peer.
pub(super) const RESYNC: Bounds = Bounds::new(Duration::from_secs(1), Duration::from_secs(10));
/// Time for a node that leaves to hand its blocks over. Whoever stops a service kills it after ten seconds, as Docker does.
const HANDOVER: Bounds = Bounds::new(Duration::from_millis(2_500), Duration::from_secs(9));
/// Bytes of a full invitation.
const BATCH_BYTES: u64 = (BLOCKS_MAX * BLOCK_MAX) as u64;

/// When an answer from `peer`, which has `bytes` to send until then, is late. Asking others beside it costs little, so this
/// allows for one lost packet.
pub(super) fn answer(cx: &DataCx<'_, '_>, peer: NodeId, bytes: u64) -> Duration {
    let wait = match cx.path(peer) {
        Some(path) => 2 * patience::probe_timeout(path) + path.transfer_time(bytes.saturating_add(path.outstanding())),
        None => patience::probe_timeout(&patience::unmeasured()),
    };
    LATE_ANSWER.clamp(wait)
}

/// When an answer is late, however much the peer has to send before.
pub(super) fn answer_max() -> Duration {
    LATE_ANSWER.ceiling
}

/// Pause before a question is repeated to a peer that is late with its answer.
pub(super) fn repeat(cx: &DataCx<'_, '_>, peer: NodeId, repeats: u32) -> Duration {
    patience::answer_wait(cx.path(peer), Exchange { attempt: repeats, ..Exchange::default() }, REPEAT)
}

/// When a flood over `ttl` hops is late.
pub(super) fn flood(cx: &DataCx<'_, '_>, ttl: u8) -> Duration {
    let slowest = cx.neighbours().map(|neighbour| answer(cx, neighbour, 0)).max().unwrap_or(LATE_ANSWER.floor);
    slowest * u32::from(ttl)
}

/// Pause after `rounds` rounds in which not all peers could be reached: there is no path to go by.
pub(super) fn round_pause(rounds: u32) -> Duration {
    ROUND_PAUSE.clamp(patience::back_off(patience::probe_timeout(&patience::unmeasured()), rounds))
}

/// When an invitation of `bytes` to `peer` is looked into, for the `attempt`-th time.
pub(super) fn invite(cx: &DataCx<'_, '_>, peer: NodeId, bytes: u64, attempt: u32) -> Duration {
    let bounds = if cx.is_linked(peer) { INVITE_ANSWER } else { INVITE_ANSWER_UNLINKED };
    patience::answer_wait(cx.path(peer), Exchange { request_bytes: bytes, answer_bytes: 0, attempt }, bounds)
}

/// Time in which the acknowledgement of `bytes` shows that the path to `peer` carries what is under way.
pub(super) fn push_target(cx: &DataCx<'_, '_>, peer: NodeId, bytes: u64) -> Duration {
    let unmeasured = patience::unmeasured();
    let path = cx.path(peer).unwrap_or(&unmeasured);
    PUSH_TARGET.clamp(2 * patience::probe_timeout(path) + path.transfer_time(bytes))
}

/// Pause for each rank below the highest: the farthest of `peers` hears of a repair in it.
pub(super) fn rank_pause(cx: &DataCx<'_, '_>, peers: impl Iterator<Item = NodeId>) -> Duration {
    RANK_PAUSE.clamp(slowest(cx, peers, |path| 2 * patience::probe_timeout(path)))
}

/// Time for another member to complete a group: it pushes a batch to the slowest of `peers`.
pub(super) fn others_turn(cx: &DataCx<'_, '_>, peers: impl Iterator<Item = NodeId>) -> Duration {
    let push = |path: &PathEstimate| 4 * patience::probe_timeout(path) + path.transfer_time(BATCH_BYTES);
    OTHERS_TURN.clamp(slowest(cx, peers, push))
}

/// Pause before the slowest of `peers` is asked again whether it holds a block.
pub(super) fn confirm_pause(cx: &DataCx<'_, '_>, peers: impl Iterator<Item = NodeId>, attempt: u32) -> Duration {
    let wait = slowest(cx, peers, |path| 4 * patience::probe_timeout(path) + path.transfer_time(path.outstanding()));
    CONFIRM_PAUSE.clamp(patience::back_off(wait.max(CONFIRM_PAUSE.floor), attempt))
}

/// Time to hand `bytes` over to neighbours: the slowest one may get them all.
pub(super) fn handover(cx: &DataCx<'_, '_>, bytes: u64) -> Duration {
    let push = |path: &PathEstimate| 4 * patience::probe_timeout(path) + path.transfer_time(bytes);
    HANDOVER.clamp(slowest(cx, cx.neighbours(), push))
}

/// Pause before views are compared again with `peer`.
pub(super) fn resync(cx: &DataCx<'_, '_>, peer: NodeId) -> Duration {
    patience::answer_wait(cx.path(peer), Exchange::default(), RESYNC)
}

/// Time for `peer` to prove that it holds a block.
pub(super) fn proof(cx: &DataCx<'_, '_>, peer: NodeId) -> Duration {
    patience::answer_wait(cx.path(peer), Exchange { attempt: 1, ..Exchange::default() }, PROOF_ANSWER)
}

fn slowest(
    cx: &DataCx<'_, '_>,
    peers: impl Iterator<Item = NodeId>,
    wait: impl Fn(&PathEstimate) -> Duration,
) -> Duration {
    peers.filter_map(|peer| cx.path(peer)).map(wait).max().unwrap_or_default()
}
