//! Tables that others have published, which topologies of `topologies/published` play again: theirs, to stand beside ours.

use crate::results::run_set::MeasureName;

/// A table that was published, and the topology that plays it with the same parameters.
#[derive(Debug)]
pub struct PublishedTable {
    /// Name of the topology.
    pub topology: &'static str,
    /// Where it was published, and how it was measured there.
    pub source: &'static str,
    /// The values that it states.
    pub values: &'static [PublishedValue],
}

/// A value of such a table.
#[derive(Debug)]
pub struct PublishedValue {
    /// What the sweep varies, with the value that this one is of: `die=1/50`.
    pub at: &'static str,
    /// What it is of.
    pub measure: MeasureName,
    /// A share as 0..1, seconds, or a plain number.
    pub value: f64,
    /// How theirs differs from what is measured here; may be empty.
    pub remark: &'static str,
}

const fn value(at: &'static str, measure: MeasureName, value: f64) -> PublishedValue {
    PublishedValue { at, measure, value, remark: "" }
}

/// The mean of theirs stands beside the median of ours.
const fn mean_time(at: &'static str, value: f64) -> PublishedValue {
    PublishedValue { at, measure: MeasureName::RetrievalP50, value, remark: "theirs is the mean" }
}

/// Every table of which a sweep is shipped.
pub static PUBLISHED_TABLES: &[PublishedTable] = &[
    PublishedTable {
        topology: "butter-persistence",
        source: "Butter, the original in Go (2022), dissertation: persistence. 250 nodes in one process, 30 s of churn with \
                 replacement, heartbeat 2 s, 3 copies, mean of 5 runs; 63, 29, 4 and 0 of 250 items were lost",
        values: &[
            value("die=1/50", MeasureName::Retrieval, 0.748),
            value("die=1/100", MeasureName::Retrieval, 0.884),
            value("die=1/1000", MeasureName::Retrieval, 0.984),
            value("die=1/10000", MeasureName::Retrieval, 1.0),
        ],
    },
    PublishedTable {
        topology: "butter-heartbeat",
        source: "Butter, the original in Go (2022), dissertation: interval of the heartbeat. 100 nodes in one process, 60 s of churn \
                 at 1/50 per second, 3 copies",
        values: &[
            value("heartbeat=10s", MeasureName::Retrieval, 0.58),
            value("heartbeat=5s", MeasureName::Retrieval, 0.60),
            value("heartbeat=2s", MeasureName::Retrieval, 0.72),
            value("heartbeat=1s", MeasureName::Retrieval, 0.74),
        ],
    },
    PublishedTable {
        topology: "butter-retrieval",
        source: "Butter, the original in Go (2022), dissertation: retrieval. 100 nodes in one process, 10 queries, breadth-first and \
                 random breadth-first search, which took 235 messages",
        values: &[
            value("technique=bfs", MeasureName::Retrieval, 1.0),
            value("technique=rbfs", MeasureName::Retrieval, 0.68),
            value("technique=bfs", MeasureName::RetrievalMessages, 587.0),
            mean_time("technique=bfs", 10.1),
            mean_time("technique=rbfs", 5.4),
        ],
    },
];

/// The table that this topology plays again.
pub fn table_of(topology: &str) -> Option<&'static PublishedTable> {
    PUBLISHED_TABLES.iter().find(|table| table.topology == topology)
}

impl PublishedTable {
    /// The value of a measure where the sweep's values are these, each as `name=value`.
    pub fn value_of(&self, measure: &MeasureName, swept: &[String]) -> Option<&'static PublishedValue> {
        self.values.iter().find(|value| value.measure == *measure && swept.iter().any(|swept| swept == value.at))
    }
}
