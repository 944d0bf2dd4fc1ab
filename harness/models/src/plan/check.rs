//! Checks: bounds for measured values, at the end of a run or in a `check` step.

use serde::{Deserialize, Serialize};

use super::NetworkRange;

/// A bound for a measured value: `retrieval from gamma >= 95%`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// As written in the file.
    pub text: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// The value that is compared with the bound.
    pub measure: Measure,
    /// How the value is compared with the bound.
    pub comparison: Comparison,
    /// The bound, in the unit of the measure: a share as 0..1, a duration in seconds, or a plain number.
    pub bound: f64,
}

/// How a measured value is compared with its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// At least the bound: `>=`.
    AtLeast,
    /// More than the bound: `>`.
    Above,
    /// At most the bound: `<=`.
    AtMost,
    /// Less than the bound: `<`.
    Below,
    /// Exactly the bound: `==`.
    Equal,
}

/// What a check measures: a family of measures, which of its values, and where.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// Name of the family, with which its checks begin: `retrieval`, `rebind recovered`.
    pub family: &'static str,
    /// Which of the family's values is measured.
    pub statistic: Statistic,
    /// Only what comes from there counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Selection>,
    /// Only what leads there counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Selection>,
}

impl Measure {
    /// A value of a family, without restriction to a place.
    pub fn new(family: &'static str, statistic: Statistic) -> Self {
        Measure { family, statistic, from: None, to: None }
    }
}

/// Which of a family's values a check measures.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// The main value of the family: a share, a mean or a number.
    Main,
    /// The least main value of any pair of networks or node groups.
    WorstPair,
    /// A quantile (0..1) of the durations of the family, in seconds.
    Quantile(f64),
    /// The mean of a quantity of this name, such as `messages`.
    Mean(&'static str),
    /// A metric: over all samples for min and max, of the last sample for sum and avg.
    Metric {
        /// Name of the metric, of a node or a router.
        name: String,
        /// How the values of several nodes or routers become one.
        over: Aggregate,
    },
}

/// Networks or nodes that a check is restricted to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// Networks that one name of the file stands for.
    Networks(NetworkRange),
    /// A node group, by its name in the file.
    Group(String),
}

/// How the values of several nodes or routers become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The greatest value of any.
    Max,
    /// The least value of any.
    Min,
    /// The mean over all of them.
    Avg,
    /// The sum over all of them.
    Sum,
}
