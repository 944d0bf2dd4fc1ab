//! `harness explain`: failures made on purpose on the simulator, each of which has to be explained by its true cause.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Three nodes `h` hold every item. Nodes `q` ask, and have no room for any.
const HEAD: &str = "\
name: broken
seed: 5
networks:
  lan: {}
nodes:
  h: {on: lan, count: 3}
  q: {on: lan, count: 2, config: {storage: 1KiB}}
config: {heartbeat: 500ms, deadline: 3s}
steps:
  - join: {within: 30s}
";

/// A run of a topology with these steps, which ends with this status.
struct Played {
    scratch: TempDir,
    stdout: String,
}

#[track_caller]
fn play(topology: &str, status: i32) -> Played {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("broken.yaml"), topology).unwrap();
    let arguments = ["run", "broken.yaml", "--backend", "sim", "--out", "record"];
    let stdout = harness(scratch.path(), &arguments, status);
    Played { scratch, stdout }
}

#[track_caller]
fn harness(directory: &Path, arguments: &[&str], status: i32) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HARNESS_")) {
        command.env_remove(name);
    }
    let output = command.current_dir(directory).args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {out}{err}");
    out
}

impl Played {
    #[track_caller]
    fn explains(&self, subject: &[&str], parts: &[&str]) -> String {
        let story = harness(self.scratch.path(), &[&["explain", "record"], subject].concat(), 0);
        for part in parts {
            assert!(story.contains(part), "{part:?} is not in:\n{story}");
        }
        story
    }
}

fn with_steps(steps: &str, check: &str) -> String {
    format!("{HEAD}{steps}checks:\n  - {check}\n")
}

#[test]
fn killed_holders_explain_a_lost_item() {
    let steps = "  - store: {items: 2, size: 2KiB, from: h}\n  - kill: {nodes: [h]}\n  - settle: {for: 6s}\n  - retrieve: {items: all, from: q-1}\n";
    let played = play(&with_steps(steps, "persistence == 100%"), 1);
    assert!(played.stdout.contains("persistence == 100%: items 0, 1 failed"), "{}", played.stdout);
    played.explains(
        &[],
        &[
            "broken on sim, seed 5: failed",
            "lost items: 2",
            "item 0: all of its holders were gone",
            "h-1 was killed at",
        ],
    );
    played.explains(
        &["item", "0"],
        &[
            "item 0: lost",
            "held by h-1, h-2 and h-3",
            "h-2 was killed",
            "no live node holds any of it",
            "cause: all of its holders were gone",
        ],
    );
    played.explains(
        &["query", "0"],
        &["q-1 asked for item", "cause: no live node held the item: all of its holders were gone"],
    );
}

#[test]
fn holders_that_were_replaced_have_not_dropped_their_blocks() {
    let steps = "  - store: {items: 1, size: 2KiB, from: h}\n  - kill: {nodes: [h]}\n  - start: {nodes: [h], fresh: true}\n  - settle: {for: 6s}\n";
    let played = play(&with_steps(steps, "persistence == 100%"), 1);
    let story = played.explains(&["item", "0"], &["h-1 was killed at", "and came back without it"]);
    assert!(!story.contains("dropped it"), "{story}");
}

#[test]
fn only_holder_that_was_killed_explains_a_lost_item() {
    let steps = "  - store: {items: 1, size: 2KiB, from: h-1}\n  - kill: {nodes: [h-1]}\n";
    let topology = with_steps(steps, "persistence == 100%").replace("deadline: 3s", "deadline: 3s, replicas: 1");
    let played = play(&topology, 1);
    played.explains(&["item", "0"], &["held by h-1", "cause: its only holder was gone", "h-1 was killed at"]);
}

#[test]
fn one_killed_holder_of_three_is_in_the_story_of_an_item_that_survives() {
    let steps = "  - store: {items: 1, size: 2KiB, from: h}\n  - kill: {nodes: [h-2]}\n  - settle: {for: 6s}\n";
    let played = play(&with_steps(steps, "persistence == 100%"), 0);
    let story = played.explains(
        &["item", "0"],
        &["item 0: held by 2 live nodes at the end", "h-2 was killed", "held by h-1 and h-3"],
    );
    assert!(!story.contains("cause:"), "{story}");
    played.explains(&[], &["lost items: 0", "nodes that were down at the end: 1\n  h-2 was killed at"]);
}

