//! The guide and the README say what is so: every topology in them is valid, every command runs on the simulator or is named in
//! [`NOT_RUN`] with the reason, every link leads somewhere, and the table of contents has every page.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use butter_harness::planner;
use butter_harness::topology::Overrides;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_norway::{Mapping, Value};

/// Commands that begin so are not run here, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo build", BUILDS),
    ("cargo test", BUILDS),
    ("cargo run --release -p butter", BUILDS),
    ("cargo run -p butter", BUILDS),
    ("alias butter", NODE),
    ("butter ", NODE),
    ("echo 'hello' | butter", NODE),
    ("echo hello | butter", NODE),
    ("curl ", NODE),
    (
        "harness run topologies/three-lans.yaml --metrics",
        "goes on for minutes: harness/tests/dashboards.rs does the same",
    ),
    (
        "harness run topologies/three-lans.yaml --serve",
        "goes on until Ctrl-C: harness/tests/report_served.rs does the same",
    ),
    ("promtool ", "Prometheus may be missing: harness/tests/dashboards.rs runs the same"),
    ("harness run topologies/three-lans.yaml --backend netns", "plays in real time: .ci/run plays it"),
    ("harness run topologies/churn.yaml", LONG),
    ("harness run topologies/nat-matrix.yaml", LONG),
    ("harness compare runs/heartbeat-2s", "compares runs that are not played here"),
    ("harness explore", "takes long: harness/tests/explore.rs searches"),
    ("harness agree", "plays in real time"),
    ("harness explain runs/three-lans-", "its record is made by a run in real time"),
    ("harness up ", LAB),
    ("harness ps", LAB),
    ("harness exec ", LAB),
    ("date | harness put ", LAB),
    ("harness play ", LAB),
    ("harness capture ", LAB),
    ("harness down", LAB),
    ("prometheus ", "goes on until it is stopped: harness/tests/dashboards.rs runs it"),
    ("docker compose", "needs a registry: harness/tests/dashboards.rs plays its parts"),
];
const BUILDS: &str = "compiles: .ci/run does the same";
const NODE: &str =
    "needs a node that goes on: node/tests/program.rs and harness/tests/http_api.rs use the same interface";
const LAB: &str = "works in a lab that stays up: harness/tests/by_hand.rs does the same";
const LONG: &str = "takes long unoptimised: .ci/run plays it";

/// For one command on a busy machine.
const COMMAND_WITHIN: Duration = Duration::from_secs(300);

fn root() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap()
}

/// The pages of the guide that people have written, and the README.
fn pages() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    found.extend([root().join("README.md"), root().join("dashboards/README.md")]);
    found.sort();
    assert!(found.len() >= 11, "{found:?}");
    found
}

/// A block of code with its language and the line of its first line.
#[derive(Debug)]
struct Block {
    language: String,
    line: usize,
    text: String,
}

