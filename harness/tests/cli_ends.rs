//! Promise: every end of a run leaves a result and a JUnit report that say how it ended.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[path = "support/cli_desk.rs"]
mod cli_desk;

use cli_desk::{Desk, SMALL, has, json};

/// A run that would take far longer than any test.
fn endless(desk: &Desk) {
    desk.write("endless.yaml", &SMALL.replace("for: 2s", "for: 20h"));
}

/// Kills its process if a test ends before it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn junit(desk: &Desk) -> String {
    fs::read_to_string(desk.path("ci.xml")).unwrap()
}

#[test]
fn a_run_that_passes_has_a_case_for_each_step_and_check() {
    let desk = Desk::new();
    desk.harness(&["run", "small.yaml", "small.yaml", "--backend", "sim", "--junit", "ci.xml"]).exits(0);
    // Four steps, three checks, and the end, of each of two runs.
    has(
        &junit(&desk),
        &["tests=\"16\" failures=\"0\" errors=\"0\"", "seed 3\"", "seed 3 (2)\"", "timestamp=", "time="],
    );
    assert_eq!(desk.files(), ["ci.xml", "runs", "small.yaml"]);
}

#[test]
fn runs_that_do_not_begin_replace_an_older_report_by_an_error() {
    let desk = Desk::new();
    desk.write("wrong.yaml", &SMALL.replace("networks:", "netwroks:"));
    let full = desk.path("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("x"), "").unwrap();
    let ends: [(&[&str], i32, &str, &str); 4] = [
        (&["small.yaml", "--backend", "docker"], 3, "errors=\"1\"", "/nonexistent/docker.sock"),
        (&["small.yaml", "wrong.yaml", "--backend", "sim"], 2, "errors=\"2\"", "netwroks"),
        (&["small.yaml", "--backend", "sim", "--out", "full"], 2, "errors=\"1\"", "full is not empty"),
        (&["-", "-", "--backend", "sim"], 2, "errors=\"2\"", "only once"),
    ];
    for (arguments, status, errors, reason) in ends {
        desk.write("ci.xml", "<testsuites tests=\"1\" errors=\"0\"/>");
        desk.harness(&[&["run"], arguments, &["--junit", "ci.xml"]].concat()).exits(status);
        has(&junit(&desk), &[errors, reason]);
    }
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_before_anything_else() {
    let desk = Desk::new();
    let ran = desk.harness(&["run", "small.yaml", "--backend", "sim", "--junit", "no/dir/ci.xml"]).exits(3);
    has(&ran.stderr, &["cannot write the JUnit report no/dir/ci.xml"]);
    assert_eq!(desk.files(), ["small.yaml"]);
}

#[test]
fn the_time_limit_ends_a_run_with_3() {
    let desk = Desk::new();
    endless(&desk);
    let arguments =
        ["run", "endless.yaml", "--backend", "sim", "--out", "out", "--time-limit", "300ms", "--junit", "ci.xml"];
    let ran = desk.harness(&arguments).exits(3);
    has(&ran.stdout, &["STOPPED BY THE TIME LIMIT"]);
    assert_eq!(json(&desk.path("out/result.json"))["verdict"], "time_limit");
    has(&junit(&desk), &["errors=\"1\"", "the run reached its time limit"]);
}

/// Plays the endless run until its long step, then sends a signal. The verdict is `interrupted`, and nothing is missing.
fn interrupted_by(signal: Signal) {
    let desk = Desk::new();
    endless(&desk);
    let arguments =
        ["run", "endless.yaml", "--backend", "sim", "--out", "out", "--time-limit", "60s", "--junit", "ci.xml"];
    let mut command = desk.command(&arguments);
    let mut running = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let stderr = BufReader::new(running.0.stderr.take().unwrap());
    let mut lines = stderr.lines().map(|line| line.unwrap());
    lines.find(|line| line.contains("step 3 of 4")).expect("the endless step begins");
    has(&junit(&desk), &["the run has not ended"]);
    kill(Pid::from_raw(running.0.id().try_into().unwrap()), signal).unwrap();
    let rest: Vec<String> = lines.collect();
    let status = running.0.wait().unwrap();
    assert_eq!(status.code(), Some(130), "{rest:?}");
    has(&rest.join("\n"), &["interrupted: ending the run", "record: out"]);
    let result = json(&desk.path("out/result.json"));
    assert_eq!((&result["verdict"], &result["items"]["acknowledged"]), (&"interrupted".into(), &3.into()));
    has(&junit(&desk), &["errors=\"1\"", "the run was interrupted"]);
}

#[test]
fn an_interrupt_ends_a_run_with_130_and_reports_what_was_done() {
    interrupted_by(Signal::SIGINT);
}

#[test]
fn a_closed_terminal_ends_a_run_as_an_interrupt_does() {
    interrupted_by(Signal::SIGHUP);
}

#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let desk = Desk::new();
    endless(&desk);
    let program = env!("CARGO_BIN_EXE_harness");
    // As nohup does it: the signal is ignored before the program starts.
    let script = format!("trap '' HUP; exec {program} run endless.yaml --backend sim --out out --time-limit 60s");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]).current_dir(desk.path("."));
    let mut running = Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let stderr = BufReader::new(running.0.stderr.take().unwrap());
    let mut lines = stderr.lines().map(|line| line.unwrap());
    lines.find(|line| line.contains("step 3 of 4")).expect("the endless step begins");
    let pid = Pid::from_raw(running.0.id().try_into().unwrap());
    kill(pid, Signal::SIGHUP).unwrap();
    // The run still goes on and can be ended by another signal, which is the first that it takes.
    kill(pid, Signal::SIGTERM).unwrap();
    let rest: Vec<String> = lines.collect();
    assert_eq!(running.0.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(!rest.iter().any(|line| line.contains("left at once")), "{rest:?}");
}
