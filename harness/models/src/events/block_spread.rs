//! How blocks are spread over nodes at one moment.

use serde::Serialize;

use crate::statistics::{quantile, ratio};

/// How many blocks nodes hold, each block that a node holds counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BlockSpread {
    /// Number of live nodes.
    pub nodes: usize,
    /// Blocks that they hold together.
    pub blocks: usize,
    /// Nodes that hold none.
    pub empty: usize,
    /// Half of the nodes hold at most so many.
    pub p50: usize,
    /// 99 of 100 nodes hold at most so many.
    pub p99: usize,
    /// Most blocks that one node holds.
    pub max: usize,
}

impl BlockSpread {
    /// Of nodes that hold so many blocks each.
    pub fn of(held: impl IntoIterator<Item = usize>) -> Self {
        let mut held: Vec<usize> = held.into_iter().collect();
        held.sort_unstable();
        let at = |of| quantile(&held, of).unwrap_or(0);
        BlockSpread {
            nodes: held.len(),
            blocks: held.iter().sum(),
            empty: held.iter().filter(|&&held| held == 0).count(),
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }

    /// `blocks / nodes`. `None` without nodes.
    pub fn mean(&self) -> Option<f64> {
        ratio(self.blocks as u64, self.nodes as u64)
    }
}
