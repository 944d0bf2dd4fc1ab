//! One endpoint for a whole run: the latest metrics of every node and router, and how the run stands, for one Prometheus.
//!
//! Each series gets the labels `node`, `group` and `network`; a series' own label of such a name becomes `exported_…`, as
//! Prometheus does it. A node that died is not shown any longer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use butter::core::stats::{InstrumentKind, Stats};

use super::samples::names;
use crate::metrics::series::{Scrape, Series};
use crate::plan::Plan;
use crate::run::RunStatus;

/// What is served. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Federation(Arc<Mutex<Latest>>);

#[derive(Debug, Default)]
struct Latest {
    run: Option<(Arc<Plan>, &'static str)>,
    standing: RunStatus,
    scrapes: Arc<Vec<Scrape>>,
}

impl Federation {
    /// A run begins on a backend of this name: nothing of an earlier one is shown any longer.
    pub fn begin(&self, plan: &Arc<Plan>, backend: &'static str) {
        self.change(|latest| *latest = Latest { run: Some((Arc::clone(plan), backend)), ..Latest::default() });
    }

    /// All metrics were sampled.
    pub fn sampled(&self, scrapes: &Arc<Vec<Scrape>>) {
        self.change(|latest| latest.scrapes = Arc::clone(scrapes));
    }

    /// How the run stands now.
    pub fn status(&self, standing: &RunStatus) {
        self.change(|latest| latest.standing = *standing);
    }

    /// Everything, in Prometheus' text format.
    pub fn render(&self) -> String {
        let (run, standing, scrapes) = {
            let latest = self.0.lock().expect("nobody panics while holding it");
            (latest.run.clone(), latest.standing, Arc::clone(&latest.scrapes))
        };
        let Some((plan, backend)) = run else { return String::new() };
        let mut families = Families::default();
        families.add_run(&plan, backend, &standing);
        families.add_scrapes(&plan, &scrapes);
        families.render()
    }

    /// Serves `/metrics` on `listener` until the returned future is dropped.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(self, listener: tokio::net::TcpListener) -> std::io::Result<()> {
        let text = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
        let show = move |State(federation): State<Federation>| async move { (text, federation.render()) };
        axum::serve(listener, Router::new().route("/metrics", get(show)).with_state(self)).await
    }

    fn change(&self, change: impl FnOnce(&mut Latest)) {
        change(&mut self.0.lock().expect("nobody panics while holding it"));
    }
}

/// Metric families by name: all series of one must stand together.
#[derive(Default)]
struct Families(BTreeMap<String, Family>);

struct Family {
    help: String,
    kind: &'static str,
    lines: Vec<String>,
}

impl Families {
    fn add_run(&mut self, plan: &Plan, backend: &str, standing: &RunStatus) {
        let seed = plan.seed.to_string();
        let info = [("name", plan.name.as_str()), ("backend", backend), ("seed", &seed)];
        self.gauge("butter_run_info", "The run that is being played", &info, 1.0);
        self.gauge("butter_run_clock_seconds", "The run's clock", &[], standing.now.as_secs_f64());
        self.gauge("butter_run_nodes_alive", "Nodes that run", &[], standing.live as f64);
        let acknowledged = "Items whose store was acknowledged";
        self.gauge("butter_run_items_acknowledged", acknowledged, &[], standing.acknowledged as f64);
        if let Some((kept, _)) = standing.kept {
            let help = "Acknowledged items of which every block was held by a live node when last looked at";
            self.gauge("butter_run_items_kept", help, &[], kept as f64);
        }
        for (outcome, count) in standing.queries.by_outcome() {
            let labels = [("outcome", outcome)];
            self.add("butter_run_queries_total", "QueryCounts by how they ended", "counter", &labels, count as f64);
        }
        if let Some(index) = standing.step {
            let number = (index + 1).to_string();
            let labels = [("step", number.as_str()), ("verb", plan.steps[index].verb)];
            self.gauge("butter_run_step", "The step that is being played, from 1", &labels, 1.0);
        }
    }