#[test]
fn paused_holders_explain_a_failed_query() {
    let steps = "  - store: {items: 1, size: 2KiB, from: h}\n  - pause: {nodes: [h]}\n  - retrieve: {items: all, from: q-1}\n  - resume: {nodes: [h]}\n  - settle: {for: 5s}\n";
    let played = play(&with_steps(steps, "retrieval == 100%"), 1);
    assert!(played.stdout.contains("retrieval == 100%: query 0 failed"), "{}", played.stdout);
    let story = played
        .explains(&["query", "0"], &["cause: no live node held the item", "h-1 was paused at", "h-3 was paused at"]);
    // The evidence: which nodes the search has asked, over which path, and what they answered.
    assert!(story.contains("asked q-2 over a lan link: it did not have it, after "), "{story}");
    let silent = ["h-1", "h-2", "h-3"].map(|node| format!("asked {node} over a lan link: "));
    let asked = |line: &&str| silent.iter().any(|asked| line.contains(asked));
    let answers: Vec<&str> = story.lines().filter(asked).collect();
    let is_silent = |line: &&str| line.ends_with("no answer") || line.contains("it could not be reached");
    assert!(answers.len() >= 3 && answers.iter().all(is_silent), "{story}");
    played.explains(&[], &["lost items: 0", "failed queries: 1", "h-2 was paused at"]);
}

#[test]
fn partition_explains_a_failed_query() {
    let steps = "  - store: {items: 1, size: 2KiB, from: h}\n  - partition: {sides: [[h], [q]], name: split}\n  - retrieve: {items: all, from: q-1}\n  - heal: split\n  - settle: {for: 5s}\n";
    let played = play(&with_steps(steps, "retrieval == 100%"), 1);
    played.explains(
        &["query", "0"],
        &["the item was held by h-1, h-2 and h-3", "cause: the partition split kept q-1 apart"],
    );
    played.explains(&["item", "0"], &["the partition split began", "the partition split ended"]);
}

#[test]
fn full_store_of_the_node_itself_explains_a_refused_put() {
    let steps = "  - store: {items: 1, size: 4KiB, from: q-1}\n  - retrieve: {items: all, from: h-1}\n";
    let played = play(&with_steps(steps, "stored == 100%"), 1);
    assert!(played.stdout.contains("stored == 100%: item 0 failed"), "{}", played.stdout);
    played.explains(
        &["item", "0"],
        &["item 0: not stored", "cause: its put was refused or failed: the storage of this node is full"],
    );
    played.explains(
        &["query", "0"],
        &["cause: item 0 was never stored: its put failed: the storage of this node is full"],
    );
    played.explains(&[], &["failed puts: 1", "item 0 by q-1"]);
}

#[test]
fn full_stores_of_the_peers_explain_a_failed_put() {
    let steps = "  - store: {items: 1, size: 4KiB, from: h-1}\n";
    let topology = with_steps(steps, "stored == 100%").replace("count: 3}", "count: 1}");
    let played = play(&topology, 1);
    played.explains(&["item", "0"], &["item 0: not stored", "h-1 could not store it", "copies"]);
}

#[test]
fn missing_records_items_and_queries_are_usage_errors() {
    let steps = "  - store: {items: 1, size: 2KiB, from: h}\n";
    let played = play(&with_steps(steps, "stored == 100%"), 0);
    for arguments in [
        &["explain", "none"][..],
        &["explain", "record", "item", "7"],
        &["explain", "record", "query", "0"],
        &["explain", "record", "item"],
    ] {
        harness(played.scratch.path(), arguments, 2);
    }
}

#[test]
fn peers_without_room_explain_why_repair_did_not_save_an_item() {
    let steps = "  - store: {items: 1, size: 2KiB, from: h-1}\n  - kill: {nodes: [h-2]}\n  - settle: {for: 8s}\n  - kill: {nodes: [h-1, h-3]}\n  - settle: {for: 5s}\n";
    let played = play(&with_steps(steps, "persistence == 100%"), 1);
    played.explains(
        &["item", "0"],
        &["wanted q-1 to hold it: no room", "wanted q-2 to hold it: no room", "; repairs failed: ", "no room ("],
    );
    played.explains(&[], &["item 0: all of its holders were gone", "no room ("]);
}

#[test]
fn lack_of_candidates_explains_why_repair_did_not_save_an_item() {
    let steps = "  - store: {items: 1, size: 2KiB, from: h-1}\n  - kill: {nodes: [h-2, q]}\n  - settle: {for: 8s}\n  - kill: {nodes: [h-1, h-3]}\n";
    let played = play(&with_steps(steps, "persistence == 100%"), 1);
    played
        .explains(&["item", "0"], &["wanted a further holder and knew no candidate", "; repairs failed: no candidate"]);
}

#[test]
fn partition_explains_links_that_do_not_come_up() {
    let topology = "\
name: broken
seed: 5
networks:
  internet: {}
  left: {behind: internet, nat: port-restricted}
  right: {behind: internet, nat: port-restricted}
nodes:
  hub: {on: internet, ambassador: true}
  l: {on: left}
  r: {on: right}
steps:
  - join: {within: 30s}
  - partition: {sides: [[l], [hub, r]], name: split}
  - settle: {for: 20s}
  - connect: {among: [l, r], within: 5s}
checks:
  - connected == 100%
";
    let played = play(topology, 1);
    played.explains(&[], &["links that did not come up: 1", "; the partition split kept them apart"]);
}
