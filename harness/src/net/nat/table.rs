//! The mappings of a NAT, found by inside endpoint and by outside port, and their expiry.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;

use butter::core::time::Time;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Protocol;
use super::mapping::{Mapping, Remote};

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
    ports: HashMap<Key, u16, FixedState>,
    mappings: HashMap<(Protocol, u16), Entry, FixedState>,
    /// One entry per mapping, never later than its end: refreshing a mapping does not touch it.
    due: BTreeSet<(Time, Protocol, u16)>,
    /// The first of `due`.
    next_due: Time,
    /// Per protocol.
    counts: [usize; 3],
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
            ports: HashMap::with_hasher(state.clone()),
            mappings: HashMap::with_hasher(state),
            due: BTreeSet::new(),
            next_due: Time::NEVER,
            counts: [0; 3],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.mappings.len()
    }

    pub(super) fn count(&self, protocol: Protocol) -> usize {
        self.counts[protocol as usize]
    }

    /// The outside port of a mapping.
    pub(super) fn find(&self, key: &Key) -> Option<u16> {
        self.ports.get(key).copied()
    }

    /// The mapping at an outside port.
    pub(super) fn at(&self, protocol: Protocol, port: u16) -> Option<&Mapping> {
        self.mappings.get(&(protocol, port)).map(|entry| &entry.mapping)
    }

    /// Changes the mapping at an outside port, if there is one.
    pub(super) fn update<T>(
        &mut self,
        protocol: Protocol,
        port: u16,
        change: impl FnOnce(&mut Mapping) -> T,
    ) -> Option<T> {
        let entry = self.mappings.get_mut(&(protocol, port))?;
        let result = change(&mut entry.mapping);
        if entry.mapping.until < entry.due {
            self.due.remove(&(entry.due, protocol, port));
            entry.due = entry.mapping.until;
            self.due.insert((entry.due, protocol, port));
            self.next_due = self.next_due.min(entry.due);
        }
        Some(result)
    }

    /// Adds a mapping at a free port.
    pub(super) fn insert(&mut self, key: Key, port: u16, mapping: Mapping) {
        let due = mapping.until;
        self.due.insert((due, key.protocol, port));
        self.next_due = self.next_due.min(due);
        self.counts[key.protocol as usize] += 1;
        let port_was_taken = self.mappings.insert((key.protocol, port), Entry { key, mapping, due }).is_some();
        let key_was_mapped = self.ports.insert(key, port).is_some();
        assert!(!port_was_taken && !key_was_mapped, "a mapping has a port of its own, and a flow one mapping");
    }

    /// Removes the mappings that have ended. Afterwards none in the table has.
    pub(super) fn expire(&mut self, now: Time) {
        if now < self.next_due {
            return;
        }
        while let Some(&(due, protocol, port)) = self.due.first()
            && due <= now
        {
            self.due.pop_first();
            let entry = self.mappings.get_mut(&(protocol, port)).expect("what is due is in the table");
            if entry.mapping.until > now {
                entry.due = entry.mapping.until;
                self.due.insert((entry.due, protocol, port));
                continue;
            }
            let key = entry.key;
            self.mappings.remove(&(protocol, port));
            self.ports.remove(&key);
            self.counts[protocol as usize] -= 1;
        }
        self.next_due = self.due.first().map_or(Time::NEVER, |&(due, ..)| due);
    }
}
