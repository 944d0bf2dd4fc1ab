//! A user with a folder of labs of their own, who gives commands.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use tempfile::TempDir;

pub(crate) use crate::processes::Process;
pub(crate) use crate::programs::eventually;
use crate::programs::{DEADLINE, node};
use crate::skipped::skipped;

/// User and group 65534.
const ORDINARY: u32 = 65_534;

/// Three nodes on one LAN.
pub(crate) const LAB: &str = "\
name: by-hand
seed: 3
networks:
  lan: {}
nodes:
  n: {on: lan, count: 3}
config: {heartbeat: 500ms}
steps:
  - join: {within: 30s}
checks:
  - views connected == 100%
";

/// Two nodes at home, and an ambassador on the internet.
pub(crate) const HOME: &str = "\
name: by-hand
seed: 3
networks:
  internet: {}
  home: {behind: internet, nat: full-cone, link: {latency: 5ms}}
nodes:
  ambassador: {on: internet, ambassador: true}
  n: {on: home, count: 2}
config: {heartbeat: 500ms}
steps:
  - join: {within: 30s}
checks:
  - views connected == 100%
";

/// Steps without a topology.
pub(crate) const STEPS: &str = "\
steps:
  - store: {items: 5, size: 1KiB..8KiB}
  - kill: {nodes: [n-3]}
  - start: {nodes: [n-3]}
  - wait: {until: persistence == 100%, within: 30s}
  - retrieve: {items: all, from: [n]}
checks:
  - stored == 100%
  - retrieval == 100%
";

/// What labs are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Netns,
    Docker,
}

impl Backend {
    fn name(self) -> &'static str {
        match self {
            Backend::Netns => "netns",
            Backend::Docker => "docker",
        }
    }

    /// Set to make its absence a failure.
    fn required(self) -> &'static str {
        match self {
            Backend::Netns => "BUTTER_REQUIRE_NETNS",
            Backend::Docker => "BUTTER_REQUIRE_DOCKER",
        }
    }
}

/// A folder with programs, files and labs. Labs that are up are removed at its end.
#[derive(Debug)]
pub(crate) struct Desk {
    folder: TempDir,
    backend: Backend,
    changes_user: bool,
    /// One test at a time has labs on the engine, where the name of the topology tells them apart.
    _turn: Option<MutexGuard<'static, ()>>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    status: Option<i32>,
}

impl Ran {
    /// Panics if it ended otherwise.
    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self:#?}");
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { stdout: text(output.stdout), stderr: text(output.stderr), status: output.status.code() }
    }
}

impl Desk {
    /// Of whoever runs the tests; `None` where this backend cannot be used.
    pub(crate) fn new(backend: Backend) -> Option<Self> {
        Self::make(backend, false)
    }

    /// Of user 65534 if root runs the tests.
    pub(crate) fn of_ordinary_user() -> Option<Self> {
        Self::make(Backend::Netns, nix::unistd::geteuid().is_root())
    }

