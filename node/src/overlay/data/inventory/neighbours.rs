//! The neighbours with which this node exchanges inventories, and to which of them it passes one on.

use smallvec::SmallVec;

use super::super::DataCx;
use super::super::view::mix;
use super::notice::OwnerKey;
use crate::core::identity::NodeId;

/// Neighbours to which a node passes an inventory on at most.
pub(super) const CHILDREN_MAX: usize = 2;

/// Neighbours to which a link is up.
#[derive(Debug, Default)]
pub(super) struct LinkedNeighbours {
    /// In ascending order of their ids.
    peers: Vec<LinkedNeighbour>,
}

#[derive(Debug)]
struct LinkedNeighbour {
    id: NodeId,
    /// Hash of the pair of this node and the neighbour.
    salt: u64,
    /// Whether it is on this node's own network.
    is_here: bool,
}

impl LinkedNeighbours {
    /// Looks at the neighbours afresh. Returns which are new and which are gone.
    pub(super) fn update(&mut self, ctx: &DataCx<'_, '_>) -> (Vec<NodeId>, Vec<NodeId>) {
        let linked = || ctx.neighbours().filter(|&neighbour| ctx.is_linked(neighbour));
        let mut count = 0;
        if linked().inspect(|_| count += 1).all(|peer| self.contains(peer)) && count == self.peers.len() {
            return (Vec::new(), Vec::new());
        }
        let mut ids: Vec<NodeId> = linked().collect();
        ids.sort_unstable();
        let new = ids.iter().copied().filter(|&peer| !self.contains(peer)).collect();
        let gone = self.ids().filter(|peer| ids.binary_search(peer).is_err()).collect();
        let (me, here) = (ctx.me.id.prefix(), ctx.me.network());
        let seen = |id: NodeId| LinkedNeighbour {
            id,
            salt: mix(id.prefix() ^ me),
            is_here: ctx.network_of(id).is_none_or(|network| network == here),
        };
        self.peers = ids.into_iter().map(seen).collect();
        (new, gone)
    }

    /// Removes a neighbour. Returns whether it was one.
    pub(super) fn remove(&mut self, peer: NodeId) -> bool {
        let at = self.position(peer);
        at.map(|at| self.peers.remove(at)).is_ok()
    }

    pub(super) fn contains(&self, peer: NodeId) -> bool {
        self.position(peer).is_ok()
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.peers.iter().map(|neighbour| neighbour.id)
    }

    /// The neighbours that get the inventory of `owner`, which came from `from`: always the same while neighbours stay (rendezvous
    /// hashing: Thaler and Ravishankar, IEEE/ACM ToN 1998). One of another network comes first, if there is any: those who look for
    /// a block elsewhere should meet the inventory too.
    pub(super) fn children(&self, from: NodeId, owner: OwnerKey, most: usize) -> SmallVec<[NodeId; CHILDREN_MAX]> {
        let mut children = SmallVec::new();
        while children.len() < most.min(CHILDREN_MAX) {
            let is_free = |peer: &&LinkedNeighbour| {
                peer.id != from && OwnerKey::of(peer.id) != owner && !children.contains(&peer.id)
            };
            // After the first, networks do not matter.
            let is_first = children.is_empty();
            let rank = |peer: &&LinkedNeighbour| (is_first && peer.is_here, mix(owner.0 ^ peer.salt), peer.id);
            let Some(next) = self.peers.iter().filter(is_free).min_by_key(rank) else { break };
            children.push(next.id);
        }
        children
    }

    fn position(&self, peer: NodeId) -> Result<usize, usize> {
        self.peers.binary_search_by(|neighbour| neighbour.id.cmp(&peer))
    }
}
