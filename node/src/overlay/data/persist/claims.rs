//! Groups of one block that have parted find each other by inventories.
//!
//! A partition makes two groups of a block, and churn can end every member that remembers the other side. So each inventory of
//! another node is compared with this node's groups. A node that claims a block without being in its group is sent the group's
//! view, if it still claims the block a little later: inventories lag behind. Views of strangers count only with a proof, so a
//! false claim costs a message and no more. A stranger gets few views for one notice, and all of them once it has proven a block.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::DataCx;
use super::super::inventory::filter::print_of;
use super::super::message::BlockGroup;
use super::Persist;
use super::rechecks::Rechecks;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Pause before a claim is looked at again.
const CLAIM_AFTER: Duration = Duration::from_secs(2);
/// Most blocks of one notice about which a stranger is asked.
const STRANGER_CLAIMS_MAX: usize = 4;
/// Most blocks of one notice about which a peer is asked that has proven a block.
const CLAIMS_MAX: usize = 64;
/// Most nodes with further claims that are remembered.
const FURTHER_MAX: usize = 64;

/// Claims of nodes outside a block's group.
#[derive(Debug, Default)]
pub(super) struct OutsideClaims {
    queue: Rechecks,
    /// Nodes that claim more blocks than they were asked about.
    further: BTreeSet<NodeId>,
    /// Those of them that have proven a block since [`Persist::take_proven_claimants`].
    proven: Vec<NodeId>,
}

impl OutsideClaims {
    /// When the next claim is looked at.
    pub(super) fn due(&self) -> Time {
        self.queue.due()
    }

    /// `claimant` has proven that it holds a block.
    pub(super) fn note_proof(&mut self, claimant: NodeId) {
        if self.further.remove(&claimant) {
            self.proven.push(claimant);
        }
    }
}

impl Persist {
    /// Another node claims the blocks whose prints lie in these ranges, bounds included.
    pub(in super::super) fn note_claims(
        &mut self,
        now: Time,
        claimant: NodeId,
        prints: impl Iterator<Item = (u32, u32)>,
        has_proven: bool,
    ) {
        if claimant == self.me || self.distrusted.contains(claimant) || self.groups.is_empty() {
            return;
        }
        let trusted = has_proven || self.peers.get(claimant).is_some();
        let most = if trusted { CLAIMS_MAX } else { STRANGER_CLAIMS_MAX };
        let is_outside = |id: &BlockId| {
            let view = &self.groups[id];
            view.contains(self.me) && !view.contains(claimant)
        };
        let claimed = prints.flat_map(|(first, last)| self.groups.range(lowest(first)..=highest(last)));
        let mut outside = claimed.map(|(&id, _)| id).filter(is_outside);
        let asked: Vec<BlockId> = outside.by_ref().take(most).collect();
        let has_more = outside.next().is_some();
        if has_more && self.claims.further.len() < FURTHER_MAX {
            self.claims.further.insert(claimant);
        }
        asked.into_iter().for_each(|id| self.claims.queue.add(now + CLAIM_AFTER, claimant, id));
        self.wake_at(self.claims.due());
    }

    /// Nodes with further claims that have proven a block since the last call.
    pub(in super::super) fn take_proven_claimants(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.claims.proven)
    }

    /// Sends views to nodes that still claim blocks outside of their groups. `claimed` says how to reach a node that claims the block
    /// with this print.
    pub(in super::super) fn recheck_claims(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        claimed: impl Fn(NodeId, u32) -> Option<Contact>,
    ) {
        while let Some((claimant, blocks)) = self.claims.queue.pop(ctx.now) {
            let mut views: Vec<BlockGroup> = Vec::new();
            for id in blocks {
                let Some(view) = self.groups.get(&id).filter(|view| view.contains(self.me)) else { continue };
                let Some(contact) = claimed(claimant, print_of(id)).filter(|_| !view.contains(claimant)) else {
                    continue;
                };
                if views.is_empty() {
                    ctx.learn(&contact);
                }
                views.push(BlockGroup { id, view: view.clone() });
            }
            self.send_views(ctx, claimant, &views);
        }
    }
}

/// The first id with this print.
fn lowest(print: u32) -> BlockId {
    edge(print, 0)
}

/// The last id with this print.
fn highest(print: u32) -> BlockId {
    edge(print, u8::MAX)
}

fn edge(print: u32, rest: u8) -> BlockId {
    let mut id = [rest; 32];
    id[..4].copy_from_slice(&print.to_be_bytes());
    BlockId(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_print_lie_between_its_edges() {
        for print in [0, 1, 0x8000_0000, u32::MAX] {
            assert!(lowest(print) <= highest(print));
            assert_eq!((print_of(lowest(print)), print_of(highest(print))), (print, print));
        }
        assert!(highest(7) < lowest(8));
    }
}
