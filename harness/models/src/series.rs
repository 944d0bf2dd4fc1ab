//! Metrics as data: what a node or router exposes at one moment.

use std::sync::Arc;

use butter::core::stats::{Instrument, InstrumentKind};

use crate::index::{NetworkIndex, NodeIndex};

/// The metrics of one node or router at one moment.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// The node or router that exposes them.
    pub source: Source,
    /// Help and type of the metrics, as far as the source tells them.
    pub families: Arc<Vec<MetricFamily>>,
    /// Every series that the source exposes.
    pub series: Vec<Series>,
}

impl Scrape {
    /// The sum of the series of this name; `None` if there is none.
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.series.iter().filter(|series| *series.name == *name).map(|series| series.value).reduce(|a, b| a + b)
    }
}

/// A node or router that exposes metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A node of the plan.
    Node(NodeIndex),
    /// The router of a network.
    Router(NetworkIndex),
}

/// Help and type of a metric, which all its series share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricFamily {
    /// Name of the metric: for a histogram without `_bucket`, `_sum` and `_count`.
    pub name: Arc<str>,
    /// One line that says what it measures, with its unit.
    pub help: Arc<str>,
    /// How its values behave.
    pub kind: MetricKind,
}

/// How the values of a metric behave, as a `TYPE` line says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A number that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// Numbers of observations per bucket, with their sum and count.
    Histogram,
    /// A number of which nothing is said.
    Untyped,
}

impl MetricKind {
    /// The word of the `TYPE` line.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
            MetricKind::Untyped => "untyped",
        }
    }
}

impl From<InstrumentKind> for MetricKind {
    fn from(kind: InstrumentKind) -> Self {
        match kind {
            InstrumentKind::Counter => MetricKind::Counter,
            InstrumentKind::Gauge => MetricKind::Gauge,
            InstrumentKind::Histogram => MetricKind::Histogram,
        }
    }
}

impl From<&Instrument> for MetricFamily {
    fn from(instrument: &Instrument) -> Self {
        let Instrument { name, help, kind } = *instrument;
        MetricFamily { name: Arc::from(name), help: Arc::from(help), kind: kind.into() }
    }
}

/// One series of a metric, as Prometheus' text format has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name of the series: for a histogram with its `_bucket`, `_sum` or `_count`.
    pub name: Arc<str>,
    /// Names and values of its labels, in the order exposed.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// Its value at that moment.
    pub value: f64,
}
