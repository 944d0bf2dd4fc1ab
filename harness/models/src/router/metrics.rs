//! The router's metrics: published by the data path, read by the control proxy.

use std::sync::Mutex;

use super::stats::RouterStats;
use crate::metrics::writer::ExpositionWriter;
use crate::series::MetricKind;

/// The counters of a router as last published.
#[derive(Debug)]
pub struct RouterMetrics(Mutex<Published>);

#[derive(Debug, Default)]
struct Published {
    stats: RouterStats,
    /// Live mappings of the NAT; `None` without a NAT.
    mappings: Option<usize>,
}

impl RouterMetrics {
    /// All counters at zero. A router with a NAT has a gauge of its mappings too.
    pub fn new(nat: bool) -> Self {
        RouterMetrics(Mutex::new(Published { mappings: nat.then_some(0), ..Published::default() }))
    }

    /// Takes what the data path has counted. `mappings` is `None` if that number is unknown or there is no NAT.
    pub fn publish(&self, stats: &RouterStats, mappings: Option<usize>) {
        let mut published = self.0.lock().expect("no holder of the lock panics");
        if published.mappings.is_some() && mappings.is_some() {
            published.mappings = mappings;
        }
        if published.stats != *stats {
            published.stats.clone_from(stats);
        }
    }

    /// Counts from zero again, as the data path does.
    pub fn reset(&self) {
        self.0.lock().expect("no holder of the lock panics").stats = RouterStats::default();
    }

    /// Everything, in Prometheus' text format.
    pub fn text(&self) -> String {
        let published = self.0.lock().expect("no holder of the lock panics");
        let mut text = ExpositionWriter::default();
        let mut family = "";
        published.stats.each(published.mappings, |instrument, label, value| {
            if family != instrument.name {
                family = instrument.name;
                text.family(instrument.name, instrument.help, MetricKind::from(instrument.kind));
            }
            text.series(instrument.name, label.as_slice(), value as f64);
        });
        text.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::stats::{DropCause, ForwardDirection};

    #[test]
    fn published_counts_are_exposed() {
        let metrics = RouterMetrics::new(true);
        let mut stats = RouterStats::default();
        stats.forward(ForwardDirection::Up, 2, 3_000);
        stats.drop(DropCause::Filtered);
        metrics.publish(&stats, Some(7));
        stats.drop(DropCause::Filtered);
        metrics.publish(&stats, Some(3));
        let text = metrics.text();
        for line in [
            "# TYPE butter_router_dropped_total counter",
            "butter_router_forwarded_packets_total{direction=\"up\"} 2",
            "butter_router_forwarded_bytes_total{direction=\"up\"} 3000",
            "butter_router_forwarded_packets_total{direction=\"down\"} 0",
            "butter_router_dropped_total{cause=\"filtered\"} 2",
            "butter_router_dropped_total{cause=\"no_mapping\"} 0",
            "butter_router_nat_mappings 3",
        ] {
            assert_eq!(text.lines().filter(|other| *other == line).count(), 1, "{line} in\n{text}");
        }
        metrics.reset();
        metrics.publish(&RouterStats::default(), Some(0));
        let text = metrics.text();
        let counts = text.lines().filter(|line| !line.starts_with('#'));
        assert!(counts.into_iter().all(|line| line.ends_with(" 0")), "{text}");
        assert!(!RouterMetrics::new(false).text().contains("mappings"));
    }
}
