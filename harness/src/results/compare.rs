//! Two runs of a topology compared: on two backends, before and after a change, with two settings.
//!
//! Shares are compared as samples. They agree if both may come from one true share ([`Proportion::agrees_with`], with 99.9 %
//! confidence, so that a whole grid seldom differs by chance alone). Times are shown and not judged: they depend on the machine.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::result::SCHEMA_VERSION;
use super::topology_shape::{ShapeDifference, TopologyShape};
use crate::statistics::{DurationQuantiles, Proportion, Z_999};

/// The parts of a `result.json` that are compared.
#[derive(Clone, Debug, Deserialize)]
struct Record {
    name: String,
    verdict: String,
    backend: String,
    seed: u64,
    topology: TopologyShape,
    items: Items,
    queries: Queries,
    connectivity: Vec<Pair>,
}

#[derive(Clone, Debug, Deserialize)]
struct Items {
    planned: u64,
    acknowledged: u64,
    /// Null if no snapshot was taken after the first acknowledgement.
    persistent: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Queries {
    total: Summary,
    by_pair: Vec<QueryPair>,
}

#[derive(Clone, Debug, Deserialize)]
struct Summary {
    queries: u64,
    found: u64,
    latency_s: DurationQuantiles,
}

#[derive(Clone, Debug, Deserialize)]
struct QueryPair {
    from: String,
    to: String,
    #[serde(flatten)]
    summary: Summary,
}

#[derive(Clone, Debug, Deserialize)]
struct Pair {
    from: String,
    to: String,
    pairs: u64,
    connected: u64,
    direct: u64,
    connected_s: DurationQuantiles,
}

/// A share that a run measured, and the median time that goes with it.
#[derive(Clone, Copy, Debug)]
pub struct MeasuredShare {
    /// The share, as a sample.
    pub share: Proportion,
    /// The median time in seconds, if the share has one.
    pub p50_s: Option<f64>,
}

/// Why two runs cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A text is not the JSON of a result.
    #[error("record {} is not a run's result.json", if *run == 0 { "A" } else { "B" })]
    NotARecord {
        /// Index of the run whose record it is: 0 or 1.
        run: usize,
        /// What the JSON parser found.
        source: serde_json::Error,
    },
    /// Another version of this program wrote a record.
    #[error(
        "record {} has schema version {version}, but this program reads version {SCHEMA_VERSION}: run the topology again",
        if *run == 0 { "A" } else { "B" }
    )]
    Version {
        /// Index of the run whose record it is: 0 or 1.
        run: usize,
        /// Schema version of the record.
        version: u32,
    },
    /// The runs are of topologies with different names.
    #[error("the runs are of different topologies: A is `{}`, B is `{}`", .0[0], .0[1])]
    Names([String; 2]),
    /// The topologies have one name, but differ in a part that decides what is measured.
    #[error("the topologies differ in their {}: A has {}; B has {}", .0.part, .0.values[0], .0.values[1])]
    Shape(ShapeDifference),
    /// No share was measured in both runs.
    #[error("the runs have no measured share in common")]
    NothingInCommon,
}

/// A share that both runs measured.
#[derive(Clone, Debug)]
pub struct ComparedShare {
    /// Name of the share, such as `direct: home, office`.
    pub name: String,
    /// The share in both runs.
    pub runs: [MeasuredShare; 2],
    /// Whether chance explains the difference.
    pub agrees: bool,
}

/// Two runs, share by share.
#[derive(Clone, Debug)]
pub struct RunComparison {
    /// Topology, backend, seed and verdict of both runs, in a line each.
    pub runs: [String; 2],
    /// Every share that both runs measured.
    pub shares: Vec<ComparedShare>,
    /// Names of the shares that only one run measured.
    pub in_one_run: Vec<String>,
}

