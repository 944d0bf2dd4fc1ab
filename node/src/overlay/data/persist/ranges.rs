//! Set reconciliation: two nodes find where their views differ, by digests of ranges of ids.
//!
//! Whoever notices a difference sends the digest of all groups that it believes to share. The other compares: equal ranges are
//! done, a short one is answered with its views, and a long one with the digests of its parts (range-based set reconciliation:
//! Meyer, SRDS 2023). A node that holds nothing in a range says so in one message, so one that came back empty is known at once.

use super::super::message::{DataMessage, RANGES_MAX, RangeDigest, VIEWS_MAX};
use super::super::view::GroupView;
use super::super::{DataCx, waits};
use super::Persist;
use super::converge::{FIRST, LAST};
use crate::core::identity::{BlockId, NodeId};

/// Groups that a part of a long range should have.
const PART_GROUPS: usize = VIEWS_MAX / 2;

impl Persist {
    /// The digest of a peer differs: sends it the digest of all shared groups.
    pub(super) fn begin_sync(&mut self, ctx: &mut DataCx<'_, '_>, with: NodeId) {
        let pause = waits::resync(ctx, with);
        let lacking = self.repairs.awaits_copies_at(with);
        let Some(peer) = self.peers.get_mut(with) else { return };
        // What it is known to lack is on its way: comparing that again and again would not help.
        peer.detail.sync_after = ctx.now + if lacking { pause.max(waits::RESYNC.ceiling) } else { pause };
        let root = self.range_digest(with, FIRST, LAST);
        ctx.send(with, DataMessage::Ranges { ranges: vec![root] });
    }

    /// A node without a shared group sends a digest: tells it what this node holds of the groups that it has in mind.
    pub(super) fn handle_stranger_heartbeat(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, digest: u64) {
        if digest == 0 {
            return;
        }
        let message = match self.groups.is_empty() {
            true => DataMessage::Vacant { from: FIRST, to: LAST },
            false => DataMessage::Ranges { ranges: vec![self.range_digest(from, FIRST, LAST)] },
        };
        ctx.send(from, message);
    }

    /// Handles digests of ranges, which are sorted and do not overlap.
    pub(super) fn handle_ranges(&mut self, ctx: &mut DataCx<'_, '_>, with: NodeId, ranges: &[RangeDigest]) {
        let postponed = self.peers.get(with).is_some_and(|peer| ctx.now < peer.detail.sync_after);
        if postponed && ranges.len() == 1 && self.repairs.awaits_copies_at(with) {
            return;
        }
        for range in ranges {
            let own = self.range_digest(with, range.from, range.to);
            if own == *range {
                continue;
            }
            let (own_count, count) = (own.count as usize, range.count as usize);
            if self.groups.range(range.from..=range.to).next().is_none() {
                ctx.send(with, DataMessage::Vacant { from: range.from, to: range.to });
            } else if own_count.max(count) <= VIEWS_MAX {
                self.send_page(ctx, with, range.from, range.to);
            } else {
                let parts = own_count.max(count).div_ceil(PART_GROUPS).clamp(2, RANGES_MAX);
                match split(range.from, range.to, parts) {
                    None => self.send_page(ctx, with, range.from, range.to),
                    Some(parts) => {
                        let ranges = parts.into_iter().map(|(from, to)| self.range_digest(with, from, to)).collect();
                        ctx.send(with, DataMessage::Ranges { ranges });
                    }
                }
            }
        }
    }

    /// A peer holds no block of a range: it has lost what it shared there.
    pub(super) fn handle_vacant(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, first: BlockId, last: BlockId) {
        let lost: Vec<BlockId> = self.shared_views(from, first, last).map(|(id, _)| id).collect();
        lost.into_iter().for_each(|id| self.member_lost(ctx, id, from));
    }

    /// Groups with ids from `first` to `last` that this node shares with `peer`.
    pub(super) fn shared_views(
        &self,
        peer: NodeId,
        first: BlockId,
        last: BlockId,
    ) -> impl Iterator<Item = (BlockId, &GroupView)> + '_ {
        let both = move |view: &GroupView| view.contains(peer) && view.contains(self.me);
        // BTreeMap panics on a reversed range, and this range comes from a peer.
        let range = self.groups.range(first.min(last)..=last);
        range.filter(move |(_, view)| both(view)).map(|(&id, view)| (id, view))
    }

    fn range_digest(&self, peer: NodeId, from: BlockId, to: BlockId) -> RangeDigest {
        let mut range = RangeDigest { from, to, count: 0, digest: 0 };
        for (id, view) in self.shared_views(peer, from, to) {
            range.count += 1;
            range.digest ^= view.digest(id);
        }
        range
    }
}

/// Parts of a range, by the first eight bytes of the ids; `None` if it is too narrow.
fn split(from: BlockId, to: BlockId, parts: usize) -> Option<Vec<(BlockId, BlockId)>> {
    let (low, high) = (from.prefix(), to.prefix());
    let step = (high.checked_sub(low)? / parts as u64).checked_add(1).filter(|&step| step > 1)?;
    let begins = (0..parts as u64).map_while(|part| low.checked_add(part * step)).take_while(|&begin| begin <= high);
    let begins: Vec<u64> = begins.collect();
    let part = |at: usize| {
        let first = if at == 0 { from } else { starting_with(begins[at], 0) };
        let last = begins.get(at + 1).map_or(to, |next| starting_with(next - 1, 255));
        (first, last)
    };
    Some((0..begins.len()).map(part).collect())
}

/// The id with these first eight bytes and `rest` for all others.
fn starting_with(prefix: u64, rest: u8) -> BlockId {
    let mut id = [rest; 32];
    id[..8].copy_from_slice(&prefix.to_be_bytes());
    BlockId(id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_cover_a_range_without_overlap(a in any::<[u8; 32]>(), b in any::<[u8; 32]>(), parts in 2usize..=16) {
            let (from, to) = (BlockId(a.min(b)), BlockId(a.max(b)));
            let Some(parts) = split(from, to, parts) else { return Ok(()) };
            prop_assert!(parts.len() >= 2 && parts.len() <= 16);
            prop_assert_eq!((parts[0].0, parts[parts.len() - 1].1), (from, to));
            for (from, to) in &parts {
                prop_assert!(from <= to);
            }
            for two in parts.windows(2) {
                let next = two[0].1.prefix() + 1;
                prop_assert_eq!(two[0].1, starting_with(next - 1, 255));
                prop_assert_eq!(two[1].0, starting_with(next, 0));
            }
        }
    }

    #[test]
    fn whole_range_has_sixteen_parts_and_a_narrow_one_none() {
        assert_eq!(split(FIRST, LAST, 16).unwrap().len(), 16);
        assert_eq!(split(FIRST, starting_with(3, 0), 4), None);
        assert_eq!(split(LAST, FIRST, 4), None);
    }
}
