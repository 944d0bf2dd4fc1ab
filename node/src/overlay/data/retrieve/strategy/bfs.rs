//! Iterative breadth-first search: peers are visited in the order in which they were discovered.

use super::super::visits::{VisitRules, Visits};
use super::StrategyEntry;

pub(super) const ENTRY: StrategyEntry = StrategyEntry {
    name: "bfs",
    summary: "visit peers in order of discovery",
    floods: false,
    begin: |scope, wanted| Box::new(Visits::new(scope, wanted, VisitRules::default())),
};
