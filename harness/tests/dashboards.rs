//! The queries of `dashboards/`: Prometheus accepts them, a run serves every metric that they name, and every panel shows data
//! while a real Prometheus scrapes a real run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use butter_harness::backend::sim::SimBackend;
use butter_harness::backend::{Backend, docker};
use butter_harness::events::{Event, RunTime};
use butter_harness::metrics::exposition;
use butter_harness::metrics::federation::Federation;
use butter_harness::planner;
use butter_harness::progress::Progress;
use butter_harness::run::{RunObserver, RunStatus, StopSignal, run_plan};
use butter_harness::series::{MetricFamily, MetricKind, Scrape};
use butter_harness::topology::Overrides;

#[path = "support/prometheus.rs"]
mod prometheus;
#[path = "support/skipped.rs"]
mod skipped;

use prometheus::{Running, get, has_prometheus, is_there, percent_encoded, promtool, shows, start_prometheus};

/// Long enough for an image to be built on a busy machine.
const RUN_WITHIN: Duration = Duration::from_secs(900);
/// What Grafana would take for `$__rate_interval`, roughly.
const RATE_INTERVAL: &str = "10s";

/// Metrics that simulated nodes lack: they are no processes, and their relays count no bytes.
const NOT_SIMULATED: [&str; 3] =
    ["process_cpu_seconds_total", "process_resident_memory_bytes", "butter_relay_bytes_total"];

/// Nodes behind two NATs, queries, and time to look at them.
const TOPOLOGY: &str = "\
name: watched
networks:
  internet: {}
  alpha: {behind: internet, nat: full-cone}
  beta: {behind: internet, nat: port-restricted}
nodes:
  ambassador: {on: internet, ambassador: true}
  a: {on: alpha, count: 3}
  b: {on: beta, count: 3}
config: {heartbeat: 1s}
steps:
  - join: {within: 60s}
  - store: {items: 6, size: 1KiB..8KiB, from: all}
QUERIES
checks:
  - stored == 100%
";
/// What stands for `QUERIES` there: gets and faults all along, for panels that show rates and for marks.
const QUERIES: &str = "  - retrieve: {items: all, from: [alpha, beta]}
  - stop: {nodes: b, count: 1}
  - kill: {nodes: a, count: 1}
  - settle: {for: 2s}
  - start: {nodes: [a, b]}
  - rebind: [alpha]
  - settle: {for: 3s}
";
/// More than a real run needs to fill every panel: it is ended then.
const TIMES_REAL: usize = 40;
/// Enough to fill them in a simulated run.
const TIMES_SIMULATED: usize = 6;

fn topology(times: usize) -> String {
    TOPOLOGY.replace("QUERIES\n", &QUERIES.repeat(times))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards")
}

/// Every dashboard with its name.
fn dashboards() -> Vec<(String, serde_json::Value)> {
    let files = fs::read_dir(folder().join("grafana")).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<(String, serde_json::Value)> = files
        .map(|file| {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap())
        })
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["nat-paths", "node", "overview", "persistence", "retrieval"]);
    all
}

/// An expression with everything chosen in each variable.
fn filled(expression: &str) -> String {
    let chosen = ["run", "network", "group", "node"]
        .iter()
        .fold(expression.to_owned(), |expression, name| expression.replace(&format!("\"${name}\""), "\".*\""));
    chosen.replace("$__rate_interval", RATE_INTERVAL)
}

/// Every expression of the dashboards, with its panel; marks on time axes count as panels.
fn expressions() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut take = |place: String, target: &serde_json::Value| {
        assert_eq!(target["datasource"]["type"], "prometheus", "{place}");
        let expression = filled(target["expr"].as_str().unwrap());
        assert!(!expression.contains('$'), "{place}: {expression}");
        all.push((place, expression));
    };
    for (name, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = format!("{name}: {}", panel["title"].as_str().unwrap());
            let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
            let is_row = panel["type"] == "row";
            assert_eq!(targets.is_empty(), is_row, "{title} shows nothing");
            let said = panel["description"].as_str().is_some_and(|text| text.len() > 10);
            assert!(is_row || said, "{title} does not say what it shows");
            targets.iter().for_each(|target| take(title.clone(), target));
        }
        for mark in dashboard["annotations"]["list"].as_array().unwrap() {
            take(format!("{name}: mark {}", mark["name"].as_str().unwrap()), mark);
        }
    }
    assert!(all.len() >= 90, "{}", all.len());
    all
}

