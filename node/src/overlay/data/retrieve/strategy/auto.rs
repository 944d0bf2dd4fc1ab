//! The default: neighbours and group peers first, then breadth-first, linked peers before others.
//!
//! A visit over an established link costs one round trip. Any other may have to traverse two NATs first. So linked peers come
//! first, however far away, and known hosts that are not neighbours come last: they may be gone.

use super::super::visits::Visits;
use super::StrategyEntry;

pub(super) const ENTRY: StrategyEntry = StrategyEntry {
    name: "auto",
    summary: "visit linked peers first",
    begin: |scope, wanted| {
        let mut visits = Visits::new(scope.cx, wanted, true);
        scope.persist.live_peers().for_each(|peer| visits.add(scope.cx, peer, None, 1));
        Box::new(visits)
    },
};
