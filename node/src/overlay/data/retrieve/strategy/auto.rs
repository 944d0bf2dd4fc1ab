//! The default: neighbours and group peers first, then breadth-first, linked peers before others.
//!
//! A visit over an established link costs one round trip. Any other may have to traverse two NATs first. So linked peers come
//! first, however far away, and known hosts that are not neighbours come last: they may be gone.

use super::super::super::DataCx;
use super::super::visits::Visits;
use super::StrategyEntry;
use crate::core::identity::NodeId;

pub(super) const ENTRY: StrategyEntry = StrategyEntry {
    name: "auto",
    summary: "visit linked peers first",
    begin: |scope, wanted| {
        let mut visits = Visits::new(scope.cx, wanted, true);
        scope.persist.live_peers().for_each(|peer| visits.add(scope.cx, peer, None, 1));
        add_known_hosts(scope.cx, &mut visits);
        Box::new(visits)
    },
};

/// Starts at the known hosts if there is no better start.
pub(super) fn add_known_hosts(cx: &DataCx<'_, '_>, visits: &mut Visits) {
    if visits.is_over() {
        let known: Vec<NodeId> = cx.known_hosts().map(|contact| contact.id).collect();
        known.into_iter().for_each(|host| visits.add(cx, host, None, 1));
    }
}