fn blocks(page: &Path) -> Vec<Block> {
    let (mut found, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
    for (at, line) in fs::read_to_string(page).unwrap().lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some(Block { language: language.trim().to_owned(), line: at + 2, text: String::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: a block of code has no end", page.display());
    found
}

/// What the parts of a topology in the guide are read with.
const BASE: &str = "\
name: base
networks:
  internet: {}
  alpha: {behind: internet, nat: port-restricted}
  beta: {behind: internet, nat: symmetric}
nodes:
  ambassador: {on: internet, ambassador: true}
  a: {on: alpha, count: 2}
  b: {on: beta, count: 2}
";
/// Steps that give checks something to measure.
const STEPS: &str = "\
steps:
  - join: {within: 30s}
  - store: {items: 5}
  - retrieve: {items: all, from: all}
";

/// A whole topology of a block: it may be one, or keys of one, or steps, or checks.
fn whole(text: &str) -> String {
    let value: Value = serde_norway::from_str(text).unwrap();
    let base = |steps: &str| serde_norway::from_str::<Mapping>(&format!("{BASE}{steps}")).unwrap();
    let merged = match value {
        Value::Mapping(keys) if keys.contains_key("networks") => return text.to_owned(),
        Value::Mapping(keys) => {
            let mut merged = base(if keys.contains_key("steps") { "" } else { STEPS });
            merged.extend(keys);
            merged
        }
        Value::Sequence(list) => {
            let is_checks = list.iter().all(Value::is_string);
            let mut merged = base(if is_checks { STEPS } else { "" });
            merged.insert(if is_checks { "checks" } else { "steps" }.into(), Value::Sequence(list));
            merged
        }
        other => panic!("neither keys nor a list: {other:?}"),
    };
    serde_norway::to_string(&merged).unwrap()
}

#[test]
fn every_topology_of_the_guide_is_valid() {
    let mut count = 0;
    for page in pages() {
        for Block { line, text, .. } in blocks(&page).into_iter().filter(|block| block.language == "yaml") {
            let place = format!("{}:{line}", page.display());
            if let Err(wrong) = planner::read("block.yaml", &whole(&text), &Overrides::default()) {
                panic!("{place}: {}", wrong.render(false));
            }
            count += 1;
        }
    }
    assert!(count >= 7, "{count}");
}

#[test]
fn other_yaml_of_the_guide_is_yaml() {
    for page in pages() {
        for Block { line, text, .. } in blocks(&page).into_iter().filter(|block| block.language == "yml") {
            let read = serde_norway::from_str::<Value>(&text);
            assert!(read.is_ok_and(|value| value.is_mapping()), "{}:{line}", page.display());
        }
    }
}

/// Commands of a block of the sort `console`, as they would be typed; a backslash at the end joins lines.
fn commands(block: &Block) -> Vec<String> {
    let joined = block.text.replace("\\\n", " ");
    let typed = joined.lines().filter_map(|line| line.trim_start().strip_prefix("$ "));
    typed
        .map(|line| line.split("   #").next().unwrap_or(line).trim().replace("cargo run --release -- ", "harness "))
        .collect()
}

fn reason_not_to_run(command: &str) -> Option<&'static str> {
    let line = format!("{command}\n");
    NOT_RUN.iter().find(|(start, _)| line.starts_with(start)).map(|(_, reason)| *reason)
}

/// A folder in which the commands of a page run: topologies of the tree, those of the page's blocks, and the program.
fn desk(page: &Path) -> tempfile::TempDir {
    let desk = tempfile::tempdir().unwrap();
    let programs = desk.path().join("programs");
    fs::create_dir(&programs).unwrap();
    symlink(env!("CARGO_BIN_EXE_harness"), programs.join("harness")).unwrap();
    for name in ["topologies", "dashboards", "docs"] {
        symlink(root().join(name), desk.path().join(name)).unwrap();
    }
    for Block { text, .. } in blocks(page).into_iter().filter(|block| block.language == "yaml") {
        if let Some(name) = text.lines().next().and_then(|line| line.strip_prefix("name: ")) {
            fs::write(desk.path().join(format!("{name}.yaml")), &text).unwrap();
        }
    }
    desk
}

/// Runs a command to its end. Whatever it starts ends with it.
#[track_caller]
fn run(command: &str, desk: &Path, place: &str) {
    use std::os::unix::process::CommandExt;
    let path = format!("{}:{}", desk.join("programs").display(), std::env::var("PATH").unwrap_or_default());
    let said = desk.join("said");
    let out = fs::File::create(&said).unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("set -o pipefail; {command}")]).current_dir(desk).env("PATH", path);
    shell.env("HARNESS_BACKEND", "sim").stdin(Stdio::null()).process_group(0);
    let mut child = shell.stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if begun.elapsed() > COMMAND_WITHIN => break None,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    if status.is_none() {
        _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
        _ = child.wait();
    }
    let said = fs::read_to_string(&said).unwrap_or_default();
    assert!(status.is_some_and(|status| status.success()), "{place}: `{command}`: {status:?}\n{said}");
}

