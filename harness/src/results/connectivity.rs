//! Connectivity: which pairs of nodes were connected by a `connect` step, by which path, and how fast.

use std::collections::BTreeMap;

use butter::api::PathBody;
use serde::Serialize;

use crate::events::{Event, EventKind, LinkResult};
use crate::plan::{NodeIndex, Plan};
use crate::statistics::{DurationQuantiles, Proportion, Z_95, quantile, ratio};

/// A link that a `connect` step asked for, and how that ended.
#[derive(Clone, Debug)]
pub struct LinkTest {
    /// The node that dialled.
    pub from: NodeIndex,
    /// The node that was dialled.
    pub to: NodeIndex,
    /// How the attempt ended.
    pub result: LinkResult,
}

/// Link tests as the events so far show them.
#[derive(Clone, Debug, Default)]
pub struct ConnectivityTally {
    /// Every finished link test, in the order of its end.
    pub tests: Vec<LinkTest>,
}

impl ConnectivityTally {
    /// Adds a finished link test, if the event is one.
    pub(super) fn add(&mut self, event: &Event) {
        if let EventKind::Connected { from, to, result } = &event.kind {
            self.tests.push(LinkTest { from: *from, to: *to, result: result.clone() });
        }
    }

    /// Tests by the groups of their two nodes, whichever dialled: indices into [`Plan::node_groups`], the lesser first.
    pub fn by_pair(&self, plan: &Plan) -> BTreeMap<(usize, usize), Vec<&LinkTest>> {
        let index: BTreeMap<&str, usize> = plan.node_groups().into_iter().enumerate().map(|(i, g)| (g, i)).collect();
        let group = |node| index[plan.node(node).group.as_str()];
        let mut pairs: BTreeMap<_, Vec<&LinkTest>> = BTreeMap::new();
        for test in &self.tests {
            let (a, b) = (group(test.from), group(test.to));
            pairs.entry((a.min(b), a.max(b))).or_default().push(test);
        }
        pairs
    }
}

/// The class of links that a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkClass {
    /// Every link, relayed ones too.
    Connected,
    /// Only links without a relay.
    Direct,
}

/// Sums over a set of link tests.
#[derive(Clone, Debug, Default)]
pub struct ConnectivityFigures {
    /// Pairs of nodes that were tested.
    pub pairs: u64,
    /// Number of links that came up, by path.
    pub paths: BTreeMap<PathBody, u64>,
    /// Times until links were up, ascending, in microseconds.
    connected_us: Vec<u64>,
    /// Times until direct links needed no relay, ascending, in microseconds.
    direct_us: Vec<u64>,
    /// Attempts to replace a relay by a direct path, over all links.
    attempts: u64,
}

impl ConnectivityFigures {
    /// Sums over these link tests.
    pub fn of<'t>(tests: impl IntoIterator<Item = &'t LinkTest>) -> Self {
        let mut figures = ConnectivityFigures::default();
        for test in tests {
            figures.pairs += 1;
            if let LinkResult::Up { path, took_us, direct_us, tries } = &test.result {
                *figures.paths.entry(*path).or_default() += 1;
                figures.connected_us.extend(took_us);
                figures.direct_us.extend(direct_us);
                figures.attempts += u64::from(*tries);
            }
        }
        figures.connected_us.sort_unstable();
        figures.direct_us.sort_unstable();
        figures
    }

    /// Number of links that came up and are of this class.
    pub fn count(&self, class: LinkClass) -> u64 {
        let counts = |path: &PathBody| class == LinkClass::Connected || *path != PathBody::Relayed;
        self.paths.iter().filter(|(path, _)| counts(path)).map(|(_, count)| count).sum()
    }

    /// Share of the pairs that have such a link. `None` without pairs.
    pub fn share(&self, class: LinkClass) -> Option<f64> {
        ratio(self.count(class), self.pairs)
    }

    /// A quantile (0..1) of the times until links were of this class, in seconds. Links that were up before have no time.
    pub fn after_s(&self, class: LinkClass, share: f64) -> Option<f64> {
        let sorted_us = match class {
            LinkClass::Connected => &self.connected_us,
            LinkClass::Direct => &self.direct_us,
        };
        quantile(sorted_us, share).map(|us| us as f64 / 1e6)
    }

    /// Mean number of attempts to replace a relay by a direct path, over the links that came up.
    pub fn attempts_mean(&self) -> Option<f64> {
        ratio(self.attempts, self.count(LinkClass::Connected))
    }
}

/// An entry of `connectivity` in `result.json`: links between the nodes of two groups, whichever dialled.
#[derive(Clone, Debug, Serialize)]
pub struct GroupConnectivity {
    /// One of the two node groups.
    pub from: String,
    /// The other node group, or the same.
    pub to: String,
    /// Pairs of nodes that were tested.
    pub pairs: u64,
    /// Pairs that were connected.
    pub connected: u64,
    /// `connected / pairs`; null without pairs.
    pub connected_share: Option<f64>,
    /// Pairs that were connected without a relay.
    pub direct: u64,
    /// `direct / pairs`; null without pairs.
    pub direct_share: Option<f64>,
    /// 95 % confidence interval of the true direct share (Wilson 1927).
    pub direct_interval: Option<(f64, f64)>,
    /// Number of links by path.
    pub paths: BTreeMap<PathBody, u64>,
    /// Times until pairs were connected, in seconds.
    pub connected_s: DurationQuantiles,
    /// Times until pairs were connected without a relay, in seconds.
    pub direct_s: DurationQuantiles,
    /// Mean number of attempts to replace a relay, over the connected pairs.
    pub attempts_mean: Option<f64>,
}

