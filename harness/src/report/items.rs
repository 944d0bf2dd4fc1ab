//! Items: stored, persistent, and their copies.

use comfy_table::Table;

use super::format::{optional, percent, plain};
use super::style::{TableStyle, add_row, right_aligned};
use crate::results::items::ItemResults;

/// One row. `None` if the run stores nothing.
pub(super) fn table(items: &ItemResults, style: TableStyle) -> Option<Table> {
    if items.planned == 0 {
        return None;
    }
    let mut table = style.table([
        "items",
        "stored",
        "persistent",
        "copies mean (max)",
        "blocks per node mean (p99)",
        "empty nodes",
    ]);
    let row = [
        items.planned.to_string(),
        items.acknowledged.to_string(),
        match items.persistent {
            Some(persistent) => format!("{persistent} ({})", optional(items.persistent_share, percent)),
            None => "not inspected yet".to_owned(),
        },
        match items.copies_mean {
            Some(mean) => format!("{} ({})", plain(mean), items.copies_max),
            None => "–".to_owned(),
        },
        items.spread.map_or("–".to_owned(), |spread| format!("{} ({})", optional(spread.mean(), plain), spread.p99)),
        items.spread.map_or("–".to_owned(), |spread| spread.empty.to_string()),
    ];
    add_row(&mut table, style, row);
    Some(right_aligned(table, 0))
}