    fn add_scrapes(&mut self, plan: &Plan, scrapes: &[Scrape]) {
        let known = instruments();
        let all = || scrapes.iter().flat_map(|scrape| &scrape.series);
        let histograms: BTreeSet<&str> = all().filter_map(|series| series.name.strip_suffix("_bucket")).collect();
        for scrape in scrapes {
            let (node, network, group) = names(plan, scrape.source);
            let whose = [("node", node), ("group", group), ("network", network)];
            for series in &scrape.series {
                let name = family_of(&series.name, &histograms);
                let (help, kind) = known.get(name).copied().unwrap_or_else(|| guess(name, &histograms));
                let line = line(&series.name, &labels(&whose, series), series.value);
                self.family(name, help, kind).lines.push(line);
            }
        }
    }

    fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.add(name, help, "gauge", labels, value);
    }

    fn add(&mut self, name: &str, help: &str, kind: &'static str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<_> = labels.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        self.family(name, help, kind).lines.push(line(name, &labels, value));
    }

    fn family(&mut self, name: &str, help: &str, kind: &'static str) -> &mut Family {
        let new = || Family { help: help.to_owned(), kind, lines: Vec::new() };
        self.0.entry(name.to_owned()).or_insert_with(new)
    }

    fn render(&self) -> String {
        let mut text = String::new();
        for (name, Family { help, kind, lines }) in &self.0 {
            let help = help.replace('\\', r"\\").replace('\n', r"\n");
            writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes everything");
            for line in lines {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }
}

/// Help and type of what a router counts, under the names of [`crate::router::metrics`].
const ROUTER_INSTRUMENTS: [(&str, (&str, &str)); 4] = [
    ("butter_router_forwarded_packets_total", ("Packets forwarded, by direction", "counter")),
    ("butter_router_forwarded_bytes_total", ("Bytes of the packets forwarded, with their IP headers", "counter")),
    ("butter_router_dropped_total", ("Packets dropped, by cause", "counter")),
    ("butter_router_nat_mappings", ("Live mappings of the NAT", "gauge")),
];

/// Help and type of everything that a node or router counts, by name.
fn instruments() -> BTreeMap<&'static str, (&'static str, &'static str)> {
    let mut known = BTreeMap::from(ROUTER_INSTRUMENTS);
    Stats::default().each(|instrument, _, _| {
        let kind = match instrument.kind {
            InstrumentKind::Counter => "counter",
            InstrumentKind::Gauge => "gauge",
            InstrumentKind::Histogram => "histogram",
        };
        known.insert(instrument.name, (instrument.help, kind));
    });
    known
}

/// The name without a histogram's suffix.
fn family_of<'a>(name: &'a str, histograms: &BTreeSet<&str>) -> &'a str {
    let suffixes = ["_bucket", "_sum", "_count"];
    let base = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
    base.filter(|base| histograms.contains(base)).unwrap_or(name)
}

/// Help and type of what neither node nor router counts by itself, from Prometheus' rules for names.
fn guess(name: &str, histograms: &BTreeSet<&str>) -> (&'static str, &'static str) {
    let help = "As told by a node";
    match () {
        () if histograms.contains(name) => (help, "histogram"),
        () if name.ends_with("_total") => (help, "counter"),
        () => (help, "gauge"),
    }
}

fn labels<'a>(whose: &[(&str, &'a str)], series: &'a Series) -> Vec<(String, &'a str)> {
    let taken = |name: &str| whose.iter().any(|(known, _)| *known == name);
    let own = series.labels.iter().map(|(name, value)| match taken(name) {
        true => (format!("exported_{name}"), &**value),
        false => (name.to_string(), &**value),
    });
    whose.iter().map(|&(name, value)| (name.to_owned(), value)).chain(own).collect()
}

