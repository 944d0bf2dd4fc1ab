//! The inventories of others that this node keeps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::filter::InventoryFilter;
use super::notice::{InventoryNews, InventoryNotice, OwnerKey};
use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::time::Time;

/// Most inventories that are kept.
const KEPT_MAX: usize = 2_048;
/// Most of them that came from one neighbour: a liar cannot push out those of others.
const KEPT_FROM_ONE_MAX: usize = KEPT_MAX / 4;
/// Most prints in all of them.
const PRINTS_KEPT_MAX: usize = 1 << 20;
/// How long an inventory is kept without a renewal.
pub(super) const LEASE: Duration = Duration::from_secs(300);

/// The inventory of another node.
#[derive(Debug)]
pub(super) struct HeldInventory {
    pub(super) contact: Contact,
    pub(super) filter: Arc<InventoryFilter>,
    pub(super) version: u32,
    /// The neighbour that it came from.
    pub(super) parent: NodeId,
    /// Hops from the owner.
    pub(super) hops: u8,
    /// When it is dropped unless it is renewed.
    until: Time,
}

/// Inventories by their owners.
#[derive(Debug, Default)]
pub(super) struct InventoryIndex {
    held: BTreeMap<OwnerKey, HeldInventory>,
    /// Prints in all of them.
    prints: usize,
}

/// What a notice has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoticeEffect {
    /// It was taken from the neighbour that the inventory came from, and is passed on to the others.
    Taken,
    /// The inventory came from another neighbour before: the notice is passed on as if this node had not been here.
    Duplicate,
    /// It does not fit what is kept: the whole inventory is needed.
    Needed,
    /// It is passed on to no one.
    Dropped,
}

impl InventoryIndex {
    /// Takes a notice from a neighbour.
    pub(super) fn take(&mut self, now: Time, from: NodeId, notice: &InventoryNotice) -> NoticeEffect {
        let is_parent = match self.held.get(&notice.owner) {
            Some(held) => held.parent == from,
            None => return self.take_unknown(now, from, notice),
        };
        match &notice.news {
            InventoryNews::Withdrawn if is_parent => {
                self.remove(notice.owner);
                NoticeEffect::Taken
            }
            InventoryNews::Withdrawn => NoticeEffect::Dropped,
            InventoryNews::Full { contact, .. } => self.replace(now, from, notice, contact.id),
            InventoryNews::Renewed => self.renew(now, from, notice),
            InventoryNews::Changed(change) => {
                let held = self.held.get_mut(&notice.owner).expect("it was just there");
                if held.version == change.base && notice.version != change.base {
                    let before = held.filter.len();
                    if !change.apply(Arc::make_mut(&mut held.filter)) {
                        self.remove_counted(notice.owner, before);
                        return NoticeEffect::Needed;
                    }
                    self.prints = self.prints + held.filter.len() - before;
                    held.version = notice.version;
                }
                self.renew(now, from, notice)
            }
        }
    }

    fn take_unknown(&mut self, now: Time, from: NodeId, notice: &InventoryNotice) -> NoticeEffect {
        let InventoryNews::Full { contact, filter } = &notice.news else {
            return match notice.news {
                InventoryNews::Withdrawn => NoticeEffect::Dropped,
                _ if self.has_room(from, 0) => NoticeEffect::Needed,
                _ => NoticeEffect::Dropped,
            };
        };
        if !self.has_room(from, filter.len()) {
            return NoticeEffect::Dropped;
        }
        self.prints += filter.len();
        let (contact, filter) = (contact.clone(), filter.clone());
        let (version, hops) = (notice.version, notice.hops);
        let held = HeldInventory { contact, filter, version, parent: from, hops, until: now + LEASE };
        self.held.insert(notice.owner, held);
        NoticeEffect::Taken
    }

    /// A whole inventory of which an older or another version is kept.
    fn replace(&mut self, now: Time, from: NodeId, notice: &InventoryNotice, owner: NodeId) -> NoticeEffect {
        let held = &self.held[&notice.owner];
        // The owner may have restarted: what comes from where the inventory came counts, whatever the version.
        let is_newer = notice.version > held.version || held.parent == from || owner == from;
        if !is_newer {
            return NoticeEffect::Duplicate;
        }
        let parent = if notice.hops <= held.hops { from } else { held.parent };
        let is_parent = parent == from;
        let hops = held.hops.min(notice.hops);
        self.remove(notice.owner);
        match self.take_unknown(now, parent, notice) {
            NoticeEffect::Taken => {
                self.held.entry(notice.owner).and_modify(|held| held.hops = hops);
                if is_parent { NoticeEffect::Taken } else { NoticeEffect::Duplicate }
            }
            other => other,
        }
    }

    /// The owner was alive of late.
    fn renew(&mut self, now: Time, from: NodeId, notice: &InventoryNotice) -> NoticeEffect {
        let held = self.held.get_mut(&notice.owner).expect("it was just there");
        if notice.version != held.version {
            // An older version comes over a longer way; it does not concern this node.
            let is_needed = held.parent == from || notice.version > held.version;
            return if is_needed { NoticeEffect::Needed } else { NoticeEffect::Duplicate };
        }
        held.until = now + LEASE;
        if held.parent == from { NoticeEffect::Taken } else { NoticeEffect::Duplicate }
    }

    /// The whole inventory of `owner`, if it is kept.
    pub(super) fn get(&self, owner: OwnerKey) -> Option<&HeldInventory> {
        self.held.get(&owner)
    }

