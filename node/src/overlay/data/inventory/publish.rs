//! This node's own inventory: what it holds, and what has changed since it was published.

use std::sync::Arc;

use super::filter::{InventoryFilter, PRINTS_MAX};
use super::notice::{CHANGES_MAX, InventoryChange};

/// The inventory of this node.
#[derive(Debug)]
pub(super) struct OwnInventory {
    /// Prints of all keys, whole.
    exact: InventoryFilter,
    /// As others have it, in version `version`.
    published: Arc<InventoryFilter>,
    version: u32,
    added: Vec<u32>,
    removed: Vec<u32>,
    /// Keys for which there was no room: what this node holds is found by a visit.
    beyond: usize,
}

impl OwnInventory {
    pub(super) fn new() -> Self {
        let exact = InventoryFilter::default();
        let published = Arc::new(exact.condensed());
        OwnInventory { exact, published, version: 0, added: Vec::new(), removed: Vec::new(), beyond: 0 }
    }

    /// A key was stored.
    pub(super) fn add(&mut self, print: u32) {
        if self.exact.add(print) {
            self.added.push(print);
        } else {
            self.beyond += 1;
        }
    }

    /// A key is not stored any more.
    pub(super) fn remove(&mut self, print: u32) {
        if self.exact.remove(print) {
            self.removed.push(print);
        } else {
            self.beyond = self.beyond.saturating_sub(1);
        }
    }

    /// Whether it differs from what is published.
    pub(super) fn has_changed(&self) -> bool {
        !self.added.is_empty() || !self.removed.is_empty()
    }

    /// Whether it contains everything that this node holds.
    pub(super) fn is_complete(&self) -> bool {
        self.beyond == 0
    }

    /// Publishes what it is now. Returns what others need to follow.
    pub(super) fn publish(&mut self) -> Option<Arc<InventoryChange>> {
        let base = self.version;
        self.version = self.version.wrapping_add(1).max(1);
        let (added, removed) = (std::mem::take(&mut self.added), std::mem::take(&mut self.removed));
        let change = InventoryChange { base, added, removed };
        let fits = base > 0 && change.len() <= CHANGES_MAX && change.len() <= self.exact.len().max(8);
        if fits && change.apply(Arc::make_mut(&mut self.published)) {
            return Some(Arc::new(change));
        }
        self.published = Arc::new(self.exact.condensed());
        None
    }

    /// Whether others have been offered a version of it.
    pub(super) fn is_published(&self) -> bool {
        self.version > 0 && self.is_complete()
    }

    pub(super) fn version(&self) -> u32 {
        self.version
    }

    /// The published filter.
    pub(super) fn published(&self) -> Arc<InventoryFilter> {
        self.published.clone()
    }
}

const _: () = assert!(CHANGES_MAX < PRINTS_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_lead_others_to_the_same_inventory() {
        let mut own = OwnInventory::new();
        (0..40).for_each(|key| own.add(key << 20));
        assert!(own.publish().is_none(), "the first version is whole");
        let mut theirs = own.published();
        for step in 1..200u32 {
            own.add(step.wrapping_mul(0x9E37_79B9));
            if step % 3 == 0 {
                own.remove((step / 3 % 40) << 20);
            }
            match own.publish() {
                Some(change) => assert!(change.apply(Arc::make_mut(&mut theirs))),
                None => theirs = own.published(),
            }
            assert_eq!(theirs, own.published());
            assert!(theirs.is_sparse() && !own.has_changed());
        }
    }

    #[test]
    fn what_has_no_room_is_known_to_be_missing() {
        let mut own = OwnInventory::new();
        (0..=PRINTS_MAX as u32).for_each(|key| own.add(key));
        assert!(!own.is_complete());
        own.remove(u32::MAX);
        assert!(own.is_complete());
    }
}
