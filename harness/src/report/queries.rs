//! Queries by the network that they came from, with their success by the network that stored the item.

use comfy_table::Table;

use super::format::{optional, percent, plain, seconds};
use super::style::{TableStyle, add_row, right_aligned};
use crate::results::queries::{QueryResults, QuerySummary};

/// Most networks that get a column. With more, only the rows are shown.
const COLUMNS_MAX: usize = 8;

/// A row for each network, and one for all. `None` without queries.
pub(super) fn table(queries: &QueryResults, style: TableStyle) -> Option<Table> {
    if queries.total.queries == 0 {
        return None;
    }
    let mut to: Vec<&str> = queries.by_pair.iter().map(|pair| pair.to.as_str()).collect();
    to.sort_unstable();
    to.dedup();
    if to.len() > COLUMNS_MAX {
        to.clear();
    }
    let columns = to.iter().map(|to| (*to).to_owned());
    let fixed = ["queries", "success", "p50", "p95", "max", "messages", "hops"].map(str::to_owned);
    let corner = if to.is_empty() { "queried from" } else { "queried from ↓ stored in →" };
    let mut table = style.table([corner.to_owned()].into_iter().chain(columns).chain(fixed));
    for network in &queries.by_network {
        let share = |to: &&str| {
            let pair = queries.by_pair.iter().find(|pair| pair.from == network.from && pair.to == **to);
            optional(pair.and_then(|pair| pair.summary.success_share), percent)
        };
        let row = [network.from.clone()].into_iter().chain(to.iter().map(share));
        add_row(&mut table, style, row.chain(figures(&network.summary)));
    }
    let blanks = to.iter().map(|_| String::new());
    add_row(&mut table, style, ["all".to_owned()].into_iter().chain(blanks).chain(figures(&queries.total)));
    Some(right_aligned(table, 1))
}

fn figures(summary: &QuerySummary) -> [String; 7] {
    let latency = &summary.latency_s;
    [
        summary.queries.to_string(),
        optional(summary.success_share, percent),
        optional(latency.p50, seconds),
        optional(latency.p95, seconds),
        optional(latency.max, seconds),
        optional(summary.messages_mean, plain),
        optional(summary.hops_mean, plain),
    ]
}