/// The marks of all dashboards are alike, and so are their variables.
#[test]
fn dashboards_share_variables_marks_and_links() {
    for (name, dashboard) in dashboards() {
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let names: Vec<&str> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["datasource", "run", "network", "group", "node"], "{name}");
        assert_eq!(dashboard["annotations"]["list"].as_array().unwrap().len(), 3, "{name}");
        assert_eq!(dashboard["links"][0]["includeVars"], true, "{name}");
    }
    let of = |kind: &str| {
        let (_, overview) = dashboards().into_iter().find(|(name, _)| name == "overview").unwrap();
        overview["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] == kind).count()
    };
    assert!(of("stat") >= 6 && of("state-timeline") == 1);
}

/// What `label_values(SERIES, LABEL)` of the variables names.
fn label_queries() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (_, dashboard) in dashboards() {
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let Some(query) = variable["query"]["query"].as_str() else { continue };
            let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
            let (series, label) = inner.rsplit_once(", ").unwrap();
            all.push((filled(series), label.to_owned()));
        }
    }
    all
}

/// Panels do not cover each other.
#[test]
fn panels_have_places_of_their_own() {
    for (name, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{name}: {}", panel["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{name}: {} covers another", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn prometheus_accepts_the_configuration_and_every_expression() {
    if !has_prometheus() {
        return;
    }
    promtool(&["check", "config", folder().join("prometheus.yml").to_str().unwrap()], "");
    promtool(&["test", "rules", folder().join("alerts.test.yml").to_str().unwrap()], "");
    let rule = |(index, (_, expression)): (usize, (String, String))| {
        format!("      - record: panel:{index}\n        expr: {}\n", serde_json::to_string(&expression).unwrap())
    };
    let rules: String = expressions().into_iter().enumerate().map(rule).collect();
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("rules.yml");
    fs::write(&file, format!("groups:\n  - name: panels\n    rules:\n{rules}")).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()], "");
}

/// The metrics that a simulated run of [`TOPOLOGY`] serves at its end.
fn served() -> String {
    struct Shown(Federation);
    impl RunObserver for Shown {
        fn event(&mut self, event: &Event) {
            self.0.event(&event.kind);
        }
        fn sampled(&mut self, _: RunTime, scrapes: &Arc<Vec<Scrape>>) {
            self.0.sampled(scrapes);
        }
        fn status(&mut self, status: &RunStatus) {
            self.0.run(status.metrics());
        }
    }
    struct Quiet;
    impl Progress for Quiet {
        fn begin(&mut self, _: &str, _: u64) {}
        fn advance(&mut self, _: u64) {}
        fn note(&mut self, _: &str) {}
    }
    let plan = planner::read("watched.yaml", &topology(1), &Overrides::default()).unwrap();
    let plan = Arc::new(plan);
    let mut shown = Shown(Federation::default());
    shown.0.begin(&plan, "sim", "watched-1");
    let mut sim = SimBackend::new(&plan);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        sim.up(&mut Quiet).await.unwrap();
        run_plan(&plan, &mut sim, &mut shown, &StopSignal::default()).await;
        sim.down(&mut Quiet).await.unwrap();
    });
    shown.0.render()
}

/// Names of metrics in an expression or a rule.
fn metrics_of(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("butter_")).collect()
}

#[test]
fn every_metric_of_dashboards_and_alerts_is_served() {
    let text = served();
    let names: BTreeSet<&str> = metrics_of(&text);
    let alerts = fs::read_to_string(folder().join("alerts.yml")).unwrap();
    for (place, expression) in expressions().into_iter().chain([("alerts.yml".to_owned(), alerts)]) {
        for name in metrics_of(&expression).into_iter().filter(|name| !NOT_SIMULATED.contains(name)) {
            assert!(names.contains(name), "{place} asks for {name}, which a run does not serve");
        }
    }
    if has_prometheus() {
        promtool(&["check", "metrics"], &text);
    }
}

