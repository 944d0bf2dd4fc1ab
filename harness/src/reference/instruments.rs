//! Metrics of nodes, routers and the run, from the definitions that export them.

use std::collections::{BTreeMap, BTreeSet};

use butter::core::stats::{Instrument, InstrumentKind};
use butter::driver::api::PROCESS_INSTRUMENTS;
use butter::driver::transport::counters::Counters;
use butter::overlay::data::stats::each_instrument;

use super::row;
use crate::metrics::{openmetrics, run};
use crate::router::stats::RouterStats;

/// Metrics by name, each with the values of its labels; a label without values has any.
#[derive(Default)]
struct Table(BTreeMap<&'static str, (Instrument, BTreeMap<&'static str, BTreeSet<&'static str>>)>);

impl Table {
    fn add(&mut self, instrument: Instrument, labels: &[(&'static str, &'static str)]) {
        let (_, known) = self.0.entry(instrument.name).or_insert_with(|| (instrument, BTreeMap::new()));
        for (label, value) in labels {
            known.entry(*label).or_default().insert(*value);
        }
    }

    fn render(&self, title: &str, text: &mut String) {
        text.push_str(&format!(
            "\n## {title}\n\n| metric | type | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n"
        ));
        for (name, (instrument, labels)) in &self.0 {
            let kind = match instrument.kind {
                InstrumentKind::Counter => "counter",
                InstrumentKind::Gauge => "gauge",
                InstrumentKind::Histogram => "histogram",
            };
            let label = |(name, values): (&&str, &BTreeSet<&str>)| match values.is_empty() {
                true => format!("`{name}`"),
                false => {
                    let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
                    format!("`{name}`: {}", values.join(", "))
                }
            };
            let labels: Vec<String> = labels.iter().map(label).collect();
            let unit = unit(name).unwrap_or("–");
            row(text, &[&format!("`{name}`"), kind, unit, &labels.join("; "), instrument.help]);
        }
    }
}

/// The unit that a metric's name says.
fn unit(name: &str) -> Option<&'static str> {
    openmetrics::unit(name.strip_suffix("_total").unwrap_or(name))
}

fn nodes() -> Table {
    let mut nodes = Table::default();
    each_instrument(|instrument, labels, _| nodes.add(instrument, labels));
    Counters::default().each(|instrument, labels, _| nodes.add(instrument, labels));
    PROCESS_INSTRUMENTS.into_iter().for_each(|instrument| nodes.add(instrument, &[]));
    nodes
}

fn routers() -> Table {
    let mut routers = Table::default();
    RouterStats::default().each(Some(0), |instrument, label, _| routers.add(*instrument, label.as_slice()));
    routers
}

/// Every instrument that is scraped from nodes and routers.
pub(super) fn scraped() -> Vec<Instrument> {
    [nodes(), routers()].into_iter().flat_map(|table| table.0.into_values()).map(|(instrument, _)| instrument).collect()
}

pub(super) fn metrics() -> String {
    let mut text = String::from(
        "# Metrics\n\nA node serves its metrics at `/metrics` of its control API. `harness run --metrics ADDR` serves those of all \
         nodes and routers and of the run itself. There each series has the label `run`, the name of the record, and each series of a node or router the labels `node`, `group` \
         and `network`. A router has the name of its network as `node`, and the group `router`. \
         The record of a run has the same series in `samples.csv.gz`.\n",
    );
    nodes().render("Nodes", &mut text);
    routers().render("Routers", &mut text);
    let mut runs = Table::default();
    for (instrument, labels) in run::INSTRUMENTS {
        runs.add(*instrument, &[]);
        let known = runs.0.get_mut(instrument.name).map(|(_, known)| known);
        known.into_iter().for_each(|known| known.extend(labels.iter().map(|label| (*label, BTreeSet::new()))));
    }
    runs.render("The run", &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_from_names() {
        assert_eq!(unit("butter_link_seconds"), Some("seconds"));
        assert_eq!(unit("butter_relay_bytes_total"), Some("bytes"));
        assert_eq!(unit("butter_known_hosts"), None);
    }

    #[test]
    fn every_metric_has_a_help_text() {
        let text = metrics();
        for name in [
            "butter_links",
            "butter_retrieval_seconds",
            "butter_router_dropped_total",
            "butter_run_step",
            "process_threads",
        ] {
            let row = text.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap();
            assert!(row.rsplit(" | ").next().unwrap().len() > 10, "{row}");
        }
    }
}