#[test]
fn commands_of_the_guide_run() {
    let (mut ran, mut left) = (0, BTreeSet::new());
    for page in pages() {
        let desk = desk(&page);
        for block in blocks(&page).iter().filter(|block| block.language == "console") {
            for command in commands(block) {
                match reason_not_to_run(&command) {
                    Some(reason) => drop(left.insert((command, reason))),
                    None => {
                        run(&command, desk.path(), &format!("{}:{}", page.display(), block.line));
                        ran += 1;
                    }
                }
            }
        }
    }
    for (command, reason) in &left {
        println!("not run: {command} ({reason})");
    }
    assert!(ran >= 20, "only {ran} commands ran");
}

/// Commands that are not run have the names and options that the reference lists.
#[test]
fn commands_and_options_of_the_guide_exist() {
    let page = |program: &str| fs::read_to_string(root().join(format!("docs/reference/{program}.md"))).unwrap();
    let references = [("harness", page("harness")), ("butter", page("butter"))];
    let mut seen = 0;
    for file in pages() {
        for block in blocks(&file).iter().filter(|block| block.language == "console") {
            for command in commands(block).iter().flat_map(|line| line.split(['|', ';', '&'])) {
                let words: Vec<&str> = command.split_whitespace().collect();
                let Some((_, reference)) = references.iter().find(|(program, _)| words.first() == Some(program)) else {
                    continue;
                };
                let place = format!("{}:{}: {command}", file.display(), block.line);
                let names: Vec<&str> = words[1..].iter().copied().filter(|word| !word.starts_with('-')).collect();
                let heads: Vec<&str> = reference.lines().filter_map(|line| line.strip_prefix("## `")).collect();
                let is_known = |name: &&str| heads.contains(&format!("{} {name}`", words[0]).as_str());
                assert!(names.iter().any(is_known), "{place}: there is no such command");
                for option in words.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                    let option = option.split('=').next().unwrap_or(option);
                    let is_listed = ["`", ", "].iter().any(|before| reference.contains(&format!("{before}{option}")));
                    assert!(is_listed || option == "--help", "{place}: {option}");
                }
                seen += 1;
            }
        }
    }
    assert!(seen >= 30, "{seen}");
}

#[test]
fn every_link_of_the_guide_leads_somewhere() {
    let reference: Vec<PathBuf> =
        fs::read_dir(root().join("docs/reference")).unwrap().map(|entry| entry.unwrap().path()).collect();
    for page in pages().into_iter().chain(reference) {
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(file.exists(), "{}: {target}", page.display());
            if !anchor.is_empty() {
                let text = fs::read_to_string(&file).unwrap();
                let slugs: BTreeSet<String> = text.lines().filter(|line| line.starts_with('#')).map(slug).collect();
                assert!(slugs.contains(anchor), "{}: {target}: {slugs:?}", page.display());
            }
        }
    }
}

/// The name of a heading in links, as mdBook and GitHub make it.
fn slug(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter);
    heading.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

#[test]
fn the_table_of_contents_has_every_page() {
    let contents = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    for folder in ["docs", "docs/reference"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root().join("docs")).unwrap().display().to_string();
            if name.ends_with(".md") && name != "SUMMARY.md" {
                assert!(contents.contains(&format!("]({name})")), "{name} is not in docs/SUMMARY.md");
            }
        }
    }
}

#[test]
fn the_checks_themselves_can_fail() {
    assert!(whole("- stored == 100%\n").contains("retrieve"));
    let wrong = whole("- stored == 100%\n- nonsense > 3\n");
    assert!(planner::read("block.yaml", &wrong, &Overrides::default()).is_err());
    let block = Block {
        language: "console".to_owned(),
        line: 1,
        text: "$ cargo run --release -- doctor   # all\nfine\n".to_owned(),
    };
    assert_eq!(commands(&block), ["harness doctor"]);
    assert!(reason_not_to_run("butter status").is_some() && reason_not_to_run("harness doctor").is_none());
    assert_eq!(slug("## `churn`, and more"), "churn-and-more");
}
