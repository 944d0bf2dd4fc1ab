//! A record of a run that is played again, as a user has it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder with a topology in it, and no Docker.
struct Desk(TempDir);

/// Without a name of its own: the file's name decides it.
const TOPOLOGY: &str = "\
seed: 3
vars: {items: 3, bound: 1}
networks:
  lan: {}
nodes:
  n: {on: lan, count: 4}
config: {heartbeat: 500ms, replicas: 2}
steps:
  - join: {within: 30s}
  - store: {items: \"${items}\", size: 1KiB..8KiB, from: all}
  - settle: {for: 2s}
checks:
  - copies >= ${bound}
";

impl Desk {
    fn new() -> Self {
        let desk = Desk(tempfile::tempdir().unwrap());
        fs::write(desk.path("small.yaml"), TOPOLOGY).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    #[track_caller]
    fn harness(&self, arguments: &[&str], variables: &[(&str, &str)], status: i32) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HARNESS_")) {
            command.env_remove(name);
        }
        command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").current_dir(self.0.path());
        let Output { status: ended, stdout, stderr } =
            command.args(arguments).envs(variables.iter().copied()).output().unwrap();
        let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
        assert_eq!(ended.code(), Some(status), "{arguments:?}: {text}");
        text
    }

    fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(self.path(path)).unwrap()).unwrap()
    }

    #[track_caller]
    fn same_bytes(&self, one: &str, other: &str) {
        for file in ["result.json", "events.jsonl"] {
            let read = |record: &str| fs::read(self.path(record).join(file)).unwrap();
            assert!(read(one) == read(other), "{file} differs");
        }
    }
}

/// Name and origin of each entry of a list.
fn origins(values: &serde_json::Value) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    values.as_array().unwrap().iter().map(|value| (text(&value["name"]), text(&value["from"]))).collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, from)| ((*name).to_owned(), (*from).to_owned())).collect()
}

#[test]
fn record_with_options_leaves_the_same_bytes_when_played_again() {
    let desk = Desk::new();
    let options = ["run", "small.yaml", "--backend", "sim", "--out", "a", "--set", "items=5", "--set", "replicas=3"];
    desk.harness(&[&options[..], &["--seed", "9"]].concat(), &[], 0);
    // Neither the file nor variables count any more.
    fs::remove_file(desk.path("small.yaml")).unwrap();
    let variables = [("HARNESS_SEED", "10"), ("HARNESS_SET", "items=6"), ("HARNESS_BACKEND", "docker")];
    desk.harness(&["run", "a", "--out", "b"], &variables, 0);
    desk.same_bytes("a", "b");
    assert_eq!(desk.json("b/result.json")["items"]["planned"], 5);
    // A record of a record is as good.
    desk.harness(&["run", "b", "--out", "c"], &[], 0);
    desk.same_bytes("a", "c");
    assert_eq!(desk.json("c/run.json")["replay_of"], "b");
}

#[test]
fn record_with_variables_leaves_the_same_bytes_without_them() {
    let desk = Desk::new();
    let variables = [("HARNESS_SEED", "9"), ("HARNESS_SET", "items=5,heartbeat=1s"), ("HARNESS_BACKEND", "sim")];
    desk.harness(&["run", "small.yaml", "--out", "a"], &variables, 0);
    desk.harness(&["run", "a", "--out", "b"], &[], 0);
    desk.same_bytes("a", "b");
    let (a, b) = (desk.json("a/run.json"), desk.json("b/run.json"));
    for key in ["seed", "variables", "settings", "options", "topology", "backend"] {
        assert_eq!(a[key], b[key], "{key}");
    }
}

#[test]
fn run_json_says_where_each_value_came_from() {
    let desk = Desk::new();
    desk.harness(
        &["run", "small.yaml", "--backend", "sim", "--out", "a", "--set", "items=5"],
        &[("HARNESS_SEED", "9")],
        0,
    );
    let manifest = desk.json("a/run.json");
    assert_eq!(manifest["schema_version"], 1);
    assert_eq!(manifest["seed"], serde_json::json!({"value": 9, "from": "environment"}));
    assert_eq!(origins(&manifest["variables"]), owned(&[("bound", "file"), ("items", "command-line")]));
    assert_eq!(origins(&manifest["settings"]), owned(&[("heartbeat", "file"), ("replicas", "file")]));
    assert_eq!((&manifest["topology"], &manifest["backend"]), (&"small.yaml".into(), &"sim".into()));
    assert_eq!(manifest["command_line"].as_array().unwrap().last().unwrap(), "items=5");
    assert_eq!(manifest["environment"]["HARNESS_SEED"], "9");
    assert!(manifest["durations"]["play_s"].as_f64().unwrap() >= 0.0, "{manifest}");
    assert!(manifest["machine"]["cores"].as_u64().unwrap() > 0, "{manifest}");
    assert!(humantime_like(manifest["started"].as_str().unwrap()), "{manifest}");
}

fn humantime_like(text: &str) -> bool {
    text.len() == "2026-11-29T14:00:00.000Z".len() && text.ends_with('Z')
}

#[test]
fn options_beside_a_record_change_it() {
    let desk = Desk::new();
    desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "a", "--set", "items=5"], &[], 0);
    desk.harness(&["run", "a", "--out", "b", "--set", "items=7", "--seed", "4"], &[], 0);
    let result = desk.json("b/result.json");
    assert_eq!((&result["items"]["planned"], &result["seed"]), (&7.into(), &4.into()));
    assert_eq!(origins(&desk.json("b/run.json")["variables"])[1].1, "command-line");
}

#[test]
fn failed_run_fails_again() {
    let desk = Desk::new();
    desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "a", "--set", "bound=9"], &[], 1);
    let again = desk.harness(&["run", "a", "--out", "b"], &[], 1);
    assert!(again.contains("FAILED"), "{again}");
    desk.same_bytes("a", "b");
}

#[test]
fn record_of_another_version_is_refused_with_a_remedy() {
    let desk = Desk::new();
    desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "a"], &[], 0);
    let mut manifest = desk.json("a/run.json");
    manifest["schema_version"] = 99.into();
    fs::write(desk.path("a/run.json"), manifest.to_string()).unwrap();
    let said = desk.harness(&["run", "a"], &[], 2);
    assert!(said.contains("schema version 99 of run.json is not supported: expected 1"), "{said}");
    assert!(said.contains("remedy: play its topology with the options of then: harness run a/topology.yaml"), "{said}");

    fs::remove_file(desk.path("a/run.json")).unwrap();
    let said = desk.harness(&["run", "a"], &[], 2);
    assert!(said.contains("a is no record of a run: it has no run.json"), "{said}");
    assert!(!desk.path("runs").exists());
}

#[test]
fn plan_of_a_record_is_that_of_its_run() {
    let desk = Desk::new();
    desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "a", "--set", "items=5"], &[], 0);
    let planned = desk.harness(&["plan", "a", "--json"], &[], 0);
    assert_eq!(planned, fs::read_to_string(desk.path("a/plan.json")).unwrap());
}
