//! The inventories of others that this node keeps.

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
    pub(super) contact: Arc<Contact>,
    pub(super) filter: Arc<InventoryFilter>,
    /// When it is dropped unless it is renewed.
    until: Time,
    /// Names the neighbour that it came from.
    parent: OwnerKey,
    pub(super) version: u32,
    /// Hops from the owner.
    pub(super) hops: u8,
}

impl HeldInventory {
    /// Whether it came from this neighbour.
    pub(super) fn came_from(&self, neighbour: NodeId) -> bool {
        self.parent == OwnerKey::of(neighbour)
    }

    /// The owner was alive of late.
    fn renew(&mut self, now: Time, from: NodeId, notice: &InventoryNotice) -> NoticeEffect {
        if notice.version != self.version {
            // An older version comes over a longer way; it does not concern this node.
            let is_needed = self.came_from(from) || notice.version > self.version;
            return if is_needed { NoticeEffect::Needed } else { NoticeEffect::Duplicate };
        }
        self.until = now + LEASE;
        if self.came_from(from) { NoticeEffect::Taken } else { NoticeEffect::Duplicate }
    }
}

/// Inventories by their owners.
#[derive(Debug, Default)]
pub(super) struct InventoryIndex {
    /// In ascending order of their owners.
    held: Vec<(OwnerKey, HeldInventory)>,
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
        let at = match self.position(notice.owner) {
            Ok(at) => at,
            Err(at) => return self.take_unknown(now, OwnerKey::of(from), notice, at),
        };
        let held = &mut self.held[at].1;
        match &notice.news {
            InventoryNews::Withdrawn if held.came_from(from) => {
                self.remove_at(at);
                NoticeEffect::Taken
            }
            InventoryNews::Withdrawn => NoticeEffect::Dropped,
            InventoryNews::Full { contact, .. } => {
                // The owner may have restarted: what comes from where the inventory came counts, whatever the version.
                if notice.version > held.version || held.came_from(from) || contact.id == from {
                    self.replace(now, from, notice, at)
                } else {
                    NoticeEffect::Duplicate
                }
            }
            InventoryNews::Renewed => held.renew(now, from, notice),
            InventoryNews::Changed(change) => {
                if held.version == change.base && notice.version != change.base {
                    let before = held.filter.len();
                    let fits = change.apply(Arc::make_mut(&mut held.filter));
                    self.prints = self.prints + held.filter.len() - before;
                    held.version = notice.version;
                    if !fits {
                        self.remove_at(at);
                        return NoticeEffect::Needed;
                    }
                }
                held.renew(now, from, notice)
            }
        }
    }

    /// Takes an inventory that would be kept at this place.
    fn take_unknown(&mut self, now: Time, parent: OwnerKey, notice: &InventoryNotice, at: usize) -> NoticeEffect {
        let InventoryNews::Full { contact, filter } = &notice.news else {
            return match notice.news {
                InventoryNews::Withdrawn => NoticeEffect::Dropped,
                _ if self.has_room(parent, 0) => NoticeEffect::Needed,
                _ => NoticeEffect::Dropped,
            };
        };
        if !self.has_room(parent, filter.len()) {
            return NoticeEffect::Dropped;
        }
        self.prints += filter.len();
        let (contact, filter) = (contact.clone(), filter.clone());
        let (version, hops) = (notice.version, notice.hops);
        let held = HeldInventory { contact, filter, until: now + LEASE, parent, version, hops };
        self.held.insert(at, (notice.owner, held));
        NoticeEffect::Taken
    }

    /// Puts a whole inventory in the place of an older or another version.
    fn replace(&mut self, now: Time, from: NodeId, notice: &InventoryNotice, at: usize) -> NoticeEffect {
        let held = &self.held[at].1;
        let parent = if notice.hops <= held.hops { OwnerKey::of(from) } else { held.parent };
        let hops = held.hops.min(notice.hops);
        self.remove_at(at);
        match self.take_unknown(now, parent, notice, at) {
            NoticeEffect::Taken => {
                self.held[at].1.hops = hops;
                if self.held[at].1.came_from(from) { NoticeEffect::Taken } else { NoticeEffect::Duplicate }
            }
            other => other,
        }
    }

    /// The inventory of `owner`, if it is kept.
    pub(super) fn get(&self, owner: OwnerKey) -> Option<&HeldInventory> {
        self.position(owner).ok().map(|at| &self.held[at].1)
    }

    /// Every inventory that is at most `hops` hops from its owner.
    pub(super) fn within(&self, hops: u8) -> impl Iterator<Item = &HeldInventory> {
        self.held.iter().map(|(_, held)| held).filter(move |held| held.hops <= hops)
    }

    /// Every inventory, from the one at this place on and around.
    pub(super) fn from(&self, place: usize) -> impl Iterator<Item = &HeldInventory> {
        let (before, after) = self.held.split_at(place.min(self.held.len()));
        after.iter().chain(before).map(|(_, held)| held)
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Forgets the inventory of `owner`.
    pub(super) fn remove(&mut self, owner: OwnerKey) {
        if let Ok(at) = self.position(owner) {
            self.remove_at(at);
        }
    }

    fn remove_at(&mut self, at: usize) {
        let (_, held) = self.held.remove(at);
        self.prints -= held.filter.len();
    }

    /// Drops what was not renewed.
    pub(super) fn expire(&mut self, now: Time) {
        let prints = &mut self.prints;
        self.held.retain(|(_, held)| {
            let is_over = held.until <= now;
            *prints -= if is_over { held.filter.len() } else { 0 };
            !is_over
        });
    }

    /// Where the inventory of `owner` is, or would be.
    fn position(&self, owner: OwnerKey) -> Result<usize, usize> {
        self.held.binary_search_by_key(&owner, |&(owner, _)| owner)
    }

    fn has_room(&self, parent: OwnerKey, prints: usize) -> bool {
        self.prints + prints <= PRINTS_KEPT_MAX
            && self.held.len() < KEPT_MAX
            && (self.held.len() < KEPT_FROM_ONE_MAX
                || self.held.iter().filter(|(_, held)| held.parent == parent).count() < KEPT_FROM_ONE_MAX)
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
        let contact = Contact::at(node(owner), SocketAddr::from(([10, 0, 0, owner], 1))).into();
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
            let contact = Contact::at(NodeId(id), SocketAddr::from(([10, 0, 0, 1], 1))).into();
            let news = InventoryNews::Full { contact, filter: Arc::new(InventoryFilter::default()) };
            let owner = OwnerKey(number as u64);
            index.take(Time::ZERO, node(9), &InventoryNotice { owner, version: 1, spread: 1, hops: 1, news });
        }
        assert_eq!(index.len(), KEPT_FROM_ONE_MAX);
        assert_eq!(index.take(Time::ZERO, node(8), &full(77, 1, &[5])), NoticeEffect::Taken);
    }
}
