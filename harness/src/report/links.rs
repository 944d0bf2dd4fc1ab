//! Links by network and path.

use comfy_table::Table;

use super::style::{TableStyle, add_row, right_aligned};
use crate::results::links::NetworkLinks;

/// A row for each network. `None` if no node was sampled.
pub(super) fn table(links: &[NetworkLinks], style: TableStyle) -> Option<Table> {
    if links.is_empty() {
        return None;
    }
    let mut table = style.table(["links of", "nodes", "lan", "direct", "mapped", "punched", "predicted", "relayed"]);
    for of in links {
        let counts = [of.nodes as u64, of.lan, of.direct, of.mapped, of.punched, of.predicted, of.relayed];
        let counts = counts.map(|count| count.to_string());
        add_row(&mut table, style, [of.network.clone()].into_iter().chain(counts));
    }
    Some(right_aligned(table, 1))
}
