//! Selection of peers to recruit: other networks first, then peers with links and shared groups, then quality.
//!
//! What peers claim of themselves does not decide: see [`super::observed`]. Only a claim to have no room counts, which is against
//! the peer's own interest.
//!
//! Sharing groups with few peers keeps the number of heartbeats and of distinct groups small (copysets: Cidon et al., USENIX ATC
//! 2013). Blocks of this node's own application go to the same few *preferred peers*, as long as these store not much more than
//! others. Repairs go to peers that have said that they store few, and to live group peers while those store less than others.
//! Otherwise blocks would gather on the oldest nodes.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use super::super::DataCx;
use super::super::view::mix;
use super::Persist;
use super::balance::heavier_than;
use super::peers::{GroupPeer, PeerStatus};
use crate::core::identity::NodeId;
use crate::core::time::Time;

/// Most preferred peers of a node.
pub(super) const PREFERRED_PEERS_MAX: usize = 4;
/// With fewer live peers than this, repairs look for new ones.
const PEERS_WANTED: u64 = 4;
/// Most peers remembered because they refused or did not answer.
const AVOIDED_MAX: usize = 32;
const AVOIDED_FOR: Duration = Duration::from_secs(10);
/// A host that reports less free storage than this many KiB comes last.
const ROOM_KIB: u32 = 64;

/// Peers that recently refused an invitation or did not answer one.
#[derive(Debug, Default)]
pub(super) struct AvoidedPeers(Vec<AvoidedPeer>);

#[derive(Debug)]
struct AvoidedPeer {
    id: NodeId,
    until: Time,
    full: FullFor,
}

/// For what a peer had no room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FullFor {
    /// For what this node stores anew.
    pub(super) new: bool,
    /// For what this node repairs.
    pub(super) repair: bool,
}

impl FullFor {
    fn and(self, other: FullFor) -> Self {
        FullFor { new: self.new || other.new, repair: self.repair || other.repair }
    }
}

impl AvoidedPeers {
    /// `full` says for what it had no room.
    pub(super) fn add(&mut self, now: Time, peer: NodeId, full: FullFor) {
        let before = self.0.iter().find(|other| other.id == peer && other.until > now).map(|other| other.full);
        let full = before.unwrap_or_default().and(full);
        self.0.retain(|other| other.until > now && other.id != peer);
        if self.0.len() >= AVOIDED_MAX {
            self.0.remove(0);
        }
        self.0.push(AvoidedPeer { id: peer, until: now + AVOIDED_FOR, full });
    }

    /// Peers that had no room for a new block, or for one under repair.
    pub(super) fn without_room(&self, now: Time, new: bool) -> impl Iterator<Item = NodeId> + '_ {
        let is_full = move |full: FullFor| if new { full.new } else { full.repair };
        self.0.iter().filter(move |peer| is_full(peer.full) && peer.until > now).map(|peer| peer.id)
    }

    fn contains(&self, now: Time, peer: NodeId) -> bool {
        self.0.iter().any(|other| other.id == peer && other.until > now)
    }
}

/// Constraints on candidates for one block.
#[derive(Debug)]
pub(super) struct CandidateQuery<'a> {
    /// Peers that store the block or were invited.
    pub(super) members: &'a [NodeId],
    /// Peers that declined the block.
    pub(super) declined_by: &'a [NodeId],
    /// Number of candidates to select.
    pub(super) count: usize,
    /// Whether the block is new and of this node's own application, rather than under repair.
    pub(super) own: bool,
}

/// Greater is better; compared from the first field to the last.
type Score = (bool, Reverse<u32>, bool, bool, bool, bool, u32, u64);

/// What the loads of others say about the one of a candidate.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoadBounds {
    /// Number of live group peers.
    count: u64,
    /// The blocks that they store in all or would if each stored what this node does: the lesser.
    most: u64,
    /// The least that any of them stores, as far as known.
    lightest: u64,
}

impl LoadBounds {
    /// How much more than the lightest a candidate for a new block stores: 0 if it is not worth another choice.
    pub(super) fn excess(&self, held: u64) -> u32 {
        let (bound, step) = (heavier_than(self.lightest), heavier_than(self.lightest) - self.lightest);
        u32::try_from(held.saturating_sub(bound).div_ceil(step)).unwrap_or(u32::MAX)
    }
}

