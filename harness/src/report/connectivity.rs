//! Connectivity as a grid of node groups.

use comfy_table::Table;

use super::format::{brief_seconds, optional, percent};
use super::style::{TableStyle, add_row};
use crate::results::connectivity::GroupConnectivity;

/// Most groups of which a grid is shown.
const GROUPS_MAX: usize = 9;

/// In each cell: the share of direct links, the most frequent path, and the median time to the first link.
pub(super) fn grid(connectivity: &[GroupConnectivity], style: TableStyle) -> Option<Table> {
    let mut groups: Vec<&str> = Vec::new();
    for name in connectivity.iter().flat_map(|pair| [pair.from.as_str(), pair.to.as_str()]) {
        if !groups.contains(&name) {
            groups.push(name);
        }
    }
    if groups.is_empty() || groups.len() > GROUPS_MAX {
        return None;
    }
    let mut grid = style.table(["direct, path, p50"].into_iter().chain(groups.iter().copied()));
    for from in &groups {
        let cell = |to: &&str| {
            let is = |pair: &&GroupConnectivity| {
                let ends = (&*pair.from, &*pair.to);
                ends == (*from, *to) || ends == (*to, *from)
            };
            connectivity.iter().find(is).map_or_else(String::new, cell_text)
        };
        add_row(&mut grid, style, [(*from).to_owned()].into_iter().chain(groups.iter().map(cell)));
    }
    for column in grid.column_iter_mut() {
        column.set_padding((0, 1));
    }
    Some(grid)
}

fn cell_text(pair: &GroupConnectivity) -> String {
    let commonest = pair.paths.iter().rev().max_by_key(|(_, count)| **count);
    let path = commonest.map_or("–", |(path, _)| path.name());
    let missing = pair.pairs - pair.connected;
    let failed = if missing > 0 { format!("\n{missing} FAILED") } else { String::new() };
    let median = optional(pair.connected_s.p50, brief_seconds);
    format!("{}\n{path}\n{median}{failed}", optional(pair.direct_share, percent))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use butter::api::PathBody;

    use super::*;
    use crate::statistics::DurationQuantiles;

    fn pair(from: &str, to: &str, paths: &[(PathBody, u64)], failed: u64) -> GroupConnectivity {
        let paths: BTreeMap<PathBody, u64> = paths.iter().copied().collect();
        let connected: u64 = paths.values().sum();
        let direct = connected - paths.get(&PathBody::Relayed).unwrap_or(&0);
        let pairs = connected + failed;
        GroupConnectivity {
            from: from.to_owned(),
            to: to.to_owned(),
            pairs,
            connected,
            connected_share: Some(connected as f64 / pairs as f64),
            direct,
            direct_share: Some(direct as f64 / pairs as f64),
            direct_interval: None,
            paths,
            connected_s: DurationQuantiles { p50: Some(1.234), ..DurationQuantiles::default() },
            direct_s: DurationQuantiles::default(),
            attempts_mean: None,
        }
    }

    #[test]
    fn grid_shows_each_pair_of_groups_twice_and_fits_its_width() {
        let names = ["public", "full", "address", "port", "symseq", "symrand", "cgnat", "upnp"];
        let mut pairs: Vec<_> = (0..names.len())
            .flat_map(|a| (a..names.len()).map(move |b| (a, b)))
            .map(|(a, b)| pair(names[a], names[b], &[(PathBody::Predicted, 1)], 0))
            .collect();
        let at = |from, to| pairs.iter().position(|p| (&*p.from, &*p.to) == (from, to)).unwrap();
        let (relayed, failed) = (at("address", "port"), at("public", "public"));
        pairs[relayed] = pair("address", "port", &[(PathBody::Predicted, 1), (PathBody::Relayed, 1)], 0);
        pairs[failed] = pair("public", "public", &[(PathBody::Predicted, 1)], 1);
        let style = TableStyle { width: Some(100), ..TableStyle::default() };
        let text = grid(&pairs, style).unwrap().to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert_eq!(text.matches("predicted").count(), 64, "{text}");
        assert_eq!((text.matches("50 %").count(), text.matches("1 FAILED").count()), (3, 1), "{text}");
        assert!(grid(&[], TableStyle::default()).is_none());
    }
}