fn line(name: &str, labels: &[(String, &str)], value: f64) -> String {
    let escaped = |text: &str| text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    let value = match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    };
    if pairs.is_empty() { format!("{name} {value}") } else { format!("{name}{{{}}} {value}", pairs.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::RunTime;
    use crate::metrics::scrape::parse;
    use crate::metrics::series::Source;
    use crate::plan::{NetworkIndex, NodeIndex};
    use crate::results::fixture::{self, scrape};
    use crate::run::QueryCounts;

    fn federation() -> Federation {
        let federation = Federation::default();
        federation.begin(&Arc::new(fixture::plan()), "sim");
        let bucket: &[(&str, &str)] = &[("le", "+Inf")];
        let node = scrape(
            Source::Node(NodeIndex(2)),
            &[
                ("butter_neighbours", &[], 4.0),
                ("butter_retrieval_seconds_bucket", bucket, 2.0),
                ("butter_retrieval_seconds_sum", &[], 0.5),
                ("butter_retrieval_seconds_count", &[], 2.0),
            ],
        );
        let odd: &[(&str, &str)] = &[("node", "me"), ("why", "a \"b\"\\\n")];
        let router = scrape(Source::Router(NetworkIndex(1)), &[("odd_total", odd, f64::INFINITY)]);
        federation.sampled(&Arc::new(vec![node, router]));
        federation.status(&RunStatus {
            now: RunTime(1_500_000),
            step: Some(1),
            live: 4,
            acknowledged: 2,
            kept: Some((1, 2)),
            queries: QueryCounts { found: 3, ..QueryCounts::default() },
            ..RunStatus::default()
        });
        federation
    }

    #[test]
    fn everything_is_served_with_its_labels_help_and_type() {
        let text = federation().render();
        for expected in [
            "# TYPE butter_neighbours gauge\nbutter_neighbours{node=\"n-2\",group=\"n\",network=\"beta\"} 4\n",
            "# TYPE butter_retrieval_seconds histogram\n\
             butter_retrieval_seconds_bucket{node=\"n-2\",group=\"n\",network=\"beta\",le=\"+Inf\"} 2\n\
             butter_retrieval_seconds_sum{node=\"n-2\",group=\"n\",network=\"beta\"} 0.5\n",
            "# TYPE odd_total counter\nodd_total{node=\"beta\",group=\"router\",network=\"beta\",exported_node=\"me\",\
             why=\"a \\\"b\\\"\\\\\\n\"} +Inf\n",
            "butter_run_nodes_alive 4\n",
            "butter_run_items_acknowledged 2\n",
            "butter_run_items_kept 1\n",
            "butter_run_queries_total{outcome=\"found\"} 3\n",
            "butter_run_step{step=\"2\",verb=\"retrieve\"} 1\n",
            "butter_run_info{name=\"fixture\",backend=\"sim\",seed=\"7\"} 1\n",
            "butter_run_clock_seconds 1.5\n",
        ] {
            assert!(text.contains(expected), "{expected}\nis not in\n{text}");
        }
        let families = text.lines().filter(|line| line.starts_with("# HELP")).count();
        assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE")).count(), families);
    }

    #[test]
    fn what_is_served_can_be_read_back() {
        let series = parse(&federation().render()).unwrap();
        let odd = series.iter().find(|series| &*series.name == "odd_total").unwrap();
        assert_eq!(&*odd.labels.last().unwrap().1, "a \"b\"\\\n");
        assert!(series.len() >= 14);
    }

    #[test]
    fn a_new_run_shows_nothing_of_the_one_before() {
        let federation = federation();
        federation.begin(&Arc::new(fixture::plan()), "sim");
        let text = federation.render();
        assert!(!text.contains("odd_total") && text.contains("butter_run_nodes_alive 0"), "{text}");
        assert_eq!(Federation::default().render(), "");
    }
}
