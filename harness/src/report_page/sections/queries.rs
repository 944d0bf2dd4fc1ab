//! Queries: how long they took, as a distribution and over time.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::super::run_files::RunFiles;
use super::super::section::PageSection;
use super::super::thin::ThinList;
use crate::statistics::quantile;

/// Most single queries that the page has.
const POINTS_MAX: usize = 4_000;
/// Stretches of the run for which quantiles are shown.
const STRETCHES: u64 = 80;
/// Most networks that have a distribution of their own.
const NETWORKS_MAX: usize = 6;
/// Quantiles of a distribution that the page has.
const QUANTILES: usize = 200;
/// The outcome of a query that counts as success.
pub(super) const FOUND: &str = "found";
/// The outcome of a query that was never made.
const NEVER_STORED: &str = "never_stored";

/// Queries as they ended.
#[derive(Debug, Default)]
pub(in super::super) struct QueryData {
    queries: Vec<QueryPoint>,
    /// Names of outcomes, in the order of their first query.
    outcomes: Vec<String>,
    /// Names of networks that nodes asked in.
    networks: Vec<String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct QueryPoint {
    at_ms: u64,
    took_us: u64,
    /// Index of the outcome.
    outcome: usize,
    #[serde(skip)]
    is_found: bool,
    #[serde(skip)]
    network: usize,
}

/// Queries that ended in one stretch of the run.
#[derive(Debug, Serialize)]
struct QueryStretch {
    from_ms: u64,
    to_ms: u64,
    asked: usize,
    found: usize,
    p50_us: Option<u64>,
    p95_us: Option<u64>,
}

/// Durations of successful queries, as quantiles.
#[derive(Debug, Serialize)]
struct LatencyCurve {
    name: String,
    asked: usize,
    found: usize,
    /// The durations at equally many ranks, from the shortest to the longest.
    took_us: Vec<u64>,
}

impl PageSection for QueryData {
    fn event(&mut self, at_us: u64, name: &str, event: &Value, files: &RunFiles) {
        let outcome = event["result"]["outcome"].as_str().unwrap_or_default();
        if name != "retrieved" || outcome == NEVER_STORED {
            return;
        }
        self.take(at_us, event, outcome, files);
    }

    fn data(&self, _: &RunFiles) -> Value {
        if self.queries.is_empty() {
            return Value::Null;
        }
        let (stretches, curves) = (self.stretches(), self.curves());
        // A query that failed says more than one that took long.
        let badness = |query: &QueryPoint| query.took_us as f64 + if query.is_found { 0.0 } else { 1e15 };
        let points = ThinList::worst(self.queries.clone(), POINTS_MAX, badness);
        json!({
            "outcomes": self.outcomes,
            "points": points,
            "stretches": stretches,
            "curves": curves,
            "networks": self.networks.len(),
        })
    }
}

impl QueryData {
    /// Takes a query, or a search for keywords, that ended with this outcome.
    pub(super) fn take(&mut self, at_us: u64, event: &Value, outcome: &str, files: &RunFiles) {
        let node = event["node"].as_str().unwrap_or_default();
        let point = QueryPoint {
            at_ms: at_us / 1_000,
            took_us: event["took_us"].as_u64().unwrap_or_default(),
            outcome: index_of(&mut self.outcomes, outcome),
            is_found: outcome == FOUND,
            network: index_of(&mut self.networks, files.network_of(node).unwrap_or("?")),
        };
        self.queries.push(point);
    }

    fn stretches(&self) -> Vec<QueryStretch> {
        let last = self.queries.iter().map(|query| query.at_ms).max().unwrap_or_default();
        let width = last / STRETCHES + 1;
        let mut by_stretch: BTreeMap<u64, Vec<&QueryPoint>> = BTreeMap::new();
        for query in &self.queries {
            by_stretch.entry(query.at_ms / width).or_default().push(query);
        }
        let one = |(stretch, queries): (u64, Vec<&QueryPoint>)| {
            let took = durations(queries.iter().copied());
            QueryStretch {
                from_ms: stretch * width,
                to_ms: (stretch + 1) * width,
                asked: queries.len(),
                found: took.len(),
                p50_us: quantile(&took, 0.5),
                p95_us: quantile(&took, 0.95),
            }
        };
        by_stretch.into_iter().map(one).collect()
    }

    /// Of all queries together and, where nodes of several networks asked, of those with the most queries.
    fn curves(&self) -> Vec<LatencyCurve> {
        let mut curves = vec![curve("all networks".to_owned(), self.queries.iter())];
        if self.networks.len() > 1 {
            let of = |(network, name): (usize, &String)| {
                curve(name.clone(), self.queries.iter().filter(move |query| query.network == network))
            };
            let mut single: Vec<LatencyCurve> = self.networks.iter().enumerate().map(of).collect();
            single.sort_by_key(|curve| std::cmp::Reverse(curve.asked));
            curves.extend(single.into_iter().take(NETWORKS_MAX));
        }
        curves
    }
}

fn curve<'q>(name: String, queries: impl Iterator<Item = &'q QueryPoint> + Clone) -> LatencyCurve {
    let asked = queries.clone().count();
    let took = durations(queries);
    let ranks = took.len().min(QUANTILES);
    let at = |rank: usize| quantile(&took, (rank + 1) as f64 / ranks as f64);
    LatencyCurve { name, asked, found: took.len(), took_us: (0..ranks).filter_map(at).collect() }
}

/// Durations of the successful queries among these, in ascending order.
fn durations<'q>(queries: impl Iterator<Item = &'q QueryPoint>) -> Vec<u64> {
    let mut took: Vec<u64> = queries.filter(|query| query.is_found).map(|query| query.took_us).collect();
    took.sort_unstable();
    took
}

fn index_of(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|other| other == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_ms: u64, took_us: u64, is_found: bool, network: usize) -> QueryPoint {
        QueryPoint { at_ms, took_us, outcome: usize::from(!is_found), is_found, network }
    }

    #[test]
    fn curves_count_failed_queries_and_time_found_ones() {
        let queries =
            vec![point(1, 30, true, 0), point(2, 10, true, 0), point(3, 999, false, 1), point(4, 20, true, 1)];
        let data = QueryData { queries, networks: vec!["a".to_owned(), "b".to_owned()], ..QueryData::default() };
        let curves = data.curves();
        let shown: Vec<_> = curves.iter().map(|curve| (curve.asked, curve.found, &curve.took_us[..])).collect();
        assert_eq!(shown, [(4, 3, &[10, 20, 30][..]), (2, 2, &[10, 30]), (2, 1, &[20])]);
    }

    #[test]
    fn stretches_have_exact_quantiles_of_all_their_queries() {
        let queries = (0..10_000).map(|at| point(at, at, at % 2 == 0, 0)).collect();
        let data = QueryData { queries, ..QueryData::default() };
        let stretches = data.stretches();
        assert!(stretches.len() as u64 <= STRETCHES);
        let first = &stretches[0];
        assert_eq!((first.from_ms, first.asked, first.found), (0, 125, 63));
        assert_eq!((first.p50_us, first.p95_us), (Some(62), Some(118)));
    }
}
