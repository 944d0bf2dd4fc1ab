//! What peers say about inventories, and its bounds.

use std::sync::Arc;

use bincode::{Decode, Encode};

use super::filter::InventoryFilter;
use crate::core::contact::Contact;
use crate::core::identity::NodeId;

/// Most notices in one message.
pub(in super::super) const NOTICES_MAX: usize = 256;
/// Most owners in one request for inventories.
pub(in super::super) const OWNERS_MAX: usize = 64;
/// Most prints that one change adds or removes.
pub(super) const CHANGES_MAX: usize = 512;

/// The first bytes of a node's id: enough to name it among those whose inventories are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct OwnerKey(pub u64);

impl OwnerKey {
    /// Names the inventory of `node`.
    pub fn of(node: NodeId) -> Self {
        OwnerKey(node.prefix())
    }
}

/// What became of the inventory of one node, on its way through the network.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct InventoryNotice {
    /// The node whose inventory it is.
    pub owner: OwnerKey,
    /// Grows with each change.
    pub version: u32,
    /// Nodes that should keep it from here on, the receiver included.
    pub spread: u16,
    /// Hops from the owner to the receiver.
    pub hops: u8,
    /// What became of it.
    pub news: InventoryNews,
}

/// What became of an inventory.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum InventoryNews {
    /// The whole inventory as it is now.
    Full {
        /// How to reach the owner.
        contact: Arc<Contact>,
        /// What the owner holds.
        filter: Arc<InventoryFilter>,
    },
    /// It has changed since an earlier version.
    Changed(Arc<InventoryChange>),
    /// The owner was alive when it sent this.
    Renewed,
    /// The owner cannot be reached from where its inventory came.
    Withdrawn,
}

/// "Send me this inventory as a whole."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct InventoryRequest {
    /// The node whose inventory it is.
    pub owner: OwnerKey,
    /// As in the notice that this answers.
    pub spread: u16,
    /// As in the notice that this answers.
    pub hops: u8,
}

/// The difference between two versions of an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct InventoryChange {
    /// The version that it is applied to.
    pub base: u32,
    /// Prints of the keys that were added.
    pub added: Vec<u32>,
    /// Prints of the keys that were removed.
    pub removed: Vec<u32>,
}

impl InventoryNotice {
    /// Whether every list keeps its bound, and a contact is the owner's.
    pub(in super::super) fn is_bounded(&self) -> bool {
        match &self.news {
            InventoryNews::Full { contact, .. } => contact.is_bounded() && OwnerKey::of(contact.id) == self.owner,
            InventoryNews::Changed(change) => change.len() <= CHANGES_MAX,
            InventoryNews::Renewed | InventoryNews::Withdrawn => true,
        }
    }

    /// Bytes that it takes in a message, or a little more.
    pub(super) fn bytes_at_most(&self) -> usize {
        const HEAD: usize = 24;
        const CONTACT: usize = 256;
        const PRINT: usize = 5;
        HEAD + match &self.news {
            InventoryNews::Full { filter, .. } => CONTACT + filter.bytes_at_most(),
            InventoryNews::Changed(change) => HEAD + PRINT * change.len(),
            InventoryNews::Renewed | InventoryNews::Withdrawn => 0,
        }
    }
}

impl InventoryChange {
    /// Number of changes.
    pub(super) fn len(&self) -> usize {
        self.added.len() + self.removed.len()
    }

    /// This change and the `next` one as one change.
    pub(super) fn joined(&self, next: &InventoryChange) -> InventoryChange {
        InventoryChange {
            base: self.base,
            added: [&self.added[..], &next.added].concat(),
            removed: [&self.removed[..], &next.removed].concat(),
        }
    }

    /// Applies it to a filter. Returns whether the filter has enough bits for the result.
    pub(super) fn apply(&self, filter: &mut InventoryFilter) -> bool {
        // Additions first: what was added and removed since is gone.
        let added = self.added.iter().all(|&print| filter.add(print));
        let removed = self.removed.iter().all(|&print| filter.remove(print));
        added && removed && filter.is_sparse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::contact::{ADDRESSES_MAX, AmbassadorAddress, ContactAddresses, Quality};
    use crate::core::wire;

    #[test]
    fn no_notice_takes_more_bytes_than_it_says() {
        let address = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535".parse().unwrap();
        let id = NodeId([0xff; 32]);
        let addresses = ContactAddresses {
            local: vec![address; ADDRESSES_MAX],
            external_address: Some(address),
            mapped: Some(address),
            via: Some(AmbassadorAddress { id, address }),
        };
        let quality = Quality { uptime_s: u32::MAX, storage_free_kib: u32::MAX, hosts: u16::MAX };
        let contact = Arc::new(Contact { id, addresses: addresses.into(), ambassador: true, quality });
        for count in [0, 1, 300, 20_000] {
            let mut filter = InventoryFilter::default();
            (0..count).for_each(|key: u32| _ = filter.add(key.wrapping_mul(0x9E37_79B9)));
            let prints: Vec<u32> = (0..count.min(CHANGES_MAX as u32)).map(|key| u32::MAX - key).collect();
            let change = InventoryChange { base: u32::MAX, added: prints, removed: Vec::new() };
            let whole = |filter| InventoryNews::Full { contact: contact.clone(), filter: Arc::new(filter) };
            let news = [whole(filter.condensed()), whole(filter), InventoryNews::Changed(Arc::new(change))];
            for news in news.into_iter().chain([InventoryNews::Renewed, InventoryNews::Withdrawn]) {
                let notice =
                    InventoryNotice { owner: OwnerKey::of(id), version: u32::MAX, spread: u16::MAX, hops: 255, news };
                let bytes = wire::encoded_len(&notice).unwrap();
                assert!(bytes <= notice.bytes_at_most(), "{bytes} bytes, not {}: {notice:?}", notice.bytes_at_most());
            }
        }
    }
}
