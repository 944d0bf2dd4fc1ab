//! A map from peers to what is known of them, for some dozens of peers that are looked up with every message.
//!
//! A node looks up the same few peers all the time, and a simulation of thousands of nodes finds none of that in its cache. So the
//! first 8 bytes of the ids stand side by side: a look-up reads one or two lines of the cache and then the entry. Nothing is
//! allocated that holds no entry.

use super::identity::NodeId;

/// Values by the ids of peers, in ascending order of the ids. Adding and removing takes time linear in the number of entries.
#[derive(Clone, Debug)]
pub struct PeerMap<V> {
    /// [`NodeId::prefix`] of each entry.
    prefixes: Vec<u64>,
    entries: Vec<(NodeId, V)>,
}

impl<V> Default for PeerMap<V> {
    fn default() -> Self {
        PeerMap { prefixes: Vec::new(), entries: Vec::new() }
    }
}

impl<V> PeerMap<V> {
    /// What is known of `peer`, if it has an entry.
    pub fn get(&self, peer: NodeId) -> Option<&V> {
        self.position(peer).ok().map(|at| &self.entries[at].1)
    }

    /// What is known of `peer`, to change.
    pub fn get_mut(&mut self, peer: NodeId) -> Option<&mut V> {
        self.position(peer).ok().map(|at| &mut self.entries[at].1)
    }

    /// What is known of `peer`, to change; `value` if it was not known.
    pub fn get_or_insert(&mut self, peer: NodeId, value: V) -> &mut V {
        let at = match self.position(peer) {
            Ok(at) => at,
            Err(at) => {
                self.insert_at(at, peer, value);
                at
            }
        };
        &mut self.entries[at].1
    }

    /// Whether anything is known of `peer`.
    pub fn contains(&self, peer: NodeId) -> bool {
        self.position(peer).is_ok()
    }

    /// Sets what is known of `peer`. Returns what was known before.
    pub fn insert(&mut self, peer: NodeId, value: V) -> Option<V> {
        match self.position(peer) {
            Ok(at) => Some(std::mem::replace(&mut self.entries[at].1, value)),
            Err(at) => {
                self.insert_at(at, peer, value);
                None
            }
        }
    }

    /// Removes a peer. Returns what was known of it.
    pub fn remove(&mut self, peer: NodeId) -> Option<V> {
        let at = self.position(peer).ok()?;
        self.prefixes.remove(at);
        Some(self.entries.remove(at).1)
    }

    /// Removes all peers but those that `is_kept`.
    pub fn retain(&mut self, is_kept: impl Fn(NodeId) -> bool) {
        self.prefixes.clear();
        self.entries.retain(|(peer, _)| is_kept(*peer));
        self.prefixes.extend(self.entries.iter().map(|(peer, _)| peer.prefix()));
    }

    /// Number of peers that have an entry.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no peer has an entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The peers, in ascending order.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.entries.iter().map(|&(peer, _)| peer)
    }

    /// Every value, in the order of the peers.
    pub fn values(&self) -> impl Iterator<Item = &V> + '_ {
        self.entries.iter().map(|(_, value)| value)
    }

    /// Every peer with what is known of it, in ascending order of the peers.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &V)> + '_ {
        self.entries.iter().map(|(peer, value)| (*peer, value))
    }

    fn insert_at(&mut self, at: usize, peer: NodeId, value: V) {
        self.prefixes.insert(at, peer.prefix());
        self.entries.insert(at, (peer, value));
    }

    /// Where `peer` is, or would be.
    fn position(&self, peer: NodeId) -> Result<usize, usize> {
        let first = self.prefixes.partition_point(|&prefix| prefix < peer.prefix());
        // Ids that share a prefix do not come by chance, but a peer chooses its own.
        let alike = self.prefixes[first..].iter().take_while(|&&prefix| prefix == peer.prefix()).count();
        match alike {
            0 => Err(first),
            _ => self.entries[first..first + alike]
                .binary_search_by(|(id, _)| id.cmp(&peer))
                .map(|at| first + at)
                .map_err(|at| first + at),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As a `BTreeMap` does, also where ids share their first bytes.
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0u8..3, 0u8..8, 0u8..4), 1..100)) {
            let mut map = PeerMap::default();
            let mut model = BTreeMap::new();
            for (number, (head, tail, step)) in steps.into_iter().enumerate() {
                let mut id = [head; 32];
                id[31] = tail;
                let peer = NodeId(id);
                match step {
                    0 => prop_assert_eq!(map.insert(peer, number), model.insert(peer, number)),
                    1 => prop_assert_eq!(map.remove(peer), model.remove(&peer)),
                    2 => {
                        map.retain(|peer| peer.0[0] != head);
                        model.retain(|peer, _| peer.0[0] != head);
                    }
                    _ => prop_assert_eq!(*map.get_or_insert(peer, number), *model.entry(peer).or_insert(number)),
                }
                prop_assert_eq!((map.get(peer), map.contains(peer)), (model.get(&peer), model.contains_key(&peer)));
                prop_assert_eq!(map.get_mut(peer), model.get_mut(&peer));
                prop_assert!(map.iter().eq(model.iter().map(|(&peer, value)| (peer, value))));
                prop_assert!(map.peers().eq(model.keys().copied()) && map.values().eq(model.values()));
                prop_assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
            }
        }
    }
}
