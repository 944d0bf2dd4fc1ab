//! Prometheus and its tool, as tests start and ask them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::skipped::skipped;

/// For Prometheus to come up.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// For a run to clean up after itself.
const CLEANED_WITHIN: Duration = Duration::from_secs(120);

/// Whether to go on: a tool that is missing here may be required.
pub(crate) fn is_there(what: &str, variable: &str, found: Result<(), String>) -> bool {
    match found {
        Ok(()) => true,
        Err(why) => {
            assert!(std::env::var_os(variable).is_none_or(|v| v != "1"), "{what} is required by {variable}: {why}");
            skipped(format_args!("{what} is not here: {why}. {variable}=1 makes this a failure"));
            false
        }
    }
}

pub(crate) fn has_program(name: &str) -> Result<(), String> {
    match Command::new(name).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{name} --version ended with {}", output.status)),
        Err(error) => Err(format!("{name}: {error}; on Debian: apt-get install prometheus")),
    }
}

pub(crate) fn has_prometheus() -> bool {
    let found = has_program("promtool").and_then(|()| has_program("prometheus"));
    is_there("Prometheus", "BUTTER_REQUIRE_PROMETHEUS", found)
}

#[track_caller]
pub(crate) fn promtool(arguments: &[&str], input: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

/// A program that is asked to end, and made to, when a test ends before it.
pub(crate) struct Running {
    child: Child,
    pub(crate) lines: Receiver<String>,
}

impl Running {
    /// Its lines on stderr are kept for [`Running::line_with`].
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Running { child, lines }
    }

    /// Waits for a line with this in it.
    #[track_caller]
    pub(crate) fn line_with(&self, part: &str, within: Duration) -> String {
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
    pub(crate) fn end(&mut self) -> Option<i32> {
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
pub(crate) fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200 ").then(|| body.to_owned())
}

pub(crate) fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Whether Prometheus answers a query with a number, now or at another time.
pub(crate) fn shows(prometheus: SocketAddr, expression: &str, at: Option<f64>) -> bool {
    let time = at.map(|at| format!("&time={at}")).unwrap_or_default();
    let path = format!("/api/v1/query?query={}{time}", percent_encoded(expression));
    let Some(body) = get(prometheus, &path) else { return false };
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    let series = answer["data"]["result"].as_array().unwrap();
    series.iter().any(|series| series["value"][1].as_str().is_some_and(|value| value != "NaN"))
}

/// Prometheus with its data in `scratch`; it scrapes the target, if there is one.
pub(crate) fn start_prometheus(scratch: &Path, target: Option<&str>) -> (Running, SocketAddr) {
    let target = target.map(|target| format!("\"{target}\"")).unwrap_or_default();
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - {{job_name: butter, static_configs: [{{targets: [{target}]}}]}}\n"
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
