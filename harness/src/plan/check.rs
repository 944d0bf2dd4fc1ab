//! What must hold at the end of a run, or of a step.

use serde::Serialize;

use super::NetworkRange;

/// Something that must hold: `retrieval from gamma >= 95%`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// As written in the file.
    pub text: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// What is measured.
    pub measure: Measure,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what: a share as 0..1, a duration in seconds, or a plain number, as the measure has it.
    pub bound: f64,
}

/// How a measured value is compared with its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `>=`
    AtLeast,
    /// `>`
    Above,
    /// `<=`
    AtMost,
    /// `<`
    Below,
    /// `==`
    Equal,
}

/// What a check measures.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of the acknowledged items of which every block is held by a live node.
    Persistence,
    /// Share of the items to be stored whose store was acknowledged.
    Stored,
    /// Mean number of live copies per block of the acknowledged items.
    Copies,
    /// Share of queries answered with the right bytes in time.
    Retrieval {
        /// Only those asked from these networks.
        from: Option<NetworkRange>,
        /// Only those for items stored from these networks.
        to: Option<NetworkRange>,
    },
    /// The same, of the pair of networks where it is least. Those that one entry of the file made count as one.
    RetrievalWorstCell,
    /// A quantile of the time that right answers took, in seconds.
    RetrievalLatency {
        /// 0..1
        quantile: f64,
    },
    /// Mean number of query messages of a right answer.
    RetrievalMessages,
    /// Share of the pairs of nodes that were to be linked and are.
    Linked {
        /// Only links without a relay count.
        direct: bool,
        /// Only pairs of which one node is of this group.
        from: Option<String>,
        /// Only pairs of which the other node is of this group.
        to: Option<String>,
    },
    /// The same, of the pair of node groups where it is least.
    LinkedWorstCell {
        /// Only links without a relay count.
        direct: bool,
    },
    /// A quantile of the time until a pair was linked, in seconds.
    LinkedAfter {
        /// Until it was linked without a relay.
        direct: bool,
        /// 0..1
        quantile: f64,
    },
    /// Share of the ends of links over NATs that were rebound that got an answer again.
    Recovered,
    /// A quantile of the time until they did, in seconds. An end without an answer counts as one that takes for ever.
    RecoveredAfter {
        /// 0..1
        quantile: f64,
    },
    /// A metric over the nodes, as sampled: over all samples for min and max, of the last sample for sum and avg.
    Metric {
        /// Metric name.
        name: String,
        /// How the nodes' values become one.
        over: Aggregate,
    },
}

/// How values of many nodes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The greatest.
    Max,
    /// The least.
    Min,
    /// Their mean.
    Avg,
    /// Their sum.
    Sum,
}
