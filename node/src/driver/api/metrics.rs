//! Everything that a node counts, in Prometheus' text format.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, Registry, TextEncoder};

use crate::core::stats::{
    Instrument, InstrumentKind, InstrumentValue, InstrumentVisitor, LATENCY_BUCKETS_S, Latencies,
};
use crate::driver::transport::counters::Counters;

type Labels = [(&'static str, &'static str)];

/// What a node on Linux says of its process.
pub const PROCESS_INSTRUMENTS: [Instrument; 3] = [
    Instrument {
        name: "process_resident_memory_bytes",
        help: "Resident memory size in bytes",
        kind: InstrumentKind::Gauge,
    },
    Instrument { name: "process_threads", help: "Number of OS threads in the process", kind: InstrumentKind::Gauge },
    Instrument {
        name: "process_cpu_seconds_total",
        help: "Total user and system CPU time spent in seconds",
        kind: InstrumentKind::Counter,
    },
];

/// A scrape: the instruments that `metrics` visits, those of the transport and those of the process.
///
/// # Errors
/// If an instrument is defined badly.
pub(super) fn text(metrics: impl FnOnce(InstrumentVisitor<'_>), counters: &Counters) -> prometheus::Result<String> {
    let mut families = Families::default();
    metrics(&mut |instrument, labels, value| match value {
        InstrumentValue::Number(number) => families.number(instrument, labels, number),
        InstrumentValue::Latencies(latencies) => families.latencies(instrument, labels, latencies),
    });
    counters.each(|instrument, labels, count| families.number(instrument, labels, count as f64));
    families.process();
    let registry = Registry::new();
    registry.register(Box::new(families))?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
}

/// Families in the order in which they were first met. Few: searched in line.
#[derive(Debug, Default)]
struct Families(Vec<MetricFamily>);

impl Collector for Families {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.clone()
    }
}