/// Grafana finds the data source and the dashboards where compose.yaml puts them.
#[test]
fn provisioning_names_the_folders_of_compose() {
    let read = |file: &str| -> serde_json::Value {
        serde_norway::from_str(&fs::read_to_string(folder().join(file)).unwrap()).unwrap()
    };
    let compose = read("compose.yaml");
    let mounts: BTreeMap<String, String> = compose["services"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|service| service["volumes"].as_array().unwrap())
        .map(|mount| mount.as_str().unwrap().split(':').map(str::to_owned).collect::<Vec<_>>())
        .map(|parts| (parts[1].clone(), parts[0].clone()))
        .collect();
    for source in mounts.values().filter(|source| source.starts_with("./")) {
        assert!(folder().join(source).exists(), "{source}");
    }
    let provider = read("provisioning/dashboards/butter.yml");
    let path = provider["providers"][0]["options"]["path"].as_str().unwrap().to_owned();
    assert_eq!(mounts[&path], "./grafana");
    let home =
        compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str().unwrap();
    assert!(folder().join("grafana").join(home.rsplit('/').next().unwrap()).exists());
    let source = read("provisioning/datasources/prometheus.yml");
    let listens = compose["services"]["prometheus"]["command"].to_string();
    let url = source["datasources"][0]["url"].as_str().unwrap();
    assert!(listens.contains(url.trim_start_matches("http://")), "{url} in {listens}");
}

/// What breaks the rules for names and help: `_total` for counters only, base units as a suffix, help in one line.
fn rule_broken(family: &MetricFamily) -> Option<&'static str> {
    let MetricFamily { name, help, kind } = family;
    let plain = name.strip_suffix("_total").unwrap_or(name);
    let words: Vec<&str> = plain.split('_').collect();
    let unit = |unit: &str| words.contains(&unit) && !plain.ends_with(&format!("_{unit}"));
    let measures = |noun: &str| help.starts_with(noun);
    let is_lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match () {
        () if !name.starts_with("butter_") || !name.chars().all(is_lower) => {
            Some("the name is not butter_ in snake case")
        }
        () if name.ends_with("_total") != (*kind == MetricKind::Counter) => Some("_total is the suffix of counters"),
        () if *kind == MetricKind::Untyped => Some("it has no type"),
        () if *kind == MetricKind::Histogram && !plain.ends_with("_seconds") => Some("a histogram is of seconds"),
        () if unit("seconds") || unit("bytes") => Some("the unit is not at the end of the name"),
        () if measures("Bytes") && !plain.ends_with("_bytes") => Some("bytes are _bytes"),
        () if measures("Time") && !plain.ends_with("_seconds") => Some("times are _seconds"),
        () if help.split(' ').count() < 2 || help.ends_with('.') => Some("the help is no phrase"),
        () if !help.starts_with(|c: char| c.is_ascii_uppercase()) => Some("the help begins with a small letter"),
        () => None,
    }
}

