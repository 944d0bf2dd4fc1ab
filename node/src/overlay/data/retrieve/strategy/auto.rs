//! The default: peers that probably have the block, by inventories; then linked peers, each of which looks in the inventories that
//! it keeps.
//!
//! First come the peer that had the block when it was last found, and those that this node's own inventories name. Then the
//! search visits neighbours and group peers, and whoever they name. A visit over an established link costs one round trip. Any
//! other may have to traverse two NATs first. So linked peers come first, however far away, and known hosts that are not
//! neighbours come last: they may be gone. The search ends once it has seen enough inventories, or every peer if it is exhaustive.

use super::super::visits::{VisitRules, Visits};
use super::StrategyEntry;

pub(super) const ENTRY: StrategyEntry = StrategyEntry {
    name: "auto",
    summary: "visit peers that probably have it, then linked peers",
    floods: false,
    begin: |scope, wanted| {
        let rules = VisitRules { linked_first: true, reach: u8::MAX, is_bounded: true, is_staged: false };
        let mut visits = Visits::new(scope, wanted, rules).with_hints(scope);
        scope.persist.live_peers().for_each(|peer| visits.add(scope.cx, peer, None, 1));
        Box::new(visits)
    },
};
