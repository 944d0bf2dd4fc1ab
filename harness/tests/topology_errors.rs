//! Every fault of a topology file is reported at its place with what to write instead: the whole message, word for word.
//!
//! `topology_errors/NAME.yaml` is a broken file, `NAME.txt` what a person reads. `UPDATE_GOLDEN=1` rewrites the latter.

use std::path::{Path, PathBuf};

use butter_harness::planner;
use butter_harness::topology::Overrides;
use proptest::prelude::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/topology_errors")
}

fn broken() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

fn message(name: &str, text: &str, overrides: &Overrides) -> String {
    match planner::read(name, text, overrides) {
        Ok(_) => panic!("{name} was taken"),
        Err(wrong) => wrong.render(false),
    }
}

#[test]
fn every_broken_file_gets_its_message() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let files = broken();
    assert!(files.len() >= 20, "{files:?}");
    let mut differ = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let reported = message(name, &std::fs::read_to_string(&file).unwrap(), &Overrides::default());
        let golden = file.with_extension("txt");
        if update {
            std::fs::write(&golden, &reported).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if reported != expected {
            differ.push(format!("=== {name}, expected:\n{expected}\n=== reported:\n{reported}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn several_faults_are_all_told_in_the_order_of_the_file() {
    let text = std::fs::read_to_string(folder().join("everything_at_once.yaml")).unwrap();
    let wrong = planner::read("x.yaml", &text, &Overrides::default()).unwrap_err();
    let lines: Vec<usize> = wrong.problems().iter().map(|problem| wrong.line(problem).unwrap()).collect();
    assert!(lines.is_sorted(), "{lines:?}");
    for line in [1, 4, 5, 7, 8, 9, 12, 14] {
        assert!(lines.contains(&line), "line {line} of {lines:?}");
    }
}

#[test]
fn a_message_is_coloured_on_request_only() {
    let wrong = planner::read("x.yaml", "networks: 1\n", &Overrides::default()).unwrap_err();
    assert!(wrong.render(true).contains("\u{1b}["));
    assert!(!wrong.render(false).contains('\u{1b}'));
}

#[test]
fn set_is_held_to_what_there_is() {
    let text = "vars: {nodes: 3}\nnetworks: {lan: {}}\nnodes: {n: {on: lan, count: '${nodes}'}}\nsteps: [join: {within: 9s}]\n";
    let set = |set: &[(&str, &str)]| {
        let set = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        message("x.yaml", text, &Overrides { set, ..Overrides::default() })
    };
    let reported = set(&[("ndoes", "4"), ("heartbeat", "4")]);
    assert!(reported.contains("setting ndoes=4") && reported.contains("did you mean 'nodes'?"), "{reported}");
    assert!(reported.contains("setting heartbeat=4") && reported.contains("with its unit"), "{reported}");
    let reported = set(&[("nodes", "none")]);
    assert!(reported.contains("x.yaml:3:") && reported.contains("${nodes} is none"), "{reported}");
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let load = |path: &Path| planner::load(path, &Overrides::default()).unwrap_err().render(false);
    assert!(load(Path::new("nowhere/at-all.yaml")).contains("cannot read nowhere/at-all.yaml: No such file"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.yaml");
    std::fs::write(&file, b"name: \xff\n").unwrap();
    assert!(load(&file).contains("not UTF-8 text (byte 6)"));
    std::fs::write(&file, "#".repeat(2 << 20)).unwrap();
    assert!(load(&file).contains("at most 1048576 bytes"));
}

/// Parts of topologies, whole and broken, that are put together at random.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\\[\\]{}:,&*!|>'\"%@`#$?~ \t\r\n-]{0,12}",
        prop::sample::select(vec![
            "networks:\n",
            "nodes:\n",
            "steps:\n",
            "checks:\n",
            "vars: {a: 1}\n",
            "  a: {on: b}\n",
            "  b: {}\n",
            "é",
            "\u{feff}",
            "- join: {within: 1s}\n",
            "- churn: {for: 1s, die: 1%/s}\n",
            "- retrieve: {items: all}\n",
            "- store: {items: 3}\n",
            "\"${a}\"",
            "${",
            "&x ",
            "*x",
            "<<: ",
            "0x10",
            "1e999",
            "-1",
            "99999999999999999999",
            "/s",
            "%",
            "..",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_reader_panic(parts in prop::collection::vec(fragment(), 0..30)) {
        let text = parts.concat();
        if let Err(wrong) = planner::read("x.yaml", &text, &Overrides::default()) {
            prop_assert!(!wrong.render(true).is_empty());
        }
    }

    /// A shipped topology with some bytes of it replaced, removed, doubled or moved.
    #[test]
    fn no_mutation_makes_the_reader_panic(
        which in 0..3_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), fragment()), 1..4),
    ) {
        let names = ["three-lans", "one-lan", "churn"];
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../topologies/{}.yaml", names[which]));
        let mut text: Vec<char> = std::fs::read_to_string(file).unwrap().chars().collect();
        for (from, to, new) in edits {
            let (from, to) = (from.index(text.len() + 1), to.index(text.len() + 1));
            let range = from.min(to)..from.max(to).min(from.min(to) + 12);
            text.splice(range, new.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(wrong) = planner::read("x.yaml", &text, &Overrides::default()) {
            prop_assert!(!wrong.problems().is_empty());
            prop_assert!(!wrong.render(false).is_empty());
        }
    }
}
