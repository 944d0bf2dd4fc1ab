//! The grid of a cross step: how nodes of each two groups could be linked.

use std::collections::BTreeMap;

use butter::api::PathBody;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use super::result::Latency;
use crate::plan::Plan;
use crate::report::table::{optional, percent, table};
use crate::results::connectivity::{Link, LinkFigures, link_cells};

/// Most groups of which a grid is shown.
const GROUPS_MAX: usize = 9;
/// Most characters of a line of the grid.
const WIDTH: u16 = 100;

/// Links between the nodes of two groups, whichever of them asked.
#[derive(Clone, Debug, Serialize)]
pub struct Crossing {
    /// One group.
    pub from: String,
    /// The other, or the same.
    pub to: String,
    /// Pairs that were to be linked.
    pub pairs: u64,
    /// Those that were.
    pub linked: u64,
    /// `linked / pairs`
    pub linked_share: Option<f64>,
    /// Those that were without a relay.
    pub direct: u64,
    /// `direct / pairs`
    pub direct_share: Option<f64>,
    /// Where the true share lies with 95 % confidence (Wilson 1927).
    pub direct_interval: Option<(f64, f64)>,
    /// Links by how they run.
    pub paths: BTreeMap<PathBody, u64>,
    /// Until there was a link, in seconds.
    pub linked_s: Latency,
    /// Until there was one without a relay, in seconds.
    pub direct_s: Latency,
    /// Tries to get past the relay, of those linked.
    pub tries_mean: Option<f64>,
}

/// Every two groups of which nodes were to be linked.
pub(crate) fn crossings(plan: &Plan, links: &[Link]) -> Vec<Crossing> {
    let groups = plan.node_groups();
    let crossing = |((from, to), links): ((usize, usize), Vec<&Link>)| {
        let figures = LinkFigures::of(links);
        let latency = |direct| {
            let after = |quantile| figures.after_s(direct, quantile);
            Latency { p50: after(0.5), p95: after(0.95), max: after(1.0) }
        };
        Crossing {
            from: groups[from].to_owned(),
            to: groups[to].to_owned(),
            pairs: figures.pairs,
            linked: figures.count(false),
            linked_share: figures.share(false),
            direct: figures.count(true),
            direct_share: figures.share(true),
            direct_interval: figures.interval(true),
            linked_s: latency(false),
            direct_s: latency(true),
            tries_mean: figures.tries_mean(),
            paths: figures.paths,
        }
    };
    link_cells(plan, links).into_iter().map(crossing).collect()
}

/// The grid for people: in each cell the share of direct links, how most links run, and the median time to the first.
pub(crate) fn grid(crossings: &[Crossing]) -> Option<Table> {
    let mut groups: Vec<&str> = Vec::new();
    for name in crossings.iter().flat_map(|cell| [cell.from.as_str(), cell.to.as_str()]) {
        if !groups.contains(&name) {
            groups.push(name);
        }
    }
    if groups.is_empty() || groups.len() > GROUPS_MAX {
        return None;
    }
    let mut grid = table(["direct, path, p50"].into_iter().chain(groups.iter().copied()));
    grid.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    for from in &groups {
        let cell = |to: &&str| {
            let is =
                |cell: &&Crossing| (&*cell.from, &*cell.to) == (*from, *to) || (&*cell.to, &*cell.from) == (*from, *to);
            crossings.iter().find(is).map_or_else(String::new, cell_text)
        };
        grid.add_row([(*from).to_owned()].into_iter().chain(groups.iter().map(cell)));
    }
    for column in grid.column_iter_mut() {
        column.set_padding((0, 1));
    }
    Some(grid)
}

fn cell_text(cell: &Crossing) -> String {
    let commonest = cell.paths.iter().rev().max_by_key(|(_, count)| **count);
    let path = commonest.map_or("–", |(path, _)| path.name());
    let lost = if cell.linked < cell.pairs { format!("\n{} LOST", cell.pairs - cell.linked) } else { String::new() };
    format!("{}\n{path}\n{}{lost}", optional(cell.direct_share, percent), optional(cell.linked_s.p50, brief))
}

/// Three digits at most: the grid is narrow.
fn brief(s: f64) -> String {
    if s < 0.9995 { format!("{:.0} ms", s * 1e3) } else { format!("{s:.1} s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::LinkResult;
    use crate::plan::NodeIndex;
    use crate::results::fixture;

    fn link(from: usize, to: usize, path: PathBody, took_us: u64) -> Link {
        let direct_us = (path != PathBody::Relayed).then_some(took_us + 50_000);
        let result = LinkResult::Up { path, took_us: Some(took_us), direct_us, tries: 1 };
        Link { from: NodeIndex(from), to: NodeIndex(to), result }
    }

    #[test]
    fn the_grid_shows_each_pair_of_groups_twice_and_fits_its_width() {
        let mut plan = fixture::plan();
        let names = ["public", "full", "address", "port", "symseq", "symrand", "cgnat", "upnp"];
        let node = plan.nodes[0].clone();
        plan.nodes =
            names.iter().map(|name| crate::plan::NodePlan { group: (*name).to_owned(), ..node.clone() }).collect();
        let pairs = (0..names.len()).flat_map(|a| (a..names.len()).map(move |b| (a, b)));
        let mut links: Vec<Link> = pairs.map(|(a, b)| link(b, a, PathBody::Predicted, 1_234_000)).collect();
        links.push(link(2, 3, PathBody::Relayed, 30_000));
        links.push(Link { result: LinkResult::Down { why: "no link in time".to_owned() }, ..links[0].clone() });
        let cells = crossings(&plan, &links);
        assert_eq!(cells.len(), 36);
        let text = grid(&cells).unwrap().to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert_eq!(text.matches("predicted").count(), 64, "{text}");
        assert_eq!((text.matches("50 %").count(), text.matches("1 LOST").count()), (3, 1), "{text}");
    }

    #[test]
    fn a_cell_holds_what_was_measured() {
        let links = [link(0, 2, PathBody::Punched, 100_000), link(2, 0, PathBody::Relayed, 300_000)];
        let cells = crossings(&fixture::plan(), &links);
        let json = serde_json::to_value(&cells).unwrap();
        assert_eq!(json[0]["paths"], serde_json::json!({"punched": 1, "relayed": 1}));
        assert_eq!((&json[0]["direct_share"], &json[0]["linked_share"]), (&0.5.into(), &1.0.into()));
        assert_eq!((&json[0]["linked_s"]["p50"], &json[0]["direct_s"]["p50"]), (&0.1.into(), &0.15.into()));
        assert!(grid(&[]).is_none());
    }
}