    fn make(backend: Backend, changes_user: bool) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_harness"), folder.path().join("harness")).unwrap();
        fs::copy(node(), folder.path().join("butter")).unwrap();
        static ENGINE: Mutex<()> = Mutex::new(());
        let turn = || ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
        let desk = Desk { folder, backend, changes_user, _turn: (backend == Backend::Docker).then(turn) };
        for name in ["work", "run"] {
            let path = desk.folder.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
            if changes_user {
                chown(&path, Some(ORDINARY), Some(ORDINARY)).unwrap();
            }
        }
        let doctor = desk.run(&["doctor"]).stdout;
        if doctor.lines().any(|line| line.starts_with(backend.name()) && line.contains(" works")) {
            return Some(desk);
        }
        assert!(std::env::var(backend.required()).as_deref() != Ok("1"), "{backend:?} cannot be used here:\n{doctor}");
        skipped(format_args!("{backend:?} cannot be used here:\n{doctor}"));
        None
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join("work").join(name);
        fs::write(&path, text).unwrap();
    }

    /// Where a file of the user is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    /// The program with these arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.folder.path().join("harness"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HARNESS_")) {
            command.env_remove(name);
        }
        if self.backend == Backend::Netns {
            command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        }
        command.env("HARNESS_BACKEND", self.backend.name()).env("SHELL", "/bin/sh");
        command.env("BUTTER_NODE_BINARY", self.folder.path().join("butter"));
        command.env("XDG_RUNTIME_DIR", self.folder.path().join("run"));
        command.current_dir(self.folder.path().join("work")).args(arguments).stdin(Stdio::null());
        if self.changes_user {
            command.uid(ORDINARY).gid(ORDINARY);
        }
        command
    }

    /// Runs the program.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs the program with this on its standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// A lab, as `ps --json` shows it.
    pub(crate) fn lab(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.run(&["ps", name, "--json"]).exits(0).stdout).unwrap()
    }

    /// The keeper of a lab.
    pub(crate) fn keeper(&self, name: &str) -> Process {
        Process::read(self.lab(name)["keeper"].as_u64().unwrap() as u32).unwrap()
    }

    /// The folders of labs.
    pub(crate) fn labs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("run/butter")).into_iter().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The keepers that run the program of this desk.
    pub(crate) fn keepers(&self) -> Vec<Process> {
        let program = self.folder.path().join("harness");
        let of_desk =
            |process: &Process| fs::read_link(format!("/proc/{}/exe", process.pid)).is_ok_and(|exe| exe == program);
        Process::all().into_iter().filter(|process| process.command.contains(" keeper ") && of_desk(process)).collect()
    }

    /// Whether a process runs this command below that one.
    pub(crate) fn runs(&self, command: &str, parent: u32) -> bool {
        Process::all().iter().any(|process| process.parent == parent && process.command.trim_end() == command)
    }

    /// Number of packets of a capture that a filter of tshark lets through; `None` where tshark is missing.
    ///
    /// # Panics
    /// If it is missing and `BUTTER_REQUIRE_TOOLS` is set to 1.
    pub(crate) fn tshark(&self, file: &str, filter: &str) -> Option<usize> {
        // Read by its content alone: dissectors of tshark run as the user of the tests.
        let mut command = Command::new("tshark");
        command.arg("-r").arg(self.path(file)).args(["-Y", filter, "-T", "fields", "-e", "frame.number"]);
        match command.output() {
            Ok(output) => {
                assert!(output.status.success(), "{output:?}");
                Some(String::from_utf8_lossy(&output.stdout).lines().count())
            }
            Err(error) => {
                assert!(std::env::var("BUTTER_REQUIRE_TOOLS").as_deref() != Ok("1"), "tshark: {error}");
                skipped(format_args!("tshark cannot be started: {error}"));
                None
            }
        }
    }

    /// What the engine has of the labs of these tests.
    pub(crate) fn on_engine(&self) -> String {
        let lists = [&["ps", "-aq"][..], &["network", "ls", "-q"], &["volume", "ls", "-q"]];
        let list = |list: &&[&str]| {
            let filter = ["--filter", "label=butter.topology=by-hand"];
            let output = Command::new("docker").args(*list).args(filter).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        lists.iter().map(list).collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if !self.labs().is_empty() {
            self.run(&["down", "--all"]);
        }
    }
}

/// The lines of a stream, as they come.
pub(crate) struct Lines(Receiver<String>);

/// Reads a stream to its end, on a thread of its own.
pub(crate) fn lines(stream: impl Read + Send + 'static) -> Lines {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // Those after the last one that is waited for are not read.
            let _ = sender.send(line);
        }
    });
    Lines(lines)
}

impl Lines {
    /// Waits for a line that contains `part`.
    pub(crate) fn until(&self, part: &str) {
        while !self.0.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("not said: {part}")).contains(part) {}
    }
}
