//! Breadth-first search among peers that know what others near them have (Gia: Chawathe et al., SIGCOMM 2003).
//!
//! `index` looks in the inventories of neighbours, `index2` also in those of nodes two hops away.

use super::super::visits::{VisitRules, Visits};
use super::{SearchScope, SearchStrategy, StrategyEntry};
use crate::core::identity::BlockId;

pub(super) const ONE_HOP: StrategyEntry = StrategyEntry {
    name: "index",
    summary: "visit peers that know what their neighbours have",
    floods: false,
    begin: |scope, wanted| begin(scope, wanted, 1),
};

pub(super) const TWO_HOPS: StrategyEntry = StrategyEntry {
    name: "index2",
    summary: "the same over two hops",
    floods: false,
    begin: |scope, wanted| begin(scope, wanted, 2),
};

fn begin(scope: &mut SearchScope<'_, '_, '_>, wanted: Vec<BlockId>, reach: u8) -> Box<dyn SearchStrategy> {
    Box::new(Visits::new(scope, wanted, VisitRules { reach, ..VisitRules::default() }).with_hints(scope))
}
