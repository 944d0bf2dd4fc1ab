//! Whom to recruit: peers of other networks first, then such as are linked and share groups already, then by what they offer.
//!
//! Sharing groups with few peers keeps both the beats and the number of different groups small (copysets: Cidon et al.,
//! USENIX ATC 2013). A node's own blocks go to the same few *buddies*. Repairs go to known live peers as long as those hold
//! less than others; else blocks would in time gather on the oldest nodes.

use std::time::Duration;

use super::super::Ctx;
use super::super::view::mix;
use super::Persist;
use super::peers::Status;
use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::time::Time;

/// Peers that a node's own blocks go to first.
pub(super) const BUDDIES_MAX: usize = 4;
/// With fewer live peers than this, repairs look for new ones.
const PEERS_WANTED: u64 = 4;
/// Peers that refused or did not answer, remembered for a while.
const AVOIDED_MAX: usize = 32;
const AVOIDED_FOR: Duration = Duration::from_secs(10);
/// A host that says it has less room than this many KiB comes last.
const ROOM_KIB: u32 = 64;

/// Peers that have just refused an invitation, or not answered one.
#[derive(Debug, Default)]
pub(super) struct Avoided(Vec<(Time, NodeId)>);

impl Avoided {
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

/// What a search for candidates must respect.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// Those who have the block, or will.
    pub(super) members: &'a [NodeId],
    /// Those who will not take it.
    pub(super) tried: &'a [NodeId],
    /// How many.
    pub(super) count: usize,
    /// Whether the block is this node's own and new, rather than one to repair in haste.
    pub(super) own: bool,
}

/// Greater is better; compared from the first field to the last.
type Score = (bool, bool, bool, bool, bool, bool, u32, u64);

impl Persist {
    /// The best candidates, each of another network than the members and the others chosen, as far as that goes.
    pub(super) fn candidates(&self, ctx: &Ctx<'_>, wanted: &Wanted<'_>) -> Vec<NodeId> {
        let mut pool = self.pool(ctx, wanted);
        let mut networks: Vec<u64> = wanted.members.iter().filter_map(|&member| self.network_of(ctx, member)).collect();
        let mut chosen = Vec::new();
        while chosen.len() < wanted.count && !pool.is_empty() {
            let best = (0..pool.len())
                .max_by_key(|&at| self.score(ctx, pool[at], &networks, wanted.own))
                .expect("the pool is not empty");
            let candidate = pool.swap_remove(best);
            networks.extend(self.network_of(ctx, candidate));
            chosen.push(candidate);
        }
        chosen
    }

    fn pool(&self, ctx: &Ctx<'_>, wanted: &Wanted<'_>) -> Vec<NodeId> {
        let usable = |peer: &NodeId| {
            *peer != self.me
                && !wanted.members.contains(peer)
                && !wanted.tried.contains(peer)
                && self.peers.get(*peer).is_none_or(|peer| peer.status == Status::Alive)
        };
        let known = ctx.known_hosts().map(|contact| contact.id);
        let mut pool: Vec<NodeId> = self.peers.iter().map(|peer| peer.id).chain(known).filter(usable).collect();
        pool.sort_unstable();
        pool.dedup();
        pool
    }

    fn score(&self, ctx: &Ctx<'_>, peer: NodeId, networks: &[u64], own: bool) -> Score {
        let linked = ctx.is_linked(peer);
        let contact = ctx.contact(peer);
        let network = contact.map(Contact::network).filter(|&network| network != 0);
        let diverse = network.is_some_and(|network| !networks.contains(&network));
        let room = contact.is_none_or(|contact| contact.quality.storage_free_kib >= ROOM_KIB);
        let minutes = contact.map_or(0, |contact| contact.quality.uptime_s / 60);
        let (first, second) = if own { (diverse, linked) } else { (linked, diverse) };
        let hash = mix(self.salt() ^ peer.prefix());
        let buddy = own && self.buddies.contains(&peer);
        let willing = !self.avoided.contains(ctx.now, peer);
        (willing, buddy, first, second, self.is_steady(peer), room, (minutes + 1).ilog2(), hash)
    }

    /// Whether to rather share one more group with this peer than one with somebody new: there are live peers enough, and it
    /// holds no more blocks than they do in the mean, nor more than this node.
    fn is_steady(&self, peer: NodeId) -> bool {
        let live = self.peers.iter().filter(|peer| peer.status == Status::Alive);
        let (count, held) = live.fold((0, 0), |(count, held), peer| (count + 1, held + u64::from(peer.held)));
        let most = held.min(self.groups.len() as u64 * count);
        count >= PEERS_WANTED && self.peers.get(peer).is_some_and(|peer| u64::from(peer.held) * count <= most)
    }

    fn network_of(&self, ctx: &Ctx<'_>, peer: NodeId) -> Option<u64> {
        let own = (peer == self.me).then(|| ctx.me.network());
        own.or_else(|| ctx.contact(peer).map(Contact::network)).filter(|&network| network != 0)
    }

    /// `peer` has taken a block of this node's own: further ones go there too.
    pub(super) fn befriend(&mut self, peer: NodeId) {
        if !self.buddies.contains(&peer) {
            if self.buddies.len() >= BUDDIES_MAX {
                self.buddies.remove(0);
            }
            self.buddies.push(peer);
        }
    }
}
