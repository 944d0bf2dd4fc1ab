//! Queries by the network that they came from, with their success by the network that stored the item.

use comfy_table::Table;

use super::format::{optional, percent, plain, seconds};
use super::style::{TableStyle, add_row, fitted, natural_width, right_aligned};
use crate::results::queries::{QueryResults, QuerySummary};

/// Most networks that get a column. With more, only the rows are shown.
const COLUMNS_MAX: usize = 8;
/// What rows and columns of pairs are.
const PAIRS_CORNER: &str = "queried from ↓ stored in →";

/// Columns of figures by their rank, the least first: those that a narrow terminal does without.
const LESS: [usize; 3] = [7, 5, 6];

/// A row for each network, and one for all. `None` without queries. Where the terminal is too narrow for all of it, shares by pairs of
/// networks are in a table of their own.
pub(super) fn table(queries: &QueryResults, style: TableStyle) -> Option<String> {
    let whole = figures_table(queries, style, true)?;
    if style.width.is_none_or(|width| natural_width(&whole) <= usize::from(width)) {
        return Some(whole.to_string());
    }
    let figures = fitted(figures_table(queries, style, false)?, style, &LESS);
    let pairs = pairs_table(queries, style).map_or(String::new(), |pairs| format!("\n{pairs}"));
    Some(figures + &pairs)
}

/// Networks in which items were stored; none if they are too many for columns.
fn stored_in(queries: &QueryResults) -> Vec<&str> {
    let mut to: Vec<&str> = queries.by_pair.iter().map(|pair| pair.to.as_str()).collect();
    to.sort_unstable();
    to.dedup();
    if to.len() > COLUMNS_MAX {
        to.clear();
    }
    to
}

/// Shares of success alone.
fn pairs_table(queries: &QueryResults, style: TableStyle) -> Option<Table> {
    let to = stored_in(queries);
    if to.is_empty() {
        return None;
    }
    let mut table = style.table([PAIRS_CORNER].into_iter().chain(to.iter().copied()));
    for network in &queries.by_network {
        let shares = to.iter().map(|to| share(queries, &network.from, to));
        add_row(&mut table, style, [network.from.clone()].into_iter().chain(shares));
    }
    Some(right_aligned(table, 1))
}

fn share(queries: &QueryResults, from: &str, to: &str) -> String {
    let pair = queries.by_pair.iter().find(|pair| pair.from == from && pair.to == to);
    optional(pair.and_then(|pair| pair.summary.success_share), percent)
}

fn figures_table(queries: &QueryResults, style: TableStyle, with_pairs: bool) -> Option<Table> {
    if queries.total.queries == 0 {
        return None;
    }
    let to = if with_pairs { stored_in(queries) } else { Vec::new() };
    let columns = to.iter().map(|to| (*to).to_owned());
    let fixed = ["queries", "success", "p50", "p95", "max", "messages", "hops"].map(str::to_owned);
    let corner = if to.is_empty() { "queried from" } else { PAIRS_CORNER };
    let mut table = style.table([corner.to_owned()].into_iter().chain(columns).chain(fixed));
    for network in &queries.by_network {
        let row = [network.from.clone()].into_iter().chain(to.iter().map(|to| share(queries, &network.from, to)));
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
