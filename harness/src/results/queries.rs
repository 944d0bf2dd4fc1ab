//! Queries of a run: how many succeeded, how long they took, and between which networks they ran.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::events::{Event, EventKind, Retrieved};
use crate::plan::{ItemIndex, NetworkIndex, NetworkRange, NodePlaces, Plan};
use crate::run::QueryCounts;
use crate::statistics::{DurationQuantiles, quantile, ratio};

/// Queries as the events so far show them.
#[derive(Clone, Debug, Default)]
pub struct QueryTally {
    /// Every planned query for an acknowledged item.
    pub queries: Vec<Query>,
    /// Queries left out because their item was never acknowledged.
    pub never_stored: u64,
    /// Where nodes are by then.
    pub(super) places: NodePlaces,
}

/// A planned query for an acknowledged item, and how it ended.
#[derive(Clone, Debug)]
pub struct Query {
    /// Number of the query in the run, from 0.
    pub number: usize,
    /// The item that was asked for.
    pub item: ItemIndex,
    /// Network of the querying node.
    pub from: NetworkIndex,
    /// Network of the node that stored the item.
    pub to: NetworkIndex,
    /// Time until the query ended, in microseconds.
    pub took_us: u64,
    /// How the query ended.
    pub result: Retrieved,
}

impl QueryTally {
    /// Adds a finished query, if the event is one.
    pub(super) fn add(&mut self, plan: &Plan, event: &Event) {
        match &event.kind {
            &EventKind::Moved { node, network, .. } => self.places.moved(node, network),
            EventKind::Retrieved { result: Retrieved::NeverStored, .. } => self.never_stored += 1,
            EventKind::Retrieved { query, item, node, took_us, result, .. } => self.queries.push(Query {
                number: *query,
                item: *item,
                from: self.places.network(&plan.nodes, *node),
                to: self.places.network(&plan.nodes, plan.items[item.0].by),
                took_us: *took_us,
                result: result.clone(),
            }),
            _ => {}
        }
    }

    /// Queries by the network groups that they ran between: indices into [`Plan::network_groups`].
    pub fn by_pair(&self, plan: &Plan) -> BTreeMap<(usize, usize), Vec<&Query>> {
        let groups = plan.network_groups();
        let sizes = groups.iter().enumerate().map(|(group, (_, networks))| (group, networks.count));
        let group_of: Vec<usize> = sizes.flat_map(|(group, count)| std::iter::repeat_n(group, count)).collect();
        let mut pairs: BTreeMap<_, Vec<&Query>> = BTreeMap::new();
        for query in &self.queries {
            pairs.entry((group_of[query.from.0], group_of[query.to.0])).or_default().push(query);
        }
        pairs
    }
}

/// Sums over a set of queries.
#[derive(Clone, Debug, Default)]
pub struct QueryFigures {
    /// Number of queries by outcome.
    pub outcomes: QueryCounts,
    /// Durations of successful queries in ascending order, in microseconds.
    took_us: Vec<u64>,
    /// Query messages of all successful queries.
    messages: u64,
    /// Hops of each successful query, in ascending order.
    hops: Vec<u32>,
}

impl QueryFigures {
    /// Sums over these queries.
    pub fn of<'q>(queries: impl IntoIterator<Item = &'q Query>) -> Self {
        let mut figures = QueryFigures::default();
        for query in queries {
            figures.outcomes.count(&query.result);
            if let Retrieved::Found { hops, messages } = query.result {
                figures.took_us.push(query.took_us);
                figures.messages += messages;
                figures.hops.push(hops);
            }
        }
        figures.took_us.sort_unstable();
        figures.hops.sort_unstable();
        figures
    }

    /// Share of the queries that succeeded. `None` without queries.
    pub fn success_share(&self) -> Option<f64> {
        ratio(self.outcomes.found, self.outcomes.total())
    }

    /// A quantile (0..1) of the durations of successful queries, in seconds. `None` without one.
    pub fn latency_s(&self, share: f64) -> Option<f64> {
        quantile(&self.took_us, share).map(|us| us as f64 / 1e6)
    }

    /// Mean number of query messages of a successful query.
    pub fn messages_mean(&self) -> Option<f64> {
        ratio(self.messages, self.outcomes.found)
    }

    /// Mean number of hops of a successful query.
    pub fn hops_mean(&self) -> Option<f64> {
        ratio(self.hops.iter().copied().map(u64::from).sum(), self.outcomes.found)
    }
}

/// The section `queries` of `result.json`.
#[derive(Clone, Debug, Serialize)]
pub struct QueryResults {
    /// All queries of the run together.
    pub total: QuerySummary,
    /// Queries by the network that they came from. Networks without queries are left out.
    pub by_network: Vec<NetworkQueries>,
    /// Queries by the network that they came from and the network that stored the item. Pairs without queries are left out.
    pub by_pair: Vec<NetworkPairQueries>,
}

