//! What `harness` writes where: standard input as a file, full disks, closed pipes, colour, the C locale, several runs.

use std::fs::{self, File};
use std::io::Write;
use std::process::{Command, Output, Stdio};

const ONE: &str = "\
name: one
networks: {lan: {}}
nodes: {n: {on: lan, count: 3}}
steps:
  - join: {within: 30s}
  - store: {items: 2, size: 1KiB, from: all}
checks:
  - stored == 100%
";

fn harness(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "LC_ALL", "LC_CTYPE", "LANG", "HARNESS_LOG", "HARNESS_SEED"]
    {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

fn with_stdin(mut command: Command, text: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses its arguments ends without having read it.
    _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_owned()).unwrap()
}

fn full_disk() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

#[test]
fn a_dash_reads_the_topology_from_standard_input() {
    let output = with_stdin(harness(&["validate", "-"]), ONE);
    assert_eq!(
        (output.status.code(), text(&output.stdout).contains("-: valid: 3 nodes")),
        (Some(0), true),
        "{output:?}"
    );
    let output = with_stdin(harness(&["plan", "-"]), ONE);
    assert!(text(&output.stdout).starts_with("one, seed 1"), "{output:?}");
    let output = with_stdin(harness(&["validate", "-"]), &ONE.replace("networks", "netwroks"));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("stdin:2"), "{output:?}");
    let output = with_stdin(harness(&["validate", "-", "-"]), ONE);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("only once"), "{output:?}");
}

#[test]
fn a_full_disk_is_an_error_of_the_environment() {
    for arguments in [&["--help"][..], &["plan", "-"], &["plan", "-", "--json"], &["validate", "-"]] {
        let mut command = harness(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(full_disk()).stderr(Stdio::piped()).spawn().unwrap();
        // Help ends without having read it.
        _ = child.stdin.take().unwrap().write_all(ONE.as_bytes());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {output:?}");
        assert!(text(&output.stderr).contains("cannot write to standard output: No space left"), "{output:?}");
    }
    // Messages that are lost count as well, unless something worse has happened.
    let status = harness(&["validate", "none.yaml"]).stderr(full_disk()).status().unwrap();
    assert_eq!(status.code(), Some(3));
}

#[test]
fn a_reader_that_has_gone_ends_the_output_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = harness(&["--help"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(harness(&["validate", "none.yaml"]).stderr(writer).status().unwrap().code(), Some(2));
}

#[test]
fn colour_is_written_to_terminals_or_on_request() {
    let escapes = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = harness(&[arguments, &["validate", "-"]].concat());
        command.envs(variables.iter().copied());
        text(&with_stdin(command, "name: x").stderr).contains('\x1b')
    };
    assert!(!escapes(&[], &[]));
    assert!(escapes(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(escapes(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!escapes(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(!escapes(&["--color=never"], &[("CLICOLOR_FORCE", "1")]));
    let log = harness(&["doctor"]).env("HARNESS_LOG", "trace").env("DOCKER_HOST", "unix:///none").output().unwrap();
    assert!(!text(&log.stderr).contains('\x1b'), "{log:?}");
}

#[test]
fn the_c_locale_gets_ascii_and_utf8_gets_lines() {
    let folder = tempfile::tempdir().unwrap();
    for (locale, is_ascii) in [("C", true), ("en_GB.UTF-8", false)] {
        let out = folder.path().join(locale);
        let arguments = ["run", "-", "--backend", "sim", "--out", out.to_str().unwrap()];
        let mut command = harness(&arguments);
        command.env("LC_ALL", locale);
        let output = with_stdin(command, ONE);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout.is_ascii(), is_ascii, "{}", text(&output.stdout));
        let longest = text(&output.stdout).lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= 120, "{longest} columns");
    }
}

#[test]
fn the_failure_of_one_of_several_runs_is_in_the_last_line_and_in_the_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let bad = ONE.replace("name: one", "name: bad").replace("stored == 100%", "stored < 50%");
    let (bad, one) = (write("bad.yaml", &bad), write("one.yaml", ONE));
    let out = folder.path().join("out").to_str().unwrap().to_owned();
    let output = harness(&["run", &bad, &one, "--backend", "sim", "--keep", "--out", &out]).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().last(), Some("2 runs: 1 passed; bad failed (exit status 1)"));
    assert!(stderr.contains("--keep is ignored"), "{stderr}");
}
