//! What the events of a run amount to: what was stored, kept and found.

use std::collections::{BTreeMap, BTreeSet};

use super::connectivity::Link;
use super::rebind_recovery::Rebind;
use crate::events::{Event, EventKind, Retrieved, RunTime};
use crate::plan::{Act, ItemIndex, NetworkIndex, NodeIndex, Plan};
use crate::run::QueryCounts;

/// The sum of a run, or of its beginning.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Items that the steps begun so far were to store.
    pub to_store: usize,
    /// Items acknowledged.
    pub acknowledged: usize,
    /// The last look at all live nodes.
    pub look: Option<Look>,
    /// Every query that was made or was to be made, of items that had been acknowledged.
    pub queries: Vec<Query>,
    /// QueryCounts left out because their item was never acknowledged.
    pub never_stored: u64,
    /// Every link that was to be made by a cross step, and its end.
    pub links: Vec<Link>,
    /// Every NAT that was made to forget, and the links over it.
    pub rebinds: Vec<Rebind>,
    /// Nodes killed.
    pub killed: u64,
    /// Nodes that left in good order.
    pub stopped: u64,
    /// Nodes started after the beginning.
    pub started: u64,
    /// What did not come about, or came about by itself.
    pub troubles: Vec<Trouble>,
    /// When the last event was.
    pub end: RunTime,
}

/// What a look at all live nodes has shown. Fields as in [`EventKind::Looked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented where they come from")]
pub struct Look {
    pub at: RunTime,
    pub live: usize,
    pub components: usize,
    pub kept: usize,
    pub acknowledged: usize,
    pub copies: usize,
    pub blocks: usize,
    pub copies_max: usize,
}

/// One query and its end.
#[derive(Clone, Debug)]
pub struct Query {
    /// For what.
    pub item: ItemIndex,
    /// Where the asking node is.
    pub from: NetworkIndex,
    /// Where the node is that stored the item.
    pub to: NetworkIndex,
    /// How long it took.
    pub took_us: u64,
    /// What came of it.
    pub result: Retrieved,
}

/// One thing that went wrong.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// When.
    pub at: RunTime,
    /// About which node, if about one.
    pub node: Option<NodeIndex>,
    /// What, for a person.
    pub what: String,
}

impl Tally {
    /// Of these events, which may be a run's beginning.
    pub fn of(plan: &Plan, events: &[Event]) -> Self {
        let mut tally = Tally::default();
        let mut seen = Seen::default();
        for event in events {
            tally.take(plan, event, &mut seen);
        }
        tally.acknowledged = seen.stored.len();
        tally
    }

    /// QueryCounts by where they were asked and where their item was stored: indices into [`Plan::network_groups`].
    pub fn cells(&self, plan: &Plan) -> BTreeMap<(usize, usize), Vec<&Query>> {
        let groups = plan.network_groups();
        let sizes = groups.iter().enumerate().map(|(group, (_, networks))| (group, networks.count));
        let group_of: Vec<usize> = sizes.flat_map(|(group, count)| std::iter::repeat_n(group, count)).collect();
        let mut cells: BTreeMap<_, Vec<&Query>> = BTreeMap::new();
        for query in &self.queries {
            cells.entry((group_of[query.from.0], group_of[query.to.0])).or_default().push(query);
        }
        cells
    }

    fn take(&mut self, plan: &Plan, event: &Event, seen: &mut Seen) {
        let at = event.at;
        self.end = at;
        match &event.kind {
            EventKind::StepBegan { step, .. } => {
                let is_put = |act: &Act| matches!(act, Act::Put { .. });
                self.to_store += plan.steps[*step].actions.iter().filter(|timed| is_put(&timed.act)).count();
            }
            EventKind::StepEnded { .. } | EventKind::LinkSet { .. } => {}
            // Who runs from the start is told by the first look: that is no start.
            EventKind::Started { node, .. } if plan.node(*node).from_start && seen.from_start.insert(*node) => {}
            EventKind::Started { .. } => self.started += 1,
            EventKind::Killed { .. } => self.killed += 1,
            EventKind::Stopped { .. } => self.stopped += 1,
            EventKind::Trouble { node, what } => {
                self.troubles.push(Trouble { at, node: *node, what: what.clone() });
            }
            EventKind::Stored { item, result, .. } => {
                if result.is_ok() {
                    seen.stored.insert(*item);
                }
            }
            EventKind::Retrieved { result: Retrieved::NeverStored, .. } => self.never_stored += 1,
            EventKind::Retrieved { item, node, took_us, result } => self.queries.push(Query {
                item: *item,
                from: plan.node(*node).network,
                to: plan.node(plan.items[item.0].by).network,
                took_us: *took_us,
                result: result.clone(),
            }),
            EventKind::Linked { from, to, result } => {
                self.links.push(Link { from: *from, to: *to, result: result.clone() });
            }
            &EventKind::Rebound { network, ends, .. } => {
                self.rebinds.push(Rebind { at, network, ends: ends as u64, results: Vec::new() });
            }
            &EventKind::Recovered { rebind, result, .. } => self.rebinds[rebind].results.push(result),
            &EventKind::Looked { live, components, kept, acknowledged, copies, blocks, copies_max } => {
                self.look = Some(Look { at, live, components, kept, acknowledged, copies, blocks, copies_max });
            }
        }
    }
}