/// A set of queries in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct QuerySummary {
    /// All queries, those that could not be sent included.
    pub queries: u64,
    /// Queries that returned the right bytes: the successful ones.
    pub found: u64,
    /// Queries that returned other bytes.
    pub wrong_bytes: u64,
    /// Queries for which the node reported that no peer has the item.
    pub not_found: u64,
    /// Queries that ended before every peer had answered the node.
    pub incomplete: u64,
    /// Queries to which the node gave no answer in time.
    pub timed_out: u64,
    /// Queries that could not be sent, for example because the querying node is down.
    pub unasked: u64,
    /// `found / queries`; null without queries.
    pub success_share: Option<f64>,
    /// Durations of successful queries, in seconds.
    pub latency_s: DurationQuantiles,
    /// Mean number of query messages of a successful query.
    pub messages_mean: Option<f64>,
    /// Mean number of hops to the node that held the first block, of a successful query.
    pub hops_mean: Option<f64>,
}

/// Queries from one network.
#[derive(Clone, Debug, Serialize)]
pub struct NetworkQueries {
    /// Network of the querying nodes.
    pub from: String,
    /// These queries in numbers.
    #[serde(flatten)]
    pub summary: QuerySummary,
}

/// Queries from one network for items stored in another, or in the same.
#[derive(Clone, Debug, Serialize)]
pub struct NetworkPairQueries {
    /// Network of the querying nodes.
    pub from: String,
    /// Network of the nodes that stored the items.
    pub to: String,
    /// These queries in numbers.
    #[serde(flatten)]
    pub summary: QuerySummary,
}

impl QueryResults {
    /// Sums up the queries of a run.
    pub(super) fn new(plan: &Plan, tally: &QueryTally) -> Self {
        QueryResults {
            total: QuerySummary::of(&tally.queries),
            by_network: by_network(plan, tally),
            by_pair: by_pair(plan, tally),
        }
    }
}

impl QuerySummary {
    fn of<'q>(queries: impl IntoIterator<Item = &'q Query>) -> Self {
        let figures = QueryFigures::of(queries);
        QuerySummary {
            queries: figures.outcomes.total(),
            found: figures.outcomes.found,
            wrong_bytes: figures.outcomes.wrong_bytes,
            not_found: figures.outcomes.not_found,
            incomplete: figures.outcomes.incomplete,
            timed_out: figures.outcomes.timed_out,
            unasked: figures.outcomes.unasked,
            success_share: figures.success_share(),
            latency_s: DurationQuantiles::of(|share| figures.latency_s(share)),
            messages_mean: figures.messages_mean(),
            hops_mean: figures.hops_mean(),
        }
    }
}

fn by_network(plan: &Plan, tally: &QueryTally) -> Vec<NetworkQueries> {
    let from = |(name, networks): (&str, NetworkRange)| NetworkQueries {
        from: name.to_owned(),
        summary: QuerySummary::of(tally.queries.iter().filter(|query| networks.contains(query.from))),
    };
    plan.network_groups().into_iter().map(from).filter(|network| network.summary.queries > 0).collect()
}

fn by_pair(plan: &Plan, tally: &QueryTally) -> Vec<NetworkPairQueries> {
    let names = plan.network_groups();
    let pair = |((from, to), queries): ((usize, usize), Vec<&Query>)| NetworkPairQueries {
        from: names[from].0.to_owned(),
        to: names[to].0.to_owned(),
        summary: QuerySummary::of(queries),
    };
    tally.by_pair(plan).into_iter().map(pair).filter(|pair| pair.summary.queries > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::{self, found, retrieved};

    #[test]
    fn latency_messages_and_hops_are_those_of_successful_queries() {
        let mut tally = QueryTally::default();
        for event in [
            retrieved(0, 0, 10_000, found(1, 4)),
            retrieved(0, 2, 30_000, found(3, 8)),
            retrieved(0, 2, 900_000, Retrieved::TimedOut),
            retrieved(1, 2, 0, Retrieved::NeverStored),
        ] {
            tally.add(&fixture::plan(), &event);
        }
        assert_eq!((tally.never_stored, tally.queries.len()), (1, 3));
        let figures = QueryFigures::of(&tally.queries);
        assert_eq!(figures.success_share(), Some(2.0 / 3.0));
        assert_eq!([0.5, 0.51, 1.0].map(|share| figures.latency_s(share)), [Some(0.01), Some(0.03), Some(0.03)]);
        assert_eq!((figures.messages_mean(), figures.hops_mean()), (Some(6.0), Some(2.0)));
        assert_eq!(QueryFigures::default().success_share(), None);
        assert_eq!(QueryFigures::default().latency_s(0.5), None);
    }
}
