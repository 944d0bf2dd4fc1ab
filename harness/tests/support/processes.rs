//! Processes of this machine, by what the kernel says of them.

#![allow(dead_code, reason = "each test asks for something else")]

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// Its arguments, the program first.
    pub(crate) command: String,
    /// When it began: tells it from a later one with the same number.
    began: String,
}

impl Process {
    /// All that run.
    pub(crate) fn all() -> Vec<Self> {
        let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        entries.filter_map(|entry| Self::read(entry.file_name().to_str()?.parse().ok()?)).collect()
    }

    /// The one with this number, if it runs.
    pub(crate) fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        if matches!(fields[0], "Z" | "X") {
            return None;
        }
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        Some(Process { pid, parent: fields[1].parse().ok()?, command, began: fields[19].to_owned() })
    }

    /// Whether it still runs.
    pub(crate) fn runs(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.began == self.began)
    }

    /// Those that the process of this number has begun.
    pub(crate) fn children_of(parent: u32) -> Vec<Process> {
        Self::all().into_iter().filter(|process| process.parent == parent).collect()
    }

    /// One line of its status.
    pub(crate) fn status(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in\n{status}")).trim().to_owned()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid.try_into().unwrap()), signal).unwrap();
    }
}
