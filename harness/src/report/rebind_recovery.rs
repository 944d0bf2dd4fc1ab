//! Recovery of links from rebinds.

use comfy_table::Table;

use super::format::{optional, percent, seconds};
use super::style::{TableStyle, add_row, right_aligned};
use crate::results::rebind_recovery::RebindRecovery;

/// A row for each rebind. `None` without one.
pub(super) fn table(rebinds: &[RebindRecovery], style: TableStyle) -> Option<Table> {
    if rebinds.is_empty() {
        return None;
    }
    let mut table = style.table(["rebind of", "at", "link ends", "recovered", "p50", "p95", "max"]);
    for rebind in rebinds {
        let times = &rebind.recovered_s;
        let row = [
            rebind.network.clone(),
            seconds(rebind.at_s),
            rebind.link_ends.to_string(),
            optional(rebind.recovered_share, percent),
            optional(times.p50, seconds),
            optional(times.p95, seconds),
            optional(times.max, seconds),
        ];
        add_row(&mut table, style, row);
    }
    Some(right_aligned(table, 1))
}
