//! The queries of `dashboards/`: Prometheus accepts them, a run serves every metric that they name, and every panel shows data
//! while a real Prometheus scrapes a real run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
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
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[path = "support/skipped.rs"]
mod skipped;

use skipped::skipped;

/// Long enough for an image to be built on a busy machine.
const RUN_WITHIN: Duration = Duration::from_secs(900);
/// For Prometheus to come up.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// For a run to clean up after itself.
const CLEANED_WITHIN: Duration = Duration::from_secs(120);
/// What Grafana would take for `$__rate_interval`, roughly.
const RATE_INTERVAL: &str = "10s";

/// Nodes behind two NATs, queries, and time to look at them.
const TOPOLOGY: &str = "\
name: watched
networks:
  internet: {}
  alpha: {behind: internet, nat: full-cone}
  beta: {behind: internet, nat: port-restricted}
nodes:
  ambassador: {on: internet, ambassador: true}
  a: {on: alpha, count: 2}
  b: {on: beta, count: 2}
config: {heartbeat: 1s}
steps:
  - join: {within: 60s}
  - store: {items: 6, size: 1KiB..8KiB, from: all}
QUERIES
checks:
  - stored == 100%
";
/// What stands for `QUERIES` there: gets all along, for panels that show rates.
const QUERIES: &str = "  - retrieve: {items: all, from: [alpha, beta]}\n  - settle: {for: 3s}\n";
const QUERIES_TIMES: usize = 40;

fn topology() -> String {
    TOPOLOGY.replace("QUERIES\n", &QUERIES.repeat(QUERIES_TIMES))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards")
}

/// Every expression of the dashboard, with its panel.
fn expressions() -> Vec<(String, String)> {
    let text = fs::read_to_string(folder().join("butter.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!(targets.is_empty(), panel["type"] == "row", "{title} shows nothing");
        for target in targets {
            assert_eq!(target["datasource"]["type"], "prometheus", "{title}");
            let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", RATE_INTERVAL);
            assert!(!expression.contains('$'), "{title}: {expression}");
            all.push((title.to_owned(), expression));
        }
    }
    assert!(all.len() >= 15, "{}", all.len());
    all
}

/// Whether to go on: a tool that is missing here may be required.
fn is_there(what: &str, variable: &str, found: Result<(), String>) -> bool {
    match found {
        Ok(()) => true,
        Err(why) => {
            assert!(std::env::var_os(variable).is_none_or(|v| v != "1"), "{what} is required by {variable}: {why}");
            skipped(format_args!("{what} is not here: {why}. {variable}=1 makes this a failure"));
            false
        }
    }
}

fn has_program(name: &str) -> Result<(), String> {
    match Command::new(name).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{name} --version ended with {}", output.status)),
        Err(error) => Err(format!("{name}: {error}; on Debian: apt-get install prometheus")),
    }
}

fn has_prometheus() -> bool {
    let found = has_program("promtool").and_then(|()| has_program("prometheus"));
    is_there("Prometheus", "BUTTER_REQUIRE_PROMETHEUS", found)
}

#[track_caller]
fn promtool(arguments: &[&str], input: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn prometheus_accepts_the_configuration_and_every_expression() {
    if !has_prometheus() {
        return;
    }
    promtool(&["check", "config", folder().join("prometheus.yml").to_str().unwrap()], "");
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
    let plan = planner::read("watched.yaml", &topology(), &Overrides::default()).unwrap();
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
        for name in metrics_of(&expression) {
            assert!(names.contains(name), "{place} asks for {name}, which a run does not serve");
        }
    }
    if has_prometheus() {
        promtool(&["check", "metrics"], &text);
    }
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

/// A program that is asked to end, and made to, when a test ends before it.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Its lines on stderr are kept for [`Running::line_with`].
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Running { child, lines }
    }

    /// Waits for a line with this in it.
    #[track_caller]
    fn line_with(&self, part: &str, within: Duration) -> String {
        let deadline = Instant::now() + within;
        let mut before = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => before.push(line),
                Err(error) => panic!("no line with {part:?} ({error}) after:\n{}", before.join("\n")),
            }
        }
    }

    /// Asks it to end; its exit status.
    #[track_caller]
    fn end(&mut self) -> Option<i32> {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        let deadline = Instant::now() + CLEANED_WITHIN;
        // Its stderr ends when it does.
        while self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
        assert!(Instant::now() < deadline, "it did not end within {CLEANED_WITHIN:?}");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None))
            && std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.end())).is_err()
        {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The body of a GET, if the answer is 200.
fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200 ").then(|| body.to_owned())
}

/// Whether Prometheus answers a query with a number.
fn shows(prometheus: SocketAddr, expression: &str) -> bool {
    let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let Some(body) = get(prometheus, &format!("/api/v1/query?query={encoded}")) else { return false };
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    let series = answer["data"]["result"].as_array().unwrap();
    series.iter().any(|series| series["value"][1].as_str().is_some_and(|value| value != "NaN"))
}

fn start_prometheus(scratch: &Path, target: &str) -> (Running, SocketAddr) {
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - {{job_name: butter, static_configs: [{{targets: [\"{target}\"]}}]}}\n"
    );
    let file = scratch.join("prometheus.yml");
    fs::write(&file, config).unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.tsdb.path={}", scratch.join("data").display()));
    command.arg(format!("--web.listen-address={address}"));
    let prometheus = Running::start(&mut command);
    prometheus.line_with("Server is ready", READY_WITHIN);
    (prometheus, address)
}

#[test]
fn every_panel_shows_data_of_a_real_run() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let engine = runtime.block_on(docker::preflight()).map_err(|error| error.to_string());
    if !has_prometheus() || !is_there("Docker", "BUTTER_REQUIRE_DOCKER", engine) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("watched.yaml"), topology()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.current_dir(scratch.path());
    command.args(["run", "watched.yaml", "--backend", "docker", "--out", "out", "--metrics", "127.0.0.1:0"]);
    let mut run = Running::start(&mut command);
    let line = run.line_with("metrics: http://", RUN_WITHIN);
    let target = line.trim_start_matches("metrics: http://").trim_end_matches("/metrics");
    let (mut prometheus, address) = start_prometheus(scratch.path(), target);
    run.line_with("step 1 of", RUN_WITHIN);
    let mut unseen: BTreeMap<String, String> = expressions().into_iter().map(|(panel, e)| (e, panel)).collect();
    let deadline = Instant::now() + RUN_WITHIN;
    while !unseen.is_empty() {
        unseen.retain(|expression, _| !shows(address, expression));
        // The run's lines set the pace, or half a second.
        let line = run.lines.recv_timeout(Duration::from_millis(500));
        assert!(line != Err(RecvTimeoutError::Disconnected), "the run ended and showed nothing of {unseen:#?}");
        assert!(Instant::now() < deadline, "nothing is shown of {unseen:#?}");
    }
    prometheus.end();
    assert_eq!(run.end(), Some(130), "ended by a signal");
}
