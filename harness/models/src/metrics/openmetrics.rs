//! A recorded run as OpenMetrics text with times, so that `promtool tsdb create-blocks-from openmetrics` loads it.
//!
//! See <https://prometheus.io/docs/specs/om/open_metrics_spec/>. All samples of a family stand together, so the whole record is
//! held in memory: samples have a bound, [`ROWS_MAX`].

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::replay::Replay;
use super::run::{self, RunLabels};
use super::samples::{ROWS_MAX, SampleFilter, rows};
use super::writer::line;
use crate::events::RunTime;
use crate::series::{MetricFamily, MetricKind};

/// What a record says beside its samples.
#[derive(Debug)]
pub struct RecordedRun {
    /// What names the run.
    pub labels: RunLabels,
    /// When its clock was zero, by the wall clock.
    pub began: SystemTime,
    /// Its events, from which its own metrics follow.
    pub events: Replay,
    /// Help and type of metrics that samples may have.
    pub families: Vec<MetricFamily>,
}

/// Samples of one series: its name with labels, and times in milliseconds with values.
type SeriesSamples = (String, Vec<(u64, f64)>);

/// All families in the making.
#[derive(Default)]
struct Export {
    known: BTreeMap<String, MetricFamily>,
    series: Vec<SeriesSamples>,
    index: HashMap<String, usize>,
    /// Series of each family, by the family's name.
    families: BTreeMap<String, Vec<usize>>,
    samples: u64,
}

impl Export {
    fn add(&mut self, name: &str, labels: &[(&str, &str)], at_ms: u64, value: f64) {
        let whole = line(name, labels, 0.0);
        let key = whole.strip_suffix(" 0").unwrap_or(&whole);
        let at = match self.index.get(key) {
            Some(at) => *at,
            None => {
                let at = self.series.len();
                self.series.push((key.to_owned(), Vec::new()));
                self.index.insert(key.to_owned(), at);
                self.families.entry(self.family_of(name)).or_default().push(at);
                at
            }
        };
        self.series[at].1.push((at_ms, value));
        self.samples += 1;
    }

    /// The name of a metric's family: without the suffix of a histogram's series.
    fn family_of(&self, name: &str) -> String {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let is_histogram = |base: &&str| self.known.get(*base).is_some_and(|of| of.kind == MetricKind::Histogram);
        base.filter(is_histogram).unwrap_or(name).to_owned()
    }

    fn write(&self, began: SystemTime, to: &mut impl Write) -> io::Result<()> {
        let zero_ms = began.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        for (name, series) in &self.families {
            let family = self.known.get(name);
            let (kind, help) = family.map_or((MetricKind::Untyped, ""), |family| (family.kind, &*family.help));
            // Of a counter, the family has no suffix and its samples have.
            let shown = if kind == MetricKind::Counter { name.strip_suffix("_total").unwrap_or(name) } else { name };
            let kind = if kind == MetricKind::Untyped { "unknown" } else { kind.name() };
            writeln!(to, "# TYPE {shown} {kind}")?;
            if let Some(unit) = unit(shown) {
                writeln!(to, "# UNIT {shown} {unit}")?;
            }
            writeln!(to, "# HELP {shown} {}", help.replace('\\', r"\\").replace('\n', r"\n").replace('"', "\\\""))?;
            for (key, samples) in series.iter().map(|at| &self.series[*at]) {
                for (at_ms, value) in samples {
                    let ms = zero_ms + u128::from(*at_ms);
                    writeln!(to, "{key} {} {}.{:03}", number(*value), ms / 1_000, ms % 1_000)?;
                }
            }
        }
        writeln!(to, "# EOF")
    }
}

/// The unit that the name of a family says, by Prometheus' rules.
pub fn unit(family: &str) -> Option<&'static str> {
    ["seconds", "bytes"].into_iter().find(|unit| family.ends_with(&format!("_{unit}")))
}

fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

/// Writes the wanted samples of a record, and the metrics of the run itself. Returns their number.
///
/// # Errors
/// If the file is none of samples or has too many, or a stream fails.
pub fn export(samples: impl Read, mut run: RecordedRun, filter: &SampleFilter, mut to: impl Write) -> io::Result<u64> {
    let mut export = Export::default();
    let of_run = run::INSTRUMENTS.iter().map(|(instrument, _)| MetricFamily::from(*instrument));
    for family in run.families.drain(..).chain(of_run) {
        export.known.insert(family.name.to_string(), family);
    }
    let (mut last, mut count) = (None, 0);
    rows(samples, |row| {
        count += 1;
        if count > ROWS_MAX {
            return Err(wrong(format!("it has more than {ROWS_MAX} samples")));
        }
        let time: f64 = row[0].parse().map_err(|_| wrong(format!("`{}` is no time", &row[0])))?;
        let at = RunTime((time * 1e6).round() as u64);
        if last.replace(at) != Some(at) {
            own(&mut export, &mut run, at, filter);
        }
        let (node, network, group, metric) = (&row[1], &row[2], &row[3], &row[4]);
        if !filter.takes(node, metric) {
            return Ok(());
        }
        let value: f64 = row[6].parse().map_err(|_| wrong(format!("`{}` is no value", &row[6])))?;
        let pairs = row[5].split(';').filter_map(|pair| pair.split_once('='));
        let mut labels = vec![("run", run.labels.run.as_str()), ("node", node), ("group", group), ("network", network)];
        labels.extend(pairs.filter(|(name, _)| !["run", "node", "group", "network"].contains(name)));
        export.add(metric, &labels, at.0 / 1_000, value);
        Ok(())
    })?;
    export.write(run.began, &mut to)?;
    to.flush()?;
    Ok(export.samples)
}

