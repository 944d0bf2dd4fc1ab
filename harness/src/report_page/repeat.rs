//! The command that repeats a run.

use std::path::Path;

use serde_json::Value;

use crate::results::manifest::RunManifest;

/// The file of a run whose topology came from standard input: the copy in its record.
const COPY: &str = "topology.yaml";

/// Keys of a topology that make it more than one run.
const REPEATING: [&str; 2] = ["runs:", "sweep:"];

/// What to type for the same run again: the file, and every option that decides the run. `fidelity` is what the plan was asked for.
/// A file that is more than one run cannot say which of them it was, so the record in `directory` is played again. `topology` is the
/// text of the file.
pub(super) fn command(manifest: &RunManifest, fidelity: &Value, topology: &str, directory: &Path) -> String {
    if topology.lines().any(|line| REPEATING.iter().any(|key| line.starts_with(key))) {
        return format!("harness run {}", quoted(&directory.display().to_string()));
    }
    let file = if manifest.topology == "stdin" { COPY } else { &manifest.topology };
    let mut words = ["harness", "run", file, "--backend", &manifest.backend].map(str::to_owned).to_vec();
    if let Some(asked) = fidelity.as_str().filter(|asked| manifest.backend == "sim" && *asked != "auto") {
        words.extend(["--fidelity".to_owned(), asked.to_owned()]);
    }
    words.extend(["--seed".to_owned(), manifest.seed.value.to_string()]);
    for value in manifest.variables.iter().chain(&manifest.settings) {
        if value.from.overrides_file() {
            words.extend(["--set".to_owned(), format!("{}={}", value.name, value.value)]);
        }
    }
    if !manifest.options.probe {
        words.push("--no-probe".to_owned());
    }
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,+%@".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> RunManifest {
        let value =
            |name: &str, value: &str, from: &str| serde_json::json!({"name": name, "value": value, "from": from});
        serde_json::from_value(serde_json::json!({
            "schema_version": 1, "program": {"version": "0.1.0", "commit": null}, "command_line": [], "environment": {},
            "replay_of": null, "topology": "a folder/x.yaml", "backend": "sim", "fidelity": "packet",
            "seed": {"value": 7, "from": "file"},
            "variables": [value("die", "1/50", "environment"), value("time", "1m", "file")],
            "settings": [value("heartbeat", "2s; rm x'y", "command-line")],
            "options": {"keep": false, "probe": false, "time_limit_ms": null},
            "started": "", "machine": {"kernel": null, "cores": null, "memory_bytes": null, "engine": null},
            "durations": null,
        }))
        .unwrap()
    }

    #[test]
    fn command_has_all_that_decides_the_run_and_survives_a_shell() {
        let command = command(&manifest(), &"packet".into(), "name: x\n", Path::new("runs/x"));
        assert_eq!(
            command,
            "harness run 'a folder/x.yaml' --backend sim --fidelity packet --seed 7 --set die=1/50 \
             --set 'heartbeat=2s; rm x'\\''y' --no-probe"
        );
    }

    #[test]
    fn topology_of_standard_input_is_the_copy_in_the_record() {
        let manifest = RunManifest { topology: "stdin".to_owned(), ..manifest() };
        let command = command(&manifest, &"auto".into(), "", Path::new("runs/x"));
        assert!(command.starts_with("harness run topology.yaml --backend sim --seed 7"), "{command}");
    }

    #[test]
    fn one_run_of_a_sweep_is_repeated_from_its_record() {
        let command = command(&manifest(), &"auto".into(), "name: x\nsweep: {die: [1]}\n", Path::new("my runs/x-1"));
        assert_eq!(command, "harness run 'my runs/x-1'");
    }
}
