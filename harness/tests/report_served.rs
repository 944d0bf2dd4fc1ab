//! `harness run --serve`: the report of a run while it lasts, in a browser and as bare events.
//!
//! Without Chromium the tests that need it say that they are skipped; `BUTTER_REQUIRE_CHROMIUM=1` makes that a failure.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Stdio};
use std::time::Duration;

use serde_json::Value;

#[path = "support/browser.rs"]
mod browser;
#[path = "support/cli_desk.rs"]
mod cli_desk;
#[path = "support/devtools.rs"]
mod devtools;
#[path = "support/skipped.rs"]
mod skipped;

use cli_desk::{Desk, SMALL, has};
use devtools::Tab;

/// A run that lasts for some seconds of real time.
fn long(seconds: u64) -> String {
    let churn = format!("  - churn: {{for: {seconds}s, die: 1/300/s}}\n  - settle: {{for: 5s}}\n");
    SMALL.replace("count: 4", "count: 12").replace("  - settle: {for: 2s}\n", &churn)
}

/// A harness that serves.
struct Serving {
    harness: Child,
    stderr: BufReader<ChildStderr>,
    /// `127.0.0.1:PORT`.
    address: String,
}

impl Serving {
    fn start(desk: &Desk, arguments: &[&str]) -> Self {
        let mut command = desk.command(arguments);
        let mut harness = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(harness.stderr.take().unwrap());
        let address = line_with(&mut stderr, "live report: http://");
        let address = address.trim_end().rsplit("http://").next().unwrap().trim_end_matches('/').to_owned();
        Serving { harness, stderr, address }
    }

    fn get(&self, path: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Subscribes to events.
    fn events(&self) -> Events {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(stream, "GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).unwrap();
        Events(BufReader::new(stream))
    }

    fn interrupt(mut self) -> Option<i32> {
        let sent = std::process::Command::new("kill").args(["-INT", &self.harness.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.harness.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.harness.kill();
        _ = self.harness.wait();
    }
}

/// Reads lines until one has this text.
fn line_with(lines: &mut impl BufRead, text: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "ended without {text:?}");
        if line.contains(text) {
            return line;
        }
    }
}

/// States as the server sends them.
struct Events(BufReader<TcpStream>);

impl Events {
    /// The parts of the next state: group, name and value.
    fn next(&mut self) -> Vec<Value> {
        line_with(&mut self.0, "event: state");
        let mut parts = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the events ended");
            match line.trim_end().strip_prefix("data: ") {
                Some(data) if data.starts_with('[') => parts.push(serde_json::from_str(data).unwrap()),
                Some(_) => {}
                // The end of a chunk of HTTP may stand between lines.
                None if line == "\n" && !parts.is_empty() => return parts,
                None => {}
            }
        }
    }
}

fn part<'p>(parts: &'p [Value], name: &str) -> Option<&'p Value> {
    parts.iter().find(|part| part[1] == name).map(|part| &part[2])
}

#[test]
fn a_browser_sees_the_run_go_on_and_end_with_its_verdict() {
    let Some(browser) = browser::find() else { return };
    let desk = Desk::new();
    desk.write("long.yaml", &long(300));
    let serving = Serving::start(&desk, &["run", "long.yaml", "--backend", "sim", "--out", "out", "--serve"]);
    let mut tab = Tab::open(browser, &format!("http://{}/", serving.address));
    tab.wait_for(
        "document.querySelector('.badge') !== null && document.querySelector('.badge').innerText.includes('Running')",
    );
    let clock = "parseFloat(document.getElementById('live').innerText.replace('Live', ''))";
    let before = tab.value(clock);
    tab.wait_for(&format!("{clock} > {before} + 1 || !document.getElementById('live').innerText.includes('Live')"));
    tab.wait_for("document.getElementById('lanes') !== null");
    // What a reader has opened stays open.
    tab.wait_for("(() => { const more = document.querySelector('#timeline details'); if (more) more.open = true; return more !== null })()");
    tab.wait_for("document.querySelector('.badge').innerText.includes('Passed')");
    tab.wait_for("document.querySelector('#stories') !== null && document.querySelector('#environment') !== null");
    assert_eq!(tab.value("document.querySelector('#timeline details').open"), true);
    assert_eq!(tab.value("document.title"), "small: passed");
    let report = std::fs::read_to_string(desk.path("out/report.html")).unwrap();
    let names = "[...document.querySelectorAll('#page > [id]')].map((one) => one.id).join(' ')";
    let served = tab.value(names);
    let mut file = Tab::open(browser, &format!("file://{}", desk.path("out/report.html").display()));
    file.wait_for("document.getElementById('environment') !== null");
    assert_eq!(file.value(names), served, "the served page is the file's");
    assert_eq!((tab.reported.as_slice(), file.reported.as_slice()), (&[][..], &[][..]));
    has(&report, &["small: passed"]);
    assert_eq!(serving.interrupt(), Some(0), "Ctrl-C after the end is no interruption of the run");
    tab.wait_for("document.getElementById('live').innerText.includes('has ended')");
    assert_eq!(tab.value("document.querySelector('.badge').innerText.includes('Passed')"), true, "the page stays");
}