#[test]
fn every_metric_of_a_run_follows_the_rules_for_names_and_help() {
    let families = exposition::parse(&served()).unwrap().families;
    for prefix in ["butter_run_", "butter_router_", "butter_links"] {
        assert!(families.iter().any(|family| family.name.starts_with(prefix)), "{prefix} in {families:#?}");
    }
    let broken = |family: &MetricFamily| rule_broken(family).map(|rule| format!("{}: {rule}", family.name));
    assert_eq!(families.iter().filter_map(broken).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn every_panel_shows_data_of_a_real_run() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let engine = runtime.block_on(docker::preflight()).map_err(|error| error.to_string());
    if !has_prometheus() || !is_there("Docker", "BUTTER_REQUIRE_DOCKER", engine) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("watched.yaml"), topology(TIMES_REAL)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.current_dir(scratch.path());
    command.args(["run", "watched.yaml", "--backend", "docker", "--out", "out", "--metrics", "127.0.0.1:0"]);
    let mut run = Running::start(&mut command);
    let line = run.line_with("metrics: http://", RUN_WITHIN);
    let target = line.trim_start_matches("metrics: http://").trim_end_matches("/metrics");
    let (mut prometheus, address) = start_prometheus(scratch.path(), Some(target));
    run.line_with("step 1 of", RUN_WITHIN);
    let mut unseen: BTreeMap<String, String> = expressions().into_iter().map(|(panel, e)| (e, panel)).collect();
    let deadline = Instant::now() + RUN_WITHIN;
    while !unseen.is_empty() {
        unseen.retain(|expression, _| !shows(address, expression, None));
        // The run's lines set the pace, or half a second.
        let line = run.lines.recv_timeout(Duration::from_millis(500));
        assert!(line != Err(RecvTimeoutError::Disconnected), "the run ended and showed nothing of {unseen:#?}");
        assert!(Instant::now() < deadline, "nothing is shown of {unseen:#?}");
    }
    for (series, label) in label_queries() {
        let path = format!("/api/v1/label/{label}/values?match[]={}", percent_encoded(&series));
        let values: serde_json::Value = serde_json::from_str(&get(address, &path).unwrap()).unwrap();
        assert!(!values["data"].as_array().unwrap().is_empty(), "{label} of {series}: {values}");
    }
    prometheus.end();
    assert_eq!(run.end(), Some(130), "ended by a signal");
}

#[test]
fn recorded_run_of_the_simulator_fills_every_panel() {
    if !has_prometheus() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("watched.yaml"), topology(TIMES_SIMULATED)).unwrap();
    let harness = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_harness")).args(arguments).output().unwrap();
        assert!(output.status.code().is_some_and(|code| code < 2), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    harness(&["run", &at("watched.yaml"), "--backend", "sim", "--out", &at("out")]);
    fs::write(at("run.om"), harness(&["samples", &at("out"), "--format", "openmetrics"])).unwrap();
    promtool(&["tsdb", "create-blocks-from", "openmetrics", &at("run.om"), &at("data")], "");
    let (mut prometheus, address) = start_prometheus(scratch.path(), None);
    let began = first_time(&fs::read_to_string(at("run.om")).unwrap());
    let mut unseen: BTreeMap<String, String> = expressions().into_iter().map(|(panel, e)| (e, panel)).collect();
    unseen.retain(|expression, _| !NOT_SIMULATED.iter().any(|metric| expression.contains(metric)));
    for second in 0..120 {
        unseen.retain(|expression, _| !shows(address, expression, Some(began + f64::from(second))));
    }
    assert!(unseen.is_empty(), "nothing is shown of {unseen:#?}");
    prometheus.end();
}

/// The time of the first sample.
fn first_time(openmetrics: &str) -> f64 {
    let samples = openmetrics.lines().filter(|line| line.starts_with("butter_run_clock_seconds"));
    samples.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).fold(f64::MAX, f64::min)
}

#[test]
fn metrics_stay_for_a_while_after_the_end() {
    let scratch = tempfile::tempdir().unwrap();
    let short = TOPOLOGY.replace("QUERIES\n", "  - retrieve: {items: all, from: [alpha, beta]}\n");
    fs::write(scratch.path().join("watched.yaml"), short).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.current_dir(scratch.path()).args(["run", "watched.yaml", "--backend", "sim", "--out", "out"]);
    command.args(["--junit", "ci.xml", "--metrics", "127.0.0.1:0", "--linger", "10m"]);
    let mut run = Running::start(&mut command);
    let line = run.line_with("metrics: http://", RUN_WITHIN);
    let target = line.trim_start_matches("metrics: http://").trim_end_matches("/metrics");
    run.line_with("metrics stay for 10m", RUN_WITHIN);
    let text = get(target.parse().unwrap(), "/metrics").unwrap();
    assert!(text.contains("butter_run_queries_total{run=\"out\",outcome=\"found\"} 12\n"), "{text}");
    assert!(fs::read_to_string(scratch.path().join("ci.xml")).unwrap().contains("errors=\"0\""));
    assert_eq!(run.end(), Some(0), "a signal ends the wait, and the run has passed");
}
