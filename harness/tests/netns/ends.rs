//! Promise: nothing is left of a run, however it ends; and what ends unexpectedly is reported.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::Signal;

use crate::support::{Desk, ENDLESS, Player, Playing, eventually};

/// What a run could leave on this machine: interfaces and named namespaces.
fn traces() -> BTreeSet<String> {
    let folders = ["/sys/class/net", "/run/netns", "/var/run/netns"].map(fs::read_dir);
    let entries = folders.into_iter().filter_map(Result::ok).flatten();
    entries.map(|entry| entry.unwrap().path().display().to_string()).collect()
}

fn killed_leaves_nothing(player: Player) {
    let Some(desk) = Desk::of(player) else { return };
    let playing = desk.play_endless();
    let children = playing.children();
    assert_eq!(children.len(), 3 + 2, "three nodes, two routers: {children:?}");
    playing.signal(Signal::SIGKILL);
    assert_eq!(playing.ended().0, None);
    eventually("every process has ended", || !children.iter().any(|child| child.runs()));
    let ours = |trace: &String| trace.rsplit('/').next().is_some_and(|name| name == "n0" || name == "p0");
    assert!(!traces().iter().any(ours), "{:?}", traces());
}

#[test]
fn a_killed_run_of_root_leaves_nothing() {
    killed_leaves_nothing(Player::Own);
}

#[test]
fn a_killed_run_of_an_ordinary_user_leaves_nothing() {
    killed_leaves_nothing(Player::Ordinary);
}

fn interrupted_leaves_nothing(signal: Signal) {
    let Some(desk) = Desk::of(Player::Ordinary) else { return };
    let playing = desk.play_endless();
    let children = playing.children();
    playing.signal(signal);
    let (status, said) = playing.ended();
    assert_eq!(status, Some(130), "{said}");
    assert!(!children.iter().any(|child| child.runs()), "{children:?}");
    assert!(said.contains("ending processes"), "{said}");
}

#[test]
fn an_interrupted_run_ends_with_130_and_takes_its_processes_along() {
    interrupted_leaves_nothing(Signal::SIGINT);
}

#[test]
fn a_run_whose_terminal_is_closed_takes_its_processes_along() {
    interrupted_leaves_nothing(Signal::SIGHUP);
}

/// Plays the endless run, has somebody die, interrupts it, and returns its last words of who died.
fn death(kill: impl Fn(&Playing), result: impl Fn(&serde_json::Value)) -> Option<String> {
    let desk = Desk::of(Player::Own)?;
    let mut playing = desk.play_endless();
    kill(&playing);
    let line = playing.says(" unexpectedly");
    playing.signal(Signal::SIGINT);
    playing.ended();
    let text = fs::read_to_string(desk.path("out/result.json")).unwrap();
    result(&serde_json::from_str(&text).unwrap());
    Some(line)
}

#[test]
fn node_that_dies_is_reported_with_its_last_output() {
    let Some(line) = death(
        // As a panic ends it.
        |playing| playing.node("203.0.113.10").signal(Signal::SIGABRT),
        |result| assert_eq!(result["incidents"]["first"][0]["kind"], "node_died"),
    ) else {
        return;
    };
    assert!(line.contains("ambassador: the node was killed (SIGABRT) unexpectedly; it said last:"), "{line}");
}

#[test]
fn router_that_dies_is_reported() {
    let Some(line) = death(
        |playing| playing.routers()[0].signal(Signal::SIGKILL),
        |result| assert_eq!(result["incidents"]["first"][0]["kind"], "router_died"),
    ) else {
        return;
    };
    assert!(line.contains("network `") && line.contains("the router was killed (SIGKILL)"), "{line}");
}

#[test]
fn a_run_whose_router_died_fails_with_status_3_and_an_error_in_junit() {
    let Some(desk) = Desk::of(Player::Own) else { return };
    let mut playing = desk.play(&ENDLESS.replace("10m", "5s"), &["--junit", "junit.xml"]);
    playing.routers()[0].signal(Signal::SIGKILL);
    playing.says(" unexpectedly");
    let (status, said) = playing.ended();
    assert_eq!(status, Some(3), "{said}");
    let result: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(desk.path("out/result.json")).unwrap()).unwrap();
    assert_eq!(result["verdict"], "environment_failed");
    let junit = fs::read_to_string(desk.path("junit.xml")).unwrap();
    assert!(junit.contains("errors=\"1\"") && junit.contains("the router was killed (SIGKILL)"), "{junit}");
}
