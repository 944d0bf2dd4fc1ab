//! The mappings of a NAT, found by inside endpoint and by outside endpoint, and their expiry.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;

use butter::core::time::Time;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Protocol;
use super::mapping::{Mapping, Remote};
use super::outside::{Outside, Place};

/// What decides which mapping a packet from inside uses: its source, and as much of its destination as mappings depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) protocol: Protocol,
    pub(super) inside: SocketAddrV4,
    pub(super) scope: Remote,
}

/// Every live mapping. The hash maps are never iterated; order comes from `due` alone.
#[derive(Debug)]
pub(super) struct Table {
    places: HashMap<Key, Place, FixedState>,
    mappings: HashMap<(Protocol, Place), Entry, FixedState>,
    /// The mappings of each inside endpoint: several where mappings depend on the other side.
    by_inside: BTreeSet<(Protocol, SocketAddrV4, Place)>,
    /// One entry per mapping, never later than its end: refreshing a mapping does not touch it.
    due: BTreeSet<(Time, Protocol, Place)>,
    /// The first of `due`.
    next_due: Time,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    mapping: Mapping,
    /// Where `due` has it.
    due: Time,
}

impl Table {
    pub(super) fn new(seed: u64) -> Self {
        let state = FixedState::with_seed(seed);
        Table {
            places: HashMap::with_hasher(state.clone()),
            mappings: HashMap::with_hasher(state),
            by_inside: BTreeSet::new(),
            due: BTreeSet::new(),
            next_due: Time::NEVER,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.mappings.len()
    }

    /// Where a mapping is.
    pub(super) fn find(&self, key: &Key) -> Option<Place> {
        self.places.get(key).copied()
    }

    /// The mapping at an outside endpoint.
    pub(super) fn at(&self, protocol: Protocol, place: Place) -> Option<&Mapping> {
        self.mappings.get(&(protocol, place)).map(|entry| &entry.mapping)
    }

    /// Where the mappings of an inside endpoint are, in order.
    pub(super) fn of_inside(&self, protocol: Protocol, inside: SocketAddrV4) -> impl Iterator<Item = Place> {
        let [first, last] = [Place::FIRST, Place::LAST].map(|place| (protocol, inside, place));
        self.by_inside.range(first..=last).map(|&(_, _, place)| place)
    }

    /// Changes the mapping at an outside endpoint, if there is one.
    pub(super) fn update<T>(
        &mut self,
        protocol: Protocol,
        place: Place,
        change: impl FnOnce(&mut Mapping) -> T,
    ) -> Option<T> {
        let entry = self.mappings.get_mut(&(protocol, place))?;
        let result = change(&mut entry.mapping);
        let ends = entry.mapping.ends();
        if ends < entry.due {
            self.due.remove(&(entry.due, protocol, place));
            entry.due = ends;
            self.due.insert((entry.due, protocol, place));
            self.next_due = self.next_due.min(entry.due);
        }
        Some(result)
    }

    /// Adds a mapping at a free outside endpoint. If there is one of that key, what is sent uses the new one from now on.
    pub(super) fn insert(&mut self, key: Key, place: Place, mapping: Mapping) {
        let due = mapping.ends();
        self.due.insert((due, key.protocol, place));
        self.next_due = self.next_due.min(due);
        let place_was_taken = self.mappings.insert((key.protocol, place), Entry { key, mapping, due }).is_some();
        self.places.insert(key, place);
        self.by_inside.insert((key.protocol, key.inside, place));
        assert!(!place_was_taken, "a mapping has a port of its own");
    }

    /// Removes the mappings that have ended, and gives their ports back. Afterwards none in the table has.
    pub(super) fn expire(&mut self, now: Time, outside: &mut Outside) {
        if now < self.next_due {
            return;
        }
        while let Some(&(due, protocol, place)) = self.due.first()
            && due <= now
        {
            self.due.pop_first();
            let entry = self.mappings.get_mut(&(protocol, place)).expect("what is due is in the table");
            let ends = entry.mapping.ends();
            if ends > now {
                entry.due = ends;
                self.due.insert((entry.due, protocol, place));
                continue;
            }
            let key = entry.key;
            self.forget(key, place);
            outside.give_back(protocol, *key.inside.ip(), place);
        }
        self.next_due = self.due.first().map_or(Time::NEVER, |&(due, ..)| due);
    }

    /// Removes the mapping at an outside endpoint, if there is one, and gives no port back: another of the same host is to be
    /// added there.
    pub(super) fn vacate(&mut self, protocol: Protocol, place: Place) {
        let Some(&Entry { key, due, .. }) = self.mappings.get(&(protocol, place)) else { return };
        self.due.remove(&(due, protocol, place));
        self.forget(key, place);
    }

    fn forget(&mut self, key: Key, place: Place) {
        self.mappings.remove(&(key.protocol, place));
        if self.places.get(&key) == Some(&place) {
            self.places.remove(&key);
        }
        self.by_inside.remove(&(key.protocol, key.inside, place));
    }
}