/// The metrics of the run itself at a moment.
fn own(export: &mut Export, run: &mut RecordedRun, at: RunTime, filter: &SampleFilter) {
    let RecordedRun { labels, events, .. } = run;
    let (metrics, verb, faults) = events.advance(at);
    run::each(labels, metrics, verb, faults, |instrument, own, value| {
        if filter.takes("", instrument.name) {
            let all: Vec<(&str, &str)> =
                std::iter::once(("run", labels.run.as_str())).chain(own.iter().copied()).collect();
            export.add(instrument.name, &all, at.0 / 1_000, value);
        }
    });
}

fn wrong(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::samples::Samples;
    use crate::plan::NodeIndex;
    use crate::series::Source;
    use crate::testing::{self, scrape};

    fn recorded() -> (Vec<u8>, RecordedRun) {
        let mut file = Vec::new();
        let mut samples = Samples::new(&mut file).unwrap();
        let bucket: &[(&str, &str)] = &[("le", "+Inf")];
        for second in 0..2 {
            let values = [
                ("butter_bytes_total", &[][..], 5.0 + second as f64),
                ("butter_get_seconds_bucket", bucket, 2.0),
                ("butter_get_seconds_sum", &[][..], f64::INFINITY),
                ("odd", &[("node", "x")][..], 1.5),
            ];
            let moment = [scrape(Source::Node(NodeIndex(2)), &values)];
            samples.write(&testing::plan_with_items(), RunTime(second * 1_000_000), &moment).unwrap();
        }
        samples.finish().unwrap();
        let family = |name: &str, kind| MetricFamily { name: name.into(), help: "Some \"help\"".into(), kind };
        let run = RecordedRun {
            labels: RunLabels { run: "r-1".to_owned(), name: "n".to_owned(), backend: "sim".to_owned(), seed: 7 },
            began: UNIX_EPOCH + Duration::from_millis(1_000_500),
            events: Replay::read(&b"{\"at_us\":900000,\"event\":\"killed\",\"node\":\"n-2\"}\n"[..]).unwrap(),
            families: vec![
                family("butter_bytes_total", MetricKind::Counter),
                family("butter_get_seconds", MetricKind::Histogram),
            ],
        };
        (file, run)
    }

    fn exported(filter: &SampleFilter) -> (u64, String) {
        let (file, run) = recorded();
        let mut text = Vec::new();
        let count = export(&file[..], run, filter, &mut text).unwrap();
        (count, String::from_utf8(text).unwrap())
    }

    #[test]
    fn families_stand_together_with_type_unit_help_and_times() {
        let (count, text) = exported(&SampleFilter::default());
        let owner = "run=\"r-1\",node=\"n-2\",group=\"n\",network=\"alpha\"";
        let owner = if text.contains("network=\"alpha\"") { owner.to_owned() } else { owner.replace("alpha", "beta") };
        for part in [
            format!(
                "# TYPE butter_bytes counter\n# UNIT butter_bytes bytes\n# HELP butter_bytes Some \\\"help\\\"\n\
                 butter_bytes_total{{{owner}}} 5 1000.500\nbutter_bytes_total{{{owner}}} 6 1001.500\n"
            ),
            format!(
                "# TYPE butter_get_seconds histogram\n# UNIT butter_get_seconds seconds\n# HELP butter_get_seconds Some \\\"help\\\"\n\
                 butter_get_seconds_bucket{{{owner},le=\"+Inf\"}} 2 1000.500\n"
            ),
            format!("butter_get_seconds_sum{{{owner}}} +Inf 1000.500\n"),
            "# TYPE odd unknown\n".to_owned(),
            "butter_run_faults_total{run=\"r-1\",event=\"killed\"} 0 1000.500\n\
             butter_run_faults_total{run=\"r-1\",event=\"killed\"} 1 1001.500\n"
                .to_owned(),
            "butter_run_info{run=\"r-1\",name=\"n\",backend=\"sim\",seed=\"7\"} 1 1000.500\n".to_owned(),
        ] {
            assert!(text.contains(&part), "{part}\nis not in\n{text}");
        }
        assert!(
            text.ends_with("# EOF\n") && count == text.lines().filter(|line| !line.starts_with('#')).count() as u64
        );
    }

    #[test]
    fn filters_apply() {
        let filter = SampleFilter { metrics: vec!["butter_get_seconds".to_owned()], nodes: vec!["n-2".to_owned()] };
        assert_eq!(exported(&filter).0, 4);
        assert_eq!(
            exported(&SampleFilter { metrics: vec!["none".to_owned()], nodes: Vec::new() }),
            (0, "# EOF\n".to_owned())
        );
    }
}
