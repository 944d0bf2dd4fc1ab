//! One endpoint for a whole run: the latest metrics of every node and router, and of the run itself, for one Prometheus.
//!
//! Each series gets the label `run`, and those of nodes and routers `node`, `group` and `network`. A series' own label of such a name becomes `exported_…`, as
//! Prometheus does it. Help and type come from the source of the series. A node that has ended is not shown any longer.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use butter::http::server::{HttpLimits, HttpListener, HttpServer, RequestBody};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};

use super::faults::FaultCounts;
use super::run::{self, RunLabels, RunMetrics};
use super::samples::names;
use super::writer::{CONTENT_TYPE, ExpositionWriter, line};
use crate::events::EventKind;
use crate::plan::Plan;
use crate::series::{MetricFamily, MetricKind, Scrape, Series};

/// What the endpoint allows its clients: Prometheus, and a user who looks.
const LIMITS: HttpLimits = HttpLimits {
    connections: 64,
    connections_per_address: 16,
    head_deadline: Duration::from_secs(10),
    connection_deadline: None,
    head_bytes: 16 << 10,
    body_bytes: 0,
};

/// What is served. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Federation(Arc<Mutex<Latest>>);

#[derive(Debug, Default)]
struct Latest {
    run: Option<(Arc<Plan>, Arc<RunLabels>)>,
    metrics: RunMetrics,
    faults: FaultCounts,
    scrapes: Arc<Vec<Scrape>>,
}

impl Federation {
    /// Begins the run of this name on the backend of this name. Nothing of an earlier run is shown any longer.
    pub fn begin(&self, plan: &Arc<Plan>, backend: &str, run: &str) {
        let (name, backend) = (plan.name.clone(), backend.to_owned());
        let labels = Arc::new(RunLabels { run: run.to_owned(), name, backend, seed: plan.seed });
        self.change(|latest| *latest = Latest { run: Some((Arc::clone(plan), labels)), ..Latest::default() });
    }

    /// Takes an event of the run.
    pub fn event(&self, event: &EventKind) {
        self.change(|latest| latest.faults.take(event));
    }

    /// Takes a sample of all metrics.
    pub fn sampled(&self, scrapes: &Arc<Vec<Scrape>>) {
        self.change(|latest| latest.scrapes = Arc::clone(scrapes));
    }

    /// Takes the metrics of the run itself.
    pub fn run(&self, metrics: RunMetrics) {
        self.change(|latest| latest.metrics = metrics);
    }

    /// Everything, in Prometheus' text format.
    pub fn render(&self) -> String {
        let (run, metrics, faults, scrapes) = {
            let latest = self.0.lock().expect("no holder of the lock panics");
            (latest.run.clone(), latest.metrics, latest.faults, Arc::clone(&latest.scrapes))
        };
        let Some((plan, names)) = run else { return String::new() };
        let mut families = Families::default();
        let verb = metrics.step.and_then(|step| plan.steps.get(step)).map(|step| step.verb);
        run::each(&names, &metrics, verb, &faults, |instrument, labels, value| {
            let own = labels.iter().map(|&(name, value)| (name.to_owned(), value));
            let labels: Vec<(String, &str)> =
                std::iter::once(("run".to_owned(), names.run.as_str())).chain(own).collect();
            families.add(&instrument.into(), instrument.name, &labels, value);
        });
        families.add_scrapes(&plan, &names.run, &scrapes);
        families.render()
    }

    /// Serves `/metrics` on `listener` until the returned future is dropped.
    pub async fn serve(self, listener: tokio::net::TcpListener) -> Infallible {
        let service = service_fn(move |request: Request<RequestBody>| {
            let federation = self.clone();
            async move { Ok::<_, Infallible>(federation.answer(request.method(), request.uri().path())) }
        });
        HttpServer::new(LIMITS).serve(&HttpListener::Tcp(listener), service).await
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let mut response = Response::default();
        match (method, path) {
            (&Method::GET, "/metrics") => {
                *response.body_mut() = self.render().into();
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
            }
            _ => *response.status_mut() = StatusCode::NOT_FOUND,
        }
        response
    }

    fn change(&self, change: impl FnOnce(&mut Latest)) {
        change(&mut self.0.lock().expect("no holder of the lock panics"));
    }
}

/// Metric families by name, each with its lines: all series of a family must stand together.
#[derive(Default)]
struct Families(BTreeMap<Arc<str>, (MetricFamily, Vec<String>)>);

impl Families {
    fn add_scrapes(&mut self, plan: &Plan, run: &str, scrapes: &[Scrape]) {
        for scrape in scrapes {
            let (node, network, group) = names(plan, scrape.source);
            let owner = [("run", run), ("node", node), ("group", group), ("network", network)];
            let known: BTreeMap<&str, &MetricFamily> =
                scrape.families.iter().map(|family| (&*family.name, family)).collect();
            let series = || scrape.series.iter();
            let histograms: BTreeSet<&str> =
                series().filter_map(|series| series.name.strip_suffix("_bucket")).collect();
            for series in series() {
                let name = base_name(&series.name, &histograms);
                let labels = with_owner(&owner, series);
                match known.get(name) {
                    Some(family) => self.add(family, &series.name, &labels, series.value),
                    None => self.add(&undescribed(name, &histograms), &series.name, &labels, series.value),
                }
            }
        }
    }

    fn add(&mut self, family: &MetricFamily, name: &str, labels: &[(String, &str)], value: f64) {
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let new = || (family.clone(), Vec::new());
        self.0.entry(Arc::clone(&family.name)).or_insert_with(new).1.push(line(name, &labels, value));
    }