impl RunComparison {
    /// Compares two texts of `result.json`.
    ///
    /// # Errors
    /// If one is not such a text, or if the runs are not comparable.
    pub fn of(texts: [&str; 2]) -> Result<Self, CompareError> {
        let records = [Record::read(0, texts[0])?, Record::read(1, texts[1])?];
        let [one, other] = &records;
        if one.name != other.name {
            return Err(CompareError::Names(records.map(|record| record.name)));
        }
        if let Some(difference) = one.topology.difference(&other.topology) {
            return Err(CompareError::Shape(difference));
        }
        let (shares, in_one_run) = compared(one.shares(), other.shares());
        if shares.is_empty() {
            return Err(CompareError::NothingInCommon);
        }
        Ok(RunComparison { runs: records.map(|record| record.title()), shares, in_one_run })
    }

    /// Whether all shares that both runs measured agree.
    pub fn agrees(&self) -> bool {
        self.shares.iter().all(|compared| compared.agrees)
    }
}

type Shares = BTreeMap<ShareName, MeasuredShare>;

/// The shares of both runs, and the names of those that only one has.
fn compared(one: Shares, mut other: Shares) -> (Vec<ComparedShare>, Vec<String>) {
    let (mut shares, mut in_one_run) = (Vec::new(), Vec::new());
    for (name, first) in one {
        let second = other.remove(&name);
        let agrees = second.and_then(|second| first.share.agrees_with(second.share, Z_999));
        match second.zip(agrees) {
            Some((second, agrees)) => {
                shares.push(ComparedShare { name: name.to_string(), runs: [first, second], agrees });
            }
            None => in_one_run.push(name.to_string()),
        }
    }
    in_one_run.extend(other.into_keys().map(|name| name.to_string()));
    (shares, in_one_run)
}

/// What a share is of, in the order in which shares are shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ShareName {
    Stored,
    Persistence,
    Retrieval,
    RetrievalBetween(String, String),
    Connected(String, String),
    Direct(String, String),
}

impl fmt::Display for ShareName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShareName::Stored => f.write_str("stored"),
            ShareName::Persistence => f.write_str("persistence"),
            ShareName::Retrieval => f.write_str("retrieval"),
            ShareName::RetrievalBetween(from, to) => write!(f, "retrieval from {from} to {to}"),
            ShareName::Connected(one, other) => write!(f, "connected: {one}, {other}"),
            ShareName::Direct(one, other) => write!(f, "direct: {one}, {other}"),
        }
    }
}

impl Record {
    fn read(run: usize, text: &str) -> Result<Self, CompareError> {
        /// The one field that every version has.
        #[derive(Deserialize)]
        struct Version {
            schema_version: u32,
        }
        let not_a_record = |source| CompareError::NotARecord { run, source };
        match serde_json::from_str::<Version>(text).map_err(not_a_record)?.schema_version {
            SCHEMA_VERSION => serde_json::from_str(text).map_err(not_a_record),
            version => Err(CompareError::Version { run, version }),
        }
    }

    fn title(&self) -> String {
        let Record { name, backend, seed, verdict, .. } = self;
        format!("{name} on {backend}, seed {seed}: {}", verdict.replace('_', " "))
    }

