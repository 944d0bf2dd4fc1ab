//! Metrics as data: what a node or router exposes at one moment.

use std::sync::Arc;

use crate::plan::{NetworkIndex, NodeIndex};

/// The metrics of one node or router at one moment.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// Of what.
    pub source: Source,
    /// Every series that it exposes.
    pub series: Vec<Series>,
}

/// What was scraped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A node.
    Node(NodeIndex),
    /// The router of a network.
    Router(NetworkIndex),
}

/// One series of a metric, as Prometheus' text format has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name of the series: for a histogram with its `_bucket`, `_sum` or `_count`.
    pub name: Arc<str>,
    /// Its labels, in the order exposed.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// Its value.
    pub value: f64,
}
