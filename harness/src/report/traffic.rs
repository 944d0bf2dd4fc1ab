//! Bytes that nodes sent, by what they are for.

use comfy_table::Table;

use super::format::optional;
use super::style::{TableStyle, add_row, right_aligned};
use crate::metrics::traffic::TrafficResults;

/// One row. `None` if nodes do not count it.
pub(super) fn table(traffic: &TrafficResults, style: TableStyle) -> Option<Table> {
    let of = traffic.bytes_by_purpose;
    of.upkeep?;
    let mut table = style.table(["bytes per node and s", "upkeep", "repair", "query", "payload", "relay"]);
    let row = [traffic.bytes_per_node_s, of.upkeep, of.repair, of.query, of.payload, of.relay];
    add_row(&mut table, style, row.map(|bytes| optional(bytes, |bytes| format!("{bytes:.0}"))));
    Some(right_aligned(table, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::traffic::TrafficByPurpose;

    #[test]
    fn a_row_has_each_purpose_and_nothing_where_none_is_counted() {
        let style = TableStyle::default();
        assert!(table(&TrafficResults::default(), style).is_none());
        let bytes_by_purpose =
            TrafficByPurpose { upkeep: Some(120.4), repair: Some(7.0), ..TrafficByPurpose::default() };
        let traffic = TrafficResults { bytes_by_purpose, bytes_per_node_s: Some(127.4), ..TrafficResults::default() };
        let text = table(&traffic, style).unwrap().to_string();
        let row = text.lines().nth(3).unwrap();
        assert!(row.contains("127 ") && row.contains("120 ") && row.contains(" 7 ") && row.contains('–'), "{text}");
    }
}
