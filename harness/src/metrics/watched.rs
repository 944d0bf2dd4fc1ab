//! The history of those metrics that a run's checks are about. All others are written out and forgotten.

use std::collections::BTreeMap;

use crate::events::RunTime;
use crate::metrics::series::{Scrape, Source};
use crate::plan::{Aggregate, Check, EndCondition, Plan, Statistic};

/// Most samples kept of one metric; later ones only move its extremes.
const INSTANTS_MAX: usize = 100_000;

/// What metrics of routers begin with; all others are those of nodes.
pub const ROUTER_METRICS: &str = "butter_router_";

/// What nodes and routers said about the metrics that checks name.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    metrics: BTreeMap<String, Vec<Instant>>,
}

/// One metric over all nodes, or all routers, at one moment. The value of one of them is the sum of its series of that name.
#[derive(Clone, Copy, Debug)]
struct Instant {
    at: RunTime,
    tellers: usize,
    min: f64,
    max: f64,
    sum: f64,
}

impl Watched {
    /// Watches what the checks of `plan` name, those in mid-run too.
    pub fn of(plan: &Plan) -> Self {
        let in_steps = plan.steps.iter().flat_map(|step| match &step.ends {
            EndCondition::Checked { checks } => checks.as_slice(),
            _ => &[],
        });
        let name = |check: &Check| match &check.measure.statistic {
            Statistic::Metric { name, .. } => Some((name.clone(), Vec::new())),
            _ => None,
        };
        Watched { metrics: plan.checks.iter().chain(in_steps).filter_map(name).collect() }
    }

    /// Takes a sample of everything.
    pub fn take(&mut self, at: RunTime, scrapes: &[Scrape]) {
        for (name, history) in &mut self.metrics {
            let of_routers = name.starts_with(ROUTER_METRICS);
            let is_told_by = |source| matches!(source, Source::Router(_)) == of_routers;
            let tellers = scrapes.iter().filter(|scrape| is_told_by(scrape.source));
            let values: Vec<f64> = tellers.filter_map(|scrape| value(scrape, name)).collect();
            let Some(&first) = values.first() else { continue };
            let mut now = Instant { at, tellers: values.len(), min: first, max: first, sum: values.iter().sum() };
            for value in values {
                now.min = now.min.min(value);
                now.max = now.max.max(value);
            }
            if history.len() == INSTANTS_MAX {
                let last = history.pop().expect("the bound is above 0");
                now.min = now.min.min(last.min);
                now.max = now.max.max(last.max);
            }
            history.push(now);
        }
    }

    /// The metric as it was until `end`: extremes over all samples, sum and mean of the last one. `None` if nobody told it.
    pub fn aggregate(&self, name: &str, over: Aggregate, end: RunTime) -> Option<f64> {
        let history = self.metrics.get(name)?;
        let until_end = &history[..history.partition_point(|instant| instant.at <= end)];
        let last = until_end.last()?;
        Some(match over {
            Aggregate::Max => until_end.iter().map(|instant| instant.max).fold(f64::NEG_INFINITY, f64::max),
            Aggregate::Min => until_end.iter().map(|instant| instant.min).fold(f64::INFINITY, f64::min),
            Aggregate::Sum => last.sum,
            Aggregate::Avg => last.sum / last.tellers as f64,
        })
    }
}

/// The sum of one source's series of a name.
pub fn value(scrape: &Scrape, name: &str) -> Option<f64> {
    scrape.series.iter().filter(|series| *series.name == *name).map(|series| series.value).reduce(|a, b| a + b)
}