#[test]
fn a_client_that_comes_back_gets_a_whole_state_and_a_slow_one_delays_nothing() {
    let desk = Desk::new();
    desk.write("long.yaml", &long(300));
    let alone = ["run", "long.yaml", "--backend", "sim", "--out", "alone"];
    desk.harness(&alone).exits(0);
    let serving =
        Serving::start(&desk, &["run", "long.yaml", "--backend", "sim", "--out", "out", "--serve", "--linger", "1m"]);
    // They never read a byte. If the run or the page waited for them, no event would come within the deadline of a read.
    let silent: Vec<Events> = (0..40).map(|_| serving.events()).collect();
    let mut events = serving.events();
    let first = loop {
        let parts = events.next();
        if part(&parts, "result").is_some() {
            break parts;
        }
    };
    assert!(part(&first, "timeline").is_some() && part(&first, "circumstances").is_some());
    let mut last = first.len();
    while part(&events.next(), "live").is_none_or(|live| live["is_over"] != true) {
        last += 1;
    }
    assert!(last > 0);
    let again = loop {
        let parts = serving.events().next();
        if part(&parts, "live").is_some_and(|live| live["is_over"] == true) && part(&parts, "result").is_some() {
            break parts;
        }
    };
    assert_eq!(part(&again, "result").unwrap()["verdict"], "passed");
    assert!(!part(&again, "stories").unwrap().is_null());
    drop(silent);
    assert_eq!(
        std::fs::read(desk.path("alone/events.jsonl")).unwrap(),
        std::fs::read(desk.path("out/events.jsonl")).unwrap()
    );
    assert_eq!(
        std::fs::read(desk.path("alone/result.json")).unwrap(),
        std::fs::read(desk.path("out/result.json")).unwrap()
    );
}

#[test]
fn several_runs_follow_each_other_and_their_pages_stay() {
    let desk = Desk::new();
    desk.write("sweep.yaml", &SMALL.replace("steps:", "runs: 2\nsteps:"));
    let mut serving = Serving::start(&desk, &["run", "sweep.yaml", "--backend", "sim", "--out", "set", "--serve"]);
    line_with(&mut serving.stderr, "stays until Ctrl-C");
    let parts = loop {
        let parts = serving.events().next();
        if part(&parts, "live").is_some_and(|live| live["is_over"] == true) {
            break parts;
        }
    };
    let live = part(&parts, "live").unwrap();
    let ended = live["ended"].as_array().unwrap();
    assert_eq!(ended.len(), 2, "{live}");
    for page in ended.iter().chain(live["sets"].as_array().unwrap()) {
        let answer = serving.get(page["page"].as_str().unwrap(), &serving.address);
        has(&answer, &["200 OK", "text/html", "small"]);
    }
    assert_eq!(live["sets"].as_array().unwrap().len(), 1);
    has(&serving.get("/pages/../../etc/passwd", &serving.address), &["404"]);
    has(&serving.get("/", &serving.address), &["200 OK", "connect-src 'self'", "no-store"]);
    has(&serving.get("/", "evil.example"), &["403"]);
    has(&serving.get("/", "localhost:1"), &["200 OK"]);
}

#[test]
fn an_address_that_is_taken_is_named_and_nothing_is_played() {
    let desk = Desk::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "out", "--serve", &address]).exits(3);
    has(&ran.stderr, &[&format!("cannot serve the report on {address}"), "choose another port"]);
    assert!(!desk.path("out").exists());
    has(&desk.harness(&["run", "--serve", "small.yaml"]).exits(2).stderr, &["small.yaml", "IP:PORT or HOST:PORT"]);
}
