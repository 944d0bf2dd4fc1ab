//! The program `harness` in a folder of its own, without Docker.

#![allow(dead_code, reason = "not every test file uses all of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder with a topology in it, and no Docker.
#[derive(Debug)]
pub(crate) struct Desk(TempDir);

/// Passes in a few seconds.
pub(crate) const SMALL: &str = "\
name: small
seed: 3
networks:
  lan: {}
nodes:
  n: {on: lan, count: 4}
config: {heartbeat: 500ms}
steps:
  - join: {within: 30s}
  - store: {items: 3, size: 1KiB..8KiB, from: all}
  - settle: {for: 2s}
  - retrieve: {items: all, from: [lan, fresh]}
checks:
  - stored == 100%
  - persistence == 100%
  - retrieval == 100%
";

/// Steps in place of the last one of [`SMALL`]: a node is killed, and another comes to the network `cafe`.
const KILL_AND_MOVE: &str =
    "  - kill: {nodes: [n-1]}\n  - settle: {for: 4s}\n  - move: {nodes: [n-2], to: cafe}\n  - settle: {for: 2s}\n";

impl Desk {
    /// `moves.yaml`: [`SMALL`] with another network, in which a node is killed and another moves.
    pub(crate) fn write_moves(&self) {
        let networks = "  lan: {}\n  cafe: {behind: lan, nat: full-cone}\n";
        let text = SMALL
            .replace("  lan: {}\n", networks)
            .replace("  - retrieve: {items: all, from: [lan, fresh]}\n", KILL_AND_MOVE);
        self.write("moves.yaml", &text.replace("  - retrieval == 100%\n", ""));
    }

    pub(crate) fn new() -> Self {
        let desk = Desk(tempfile::tempdir().unwrap());
        desk.write("small.yaml", SMALL);
        desk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HARNESS_")) {
            command.env_remove(name);
        }
        command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").current_dir(self.0.path()).args(arguments);
        command
    }

    pub(crate) fn harness(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// How the program ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ran {
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

#[track_caller]
pub(crate) fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

pub(crate) fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}
