//! Metrics of simulated nodes and routers, as Prometheus' text format would have them.

use std::sync::Arc;

use butter::core::NodeCore;
use butter::core::stats::{InstrumentValue, InstrumentVisitor, LATENCY_BUCKETS_S, Latencies};
use butter::overlay::data::DataOverlay;
use butter::overlay::data::stats::each_instrument;

use crate::plan::{NetworkIndex, NodeIndex};
use crate::router::stats::RouterStats;
use crate::series::{MetricFamily, Scrape, Series, Source};

type Labels = Vec<(Arc<str>, Arc<str>)>;

/// Names, labels and families of all series, made once and shared by all samples.
#[derive(Debug)]
pub struct SimulatedSeries {
    /// Name and labels of every series of a node.
    heads: Vec<(Arc<str>, Labels)>,
    node_families: Arc<Vec<MetricFamily>>,
    router_families: Arc<Vec<MetricFamily>>,
}

impl Default for SimulatedSeries {
    fn default() -> Self {
        let (mut heads, mut node_families, mut router_families) = (Vec::new(), Vec::new(), Vec::new());
        each_instrument(|instrument, labels, value| {
            add_once(&mut node_families, MetricFamily::from(&instrument));
            match value {
                InstrumentValue::Number(_) => heads.push((Arc::from(instrument.name), own(labels))),
                InstrumentValue::Latencies(_) => heads.extend(histogram_heads(instrument.name, labels)),
            }
        });
        RouterStats::default().each(Some(0), |instrument, _, _| {
            add_once(&mut router_families, MetricFamily::from(instrument));
        });
        let (node_families, router_families) = (Arc::new(node_families), Arc::new(router_families));
        SimulatedSeries { heads, node_families, router_families }
    }
}

impl SimulatedSeries {
    /// The metrics of a node with these counters.
    pub fn of_node(&self, node: NodeIndex, core: &NodeCore<DataOverlay>) -> Scrape {
        let families = Arc::clone(&self.node_families);
        Scrape { source: Source::Node(node), families, series: self.node_series(|visit| core.metrics(visit)) }
    }

    /// The metrics of a router with these counters. `mappings` are those of its NAT, if it has one.
    pub fn of_router(&self, network: NetworkIndex, stats: &RouterStats, mappings: Option<usize>) -> Scrape {
        let mut series = Vec::new();
        stats.each(mappings, |instrument, label, value| {
            let labels = own(label.as_slice());
            series.push(Series { name: Arc::from(instrument.name), labels, value: value as f64 });
        });
        Scrape { source: Source::Router(network), families: Arc::clone(&self.router_families), series }
    }

    fn node_series(&self, metrics: impl FnOnce(InstrumentVisitor<'_>)) -> Vec<Series> {
        let mut series = Vec::with_capacity(self.heads.len());
        let mut heads = self.heads.iter();
        let mut push = |value| {
            let (name, labels) = heads.next().expect("every instrument has a head");
            series.push(Series { name: Arc::clone(name), labels: labels.clone(), value });
        };
        metrics(&mut |_, _, value| match value {
            InstrumentValue::Number(number) => push(number),
            InstrumentValue::Latencies(latencies) => cumulated(latencies, &mut push),
        });
        series
    }
}

/// Names and labels of a histogram's series.
fn histogram_heads(name: &str, labels: &[(&'static str, &'static str)]) -> Vec<(Arc<str>, Labels)> {
    let bucket: Arc<str> = format!("{name}_bucket").into();
    let bounds = LATENCY_BUCKETS_S.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    let with_bound = |bound: String| {
        let mut labels = own(labels);
        labels.push((Arc::from("le"), Arc::from(bound)));
        (Arc::clone(&bucket), labels)
    };
    let sums = ["sum", "count"].map(|suffix| (format!("{name}_{suffix}").into(), own(labels)));
    bounds.map(with_bound).chain(sums).collect()
}

/// Instruments of one name follow each other.
fn add_once(families: &mut Vec<MetricFamily>, family: MetricFamily) {
    if families.last() != Some(&family) {
        families.push(family);
    }
}

/// A histogram's buckets, each with those below it, then its sum and count.
fn cumulated(latencies: &Latencies, push: &mut impl FnMut(f64)) {
    let mut below = 0;
    for &bucket in &latencies.buckets {
        below += u64::from(bucket);
        push(below as f64);
    }
    push(latencies.sum_s);
    push(below as f64);
}

fn own(labels: &[(&'static str, &'static str)]) -> Labels {
    labels.iter().map(|&(name, value)| (Arc::from(name), Arc::from(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::stats::{DropCause, ForwardDirection};
    use butter::core::stats::Stats;
    use butter::overlay::data::DataStats;
    use std::time::Duration;

    #[test]
    fn histogram_buckets_are_cumulative() {
        let mut stats = DataStats::default();
        for ms in [2, 2, 400, 60_000] {
            stats.retrieval_seconds.record(Duration::from_millis(ms));
        }
        let series = SimulatedSeries::default().node_series(|visit| {
            Stats::default().each(&mut *visit);
            stats.each(visit);
        });
        let bucket = |le: &str| {
            let label = |s: &&Series| {
                *s.name == *"butter_retrieval_seconds_bucket" && s.labels.iter().any(|(_, value)| **value == *le)
            };
            series.iter().find(label).map(|s| s.value)
        };
        assert_eq!(bucket("0.001"), Some(0.0));
        assert_eq!(bucket("0.003"), Some(2.0));
        assert_eq!(bucket("1"), Some(3.0));
        assert_eq!(bucket("+Inf"), Some(4.0));
        let value = |name: &str| series.iter().find(|s| *s.name == *name).map(|s| s.value);
        assert_eq!(value("butter_retrieval_seconds_count"), Some(4.0));
        assert_eq!(value("butter_retrieval_seconds_sum"), Some(60.404));
    }

    #[test]
    fn simulated_router_exposes_what_a_router_process_exposes() {
        let mut stats = RouterStats::default();
        stats.forward(ForwardDirection::Within, 3, 300);
        stats.drop(DropCause::Filtered);
        stats.alter(crate::net::link::Alteration { twice: true, ..Default::default() });
        let metrics = crate::router::metrics::RouterMetrics::new(true);
        metrics.publish(&stats, Some(7));
        let real = crate::metrics::exposition::parse(&metrics.text()).unwrap();
        let simulated = SimulatedSeries::default().of_router(NetworkIndex(0), &stats, Some(7));
        assert_eq!((&simulated.series, &*simulated.families), (&real.series, &real.families));
    }

    #[test]
    fn node_series_are_unique() {
        let series = SimulatedSeries::default().node_series(|visit| each_instrument(visit));
        for (at, one) in series.iter().enumerate() {
            assert!(!series[..at].iter().any(|other| other.name == one.name && other.labels == one.labels), "{one:?}");
        }
    }
}
