//! The blocks that this node keeps, in memory and within bounds.

use std::collections::BTreeMap;

use super::block::Block;
use crate::core::identity::{BlockId, NodeId};

/// One peer may have at most this share of the storage filled: 1 / `PEER_SHARE`.
const PEER_SHARE: u64 = 2;

/// Blocks by id, their bytes counted against a limit, in total and for each peer that sent them.
#[derive(Debug)]
pub(super) struct Store {
    blocks: BTreeMap<BlockId, Kept>,
    used: u64,
    limit: u64,
    /// Bytes kept at the wish of each peer. At most as many entries as blocks.
    by_peer: BTreeMap<NodeId, u64>,
}

#[derive(Debug)]
struct Kept {
    block: Block,
    /// Who had it stored; `None` if this node's own application did.
    by: Option<NodeId>,
}

impl Store {
    pub(super) fn new(limit: u64) -> Self {
        Store { blocks: BTreeMap::new(), used: 0, limit, by_peer: BTreeMap::new() }
    }

    pub(super) fn get(&self, id: BlockId) -> Option<&Block> {
        self.blocks.get(&id).map(|kept| &kept.block)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = BlockId> + '_ {
        self.blocks.keys().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn free(&self) -> u64 {
        self.limit - self.used
    }

    /// Whether `bytes` more may be kept at the wish of `by`.
    pub(super) fn has_room(&self, bytes: usize, by: Option<NodeId>) -> bool {
        let quota = match by {
            None => self.limit,
            Some(peer) => self.limit / PEER_SHARE - self.by_peer.get(&peer).copied().unwrap_or(0),
        };
        bytes as u64 <= self.free().min(quota)
    }

    /// Keeps a block that was checked against its id. Returns whether there was room; one that is there already stays as it is.
    pub(super) fn insert(&mut self, id: BlockId, block: Block, by: Option<NodeId>) -> bool {
        if self.blocks.contains_key(&id) {
            return true;
        }
        if !self.has_room(block.len(), by) {
            return false;
        }
        self.used += block.len() as u64;
        if let Some(peer) = by {
            *self.by_peer.entry(peer).or_default() += block.len() as u64;
        }
        self.blocks.insert(id, Kept { block, by });
        true
    }

    pub(super) fn remove(&mut self, id: BlockId) {
        let Some(Kept { block, by }) = self.blocks.remove(&id) else { return };
        self.used -= block.len() as u64;
        if let Some(peer) = by
            && let Some(bytes) = self.by_peer.get_mut(&peer)
        {
            *bytes -= block.len() as u64;
            if *bytes == 0 {
                self.by_peer.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::block::BlockKind;
    use super::*;
    use crate::core::blob::Blob;

    fn block(seed: u8, length: usize) -> (BlockId, Block) {
        let block = Block { kind: BlockKind::Part, bytes: Blob::from(vec![seed; length]) };
        (block.id(), block)
    }

    #[test]
    fn one_peer_cannot_fill_the_store() {
        let mut store = Store::new(1_000);
        let greedy = Some(NodeId([1; 32]));
        let (first, second) = (block(1, 400), block(2, 400));
        assert!(store.insert(first.0, first.1, greedy));
        assert!(!store.insert(second.0, second.1.clone(), greedy), "800 of 1,000 bytes for one peer");
        assert!(store.insert(second.0, second.1, Some(NodeId([2; 32]))));
        let third = block(3, 300);
        assert!(!store.insert(third.0, third.1, None), "full");
    }

    proptest! {
        #[test]
        fn bytes_are_counted_exactly(steps in proptest::collection::vec((0u8..12, 0u8..4, any::<bool>()), 0..80)) {
            let mut store = Store::new(3_000);
            for (seed, peer, add) in steps {
                let (id, block) = block(seed, 100 * usize::from(seed));
                if add {
                    store.insert(id, block, (peer > 0).then_some(NodeId([peer; 32])));
                } else {
                    store.remove(id);
                }
                prop_assert_eq!(store.used, store.blocks.values().map(|kept| kept.block.len() as u64).sum::<u64>());
                prop_assert!(store.used <= store.limit);
                for (peer, bytes) in &store.by_peer {
                    let counted = store.blocks.values().filter(|kept| kept.by == Some(*peer));
                    prop_assert_eq!(*bytes, counted.map(|kept| kept.block.len() as u64).sum::<u64>());
                    prop_assert!(*bytes <= 1_500);
                }
            }
        }
    }
}
