//! The history of the metrics that checks name. All other metrics are written to `samples.csv.gz` and not kept.

use std::collections::BTreeMap;

use crate::events::RunTime;
use crate::metrics::repair::{RepairHistory, RepairSums};
use crate::metrics::traffic::{TrafficResults, TrafficTally};
use crate::plan::{Aggregate, Check, EndCondition, Plan, Statistic};
use crate::series::{Scrape, Source};

/// Most samples kept of one metric. Later ones replace the last and keep its extremes.
const SAMPLES_MAX: usize = 100_000;

/// Prefix of the metrics of routers. All others are those of nodes.
pub const ROUTER_METRICS: &str = "butter_router_";

/// Samples of the metrics that the checks of a run name, and what nodes have sent.
#[derive(Clone, Debug, Default)]
pub struct MetricHistory {
    metrics: BTreeMap<String, Vec<Sample>>,
    traffic: TrafficTally,
    repair: RepairHistory,
}

/// One metric over all nodes, or over all routers, at one moment. A source with several series of that name counts with
/// their sum.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: RunTime,
    /// Nodes or routers that expose the metric.
    sources: usize,
    min: f64,
    max: f64,
    sum: f64,
}

impl MetricHistory {
    /// Empty, for the metrics that the checks of `plan` name, those of `check` and `wait` steps too.
    pub fn of(plan: &Plan) -> Self {
        let in_steps = plan.steps.iter().flat_map(|step| match &step.ends {
            EndCondition::Checked { checks } | EndCondition::Until { checks, .. } => checks.as_slice(),
            _ => &[],
        });
        let name = |check: &Check| match &check.measure.statistic {
            Statistic::Metric { name, .. } => Some((name.clone(), Vec::new())),
            _ => None,
        };
        let metrics = plan.checks.iter().chain(in_steps).filter_map(name).collect();
        MetricHistory { metrics, traffic: TrafficTally::of(plan), repair: RepairHistory::of(plan) }
    }

    /// Adds a sample of all nodes and routers.
    pub fn take(&mut self, at: RunTime, scrapes: &[Scrape]) {
        self.traffic.take(at, scrapes);
        self.repair.take(at, scrapes);
        for (name, history) in &mut self.metrics {
            let of_routers = name.starts_with(ROUTER_METRICS);
            let counts = |source| matches!(source, Source::Router(_)) == of_routers;
            let sources = scrapes.iter().filter(|scrape| counts(scrape.source));
            let values: Vec<f64> = sources.filter_map(|scrape| scrape.sum(name)).collect();
            let Some(&first) = values.first() else { continue };
            let mut now = Sample { at, sources: values.len(), min: first, max: first, sum: values.iter().sum() };
            for value in values {
                now.min = now.min.min(value);
                now.max = now.max.max(value);
            }
            if history.len() == SAMPLES_MAX {
                let last = history.pop().expect("the bound is above 0");
                now.min = now.min.min(last.min);
                now.max = now.max.max(last.max);
            }
            history.push(now);
        }
    }

    /// What nodes have sent by the last sample.
    pub fn traffic(&self) -> TrafficResults {
        self.traffic.results()
    }

    /// What nodes have sent to repair and held until `end`; `None` while none was seen to hold a block.
    pub fn repair(&self, end: RunTime) -> Option<RepairSums> {
        self.repair.until(end)
    }

    /// The metric until `end`: extremes over all samples, sum and mean of the last one. `None` if no source exposed it.
    pub fn aggregate(&self, name: &str, over: Aggregate, end: RunTime) -> Option<f64> {
        let history = self.metrics.get(name)?;
        let until_end = &history[..history.partition_point(|sample| sample.at <= end)];
        let last = until_end.last()?;
        Some(match over {
            Aggregate::Max => until_end.iter().map(|sample| sample.max).fold(f64::NEG_INFINITY, f64::max),
            Aggregate::Min => until_end.iter().map(|sample| sample.min).fold(f64::INFINITY, f64::min),
            Aggregate::Sum => last.sum,
            Aggregate::Avg => last.sum / last.sources as f64,
        })
    }
}
