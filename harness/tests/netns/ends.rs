//! Promise: nothing is left of a run, however it ends; and what ends unexpectedly is reported.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::Signal;

use crate::support::{Desk, Player, eventually};

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

#[test]
fn an_interrupted_run_ends_with_130_and_takes_its_processes_along() {
    let Some(desk) = Desk::of(Player::Ordinary) else { return };
    let playing = desk.play_endless();
    let children = playing.children();
    playing.signal(Signal::SIGINT);
    let (status, said) = playing.ended();
    assert_eq!(status, Some(130), "{said}");
    assert!(!children.iter().any(|child| child.runs()), "{children:?}");
    assert!(said.contains("ending processes"), "{said}");
}

#[test]
fn node_that_dies_is_reported_with_its_last_output() {
    let Some(desk) = Desk::of(Player::Own) else { return };
    let mut playing = desk.play_endless();
    // As a panic ends it.
    playing.node("203.0.113.10").signal(Signal::SIGABRT);
    let line = playing.says(" unexpectedly");
    assert!(line.contains("ambassador: the node was killed (SIGABRT) unexpectedly; it said last:"), "{line}");
}

#[test]
fn router_that_dies_is_reported() {
    let Some(desk) = Desk::of(Player::Own) else { return };
    let mut playing = desk.play_endless();
    playing.routers()[0].signal(Signal::SIGKILL);
    let line = playing.says(" unexpectedly");
    assert!(line.contains("the router of network `") && line.contains("was killed (SIGKILL)"), "{line}");
}