    /// Every share that was measured.
    fn shares(&self) -> Shares {
        let Items { planned, acknowledged, persistent } = self.items;
        let of = |part, whole, p50_s| MeasuredShare { share: Proportion { part, whole }, p50_s };
        let found = |summary: &Summary| of(summary.found, summary.queries, summary.latency_s.p50);
        let mut shares = BTreeMap::from([
            (ShareName::Stored, of(acknowledged, planned, None)),
            (
                ShareName::Persistence,
                persistent.map_or(of(0, 0, None), |persistent| of(persistent, acknowledged, None)),
            ),
            (ShareName::Retrieval, found(&self.queries.total)),
        ]);
        for QueryPair { from, to, summary } in &self.queries.by_pair {
            shares.insert(ShareName::RetrievalBetween(from.clone(), to.clone()), found(summary));
        }
        for Pair { from, to, pairs, connected, direct, connected_s } in &self.connectivity {
            shares.insert(ShareName::Connected(from.clone(), to.clone()), of(*connected, *pairs, connected_s.p50));
            shares.insert(ShareName::Direct(from.clone(), to.clone()), of(*direct, *pairs, None));
        }
        shares.retain(|_, share| share.share.whole > 0);
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(backend: &str, pairs: u64, direct: u64) -> serde_json::Value {
        serde_json::json!({
            "schema_version": SCHEMA_VERSION, "name": "t", "verdict": "passed", "backend": backend, "seed": 7,
            "topology": {"networks": ["a", "b"], "groups": ["a", "b"], "steps": ["store", "connect"]},
            "items": {"planned": 10, "acknowledged": 10, "persistent": 10},
            "queries": {"total": {"queries": 0, "found": 0, "latency_s": {}}, "by_pair": []},
            "connectivity": [{
                "from": "a", "to": "b", "pairs": pairs, "connected": pairs, "direct": direct, "connected_s": {"p50": 0.05},
            }],
        })
    }

    fn compare(one: &serde_json::Value, other: &serde_json::Value) -> Result<RunComparison, CompareError> {
        RunComparison::of([&one.to_string(), &other.to_string()])
    }

    #[test]
    fn samples_of_one_share_agree_whatever_their_sizes() {
        let same = compare(&record("netns", 20, 19), &record("sim", 1_000, 980)).unwrap();
        assert!(same.agrees());
        assert_eq!(same.runs, ["t on netns, seed 7: passed", "t on sim, seed 7: passed"]);
        assert_eq!(same.shares.len(), 4);
    }

    #[test]
    fn share_that_chance_does_not_explain_differs() {
        let far = compare(&record("netns", 20, 5), &record("sim", 1_000, 980)).unwrap();
        assert!(!far.agrees());
        let differing: Vec<_> =
            far.shares.iter().filter(|compared| !compared.agrees).map(|c| c.name.as_str()).collect();
        assert_eq!(differing, ["direct: a, b"]);
    }

    #[test]
    fn share_of_one_run_only_is_listed_and_not_judged() {
        let comparison = compare(&record("netns", 20, 20), &record("sim", 0, 0)).unwrap();
        assert_eq!(comparison.in_one_run, ["connected: a, b", "direct: a, b"]);
        assert!(comparison.agrees());
    }

    #[test]
    fn records_of_another_version_or_shape_are_refused() {
        let good = record("sim", 1, 1).to_string();
        let newer = good.replace("\"schema_version\":2", "\"schema_version\":3");
        let error = RunComparison::of([&good, &newer]).unwrap_err();
        assert!(matches!(error, CompareError::Version { run: 1, version: 3 }), "{error}");
        let error = RunComparison::of(["{}", &good]).unwrap_err();
        assert!(matches!(error, CompareError::NotARecord { run: 0, .. }), "{error}");
    }

    #[test]
    fn runs_of_unlike_topologies_are_refused() {
        let one = record("sim", 20, 20);
        let mut other = one.clone();
        other["name"] = "u".into();
        assert_eq!(
            compare(&one, &other).unwrap_err().to_string(),
            "the runs are of different topologies: A is `t`, B is `u`"
        );
        for (part, text) in [
            ("networks", "the topologies differ in their networks: A has a, b; B has x"),
            ("groups", "the topologies differ in their node groups: A has a, b; B has x"),
            ("steps", "the topologies differ in their steps: A has store, connect; B has x"),
        ] {
            let mut other = one.clone();
            other["topology"][part] = serde_json::json!(["x"]);
            assert_eq!(compare(&one, &other).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn runs_without_a_common_share_are_refused() {
        let mut empty = record("sim", 0, 0);
        empty["items"] = serde_json::json!({"planned": 0, "acknowledged": 0, "persistent": 0});
        assert!(matches!(compare(&empty, &record("sim", 1, 1)), Err(CompareError::NothingInCommon)));
    }
}
