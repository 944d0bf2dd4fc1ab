//! How much of the network a search has seen, and whether that is enough.
//!
//! Each holder of a block has its inventory at many nodes. A search that has looked at `n` inventories and stores, of a network
//! of `N` nodes with `r` copies of each block, misses all copies with a chance of about e^(-n·r/N) (BubbleStorm, SIGCOMM 2007).
//! Who answers says in how many inventories it has looked; without any, that is one store.

use super::super::inventory::Inventories;

/// Copies that a search should have met before it ends. If inventories lay anywhere with the same chance, it would miss a block
/// that is there once in 22,000 times. They lie near their owners rather than far away, so the true share is greater.
const COPIES_MET: f64 = 10.0;
/// Networks of fewer nodes are searched as a whole: that costs little, and what was not found is not there.
const WHOLE_BELOW: f64 = 64.0;
/// So are networks by nodes with fewer neighbours: inventories then lie in a few corners of the graph, and one visit shows much the
/// same as the next.
const NEIGHBOURS_MIN: usize = 4;

/// What a search has looked at.
#[derive(Debug, Default)]
pub(in super::super) struct Coverage {
    /// Inventories and stores.
    seen: f64,
    /// Most that one answer counts.
    answer_max: f64,
}

impl Coverage {
    /// What this node knows itself. An answer that boasts counts as two nodes of its kind.
    pub(in super::super) fn of_here(inventories: &Inventories) -> Self {
        let known = inventories.known(u8::MAX) as f64;
        Coverage { seen: 1.0 + known, answer_max: 2.0 * known + 8.0 }
    }

    /// A peer has answered that it looked in its store and in so many `inventories`.
    pub(in super::super) fn add(&mut self, inventories: u16) {
        self.seen += 1.0 + f64::from(inventories).min(self.answer_max);
    }

    /// Visits after which a search should have seen this share of what it must see, if others know as much as this node.
    pub(super) fn visits_to(&self, inventories: &Inventories, replicas: usize, share: f64) -> usize {
        let needed = share * COPIES_MET * inventories.network_size() / replicas as f64;
        ((needed - self.seen) / (1.0 + inventories.known(u8::MAX) as f64)).ceil().max(0.0) as usize
    }

    /// Share of what must be seen before the search may end without success; `None` if the whole network is to be searched.
    pub(in super::super) fn share(&self, inventories: &Inventories, replicas: usize) -> Option<f64> {
        let nodes = inventories.network_size();
        let copies = self.seen * replicas as f64 / nodes;
        let is_sample = nodes >= WHOLE_BELOW && inventories.neighbours() >= NEIGHBOURS_MIN;
        is_sample.then_some(copies / COPIES_MET)
    }
}
