//! Iterative breadth-first search: peers are visited in the order in which they were discovered.

use super::super::visits::Visits;
use super::StrategyEntry;
use super::auto::add_known_hosts;

pub(super) const ENTRY: StrategyEntry = StrategyEntry {
    name: "bfs",
    summary: "visit peers in order of discovery",
    begin: |scope, wanted| {
        let mut visits = Visits::new(scope.cx, wanted, false);
        add_known_hosts(scope.cx, &mut visits);
        Box::new(visits)
    },
};
