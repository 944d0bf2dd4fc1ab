//! Environment variables of `harness`: every one of them, with values that it takes, values that it refuses, and empty.

use std::collections::BTreeSet;
use std::process::{Command, Output};

/// The name of a variable, values that are taken, values that are refused.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

const SWITCH: (&[&str], &[&str]) =
    (&["true", "yes", "on", "1", "TRUE", "False", "no", "off", "0"], &["maybe", "2", "y e s"]);

const CASES: &[Case] = &[
    ("HARNESS_BACKEND", &["auto", "docker", "netns", "sim"], &["dokcer", "Sim,"]),
    ("HARNESS_CAPTURE", &["n-1"], &[]),
    ("HARNESS_FIDELITY", &["auto", "message", "packet"], &["packets", "1"]),
    ("HARNESS_FULL_SCREEN", &["no", "off", "0"], SWITCH.1),
    ("HARNESS_JOBS", &["1", "8"], &["0", "-1", "many"]),
    ("HARNESS_JSON", SWITCH.0, SWITCH.1),
    ("HARNESS_JUNIT", &["a,b.xml"], &[]),
    ("HARNESS_KEEP", SWITCH.0, SWITCH.1),
    ("HARNESS_LAB", &["lan"], &[]),
    ("HARNESS_LINGER", &["10s"], &["10", "-1s", "soon"]),
    ("HARNESS_LOG", &["warn", "info,butter_harness=trace"], &["inffo", "butter_harness=loud"]),
    ("HARNESS_METRICS", &["localhost:9464", "127.0.0.1:0", "[::1]:0"], &["9464", "localhost"]),
    ("HARNESS_NO_PROBE", SWITCH.0, SWITCH.1),
    ("HARNESS_OUT", &["some folder"], &[]),
    ("HARNESS_QUIET", SWITCH.0, SWITCH.1),
    ("HARNESS_SEED", &["0", "18446744073709551615"], &["-1", "1.5", "x"]),
    ("HARNESS_SEEDS", &["1..3", "3,5,8"], &["4..1", "x"]),
    ("HARNESS_SERVE", &["localhost:8080", "127.0.0.1:0", "[::1]:0"], &["8080", "localhost"]),
    ("HARNESS_SET", &["die=1/50", "from=a,b", "die=1/50,heartbeat=2s"], &["die", "=1"]),
    ("HARNESS_SUMMARY_MD", &["a,b.md"], &[]),
    ("HARNESS_TIME_LIMIT", &["90s", "5m 10s"], &["90", "-10s", "0s", "soon"]),
    ("HARNESS_VERBOSE", SWITCH.0, SWITCH.1),
    ("BUTTER_LOG", &["debug", "butter=trace,warn"], &["inffo"]),
];

/// Runs a file that is not there, in a folder of its own: variables are read before it is.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HARNESS_") || name.starts_with("BUTTER_")) {
        command.env_remove(name);
    }
    let folder = tempfile::tempdir().unwrap();
    command.current_dir(folder.path()).args(["run", "none.yaml"]).args(arguments).envs(variables.iter().copied());
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[track_caller]
fn takes(arguments: &[&str], variables: &[(&str, &str)]) {
    let (status, stderr) = run(arguments, variables);
    assert_eq!(status, Some(2), "{variables:?}: {stderr}");
    assert!(stderr.contains("cannot read none.yaml"), "{variables:?}: {stderr}");
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
            let expected = format!("invalid value `{value}` for {name}: ");
            assert!(stderr.contains(&expected) && stderr.contains("expected"), "{name}={value}: {stderr}");
        }
    }
}

#[test]
fn empty_variables_count_as_unset() {
    let all: Vec<(&str, &str)> = CASES.iter().map(|(name, _, _)| (*name, "")).collect();
    takes(&[], &all);
}

#[test]
fn an_option_wins_over_every_variable() {
    takes(&["--jobs", "2"], &[("HARNESS_JOBS", "0")]);
    takes(&["--metrics", "127.0.0.1:0"], &[("HARNESS_JOBS", "2")]);
    takes(&["--jobs", "2"], &[("HARNESS_METRICS", "127.0.0.1:0")]);
    takes(&[], &[("HARNESS_METRICS", "127.0.0.1:0"), ("HARNESS_JOBS", "1")]);
}

#[test]
fn help_lists_exactly_the_variables_of_this_table() {
    let help = Command::new(env!("CARGO_BIN_EXE_harness")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let listed = help.lines().filter_map(|line| line.split_whitespace().next());
    let listed: BTreeSet<&str> = listed.filter(|word| word.starts_with("HARNESS_")).collect();
    let cases: BTreeSet<&str> =
        CASES.iter().map(|(name, _, _)| *name).filter(|name| name.starts_with("HARNESS_")).collect();
    assert_eq!(listed, cases);
}

#[test]
fn wrong_values_of_options_say_what_is_expected() {
    for (arguments, expected) in [
        (&["--jobs", "0"][..], "expected 1 or more"),
        (&["--jobs", "-1"], "expected 1 or more"),
        (&["--metrics", "9464"], "expected IP:PORT or HOST:PORT"),
        (&["--time-limit", "-10s"], "expected a duration above zero"),
        (&["--set", "die"], "expected KEY=VALUE"),
        (&["--seed", "x"], "expected 0 or more"),
        (&["--backedn", "sim"], "--backend"),
    ] {
        let (status, stderr) = run(arguments, &[]);
        assert_eq!(status, Some(2), "{arguments:?}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
    takes(&["--metrics", "localhost:0"], &[]);
    takes(&["--set", "from=a,b"], &[]);
}
