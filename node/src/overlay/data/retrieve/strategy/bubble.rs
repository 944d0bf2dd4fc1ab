//! Visits in stages, each as wide as the search so far (BubbleStorm: Terpstra, Kangasharju, Leng, Buchmann, SIGCOMM 2007).
//!
//! The peers of a stage are visited at the same time. So the search takes few round trips, and a few more messages than one that
//! visits peers one after the other.

use super::super::visits::{VisitRules, Visits};
use super::StrategyEntry;

pub(super) const ENTRY: StrategyEntry = StrategyEntry {
    name: "bubble",
    summary: "visit peers in stages, by inventories",
    floods: false,
    begin: |scope, wanted| {
        let rules = VisitRules { linked_first: false, reach: u8::MAX, is_bounded: true, is_staged: true };
        Box::new(Visits::new(scope, wanted, rules).with_hints(scope))
    },
};
