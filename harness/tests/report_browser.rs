//! `report.html` in a browser: every section is drawn, at any width and in both colour schemes, and nothing is reported as an error.
//!
//! Without Chromium these tests say that they are skipped; `BUTTER_REQUIRE_CHROMIUM=1` makes that a failure.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

#[path = "support/browser.rs"]
mod browser;
#[path = "support/cli_desk.rs"]
mod cli_desk;
#[path = "support/devtools.rs"]
mod devtools;
#[path = "support/long_record.rs"]
mod long_record;
#[path = "support/skipped.rs"]
mod skipped;

use cli_desk::{Desk, SMALL, has};
use devtools::Tab;

/// A name that would be markup, if a page took it as such.
const HOSTILE: &str = "<img src=x onerror=nonsense()>";

/// A browser on this machine.
struct Browser(&'static str);

impl Browser {
    fn find() -> Option<Self> {
        browser::find().map(Browser)
    }

    /// Opens a page. Returns what the browser wrote.
    fn open(&self, page: &Path, options: &[&str]) -> Output {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(self.0);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--virtual-time-budget=5000",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).args(options);
        let output = command.arg(format!("file://{}", page.display())).output().unwrap();
        assert!(output.status.success(), "{}: {}", self.0, String::from_utf8_lossy(&output.stderr));
        output
    }

    /// The page's elements once its script has run. Fails if the console shows anything.
    #[track_caller]
    fn draws(&self, page: &Path, options: &[&str]) -> String {
        let output = self.open(page, &[options, &["--dump-dom"]].concat());
        let said = console(&output);
        assert!(said.is_empty(), "{said:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// What the page reported: errors of its script, and what its policy forbids.
fn console(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect()
}

#[test]
fn every_section_is_drawn_and_the_console_is_silent() {
    let Some(browser) = Browser::find() else { return };
    let desk = Desk::new();
    desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "out"]).exits(0);
    let page = desk.path("out/report.html");
    let sections = [
        "verdict",
        "checks",
        "timeline",
        "topology",
        "items",
        "queries",
        "traffic",
        "spread",
        "lanes",
        "stories",
        "environment",
    ];
    for options in
        [&["--window-size=1280,900"][..], &["--window-size=400,900"], &["--blink-settings=preferredColorScheme=0"]]
    {
        let drawn = browser.draws(&page, options);
        for section in sections {
            assert!(drawn.contains(&format!("id=\"{section}\"")), "{options:?}: {section} is missing");
        }
        assert!(drawn.matches("<path class=\"line").count() >= 5, "{options:?}: charts have lines");
        has(&drawn, &["harness run small.yaml --backend sim --seed 3", "persistence == 100%"]);
    }
    let picture = desk.path("page.png");
    let screenshot = format!("--screenshot={}", picture.display());
    let said = console(&browser.open(&page, &[&screenshot, "--window-size=1280,900"]));
    assert!(said.is_empty() && fs::metadata(picture).unwrap().len() > 10_000, "{said:?}");
}

#[test]
fn a_failed_run_with_links_faults_and_hostile_names_is_drawn() {
    let Some(browser) = Browser::find() else { return };
    let desk = Desk::new();
    let steps = "  - connect: {pairs: 2, within: 10s}\n  - pause: {nodes: [n-2]}\n  - kill: {nodes: [n-1, n-3, n-4]}\n  - settle: {for: 2s}\n  - retrieve: {items: all, from: fresh}\n";
    desk.write("lost.yaml", &SMALL.replace("  - retrieve: {items: all, from: [lan, fresh]}\n", steps));
    desk.harness(&["run", "lost.yaml", "--backend", "sim", "--out", "out"]).exits(1);
    for file in ["result.json", "plan.json", "events.jsonl"] {
        let text = fs::read_to_string(desk.path("out").join(file)).unwrap();
        let quoted = serde_json::json!(HOSTILE).to_string();
        fs::write(desk.path("out").join(file), text.replace("\"n-1\"", &quoted).replace("\"small\"", &quoted)).unwrap();
    }
    desk.harness(&["report", "out"]).exits(0);
    let drawn = browser.draws(&desk.path("out/report.html"), &[]);
    has(&drawn, &["id=\"connectivity\"", "id=\"story-item-0\"", "&lt;img src=x onerror=nonsense()&gt;", "suspension"]);
    assert!(!drawn.contains("<img"), "a name has become an element");
}

#[test]
fn moves_and_the_overhead_of_repair_are_drawn() {
    let Some(browser) = Browser::find() else { return };
    let desk = Desk::new();
    desk.write_moves();
    desk.harness(&["run", "moves.yaml", "--backend", "sim", "--out", "out"]).exits(0);
    let drawn = browser.draws(&desk.path("out/report.html"), &[]);
    has(&drawn, &["move at ", ": n-2 to cafe", "Repair overhead: ", "1 life ended"]);
}

#[test]
fn a_set_of_runs_is_drawn() {
    let Some(browser) = Browser::find() else { return };
    let desk = Desk::new();
    desk.write("sweep.yaml", &SMALL.replace("steps:", "runs: 2\nsweep: {replicas: [1, 2]}\nsteps:"));
    desk.harness(&["run", "sweep.yaml", "--backend", "sim", "--out", "set"]).exits(0);
    let drawn = browser.draws(&desk.path("set/report.html"), &[]);
    has(&drawn, &["By replicas", "Persistence", "95 % interval", "4 passed"]);
    assert!(drawn.matches("<path class=\"line").count() >= 5, "plots have intervals");
}

/// Longest time of the browser's processor until a page of ten hours is drawn, in seconds.
const DRAWN_WITHIN_S: f64 = 2.0;

#[test]
fn a_page_of_ten_hours_is_drawn_at_once() {
    let Some(Browser(browser)) = Browser::find() else { return };
    let desk = Desk::new();
    long_record::long_record(&desk);
    desk.harness(&["report", "long"]).exits(0);
    let mut tab = Tab::open(browser, &format!("file://{}", desk.path("long/report.html").display()));
    tab.wait_for("document.readyState === 'complete' && document.getElementById('environment') !== null");
    // That of other programs on the machine does not count.
    let took = tab.processor_seconds();
    assert!(took < DRAWN_WITHIN_S, "{took} s");
    assert_eq!(tab.reported, [""; 0]);
}

#[test]
fn an_error_of_a_page_would_be_noticed() {
    let Some(browser) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("broken.html");
    fs::write(&page, "<!doctype html><script>nonsense()</script>").unwrap();
    assert_eq!(console(&browser.open(&page, &["--dump-dom"])).len(), 1);
}