    fn render(&self) -> String {
        let mut text = ExpositionWriter::default();
        for (family, lines) in self.0.values() {
            text.family(&family.name, &family.help, family.kind);
            lines.iter().for_each(|line| text.line(line));
        }
        text.finish()
    }
}

/// The name without a histogram's suffix.
fn base_name<'a>(name: &'a str, histograms: &BTreeSet<&str>) -> &'a str {
    let suffixes = ["_bucket", "_sum", "_count"];
    let base = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
    base.filter(|base| histograms.contains(base)).unwrap_or(name)
}

/// A metric whose source gives neither help nor type: the type by Prometheus' rules for names.
fn undescribed(name: &str, histograms: &BTreeSet<&str>) -> MetricFamily {
    let kind = match () {
        () if histograms.contains(name) => MetricKind::Histogram,
        () if name.ends_with("_total") => MetricKind::Counter,
        () => MetricKind::Untyped,
    };
    MetricFamily { name: name.into(), help: "(the source gives no help)".into(), kind }
}

fn with_owner<'a>(owner: &[(&str, &'a str)], series: &'a Series) -> Vec<(String, &'a str)> {
    let taken = |name: &str| owner.iter().any(|(known, _)| *known == name);
    let own = series.labels.iter().map(|(name, value)| match taken(name) {
        true => (format!("exported_{name}"), &**value),
        false => (name.to_string(), &**value),
    });
    owner.iter().map(|&(name, value)| (name.to_owned(), value)).chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::RunTime;
    use crate::metrics::exposition::parse;
    use crate::plan::{NetworkIndex, NodeIndex};
    use crate::series::Source;
    use crate::testing::{self, scrape};

    fn federation() -> Federation {
        let federation = Federation::default();
        federation.begin(&Arc::new(testing::plan_with_items()), "sim", "r-1");
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
        let neighbours = MetricFamily {
            name: "butter_neighbours".into(),
            help: "Peers in the active view".into(),
            kind: MetricKind::Gauge,
        };
        let node = Scrape { families: Arc::new(vec![neighbours]), ..node };
        let odd: &[(&str, &str)] = &[("node", "me"), ("why", "a \"b\"\\\n")];
        let router = scrape(Source::Router(NetworkIndex(1)), &[("odd_total", odd, f64::INFINITY)]);
        federation.sampled(&Arc::new(vec![node, router]));
        federation.event(&EventKind::Killed { node: NodeIndex(2) });
        federation.run(RunMetrics {
            clock: RunTime(1_500_000),
            step: Some(1),
            nodes_live: 4,
            items_acknowledged: 2,
            items_persistent: Some(1),
            queries: [
                ("found", 3),
                ("wrong_bytes", 0),
                ("not_found", 0),
                ("incomplete", 0),
                ("timed_out", 0),
                ("unasked", 0),
            ],
        });
        federation
    }

    #[test]
    fn every_series_is_served_with_labels_help_and_type() {
        let text = federation().render();
        for expected in [
            "# HELP butter_neighbours Peers in the active view\n# TYPE butter_neighbours gauge\n\
             butter_neighbours{run=\"r-1\",node=\"n-2\",group=\"n\",network=\"beta\"} 4\n",
            "# TYPE butter_retrieval_seconds histogram\n\
             butter_retrieval_seconds_bucket{run=\"r-1\",node=\"n-2\",group=\"n\",network=\"beta\",le=\"+Inf\"} 2\n\
             butter_retrieval_seconds_sum{run=\"r-1\",node=\"n-2\",group=\"n\",network=\"beta\"} 0.5\n",
            "# TYPE odd_total counter\nodd_total{run=\"r-1\",node=\"beta\",group=\"router\",network=\"beta\",exported_node=\"me\",\
             why=\"a \\\"b\\\"\\\\\\n\"} +Inf\n",
            "butter_run_nodes_live{run=\"r-1\"} 4\n",
            "butter_run_items_acknowledged{run=\"r-1\"} 2\n",
            "butter_run_items_persistent{run=\"r-1\"} 1\n",
            "butter_run_queries_total{run=\"r-1\",outcome=\"found\"} 3\n",
            "butter_run_step{run=\"r-1\",step=\"2\",verb=\"retrieve\"} 1\n",
            "butter_run_info{run=\"r-1\",name=\"fixture\",backend=\"sim\",seed=\"7\"} 1\n",
            "butter_run_clock_seconds{run=\"r-1\"} 1.5\n",
            "butter_run_faults_total{run=\"r-1\",event=\"killed\"} 1\n",
        ] {
            assert!(text.contains(expected), "{expected}\nis not in\n{text}");
        }
        let families = text.lines().filter(|line| line.starts_with("# HELP")).count();
        assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE")).count(), families);
    }

    #[test]
    fn served_text_reads_back() {
        let series = parse(&federation().render()).unwrap().series;
        let odd = series.iter().find(|series| &*series.name == "odd_total").unwrap();
        assert_eq!(&*odd.labels.last().unwrap().1, "a \"b\"\\\n");
        assert!(series.len() >= 14);
    }

    #[test]
    fn new_run_shows_nothing_of_the_run_before() {
        let federation = federation();
        federation.begin(&Arc::new(testing::plan_with_items()), "sim", "r-1");
        let text = federation.render();
        assert!(!text.contains("odd_total") && text.contains("butter_run_nodes_live{run=\"r-1\"} 0"), "{text}");
        assert_eq!(Federation::default().render(), "");
    }
}
