//! Metrics of simulated nodes and routers, as Prometheus' text format would have them.

use std::sync::Arc;

use butter::core::stats::{InstrumentValue, LATENCY_BUCKETS_S, Latencies, Stats};

use crate::metrics::series::Series;
use crate::router::stats::{Cause, Change, Direction, Stats as RouterStats};

type Labels = Vec<(Arc<str>, Arc<str>)>;

/// Every series of a node, with its name and labels made once and shared by all samples.
#[derive(Debug)]
pub struct NodeSeries {
    heads: Vec<(Arc<str>, Labels)>,
}

impl Default for NodeSeries {
    fn default() -> Self {
        let mut heads = Vec::new();
        Stats::default().each(|instrument, labels, value| match value {
            InstrumentValue::Number(_) => heads.push((Arc::from(instrument.name), own(labels))),
            InstrumentValue::Latencies(_) => {
                let bucket: Arc<str> = format!("{}_bucket", instrument.name).into();
                let bounds = LATENCY_BUCKETS_S.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
                for bound in bounds {
                    let mut labels = own(labels);
                    labels.push((Arc::from("le"), Arc::from(bound)));
                    heads.push((Arc::clone(&bucket), labels));
                }
                heads.push((format!("{}_sum", instrument.name).into(), own(labels)));
                heads.push((format!("{}_count", instrument.name).into(), own(labels)));
            }
        });
        NodeSeries { heads }
    }
}

impl NodeSeries {
    /// The series of a node that has counted this.
    pub fn of(&self, stats: &Stats) -> Vec<Series> {
        let mut series = Vec::with_capacity(self.heads.len());
        let mut heads = self.heads.iter();
        let mut push = |value| {
            let (name, labels) = heads.next().expect("every instrument has a head");
            series.push(Series { name: Arc::clone(name), labels: labels.clone(), value });
        };
        stats.each(|_, _, value| match value {
            InstrumentValue::Number(number) => push(number),
            InstrumentValue::Latencies(latencies) => cumulated(latencies, &mut push),
        });
        series
    }
}

/// The series of a router that has counted this, under the names of [`crate::router::metrics`].
pub fn router_series(stats: &RouterStats, mappings: Option<usize>) -> Vec<Series> {
    let mut all = Vec::with_capacity(2 * Direction::ALL.len() + Cause::ALL.len() + Change::ALL.len() + 1);
    for (direction, forwarded) in Direction::ALL.into_iter().zip(&stats.forwarded) {
        let label = [("direction", direction.label())];
        all.push(series("butter_router_forwarded_packets_total", &label, forwarded.packets));
        all.push(series("butter_router_forwarded_bytes_total", &label, forwarded.bytes));
    }
    for cause in Cause::ALL {
        all.push(series("butter_router_dropped_total", &[("cause", cause.label())], stats.dropped(cause)));
    }
    for change in Change::ALL {
        let count = stats.altered[change as usize];
        all.push(series("butter_router_altered_total", &[("change", change.label())], count));
    }
    if let Some(mappings) = mappings {
        all.push(series("butter_router_nat_mappings", &[], mappings as u64));
    }
    all
}

fn series(name: &str, labels: &[(&'static str, &'static str)], value: u64) -> Series {
    Series { name: Arc::from(name), labels: own(labels), value: value as f64 }
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
    use std::time::Duration;

    #[test]
    fn a_histogram_cumulates() {
        let mut stats = Stats::default();
        for ms in [2, 2, 400, 60_000] {
            stats.retrieval_seconds.record(Duration::from_millis(ms));
        }
        let series = NodeSeries::default().of(&stats);
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
    fn a_simulated_router_tells_what_a_real_one_tells() {
        let mut stats = RouterStats::default();
        stats.forward(Direction::Within, 3, 300);
        stats.drop(Cause::Filtered);
        stats.alter(crate::net::link::Alteration { twice: true, ..Default::default() });
        let metrics = crate::router::metrics::Metrics::new(true).unwrap();
        metrics.publish(&stats, Some(7));
        let text = String::from_utf8(metrics.text().unwrap()).unwrap();
        let real = crate::metrics::scrape::parse(&text).unwrap();
        let simulated = router_series(&stats, Some(7));
        for series in &real {
            assert!(simulated.contains(series), "{series:?}");
        }
        assert_eq!(simulated.len(), real.len());
    }

    #[test]
    fn every_series_is_there_once() {
        let series = NodeSeries::default().of(&Stats::default());
        for (at, one) in series.iter().enumerate() {
            assert!(!series[..at].iter().any(|other| other.name == one.name && other.labels == one.labels), "{one:?}");
        }
    }
}