    /// Every inventory that is at most `hops` hops from its owner.
    pub(super) fn within(&self, hops: u8) -> impl Iterator<Item = &HeldInventory> {
        self.held.values().filter(move |held| held.hops <= hops)
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn remove(&mut self, owner: OwnerKey) -> bool {
        let prints = self.held.get(&owner).map_or(0, |held| held.filter.len());
        self.remove_counted(owner, prints)
    }

    /// `prints` of it are counted.
    fn remove_counted(&mut self, owner: OwnerKey, prints: usize) -> bool {
        self.prints -= prints;
        self.held.remove(&owner).is_some()
    }

    /// Drops what was not renewed.
    pub(super) fn expire(&mut self, now: Time) {
        let over: Vec<OwnerKey> =
            self.held.iter().filter(|(_, held)| held.until <= now).map(|(&owner, _)| owner).collect();
        over.into_iter().for_each(|owner| _ = self.remove(owner));
    }

    fn has_room(&self, from: NodeId, prints: usize) -> bool {
        self.prints + prints <= PRINTS_KEPT_MAX
            && self.held.len() < KEPT_MAX
            && (self.held.len() < KEPT_FROM_ONE_MAX
                || self.held.values().filter(|held| held.parent == from).count() < KEPT_FROM_ONE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::notice::InventoryChange;
    use super::*;

    fn node(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    fn notice(owner: u8, version: u32, news: InventoryNews) -> InventoryNotice {
        InventoryNotice { owner: OwnerKey::of(node(owner)), version, spread: 8, hops: 1, news }
    }

    fn full(owner: u8, version: u32, prints: &[u32]) -> InventoryNotice {
        let mut filter = InventoryFilter::default();
        prints.iter().for_each(|&print| _ = filter.add(print));
        let contact = Contact::at(node(owner), SocketAddr::from(([10, 0, 0, owner], 1)));
        notice(owner, version, InventoryNews::Full { contact, filter: Arc::new(filter) })
    }

    fn changed(owner: u8, versions: (u32, u32), added: &[u32], removed: &[u32]) -> InventoryNotice {
        let change = InventoryChange { base: versions.0, added: added.into(), removed: removed.into() };
        notice(owner, versions.1, InventoryNews::Changed(Arc::new(change)))
    }

    fn holders(index: &InventoryIndex, print: u32) -> Vec<NodeId> {
        index.within(u8::MAX).filter(|held| held.filter.contains(print)).map(|held| held.contact.id).collect()
    }

    #[test]
    fn it_follows_changes_and_asks_for_what_it_missed() {
        let mut index = InventoryIndex::default();
        let parent = node(9);
        assert_eq!(index.take(Time::ZERO, parent, &notice(1, 1, InventoryNews::Renewed)), NoticeEffect::Needed);
        assert_eq!(index.take(Time::ZERO, parent, &full(1, 1, &[5])), NoticeEffect::Taken);
        assert_eq!(index.take(Time::ZERO, parent, &changed(1, (1, 2), &[6], &[5])), NoticeEffect::Taken);
        assert_eq!((holders(&index, 5), holders(&index, 6)), (vec![], vec![node(1)]));
        assert_eq!(index.take(Time::ZERO, parent, &changed(1, (3, 4), &[7], &[])), NoticeEffect::Needed);
        assert_eq!(index.take(Time::ZERO, parent, &full(1, 4, &[6, 7])), NoticeEffect::Taken);
        assert_eq!((holders(&index, 7), index.prints), (vec![node(1)], 2));
    }

    #[test]
    fn only_where_it_came_from_withdraws_it() {
        let mut index = InventoryIndex::default();
        index.take(Time::ZERO, node(9), &full(1, 1, &[5]));
        let withdrawn = notice(1, 1, InventoryNews::Withdrawn);
        assert_eq!(index.take(Time::ZERO, node(8), &withdrawn), NoticeEffect::Dropped);
        assert_eq!(index.len(), 1);
        assert_eq!(index.take(Time::ZERO, node(9), &withdrawn), NoticeEffect::Taken);
        assert_eq!((index.len(), index.prints), (0, 0));
    }

    #[test]
    fn a_second_way_is_a_duplicate() {
        let mut index = InventoryIndex::default();
        index.take(Time::ZERO, node(9), &full(1, 1, &[5]));
        assert_eq!(index.take(Time::ZERO, node(8), &full(1, 1, &[5])), NoticeEffect::Duplicate);
        let renewed = notice(1, 1, InventoryNews::Renewed);
        assert_eq!(index.take(Time::ZERO, node(8), &renewed), NoticeEffect::Duplicate);
        assert_eq!(index.take(Time::ZERO, node(9), &renewed), NoticeEffect::Taken);
    }

    #[test]
    fn what_is_not_renewed_ends() {
        let mut index = InventoryIndex::default();
        index.take(Time::ZERO, node(9), &full(1, 1, &[5]));
        index.expire(Time::ZERO + LEASE / 2);
        assert_eq!(index.len(), 1);
        index.expire(Time::ZERO + LEASE);
        assert_eq!((index.len(), index.prints), (0, 0));
    }

    #[test]
    fn one_neighbour_fills_a_part_of_it() {
        let mut index = InventoryIndex::default();
        for number in 0..KEPT_MAX {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&(number as u64).to_be_bytes());
            let contact = Contact::at(NodeId(id), SocketAddr::from(([10, 0, 0, 1], 1)));
            let news = InventoryNews::Full { contact, filter: Arc::new(InventoryFilter::default()) };
            let owner = OwnerKey(number as u64);
            index.take(Time::ZERO, node(9), &InventoryNotice { owner, version: 1, spread: 1, hops: 1, news });
        }
        assert_eq!(index.len(), KEPT_FROM_ONE_MAX);
        assert_eq!(index.take(Time::ZERO, node(8), &full(77, 1, &[5])), NoticeEffect::Taken);
    }
}
