//! The command line of `butter`: every variable, what options expect, output streams, and errors that say each thing once.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::{Command, Output};

/// The name of a variable, values that are taken, values that are refused.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

const SWITCH: (&[&str], &[&str]) = (&["true", "yes", "on", "1", "TRUE", "False", "no", "off", "0"], &["maybe", "2"]);

/// An address at which no control API can listen, so that a node with sound arguments ends at once.
const NOWHERE: &str = "unix:/nonexistent/folder/socket";

const CASES: &[Case] = &[
    ("BUTTER_AMBASSADOR", SWITCH.0, SWITCH.1),
    ("BUTTER_API", &[NOWHERE], &["4080", "unix:", "http://127.0.0.1:4080"]),
    ("BUTTER_API_TOKEN", &["correct horse battery staple"], &[]),
    ("BUTTER_GROUP", &["224.0.0.1:9999"], &["10.0.0.1:9999", "224.0.0.1"]),
    ("BUTTER_JOIN", &["203.0.113.1:4001", "203.0.113.1:4001, 203.0.113.2:4001"], &["203.0.113.1:port"]),
    ("BUTTER_LAN", &["lo", "lo,lo"], &[]),
    ("BUTTER_LISTEN", &["127.0.0.1:0", "localhost:0"], &["4001x", "localhost:port"]),
    ("BUTTER_LOG", &["debug", "info,butter=trace"], &["inffo", "butter=loud"]),
    ("BUTTER_BLOCKS_IN_MEMORY", SWITCH.0, SWITCH.1),
    ("BUTTER_NO_DISCOVER", SWITCH.0, SWITCH.1),
    ("BUTTER_SET", &["heartbeat=2s", "heartbeat=2s,replicas=2"], &["heartbeat=2", "beat=2s", "heartbeat"]),
    ("BUTTER_START_PAUSED", SWITCH.0, SWITCH.1),
    ("BUTTER_STORE", &["a,b"], &[]),
];

fn butter(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_butter"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    // The variable of the address is not set beside an option, which would win.
    let api: &[(&str, &str)] =
        if variables.iter().any(|(name, _)| *name == "BUTTER_API") { &[] } else { &[("BUTTER_API", NOWHERE)] };
    let mut command = butter(&[&["run"], arguments].concat(), &[api, variables].concat());
    let Output { status, stderr, .. } = command.current_dir(folder.path()).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[track_caller]
fn takes(arguments: &[&str], variables: &[(&str, &str)]) {
    let (status, stderr) = run(arguments, variables);
    assert_eq!(status, Some(3), "{arguments:?} {variables:?}: {stderr}");
    assert!(stderr.contains("/nonexistent/folder/socket"), "{arguments:?} {variables:?}: {stderr}");
}

#[test]
fn each_variable_takes_its_values_and_names_itself_when_it_refuses_one() {
    for (name, good, bad) in CASES {
        for value in *good {
            takes(&[], &[(name, value)]);
        }
        for value in *bad {
            let (status, stderr) = run(&[], &[(name, value)]);
            assert_eq!(status, Some(2), "{name}={value}: {stderr}");
            assert!(stderr.contains(&format!("invalid value `{value}` for {name}: ")), "{name}={value}: {stderr}");
        }
    }
}

#[test]
fn empty_variables_count_as_unset() {
    let all: Vec<(&str, &str)> =
        CASES.iter().map(|(name, _, _)| (*name, "")).filter(|(name, _)| *name != "BUTTER_API").collect();
    takes(&[], &all);
    takes(&["--api", NOWHERE], &[("BUTTER_API", "")]);
}

#[test]
fn help_lists_exactly_the_variables_of_this_table() {
    let help = butter(&["--help"], &[]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let listed = help.lines().filter_map(|line| line.split_whitespace().next());
    let listed: BTreeSet<&str> = listed.filter(|word| word.starts_with("BUTTER_")).collect();
    assert_eq!(listed, CASES.iter().map(|(name, _, _)| *name).collect());
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
}

#[test]
fn wrong_values_of_options_say_what_is_expected() {
    for (arguments, expected) in [
        (&["--listen", "localhost"][..], "expected IP:PORT or HOST:PORT"),
        (&["--api", "4080"], "or unix:PATH"),
        (&["--group", "10.0.0.1:9999"], "expected an IPv4 multicast address"),
        (&["--set", "heartbeat"], "expected KEY=VALUE"),
        (&["--set", "beat=2s"], "heartbeat"),
        (&["--set", "log=inffo"], "levels such as info"),
        (&["--log", "inffo"], "expected levels such as `info`"),
        (&["--ambasador"], "--ambassador"),
    ] {
        let (status, stderr) = run(arguments, &[]);
        assert_eq!(status, Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}

#[test]
fn failed_starts_say_each_cause_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let long = format!("unix:/tmp/{}", "d".repeat(110));
    for arguments in [
        &["--api", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--lan", "eth77"][..],
        &["--api", NOWHERE],
        &["--api", &long],
        &["--api", &taken, "--listen", "127.0.0.1:0", "--lan", "lo"],
        &["--api", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--store", "/dev/null/store"],
        &["--api", "127.0.0.1:0", "--listen", "203.0.113.1:4001", "--no-discover"],
    ] {
        let (status, stderr) = run(arguments, &[("BUTTER_LOG", "off")]);
        assert_eq!(status, Some(3), "{arguments:?}: {stderr}");
        let parts: Vec<&str> = stderr.trim().split(": ").filter(|part| part.len() > 12).collect();
        for part in &parts {
            assert_eq!(stderr.matches(part).count(), 1, "{part:?} is said twice: {stderr}");
        }
    }
}

#[test]
fn failed_writes_are_noticed_and_readers_that_have_gone_are_not() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = butter(&["--help"], &[]).stdout(full).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("cannot write to standard output: No space left"), "{stderr}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert!(butter(&["--help"], &[]).stdout(writer).status().unwrap().success());
    // Without anybody who reads messages, the exit status remains.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(butter(&["id", "--api", NOWHERE], &[]).stderr(writer).status().unwrap().code(), Some(3));
}

#[test]
fn completions_offer_every_command() {
    let output = butter(&["completions", "bash"], &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let script = String::from_utf8(output.stdout).unwrap();
    for word in ["put", "status", "completions", "--ambassador", "--exhaustive"] {
        assert!(script.contains(word), "{word} is not in:\n{script}");
    }
    assert_eq!(butter(&["completions", "tcsh"], &[]).output().unwrap().status.code(), Some(2));
}
