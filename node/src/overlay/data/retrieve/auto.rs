//! The default: the neighbours and those with whom groups are shared, then breadth-first, linked peers before others.
//!
//! A visit over a link that is up costs a round trip; any other may first have to cross two NATs. So the cheap ones come
//! first, wherever in the network they were heard of, and the known hosts that are not neighbours last: they may be gone.

use super::super::Ctx;
use super::super::persist::Persist;
use super::get::Search;
use super::visits::Visits;
use crate::core::identity::{BlockId, NodeId};

/// Begins at everybody this node knows.
pub(super) fn begin(ctx: &Ctx<'_>, persist: &Persist, wanted: Vec<BlockId>) -> Search {
    let mut visits = Visits::new(ctx, wanted, true);
    persist.live_peers().for_each(|peer| visits.add(ctx, peer, None, 1));
    if visits.is_over() {
        let known: Vec<NodeId> = ctx.known_hosts().map(|contact| contact.id).collect();
        known.into_iter().for_each(|host| visits.add(ctx, host, None, 1));
    }
    Search::Visits(visits)
}
