//! Searches for keywords.

use comfy_table::Table;

use super::format::{optional, percent, plain, seconds};
use super::style::{TableStyle, add_row, right_aligned};
use crate::results::searches::SearchSummary;

/// One row. `None` without searches.
pub(super) fn table(searches: Option<&SearchSummary>, style: TableStyle) -> Option<Table> {
    let searches = searches?;
    let mut table =
        style.table(["searches", "expected", "found", "wrong", "recall", "precision", "p50", "p95", "messages"]);
    let row = [
        searches.searches.to_string(),
        searches.expected.to_string(),
        searches.found.to_string(),
        searches.wrong.to_string(),
        optional(searches.recall, percent),
        optional(searches.precision, percent),
        optional(searches.latency_s.p50, seconds),
        optional(searches.latency_s.p95, seconds),
        optional(searches.messages_mean, plain),
    ];
    add_row(&mut table, style, row);
    Some(right_aligned(table, 0))
}
