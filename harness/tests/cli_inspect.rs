//! What the program tells without deploying anything: `validate`, `plan`, `doctor`, help.

use std::process::{Command, Output};

fn harness(arguments: &[&str]) -> Output {
    let topologies = concat!(env!("CARGO_MANIFEST_DIR"), "/../topologies");
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").env_remove("HARNESS_SEED").env_remove("HARNESS_SET");
    command.current_dir(topologies).args(arguments).output().unwrap()
}

#[track_caller]
fn tells(arguments: &[&str], status: i32, stdout: &[&str], stderr: &[&str]) {
    let output = harness(arguments);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(status), "{out}\n{err}");
    for (text, parts) in [(out, stdout), (err, stderr)] {
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }
}

#[test]
fn validate_tells_what_is_in_a_file() {
    let line = "three-lans.yaml: valid: 16 nodes, 4 networks, 60 items, 5 steps, ";
    tells(&["validate", "three-lans.yaml", "one-lan.yaml"], 0, &[line, "one-lan.yaml: valid: 10 nodes"], &[]);
}

#[test]
fn validate_goes_through_all_files_and_exits_2_if_one_is_wrong() {
    let files = ["validate", "none.yaml", "one-lan.yaml"];
    tells(&files, 2, &["one-lan.yaml: valid"], &["cannot read none.yaml"]);
}

#[test]
fn plan_is_for_people_or_for_programs() {
    tells(&["plan", "three-lans.yaml", "--seed", "9"], 0, &["three-lans, seed 9", "networks (4)", "checks ("], &[]);
    let output = harness(&["plan", "three-lans.yaml", "--seed", "9", "--json"]);
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&plan["name"], &plan["seed"]), (&"three-lans".into(), &9.into()));
    assert_eq!(plan["items"].as_array().unwrap().len(), 60);
    let again = harness(&["plan", "three-lans.yaml", "--seed", "9", "--format", "json"]);
    assert_eq!(again.stdout, output.stdout);
    tells(&["plan", "three-lans.yaml", "--format", "text"], 0, &["networks (4)"], &[]);
    tells(&["plan", "three-lans.yaml", "--format", "yaml"], 0, &["name: three-lans\n", "\nnetworks:\n- name: "], &[]);
    tells(&["plan", "three-lans.yaml", "--format", "toml"], 2, &[], &["toml", "yaml"]);
    tells(&["plan", "three-lans.yaml", "--format", "text", "--json"], 2, &[], &["--json", "--format"]);
}

#[test]
fn doctor_tells_what_works_and_the_remedy_for_what_does_not() {
    tells(&["doctor"], 0, &["docker   does not work", "remedy: ", "sim      works"], &[]);
}

#[test]
fn help_tells_the_exit_statuses_and_hides_the_router() {
    tells(&["--help"], 0, &["0  All checks hold", "validate", "doctor", "clean"], &[]);
    let help = String::from_utf8(harness(&["--help"]).stdout).unwrap();
    assert!(!help.contains("router of a network"), "{help}");
    tells(&["run", "--help"], 0, &["--time-limit", "[env: HARNESS_BACKEND]", "runs/NAME-TIME-SEED"], &[]);
}

#[test]
fn compare_holds_the_records_of_two_runs_against_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let record = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (one, other) = (record("one"), record("other"));
    for (out, seed) in [(&one, "1"), (&other, "2")] {
        tells(&["run", "one-lan.yaml", "--backend", "sim", "--seed", seed, "--out", out], 0, &["PASSED"], &[]);
    }
    tells(&["compare", &one, &other], 4, &["B: one-lan on sim, seed 2: passed", "too few runs"], &[]);
    tells(&["compare", &one, "none"], 2, &[], &["cannot read none"]);
}