impl Persist {
    /// The best candidates, each of another network than the members and the others chosen, as far as that goes.
    pub(super) fn candidates(&self, ctx: &DataCx<'_, '_>, wanted: &CandidateQuery<'_>) -> Vec<NodeId> {
        let mut pool = self.pool(ctx, wanted);
        let mut networks: Vec<u64> = wanted.members.iter().filter_map(|&member| self.network_of(ctx, member)).collect();
        let mut chosen = Vec::new();
        let load = self.load_bounds(ctx.now);
        while chosen.len() < wanted.count && !pool.is_empty() {
            let best = (0..pool.len())
                .max_by_key(|&at| self.score(ctx, pool[at], &networks, (wanted.own, load)))
                .expect("the pool is not empty");
            let candidate = pool.swap_remove(best);
            networks.extend(self.network_of(ctx, candidate));
            chosen.push(candidate);
        }
        chosen
    }

    /// Every peer that can be recruited.
    pub(super) fn pool(&self, ctx: &DataCx<'_, '_>, wanted: &CandidateQuery<'_>) -> Vec<NodeId> {
        let full: BTreeSet<NodeId> = self.avoided.without_room(ctx.now, wanted.own).collect();
        let usable = |peer: &NodeId| {
            *peer != self.me
                && !full.contains(peer)
                && !wanted.members.contains(peer)
                && !wanted.declined_by.contains(peer)
                && !self.distrusted.contains(*peer)
                && self.peers.get(*peer).is_none_or(|peer| peer.status == PeerStatus::Alive)
        };
        let known = ctx.known_hosts().map(|contact| contact.id);
        let mut pool: Vec<NodeId> = self.peers.iter().map(|peer| peer.id).chain(known).filter(usable).collect();
        pool.sort_unstable();
        pool.dedup();
        pool
    }

    fn score(&self, ctx: &DataCx<'_, '_>, peer: NodeId, networks: &[u64], (own, load): (bool, LoadBounds)) -> Score {
        let linked = ctx.is_linked(peer);
        let contact = ctx.contact(peer);
        let network = self.observed_network(ctx, peer);
        let diverse = network.is_some_and(|network| !networks.contains(&network));
        let room = contact.is_none_or(|contact| contact.quality.storage_free_kib >= ROOM_KIB);
        let understates = self.peers.get(peer).is_some_and(GroupPeer::understates);
        let willing = room && !understates && !self.avoided.contains(ctx.now, peer);
        let minutes = (self.observed.minutes(ctx.now, peer) + 1).ilog2();
        let hash = mix(self.salt() ^ peer.prefix());
        let steady = self.is_steady(peer, load);
        if own {
            let excess = self.load_of(ctx.now, peer).map_or(0, |held| load.excess(held));
            let preferred = self.preferred_peers.contains(&peer);
            (willing, Reverse(excess), preferred, diverse, linked, steady, minutes, hash)
        } else {
            // A neighbour may have died without a sign; a group peer is heard every heartbeat.
            let minutes = if self.peers.get(peer).is_some() { u32::MAX } else { minutes };
            (willing, Reverse(0), linked, diverse, self.is_light(ctx.now, peer), steady, minutes, hash)
        }
    }

    /// Whether sharing one more group with this peer is better than sharing one with a new peer: there are enough live peers,
    /// and it stores no more blocks than their mean, nor more than this node.
    fn is_steady(&self, peer: NodeId, LoadBounds { count, most, .. }: LoadBounds) -> bool {
        count >= PEERS_WANTED && self.peers.get(peer).is_some_and(|peer| peer.load() * count <= most)
    }

    pub(super) fn load_bounds(&self, now: Time) -> LoadBounds {
        let live = self.peers.iter().filter(|peer| peer.status == PeerStatus::Alive);
        let (count, held) = live.fold((0, 0), |(count, held), peer| (count + 1, held + peer.load()));
        let own = self.groups.len() as u64;
        let lightest = self.known_loads(now).min().unwrap_or(own).min(own);
        LoadBounds { count, most: held.min(own * count), lightest }
    }

    pub(super) fn network_of(&self, ctx: &DataCx<'_, '_>, peer: NodeId) -> Option<u64> {
        let own = (peer == self.me).then(|| ctx.me.network());
        own.or_else(|| self.observed_network(ctx, peer)).filter(|&network| network != 0)
    }

    /// `peer` has accepted a block of this node's own application: prefers it for further blocks.
    pub(super) fn prefer(&mut self, peer: NodeId) {
        if !self.preferred_peers.contains(&peer) {
            if self.preferred_peers.len() >= PREFERRED_PEERS_MAX {
                self.preferred_peers.remove(0);
            }
            self.preferred_peers.push(peer);
        }
    }
}
