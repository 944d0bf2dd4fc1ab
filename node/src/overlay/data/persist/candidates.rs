//! Selection of peers to recruit: other networks first, then peers with links and shared groups, then quality.
//!
//! What peers claim of themselves does not decide: see [`super::observed`]. Only a claim to have no room counts, which is against
//! the peer's own interest.
//!
//! Sharing groups with few peers keeps the number of heartbeats and of distinct groups small (copysets: Cidon et al., USENIX ATC
//! 2013). Blocks of this node's own application go to the same few *preferred peers*. Repairs go to live group peers while those
//! store less than others. Otherwise blocks would gather on the oldest nodes.

use std::time::Duration;

use super::super::DataCx;
use super::super::view::mix;
use super::Persist;
use super::peers::PeerStatus;
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
pub(super) struct AvoidedPeers(Vec<(Time, NodeId)>);

impl AvoidedPeers {
    pub(super) fn add(&mut self, now: Time, peer: NodeId) {
        self.0.retain(|&(until, other)| until > now && other != peer);
        if self.0.len() >= AVOIDED_MAX {
            self.0.remove(0);
        }
        self.0.push((now + AVOIDED_FOR, peer));
    }

    fn contains(&self, now: Time, peer: NodeId) -> bool {
        self.0.iter().any(|&(until, other)| other == peer && until > now)
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
type Score = (bool, bool, bool, bool, bool, bool, u32, u64);

/// Number of live peers, and the blocks that they store in all or would if each stored what this node does: the lesser.
#[derive(Clone, Copy, Debug)]
struct PeerLoad {
    count: u64,
    most: u64,
}

impl Persist {
    /// The best candidates, each of another network than the members and the others chosen, as far as that goes.
    pub(super) fn candidates(&self, ctx: &DataCx<'_, '_>, wanted: &CandidateQuery<'_>) -> Vec<NodeId> {
        let mut pool = self.pool(ctx, wanted);
        let mut networks: Vec<u64> = wanted.members.iter().filter_map(|&member| self.network_of(ctx, member)).collect();
        let mut chosen = Vec::new();
        let load = self.load();
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

    fn pool(&self, ctx: &DataCx<'_, '_>, wanted: &CandidateQuery<'_>) -> Vec<NodeId> {
        let usable = |peer: &NodeId| {
            *peer != self.me
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

    fn score(&self, ctx: &DataCx<'_, '_>, peer: NodeId, networks: &[u64], (own, load): (bool, PeerLoad)) -> Score {
        let linked = ctx.is_linked(peer);
        let contact = ctx.contact(peer);
        let network = self.observed_network(ctx, peer);
        let diverse = network.is_some_and(|network| !networks.contains(&network));
        let room = contact.is_none_or(|contact| contact.quality.storage_free_kib >= ROOM_KIB);
        let minutes = self.observed.minutes(ctx.now, peer);
        let (first, second) = if own { (diverse, linked) } else { (linked, diverse) };
        let hash = mix(self.salt() ^ peer.prefix());
        let preferred = own && self.preferred_peers.contains(&peer);
        let willing = !self.avoided.contains(ctx.now, peer);
        (willing, preferred, first, second, self.is_steady(peer, load), room, (minutes + 1).ilog2(), hash)
    }

    /// Whether sharing one more group with this peer is better than sharing one with a new peer: there are enough live peers,
    /// and it stores no more blocks than their mean, nor more than this node.
    fn is_steady(&self, peer: NodeId, PeerLoad { count, most }: PeerLoad) -> bool {
        count >= PEERS_WANTED && self.peers.get(peer).is_some_and(|peer| u64::from(peer.held) * count <= most)
    }

    fn load(&self) -> PeerLoad {
        let live = self.peers.iter().filter(|peer| peer.status == PeerStatus::Alive);
        let (count, held) = live.fold((0, 0), |(count, held), peer| (count + 1, held + u64::from(peer.held)));
        PeerLoad { count, most: held.min(self.groups.len() as u64 * count) }
    }

    fn network_of(&self, ctx: &DataCx<'_, '_>, peer: NodeId) -> Option<u64> {
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
