//! What became of the links of cross steps: how many came about, how they run, how long they took.

use std::collections::BTreeMap;

use butter::api::PathBody;

use super::tally::{quantile_s, ratio};
use crate::events::LinkResult;
use crate::plan::{NodeIndex, Plan};
use crate::statistics::{Proportion, Z_95};

/// One link that was to be made.
#[derive(Clone, Debug)]
pub struct Link {
    /// Who asked for it.
    pub from: NodeIndex,
    /// To whom.
    pub to: NodeIndex,
    /// What came of it.
    pub result: LinkResult,
}

/// Links by the groups of their two nodes, whichever of them asked: indices into [`Plan::node_groups`], the lesser first.
pub fn link_cells<'l>(plan: &Plan, links: &'l [Link]) -> BTreeMap<(usize, usize), Vec<&'l Link>> {
    let index: BTreeMap<&str, usize> = plan.node_groups().into_iter().enumerate().map(|(i, name)| (name, i)).collect();
    let group = |node| index[plan.node(node).group.as_str()];
    let mut cells: BTreeMap<_, Vec<&Link>> = BTreeMap::new();
    for link in links {
        let (a, b) = (group(link.from), group(link.to));
        cells.entry((a.min(b), a.max(b))).or_default().push(link);
    }
    cells
}

/// A set of links in figures.
#[derive(Clone, Debug, Default)]
pub struct LinkFigures {
    /// How many were to be made.
    pub pairs: u64,
    /// Those that came about, by how they run.
    pub paths: BTreeMap<PathBody, u64>,
    /// How long they took, in order.
    took_us: Vec<u64>,
    /// How long those without a relay took until they needed none, in order.
    direct_us: Vec<u64>,
    /// Tries to get past the relay, all together.
    tries: u64,
}

impl LinkFigures {
    /// Of these links.
    pub fn of<'l>(links: impl IntoIterator<Item = &'l Link>) -> Self {
        let mut figures = LinkFigures::default();
        for link in links {
            figures.pairs += 1;
            if let LinkResult::Up { path, took_us, direct_us, tries } = &link.result {
                *figures.paths.entry(*path).or_default() += 1;
                figures.took_us.extend(took_us);
                figures.direct_us.extend(direct_us);
                figures.tries += u64::from(*tries);
            }
        }
        figures.took_us.sort_unstable();
        figures.direct_us.sort_unstable();
        figures
    }

    /// How many came about; without a relay if `direct`.
    pub fn count(&self, direct: bool) -> u64 {
        let counts = |path: &PathBody| !direct || *path != PathBody::Relayed;
        self.paths.iter().filter(|(path, _)| counts(path)).map(|(_, count)| count).sum()
    }

    /// Share of the pairs. `None` without pairs.
    pub fn share(&self, direct: bool) -> Option<f64> {
        ratio(self.count(direct), self.pairs)
    }

    /// Between which shares the true one lies, with 95 % confidence (Wilson 1927).
    pub fn interval(&self, direct: bool) -> Option<(f64, f64)> {
        Proportion { part: self.count(direct), whole: self.pairs }.interval(Z_95)
    }

    /// A quantile (0..1) of the times until links were up, or direct, in seconds. Those that were up before have none.
    pub fn after_s(&self, direct: bool, quantile: f64) -> Option<f64> {
        quantile_s(if direct { &self.direct_us } else { &self.took_us }, quantile)
    }

    /// Mean tries to get past the relay, of links that came about.
    pub fn tries_mean(&self) -> Option<f64> {
        ratio(self.tries, self.count(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture;

    fn link(from: usize, to: usize, result: LinkResult) -> Link {
        Link { from: NodeIndex(from), to: NodeIndex(to), result }
    }

    fn up(path: PathBody, took_us: u64, direct_us: Option<u64>) -> LinkResult {
        LinkResult::Up { path, took_us: Some(took_us), direct_us, tries: 2 }
    }

    #[test]
    fn figures_tell_links_with_a_relay_from_those_without() {
        let links = [
            link(0, 2, up(PathBody::Punched, 200_000, Some(900_000))),
            link(2, 1, up(PathBody::Relayed, 300_000, None)),
            link(1, 3, up(PathBody::Punched, 100_000, Some(100_000))),
            link(0, 3, LinkResult::Down { why: "no link in time".to_owned() }),
        ];
        let figures = LinkFigures::of(&links);
        assert_eq!((figures.pairs, figures.share(false), figures.share(true)), (4, Some(0.75), Some(0.5)));
        assert_eq!((figures.after_s(false, 0.5), figures.after_s(true, 0.5)), (Some(0.2), Some(0.1)));
        assert_eq!((figures.after_s(true, 1.0), figures.tries_mean()), (Some(0.9), Some(2.0)));
        assert_eq!(figures.paths, BTreeMap::from([(PathBody::Punched, 2), (PathBody::Relayed, 1)]));
        assert_eq!(LinkFigures::default().share(true), None);
    }

    #[test]
    fn a_link_that_was_up_before_counts_but_took_no_time() {
        let links = [
            link(0, 2, LinkResult::Up { path: PathBody::Direct, took_us: None, direct_us: None, tries: 0 }),
            link(0, 3, up(PathBody::Direct, 200_000, Some(200_000))),
        ];
        let figures = LinkFigures::of(&links);
        assert_eq!((figures.share(true), figures.after_s(true, 0.01)), (Some(1.0), Some(0.2)));
    }

    #[test]
    fn a_pair_is_in_one_cell_whoever_asked() {
        let mut plan = fixture::plan();
        plan.nodes[0].group = "a".to_owned();
        let lost = || LinkResult::Down { why: String::new() };
        let links = [link(0, 2, lost()), link(2, 0, lost()), link(1, 2, lost()), link(0, 0, lost())];
        let sizes: Vec<_> = link_cells(&plan, &links).into_iter().map(|(cell, links)| (cell, links.len())).collect();
        assert_eq!(sizes, [((0, 0), 1), ((0, 1), 2), ((1, 1), 1)]);
    }
}
