//! New blocks whose recruits take long are also given to peers that are near.
//!
//! Recruits of other networks are better ones. Over a busy or slow uplink, though, a block may not reach them before the put is
//! given up, while a peer of this node's own network takes it at once.

use std::time::Duration;

use super::super::DataCx;
use super::Persist;
use super::candidates::CandidateQuery;
use crate::core::identity::{BlockId, NodeId};
use crate::core::path::PathEstimate;

/// A peer is near if the round trip to it is so many times shorter than to the nearest recruit that is awaited.
const NEARER: u32 = 4;

impl Persist {
    /// Much of the time for these new blocks is over: invites near peers in place of recruits that have not answered.
    pub(in super::super) fn hasten(&mut self, ctx: &mut DataCx<'_, '_>, ids: impl IntoIterator<Item = BlockId>) {
        for id in ids {
            for peer in self.near_recruits(ctx, id) {
                self.repairs.invite_too(id, peer);
            }
        }
        self.push_queued(ctx);
    }

    fn near_recruits(&self, ctx: &DataCx<'_, '_>, id: BlockId) -> Vec<NodeId> {
        let (Some(view), Some((asked, declined_by))) = (self.groups.get(&id), self.repairs.asked(id)) else {
            return Vec::new();
        };
        let round_trip = |peer: NodeId| ctx.path(peer).map(PathEstimate::rtt);
        let awaited = asked.iter().map(|&peer| round_trip(peer).unwrap_or(Duration::MAX)).min();
        let Some(awaited) = awaited else { return Vec::new() };
        let members: Vec<NodeId> = view.members().iter().chain(asked).copied().collect();
        let wanted = CandidateQuery { members: &members, declined_by, count: asked.len(), own: true };
        let near = |peer: NodeId| Some((round_trip(peer).filter(|&time| time * NEARER < awaited)?, peer));
        let mut near: Vec<(Duration, NodeId)> = self.pool(ctx, &wanted).into_iter().filter_map(near).collect();
        near.sort_unstable();
        near.into_iter().take(asked.len()).map(|(_, peer)| peer).collect()
    }
}
