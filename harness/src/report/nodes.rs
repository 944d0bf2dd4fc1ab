//! Nodes: how many were started, killed, left gracefully, and are live.

use comfy_table::Table;

use super::style::{TableStyle, add_row, right_aligned};
use crate::results::nodes::NodeResults;

/// One row. `None` if no node started or ended during the run.
pub(super) fn table(nodes: &NodeResults, style: TableStyle) -> Option<Table> {
    let NodeResults { initial, started, killed, graceful_exits, live } = nodes;
    if started + killed + graceful_exits == 0 {
        return None;
    }
    let mut table = style.table(["nodes at first", "started", "killed", "graceful exits", "live at last"]);
    let row = [*initial as u64, *started, *killed, *graceful_exits, *live as u64];
    add_row(&mut table, style, row.map(|count| count.to_string()));
    Some(right_aligned(table, 0))
}
