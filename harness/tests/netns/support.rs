//! The program `harness` on namespaces, as root and as an ordinary user.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub(crate) use crate::processes::Process;
pub(crate) use crate::programs::eventually;
use crate::programs::node;
use crate::skipped::skipped;

/// Set to make a machine without namespaces fail these tests instead of skipping them.
const REQUIRED: &str = "BUTTER_REQUIRE_NETNS";
/// User and group 65534.
const ORDINARY: u32 = 65_534;

/// Goes on until somebody ends it.
pub(crate) const ENDLESS: &str = "\
name: endless
seed: 3
networks:
  internet: {subnet: 203.0.113.0/24}
  home: {behind: internet, subnet: 10.1.0.0/24, nat: full-cone}
nodes:
  ambassador: {on: internet, ambassador: true}
  n: {on: home, count: 2}
config: {heartbeat: 500ms}
steps:
  - join: {within: 30s}
  - settle: {for: 10m}
";

/// Who plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Player {
    /// Whoever runs the tests.
    Own,
    /// User 65534, where root runs the tests; else as above.
    Ordinary,
}

/// A folder of a player with the programs in it.
#[derive(Debug)]
pub(crate) struct Desk {
    folder: TempDir,
    player: Player,
}

impl Desk {
    /// One, or `None` where this player cannot make namespaces.
    ///
    /// # Panics
    /// If that is so, and [`REQUIRED`] is set to 1.
    pub(crate) fn of(player: Player) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_harness"), folder.path().join("harness")).unwrap();
        fs::copy(node(), folder.path().join("butter")).unwrap();
        let work = folder.path().join("work");
        fs::create_dir(&work).unwrap();
        let desk = Desk { folder, player };
        if desk.changes_user() {
            chown(&work, Some(ORDINARY), Some(ORDINARY)).unwrap();
        }
        let doctor = desk.command(&["doctor"]).output().unwrap();
        let doctor = String::from_utf8(doctor.stdout).unwrap();
        if doctor.contains("\nnetns    works") {
            return Some(desk);
        }
        assert!(std::env::var(REQUIRED).as_deref() != Ok("1"), "{player:?} cannot make namespaces here:\n{doctor}");
        skipped(format_args!("{player:?} cannot make namespaces here:\n{doctor}"));
        None
    }

    fn changes_user(&self) -> bool {
        self.player == Player::Ordinary && nix::unistd::geteuid().is_root()
    }

    /// Who owns what this player writes.
    pub(crate) fn user(&self) -> u32 {
        if self.changes_user() { ORDINARY } else { nix::unistd::geteuid().as_raw() }
    }

    /// Where the player works.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    /// The program with these arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.folder.path().join("harness"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HARNESS_")) {
            command.env_remove(name);
        }
        command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        command.env("BUTTER_NODE_BINARY", self.folder.path().join("butter"));
        command.current_dir(self.path(".")).args(arguments).stdin(Stdio::null());
        if self.changes_user() {
            command.uid(ORDINARY).gid(ORDINARY);
        }
        command
    }

    /// Begins to play [`ENDLESS`]: its nodes have joined.
    pub(crate) fn play_endless(&self) -> Playing {
        self.play(ENDLESS, &[])
    }

    /// Begins to play a topology of two steps, of which the second has begun.
    pub(crate) fn play(&self, topology: &str, more: &[&str]) -> Playing {
        fs::write(self.path("t.yaml"), topology).unwrap();
        let arguments = ["run", "t.yaml", "--backend", "netns", "--out", "out"];
        let mut command = self.command(&[&arguments, more].concat());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut playing = Playing { child, lines };
        playing.says("step 2 of 2");
        playing
    }
}

/// A program that plays. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Playing {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Playing {
    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Reads what it says up to a line that contains `part`: that line.
    ///
    /// # Panics
    /// If it ends before.
    pub(crate) fn says(&mut self, part: &str) -> String {
        let mut said = Vec::new();
        for line in self.lines.by_ref().map(Result::unwrap) {
            if line.contains(part) {
                return line;
            }
            said.push(line);
        }
        panic!("not said: {part}\n{}", said.join("\n"))
    }

    /// Waits for its end: its exit status, if it has one, and what it said meanwhile.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let lines: Vec<String> = self.lines.by_ref().map(Result::unwrap).collect();
        (self.child.wait().unwrap().code(), lines.join("\n"))
    }

    /// The processes that it has begun.
    pub(crate) fn children(&self) -> Vec<Process> {
        Process::children_of(self.child.id())
    }

    /// The process of a node.
    pub(crate) fn node(&self, address: &str) -> Process {
        let namespace_has = |process: &Process| {
            let table = format!("/proc/{}/net/fib_trie", process.pid);
            fs::read_to_string(table).is_ok_and(|table| table.contains(&format!("|-- {address}\n")))
        };
        let found =
            self.children().into_iter().find(|child| child.command.starts_with("butter") && namespace_has(child));
        found.unwrap_or_else(|| panic!("no node has {address}"))
    }

    /// The routers.
    pub(crate) fn routers(&self) -> Vec<Process> {
        self.children().into_iter().filter(|child| child.command.starts_with("harness")).collect()
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
