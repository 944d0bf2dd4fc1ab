//! What this node has seen of peers itself, in place of what they claim.
//!
//! A claim costs nothing: a liar says that it is of a network of its own and has run for years, and so would be everybody's first
//! choice. So a peer's network is that of the address at which this node sees it. Its uptime is the time since the first link.

use super::super::DataCx;
use super::Persist;
use crate::core::identity::NodeId;
use crate::core::peer_map::PeerMap;
use crate::core::time::Time;

/// Most peers remembered; the one linked longest ago is forgotten first.
const OBSERVED_MAX: usize = 512;

#[derive(Clone, Copy, Debug)]
struct ObservedPeer {
    /// Label of its network; 0 while only relayed links were seen.
    network: u64,
    /// When it was first linked.
    since: Time,
    /// When it was last linked.
    linked: Time,
}

/// Peers that were linked.
#[derive(Debug, Default)]
pub(super) struct ObservedPeers(PeerMap<ObservedPeer>);

impl ObservedPeers {
    /// Minutes since the first link to `peer`.
    pub(super) fn minutes(&self, now: Time, peer: NodeId) -> u64 {
        self.0.get(peer).map_or(0, |observed| now.since(observed.since).as_secs() / 60)
    }

    pub(super) fn forget(&mut self, peer: NodeId) {
        self.0.remove(peer);
    }
}

impl Persist {
    /// A link to `peer` is up.
    pub(in super::super) fn note_linked(&mut self, ctx: &DataCx<'_, '_>, peer: NodeId) {
        let peers = &mut self.observed.0;
        if peers.len() >= OBSERVED_MAX
            && !peers.contains(peer)
            && let Some(oldest) = peers.iter().min_by_key(|(_, observed)| observed.linked).map(|(id, _)| id)
        {
            peers.remove(oldest);
        }
        let observed = peers.get_or_insert(peer, ObservedPeer { network: 0, since: ctx.now, linked: ctx.now });
        observed.linked = ctx.now;
        if let Some(network) = seen_network(ctx, peer) {
            observed.network = network;
        }
        self.begin_seeking(ctx.now);
    }

    /// Label of the network in which this node sees `peer`; `None` if it has not seen it over a direct link.
    pub(super) fn observed_network(&self, ctx: &DataCx<'_, '_>, peer: NodeId) -> Option<u64> {
        let before = || self.observed.0.get(peer).map(|observed| observed.network).filter(|&network| network != 0);
        seen_network(ctx, peer).or_else(before)
    }
}

/// The label of the network in which `peer` is seen now.
fn seen_network(ctx: &DataCx<'_, '_>, peer: NodeId) -> Option<u64> {
    ctx.seen_at(peer).map(|seen| ctx.me.network_seen_at(seen))
}