impl Families {
    fn number(&mut self, instrument: Instrument, labels: &Labels, value: f64) {
        let mut metric = metric(labels);
        match instrument.kind {
            InstrumentKind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            InstrumentKind::Gauge | InstrumentKind::Histogram => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        self.add(instrument, metric);
    }

    fn latencies(&mut self, instrument: Instrument, labels: &Labels, latencies: &Latencies) {
        let mut cumulated = 0;
        let buckets = LATENCY_BUCKETS_S.iter().zip(latencies.buckets).map(|(&bound, count)| {
            cumulated += u64::from(count);
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(cumulated);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(latencies.count());
        histogram.set_sample_sum(latencies.sum_s);
        let mut metric = metric(labels);
        metric.set_histogram(histogram);
        self.add(instrument, metric);
    }

    fn add(&mut self, instrument: Instrument, metric: Metric) {
        if let Some(family) = self.0.iter_mut().find(|family| family.name() == instrument.name) {
            let mut metrics = family.take_metric();
            metrics.push(metric);
            family.set_metric(metrics);
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(instrument.name.to_owned());
        family.set_help(instrument.help.to_owned());
        family.set_field_type(match instrument.kind {
            InstrumentKind::Counter => MetricType::COUNTER,
            InstrumentKind::Gauge => MetricType::GAUGE,
            InstrumentKind::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(vec![metric]);
        self.0.push(family);
    }

    /// What the system says of this process, under the names that every client library of Prometheus uses.
    fn process(&mut self) {
        let Some(process) = Process::read() else { return };
        let values = [process.resident_bytes, process.threads, process.cpu_s];
        for (instrument, value) in PROCESS_INSTRUMENTS.into_iter().zip(values) {
            self.number(instrument, &[], value);
        }
    }
}

fn metric(labels: &Labels) -> Metric {
    let pair = |&(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}

/// Linux tells times in these, whatever its own clock does.
const TICKS_PER_S: f64 = 100.0;

/// This process, as `/proc` tells.
struct Process {
    resident_bytes: f64,
    threads: f64,
    cpu_s: f64,
}

impl Process {
    /// `None` where there is no `/proc`: the process then has no metrics.
    fn read() -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let number = |key: &str| -> Option<f64> {
            status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
        };
        // The name, in parentheses, may hold anything; user and system time are the 12th and 13th fields after it.
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let ticks = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
        let ticks: f64 = ticks.filter_map(|field| field.parse::<f64>().ok()).sum();
        Some(Process {
            resident_bytes: number("VmRSS:")? * 1_024.0,
            threads: number("Threads:")?,
            cpu_s: ticks / TICKS_PER_S,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::stats::Stats;
    use crate::overlay::data::DataStats;

    #[test]
    fn every_instrument_is_told_with_its_labels() {
        let stats = Stats { links_relayed: 3, ..Stats::default() };
        let mut data = DataStats { puts_acknowledged: 7, ..DataStats::default() };
        data.retrieval_seconds.record(Duration::from_millis(20));
        data.retrieval_seconds.record(Duration::from_secs(60));
        let counters = Counters::default();
        counters.relay_bytes.add(1_200);
        let metrics = |visit: InstrumentVisitor<'_>| {
            stats.each(&mut *visit);
            data.each(visit);
        };
        let text = text(metrics, &counters).unwrap();
        for line in [
            "# TYPE butter_links gauge",
            "butter_links{path=\"lan\"} 0",
            "butter_links{path=\"relayed\"} 3",
            "butter_puts_total{result=\"acknowledged\"} 7",
            "butter_relay_bytes_total 1200",
            "# TYPE butter_retrieval_seconds histogram",
            "butter_retrieval_seconds_bucket{le=\"0.01\"} 0",
            "butter_retrieval_seconds_bucket{le=\"0.03\"} 1",
            "butter_retrieval_seconds_bucket{le=\"+Inf\"} 2",
            "butter_retrieval_seconds_count 2",
            "# TYPE process_resident_memory_bytes gauge",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert_eq!(text.matches("# TYPE butter_links gauge").count(), 1, "one family for all its series");
    }

    /// What breaks the rules for names and help: `_total` for counters only, base units as a suffix, help in one phrase.
    fn rule_broken(Instrument { name, help, kind }: Instrument) -> Option<&'static str> {
        let plain = name.strip_suffix("_total").unwrap_or(name);
        let is_lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let inside = |unit: &str| plain.split('_').any(|word| word == unit) && !plain.ends_with(&format!("_{unit}"));
        match () {
            () if !name.starts_with("butter_") || !name.chars().all(is_lower) => Some("the name is not snake case"),
            () if name.ends_with("_total") != (kind == InstrumentKind::Counter) => Some("_total is for counters"),
            () if kind == InstrumentKind::Histogram && !plain.ends_with("_seconds") => {
                Some("a histogram is of seconds")
            }
            () if inside("seconds") || inside("bytes") => Some("the unit is not at the end"),
            () if help.starts_with("Bytes") && !plain.ends_with("_bytes") => Some("bytes are _bytes"),
            () if help.starts_with("Time") && !plain.ends_with("_seconds") => Some("times are _seconds"),
            () if help.split(' ').count() < 2 || help.ends_with('.') => Some("the help is no phrase"),
            () if !help.starts_with(|c: char| c.is_ascii_uppercase()) => Some("the help begins with a small letter"),
            () => None,
        }
    }

    #[test]
    fn every_instrument_follows_the_rules_for_names_and_help() {
        let mut broken = Vec::new();
        let mut check = |instrument: Instrument| {
            broken.extend(rule_broken(instrument).map(|rule| format!("{}: {rule}", instrument.name)));
        };
        Stats::default().each(|instrument, _, _| check(instrument));
        Counters::default().each(|instrument, _, _| check(instrument));
        assert_eq!(broken, [""; 0]);
    }
}
