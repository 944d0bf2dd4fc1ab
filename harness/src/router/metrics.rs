//! The router's counters, as Prometheus reads them.

use std::sync::Mutex;

use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use super::stats::{Cause, Change, Direction, Stats};

/// Instruments of a router: set by the data path, read by the control proxy.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    packets: [IntCounter; Direction::ALL.len()],
    bytes: [IntCounter; Direction::ALL.len()],
    dropped: [IntCounter; Cause::ALL.len()],
    altered: [IntCounter; Change::ALL.len()],
    mappings: Option<IntGauge>,
    published: Mutex<Stats>,
}

impl Metrics {
    /// All at zero. Mappings only where there is a NAT.
    ///
    /// # Errors
    /// If a name is used twice.
    pub fn new(nat: bool) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let family = |name: &str, help: &str, label: &str| {
            let family = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(family.clone()))?;
            prometheus::Result::Ok(family)
        };
        let packets = family(
            "butter_router_forwarded_packets_total",
            "Packets forwarded: up from the LAN, down into it, or within it; each segment counted.",
            "direction",
        )?;
        let bytes = family(
            "butter_router_forwarded_bytes_total",
            "Bytes of the packets forwarded, with their IP headers.",
            "direction",
        )?;
        let dropped = family("butter_router_dropped_total", "Packets dropped, by cause.", "cause")?;
        let altered = family(
            "butter_router_altered_total",
            "Packets that the link let through late, twice or with a flipped bit.",
            "change",
        )?;
        let mappings =
            nat.then(|| IntGauge::new("butter_router_nat_mappings", "Live mappings of the NAT.")).transpose()?;
        if let Some(mappings) = &mappings {
            registry.register(Box::new(mappings.clone()))?;
        }
        Ok(Metrics {
            registry,
            packets: Direction::ALL.map(|direction| packets.with_label_values(&[direction.label()])),
            bytes: Direction::ALL.map(|direction| bytes.with_label_values(&[direction.label()])),
            dropped: Cause::ALL.map(|cause| dropped.with_label_values(&[cause.label()])),
            altered: Change::ALL.map(|change| altered.with_label_values(&[change.label()])),
            mappings,
            published: Mutex::default(),
        })
    }

    /// Brings the instruments up to what was counted.
    pub fn publish(&self, stats: &Stats, mappings: Option<usize>) {
        let mut published = self.published.lock().expect("nobody panics while publishing");
        if let (Some(gauge), Some(mappings)) = (&self.mappings, mappings) {
            gauge.set(i64::try_from(mappings).unwrap_or(i64::MAX));
        }
        if *published == *stats {
            return;
        }
        for (index, (now, before)) in stats.forwarded.iter().zip(&published.forwarded).enumerate() {
            self.packets[index].inc_by(now.packets - before.packets);
            self.bytes[index].inc_by(now.bytes - before.bytes);
        }
        let dropped = self.dropped.iter().zip(stats.dropped.iter().zip(&published.dropped));
        let altered = self.altered.iter().zip(stats.altered.iter().zip(&published.altered));
        for (counter, (now, before)) in dropped.chain(altered) {
            counter.inc_by(now - before);
        }
        published.clone_from(stats);
    }

    /// Counts from zero again, as the data path does.
    pub fn reset(&self) {
        let mut published = self.published.lock().expect("nobody panics while publishing");
        let counters = self.packets.iter().chain(&self.bytes).chain(&self.dropped).chain(&self.altered);
        counters.for_each(IntCounter::reset);
        *published = Stats::default();
    }

    /// Everything, in the text format.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_exposed() {
        let metrics = Metrics::new(true).unwrap();
        let mut stats = Stats::default();
        stats.forward(Direction::Up, 2, 3_000);
        stats.drop(Cause::Filtered);
        metrics.publish(&stats, Some(7));
        stats.drop(Cause::Filtered);
        metrics.publish(&stats, Some(3));
        let text = String::from_utf8(metrics.text().unwrap()).unwrap();
        for line in [
            "butter_router_forwarded_packets_total{direction=\"up\"} 2",
            "butter_router_forwarded_bytes_total{direction=\"up\"} 3000",
            "butter_router_forwarded_packets_total{direction=\"down\"} 0",
            "butter_router_dropped_total{cause=\"filtered\"} 2",
            "butter_router_dropped_total{cause=\"no_mapping\"} 0",
            "butter_router_nat_mappings 3",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is missing in\n{text}");
        }
        metrics.reset();
        metrics.publish(&Stats::default(), Some(0));
        let text = String::from_utf8(metrics.text().unwrap()).unwrap();
        let counts = text.lines().filter(|line| !line.starts_with('#'));
        assert!(counts.into_iter().all(|line| line.ends_with(" 0")), "{text}");
        assert!(!String::from_utf8(Metrics::new(false).unwrap().text().unwrap()).unwrap().contains("mappings"));
    }
}
