//! Metrics of nodes and routers, as sampled during the run.

use butter::core::stats::{Instrument, InstrumentKind};
use butter::overlay::data::stats::each_instrument;

use super::check::{Activity, BoundError, Form, MeasureFamily, Measurements, plain_number};
use super::words::{Fault, Names, Word};
use crate::metrics::history::ROUTER_METRICS;
use crate::plan::{Aggregate, Measure, Statistic};
use crate::results::check_result::CheckUnit;
use crate::router::stats::RouterStats;
use crate::topology::diagnostics::{quoted, suggestion};
use crate::topology::units::{Size, Time, Unit};

/// Measures of one metric over all nodes, or all routers.
pub(super) struct Metric;

const AGGREGATES: [(&str, Aggregate); 4] =
    [("max", Aggregate::Max), ("min", Aggregate::Min), ("avg", Aggregate::Avg), ("sum", Aggregate::Sum)];

impl MeasureFamily for Metric {
    fn name(&self) -> &'static str {
        "metric"
    }

    fn forms(&self) -> &'static [Form] {
        &[
            Form {
                syntax: "metric max(NAME) | min(NAME)",
                example: "metric max(butter_known_hosts) <= 64",
                meaning: "The greatest or least value that any node or router had in any sample.",
            },
            Form {
                syntax: "metric sum(NAME) | avg(NAME)",
                example: "metric sum(butter_stored_bytes) <= 64MiB",
                meaning: "The sum or mean over all nodes or routers in the last sample.",
            },
        ]
    }

    /// `max(NAME)`, blanks allowed.
    fn parse(&self, rest: &[Word<'_>], _: &Names<'_>) -> Result<Measure, Fault> {
        let at = rest.first().map_or(0, |(_, first)| first.start)..rest.last().map_or(0, |(_, last)| last.end);
        let written: String = rest.iter().map(|(word, _)| *word).collect();
        let fault = |what: String, help: Option<String>| Fault { at: at.clone(), what, help };
        let call = written.strip_suffix(')').and_then(|call| call.split_once('('));
        let Some((over, name)) = call else {
            let help = "such as metric max(butter_known_hosts) <= 64".to_owned();
            return Err(fault("write a metric as max(NAME), or with min, avg or sum".into(), Some(help)));
        };
        let Some((_, over)) = AGGREGATES.iter().find(|(known, _)| *known == over) else {
            let help = suggestion(over, AGGREGATES.iter().map(|(name, _)| *name), "aggregates");
            return Err(fault(format!("unknown aggregate {}", quoted(over)), help));
        };
        known_metric(name).map_err(|(what, help)| fault(what, help))?;
        Ok(Measure::new(self.name(), Statistic::Metric { name: name.to_owned(), over: *over }))
    }

    fn unit(&self, _: &Measure) -> CheckUnit {
        CheckUnit::Plain
    }

    /// A number, or a notation of the unit that the metric's name says.
    fn bound(&self, measure: &Measure, text: &str) -> Result<f64, BoundError> {
        let name = match &measure.statistic {
            Statistic::Metric { name, .. } => name.as_str(),
            _ => "",
        };
        let number = plain_number(text);
        if name.contains("_seconds") && !name.ends_with("_count") {
            return number
                .or_else(|_| Time::parse(text).map(|Time(time)| time.as_secs_f64()))
                .map_err(|why| BoundError { why, help: "write a number of seconds, or a duration such as 2s" });
        }
        if name.contains("_bytes") {
            return number
                .or_else(|_| Size::parse(text).map(|Size(size)| size as f64))
                .map_err(|why| BoundError { why, help: "write a number of bytes, or a size such as 64MiB" });
        }
        number.map_err(|why| BoundError { why, help: "write a number, such as 64" })
    }

    fn missing(&self, _: &Measure, _: &Activity) -> Option<&'static str> {
        None
    }

    fn evaluate(&self, measure: &Measure, run: &Measurements<'_>) -> Result<f64, String> {
        let Statistic::Metric { name, over } = &measure.statistic else {
            return Err("the check names no metric".to_owned());
        };
        let value = run.metrics.aggregate(name, *over, run.tally.end);
        value.ok_or_else(|| format!("no node or router exposed a metric '{name}'"))
    }
}

/// Every metric that nodes and routers expose on all backends.
fn known_metrics() -> Vec<(&'static str, InstrumentKind)> {
    let mut known = Vec::new();
    let mut add = |instrument: &Instrument| {
        if known.last() != Some(&(instrument.name, instrument.kind)) {
            known.push((instrument.name, instrument.kind));
        }
    };
    each_instrument(|instrument, _, _| add(&instrument));
    RouterStats::default().each(Some(0), |instrument, _, _| add(instrument));
    known
}

fn known_metric(name: &str) -> Result<(), (String, Option<String>)> {
    let known = known_metrics();
    let base = ["_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    if base.is_some_and(|base| known.contains(&(base, InstrumentKind::Histogram))) {
        return Ok(());
    }
    match known.iter().find(|(known, _)| *known == name) {
        Some((_, InstrumentKind::Histogram)) => {
            let help = format!("compare {name}_sum or {name}_count");
            Err((format!("{} is a histogram and has no single value", quoted(name)), Some(help)))
        }
        Some(_) => Ok(()),
        None => {
            let exposes = if name.starts_with(ROUTER_METRICS) { "routers" } else { "nodes" };
            let help = suggestion(name, known.iter().map(|(name, _)| *name), "metrics");
            Err((format!("{exposes} have no metric {}", quoted(name)), help))
        }
    }
}
