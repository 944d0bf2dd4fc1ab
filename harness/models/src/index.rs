//! Indices of what a plan lists: networks, nodes and items. Operations and events name them so.

use serde::Serialize;

/// Index into the networks of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NetworkIndex(pub usize);

/// Networks that one name of the file stands for: neighbours in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NetworkRange {
    /// The first of them.
    pub first: NetworkIndex,
    /// How many there are, at least one.
    pub count: usize,
}

impl NetworkRange {
    /// `count` networks from index `first` on.
    pub fn new(first: usize, count: usize) -> Self {
        NetworkRange { first: NetworkIndex(first), count }
    }

    /// Number `number` of them, from 0; after the last comes the first again.
    pub fn nth(self, number: usize) -> NetworkIndex {
        NetworkIndex(self.first.0 + number % self.count)
    }

    /// All indices, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = NetworkIndex> {
        (self.first.0..self.first.0 + self.count).map(NetworkIndex)
    }

    /// Whether `network` is one of them.
    pub fn contains(self, network: NetworkIndex) -> bool {
        (self.first.0..self.first.0 + self.count).contains(&network.0)
    }
}

impl From<NetworkIndex> for NetworkRange {
    fn from(first: NetworkIndex) -> Self {
        NetworkRange { first, count: 1 }
    }
}

/// Index into the nodes of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NodeIndex(pub usize);

/// Index into the items of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ItemIndex(pub usize);