/// Connectivity of every pair of groups that was tested.
pub(super) fn connectivity(plan: &Plan, tally: &ConnectivityTally) -> Vec<GroupConnectivity> {
    let groups = plan.node_groups();
    let pair = |((from, to), tests): ((usize, usize), Vec<&LinkTest>)| {
        let figures = ConnectivityFigures::of(tests);
        let times = |class| DurationQuantiles::of(|share| figures.after_s(class, share));
        let direct = Proportion { part: figures.count(LinkClass::Direct), whole: figures.pairs };
        GroupConnectivity {
            from: groups[from].to_owned(),
            to: groups[to].to_owned(),
            pairs: figures.pairs,
            connected: figures.count(LinkClass::Connected),
            connected_share: figures.share(LinkClass::Connected),
            direct: direct.part,
            direct_share: direct.share(),
            direct_interval: direct.interval(Z_95),
            connected_s: times(LinkClass::Connected),
            direct_s: times(LinkClass::Direct),
            attempts_mean: figures.attempts_mean(),
            paths: figures.paths,
        }
    };
    tally.by_pair(plan).into_iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::LinkClass::{Connected, Direct};
    use super::*;
    use crate::results::fixture;

    fn test(from: usize, to: usize, result: LinkResult) -> LinkTest {
        LinkTest { from: NodeIndex(from), to: NodeIndex(to), result }
    }

    fn up(path: PathBody, took_us: u64, direct_us: Option<u64>) -> LinkResult {
        LinkResult::Up { path, took_us: Some(took_us), direct_us, tries: 2 }
    }

    #[test]
    fn relayed_links_are_connected_but_not_direct() {
        let tests = [
            test(0, 2, up(PathBody::Punched, 200_000, Some(900_000))),
            test(2, 1, up(PathBody::Relayed, 300_000, None)),
            test(1, 3, up(PathBody::Punched, 100_000, Some(100_000))),
            test(0, 3, LinkResult::Down { why: "no link in time".to_owned() }),
        ];
        let figures = ConnectivityFigures::of(&tests);
        assert_eq!((figures.pairs, figures.share(Connected), figures.share(Direct)), (4, Some(0.75), Some(0.5)));
        assert_eq!((figures.after_s(Connected, 0.5), figures.after_s(Direct, 0.5)), (Some(0.2), Some(0.1)));
        assert_eq!((figures.after_s(Direct, 1.0), figures.attempts_mean()), (Some(0.9), Some(2.0)));
        assert_eq!(figures.paths, BTreeMap::from([(PathBody::Punched, 2), (PathBody::Relayed, 1)]));
        assert_eq!(ConnectivityFigures::default().share(Direct), None);
    }

    #[test]
    fn link_that_was_up_before_counts_without_a_time() {
        let tests = [
            test(0, 2, LinkResult::Up { path: PathBody::Direct, took_us: None, direct_us: None, tries: 0 }),
            test(0, 3, up(PathBody::Direct, 200_000, Some(200_000))),
        ];
        let figures = ConnectivityFigures::of(&tests);
        assert_eq!((figures.share(Direct), figures.after_s(Direct, 0.01)), (Some(1.0), Some(0.2)));
    }

    #[test]
    fn pair_of_groups_does_not_depend_on_who_dialled() {
        let mut plan = fixture::plan();
        plan.nodes[0].group = "a".to_owned();
        let down = || LinkResult::Down { why: String::new() };
        let tests = vec![test(0, 2, down()), test(2, 0, down()), test(1, 2, down()), test(0, 0, down())];
        let pairs = ConnectivityTally { tests };
        let sizes: Vec<_> = pairs.by_pair(&plan).into_iter().map(|(pair, tests)| (pair, tests.len())).collect();
        assert_eq!(sizes, [((0, 0), 1), ((0, 1), 2), ((1, 1), 1)]);
    }

    #[test]
    fn json_holds_shares_times_and_paths() {
        let tests = vec![
            test(0, 2, up(PathBody::Punched, 100_000, Some(150_000))),
            test(2, 0, up(PathBody::Relayed, 300_000, None)),
        ];
        let json = serde_json::to_value(connectivity(&fixture::plan(), &ConnectivityTally { tests })).unwrap();
        assert_eq!(json[0]["paths"], serde_json::json!({"punched": 1, "relayed": 1}));
        assert_eq!((&json[0]["direct_share"], &json[0]["connected_share"]), (&0.5.into(), &1.0.into()));
        assert_eq!((&json[0]["connected_s"]["p50"], &json[0]["direct_s"]["p50"]), (&0.1.into(), &0.15.into()));
    }
}
