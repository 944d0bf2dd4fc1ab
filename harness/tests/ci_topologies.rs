//! What CI jobs play: `topologies/ci/` passes on the simulator with every seed, and the jobs' files name what there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_norway::Value;

/// More are played by hand: each run takes a fraction of a second.
const SEEDS: &str = "1..5";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn topologies() -> Vec<PathBuf> {
    let folder = root().join("topologies/ci");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_topology_of_ci_passes_on_the_simulator_with_any_seed() {
    assert!(topologies().len() >= 4);
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.arg("run").args(topologies()).args(["--backend", "sim", "--seeds", SEEDS, "--jobs", "2", "--out"]);
    let output = command.arg(scratch.path().join("out")).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}

/// Every string of a YAML document.
fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Sequence(list) => list.iter().for_each(|value| strings(value, found)),
        Value::Mapping(map) => map.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}

/// The scripts of both CI systems use options and variables that the reference lists.
#[test]
fn jobs_name_options_and_variables_that_exist() {
    let reference = fs::read_to_string(root().join("docs/reference/harness.md")).unwrap();
    for file in [".github/workflows/harness.yml", "docs/ci/gitlab-ci.yml"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let document: Value = serde_norway::from_str(&text).unwrap();
        let mut scripts = Vec::new();
        strings(&document, &mut scripts);
        let calls =
            |line: &&str| line.contains("harness run") || line.contains("harness explore") || line.contains(" -- ");
        let scripts: Vec<String> = scripts.iter().map(|script| script.replace("\\\n", " ")).collect();
        let lines: Vec<&str> = scripts.iter().flat_map(|script| script.lines()).filter(calls).collect();
        assert!(lines.len() >= 2, "{file}: {lines:?}");
        for line in lines {
            let call = line.split_once(" -- ").map_or(line, |(_, call)| call);
            for option in call.split_whitespace().filter(|word| word.starts_with("--")) {
                assert!(reference.contains(&format!("`{option}")), "{file}: {option} in {line}");
            }
        }
        let variables: BTreeSet<&str> = text
            .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .filter(|word| word.starts_with("HARNESS_") && *word != "HARNESS_REAL")
            .collect();
        for variable in variables {
            assert!(reference.contains(&format!("| `{variable}` |")), "{file}: {variable}");
        }
    }
}
