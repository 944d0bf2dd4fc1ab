//! Repair: what it sent, and the least that it had to send.

use comfy_table::Table;

use super::format::{optional, plain, seconds};
use super::style::{TableStyle, add_row, right_aligned};
use crate::results::repair::RepairResults;

/// One row. `None` if no node ended, or nodes do not count what they send to repair.
pub(super) fn table(repair: &RepairResults, style: TableStyle) -> Option<Table> {
    let RepairResults { bytes, held_bytes_mean, node_ends, lifetime_s_mean, overhead } = *repair;
    if node_ends == 0 || bytes.is_none() {
        return None;
    }
    let whole = |bytes: f64| format!("{bytes:.0}");
    let mut table = style.table(["repair overhead", "repair bytes", "held per node", "node ends", "mean lifetime"]);
    let row = [
        optional(overhead, plain),
        optional(bytes, whole),
        optional(held_bytes_mean, whole),
        node_ends.to_string(),
        optional(lifetime_s_mean, seconds),
    ];
    add_row(&mut table, style, row);
    Some(right_aligned(table, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overhead_that_is_not_defined_is_a_dash() {
        let style = TableStyle::default();
        let still = RepairResults { bytes: Some(0.0), ..RepairResults::default() };
        assert!(table(&RepairResults::default(), style).is_none() && table(&still, style).is_none());
        let cells = |repair: &RepairResults| -> Vec<String> {
            let text = table(repair, style).unwrap().to_string();
            let row = text.lines().nth(3).unwrap();
            row.split(['│', '┆']).map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
        };
        let empty = RepairResults { node_ends: 2, lifetime_s_mean: Some(20.0), held_bytes_mean: Some(0.0), ..still };
        assert_eq!(cells(&empty), ["–", "0", "0", "2", "20.00 s"]);
        let repaired =
            RepairResults { bytes: Some(250.4), held_bytes_mean: Some(100.0), overhead: Some(1.252), ..empty };
        assert_eq!(cells(&repaired), ["1.25", "250", "100", "2", "20.00 s"]);
    }
}