/// What was met already while adding up.
#[derive(Default)]
struct Seen {
    stored: BTreeSet<ItemIndex>,
    /// Those who run from the start and were told of.
    from_start: BTreeSet<NodeIndex>,
}

/// A set of queries in figures.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// By how they ended.
    pub outcomes: QueryCounts,
    /// How long right answers took, in order.
    pub took_us: Vec<u64>,
    /// Query messages of right answers, all together.
    pub messages: u64,
    /// Hops of right answers, all together.
    pub hops: u64,
}

impl Figures {
    /// Of these queries.
    pub fn of<'a>(queries: impl Iterator<Item = &'a Query>) -> Self {
        let mut figures = Figures::default();
        for query in queries {
            figures.outcomes.count(&query.result);
            if let Retrieved::Found { hops, messages } = query.result {
                figures.took_us.push(query.took_us);
                figures.messages += messages;
                figures.hops += u64::from(hops);
            }
        }
        figures.took_us.sort_unstable();
        figures
    }

    /// Share that was answered with the right bytes. `None` without queries.
    pub fn share(&self) -> Option<f64> {
        ratio(self.outcomes.found, self.outcomes.total())
    }

    /// A quantile (0..1) of how long right answers took, by nearest rank, in seconds. `None` without right answers.
    pub fn latency_s(&self, quantile: f64) -> Option<f64> {
        quantile_s(&self.took_us, quantile)
    }

    /// Mean query messages of a right answer.
    pub fn messages_mean(&self) -> Option<f64> {
        ratio(self.messages, self.outcomes.found)
    }

    /// Mean hops of a right answer.
    pub fn hops_mean(&self) -> Option<f64> {
        ratio(self.hops, self.outcomes.found)
    }
}

/// A quantile (0..1) of times in order, by nearest rank, in seconds. `None` of none.
pub(crate) fn quantile_s(sorted_us: &[u64], quantile: f64) -> Option<f64> {
    let rank = (quantile * sorted_us.len() as f64).ceil() as usize;
    sorted_us.get(rank.saturating_sub(1)).map(|&us| us as f64 / 1e6)
}

/// `part / whole`, if there is a whole.
pub fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::{self, found, looked, retrieved, started, stored};

    #[test]
    fn nodes_from_the_start_are_not_started() {
        let tally = Tally::of(&fixture::plan(), &[started(0), started(4), started(0)]);
        assert_eq!(tally.started, 2);
    }

    #[test]
    fn figures_are_of_right_answers_only() {
        let events = [
            stored(0, true),
            stored(1, false),
            retrieved(0, 0, 10_000, found(1, 4)),
            retrieved(0, 2, 30_000, found(3, 8)),
            retrieved(0, 2, 900_000, Retrieved::TimedOut),
            retrieved(1, 2, 0, Retrieved::NeverStored),
            looked(1, 1),
        ];
        let tally = Tally::of(&fixture::plan(), &events);
        assert_eq!((tally.acknowledged, tally.never_stored, tally.queries.len()), (1, 1, 3));
        let figures = Figures::of(tally.queries.iter());
        assert_eq!(figures.share(), Some(2.0 / 3.0));
        assert_eq!(
            (figures.latency_s(0.5), figures.latency_s(0.51), figures.latency_s(1.0)),
            (Some(0.01), Some(0.03), Some(0.03))
        );
        assert_eq!((figures.messages_mean(), figures.hops_mean()), (Some(6.0), Some(2.0)));
        assert_eq!(Figures::default().share(), None);
        assert_eq!(Figures::default().latency_s(0.5), None);
    }
}
