//! A process of a run: confined, listened to, and gone with the harness.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Namespace;
use super::confine::confine;
pub(crate) use super::confine::{Privileges, UNPRIVILEGED_ID};

/// Bytes of one process's log that are kept: the beginning.
const KEPT_MAX: u64 = 4 << 20;
/// Bytes of the end of a log that are held for error messages.
const TAIL_MAX: usize = 4 << 10;
/// Lines in an error message.
const TAIL_LINES: usize = 5;
/// Signals to one process that wait.
const SIGNALS_MAX: usize = 4;

/// A program that was opened while its path could be followed: whoever runs it may not be let through its folders.
#[derive(Debug)]
pub(crate) struct Program {
    file: File,
    name: OsString,
}

impl Program {
    /// Opens it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
        Ok(Program { file, name: path.file_name().unwrap_or_default().to_owned() })
    }
}

/// How a process is started.
#[derive(Debug)]
pub(crate) struct ProcessSpec {
    pub(crate) program: Arc<Program>,
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(&'static str, String)>,
    pub(crate) privileges: Privileges,
    /// Its working directory.
    pub(crate) folder: Option<OwnedFd>,
    /// Doors of the control groups that it enters.
    pub(crate) groups: Vec<OwnedFd>,
    /// Where its log is added to.
    pub(crate) log: Option<PathBuf>,
}

/// A process. Killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    id: Option<i32>,
    signals: mpsc::Sender<Signal>,
    tail: Arc<Tail>,
    end: Arc<ProcessEnd>,
}

/// How a process ends.
#[derive(Debug, Default)]
struct ProcessEnd {
    status: OnceLock<i64>,
    over: CancellationToken,
}

impl Process {
    /// Starts one in a namespace.
    pub(crate) async fn start(namespace: &Namespace, process_spec: ProcessSpec) -> anyhow::Result<Self> {
        let log = process_spec.log.as_deref().map(Log::open).transpose()?;
        let runtime = tokio::runtime::Handle::current();
        let spawn = move || {
            let _runtime = runtime.enter();
            process_spec.spawn().context("the program cannot be started")
        };
        let (child, output) = namespace.run(spawn).await?;
        let output = pipe::Receiver::from_owned_fd(output.into()).context("listening to a process")?;
        let (signals, queue) = mpsc::channel(SIGNALS_MAX);
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let process = Process { id, signals, tail: Arc::default(), end: Arc::default() };
        tokio::spawn(attend(child, queue, output, log, Arc::clone(&process.tail), Arc::clone(&process.end)));
        Ok(process)
    }

    /// Its number; `None` once it has ended.
    pub(crate) fn id(&self) -> Option<i32> {
        self.id.filter(|_| !self.end.over.is_cancelled())
    }

    /// Sends a signal, unless it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        // Full: earlier signals still wait.
        let _ = self.signals.try_send(signal);
    }

    /// Waits for its end: its exit status, or 128 and the signal that ended it.
    pub(crate) fn ended(&self) -> impl Future<Output = i64> + Send + use<> {
        let end = Arc::clone(&self.end);
        async move {
            end.over.cancelled().await;
            *end.status.get().expect("set before")
        }
    }

    /// The last lines that it wrote, ready to follow an error message; empty when there are none.
    pub(crate) fn last_output(&self) -> String {
        self.tail.quote()
    }
}

impl ProcessSpec {
    fn spawn(self) -> io::Result<(Child, PipeReader)> {
        let (output, input) = io::pipe()?;
        // Followed by the kernel without asking for permission on the way.
        let program = format!("/proc/self/fd/{}", self.program.file.as_raw_fd());
        let mut command = std::process::Command::new(program);
        command.arg0(&self.program.name).args(&self.arguments).env_clear().envs(self.variables);
        command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
        confine(&mut command, self.privileges, self.folder, self.groups);
        Ok((Command::from(command).kill_on_drop(true).spawn()?, output))
    }
}

/// Waits for the end of a process, passes on signals and keeps what it writes.
async fn attend(
    mut child: Child,
    mut signals: mpsc::Receiver<Signal>,
    mut output: pipe::Receiver,
    mut log: Option<Log>,
    tail: Arc<Tail>,
    end: Arc<ProcessEnd>,
) {
    let mut buffer = vec![0; 4 << 10];
    let mut keep = |bytes: &[u8]| {
        tail.add(bytes);
        if let Some(log) = &mut log {
            log.add(bytes);
        }
    };
    let (mut open, mut held) = (true, true);
    let status = loop {
        tokio::select! {
            read = output.read(&mut buffer), if open => match read {
                Ok(length @ 1..) => keep(&buffer[..length]),
                _ => open = false,
            },
            status = child.wait() => break status,
            signal = signals.recv(), if held => {
                held = signal.is_some();
                let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
                if let Some(pid) = pid {
                    // Fails only for one that has ended, which is noticed.
                    let _ = kill(Pid::from_raw(pid), signal.unwrap_or(Signal::SIGKILL));
                }
            }
        }
    };
    // What it wrote last is in the pipe already.
    while let Ok(length @ 1..) = output.try_read(&mut buffer) {
        keep(&buffer[..length]);
    }
    let _ = end.status.set(status.map_or(-1, exit));
    end.over.cancel();
}

fn exit(status: ExitStatus) -> i64 {
    let by_signal = || status.signal().map_or(-1, |signal| 128 + signal);
    status.code().unwrap_or_else(by_signal).into()
}

/// A log in a file, up to [`KEPT_MAX`].
struct Log {
    file: File,
    room: u64,
}

impl Log {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let open = || -> io::Result<Log> {
            let file = OpenOptions::new().append(true).create(true).open(path)?;
            let room = KEPT_MAX.saturating_sub(file.metadata()?.len());
            Ok(Log { file, room })
        };
        open().with_context(|| format!("the log {} cannot be opened", path.display()))
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.room == 0 {
            return;
        }
        let kept = &bytes[..bytes.len().min(self.room as usize)];
        self.room -= kept.len() as u64;
        let rest: &[u8] = if self.room == 0 { b"\n(the rest was left out)\n" } else { b"" };
        if let Err(error) = self.file.write_all(kept).and_then(|()| self.file.write_all(rest)) {
            tracing::error!(%error, "a log cannot be written; the rest of it is lost");
            self.room = 0;
        }
    }
}

/// The end of a log.
#[derive(Debug, Default)]
struct Tail(Mutex<VecDeque<u8>>);

impl Tail {
    fn add(&self, bytes: &[u8]) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.extend(bytes);
        let surplus = held.len().saturating_sub(TAIL_MAX);
        held.drain(..surplus);
    }

    fn quote(&self) -> String {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(held.make_contiguous());
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        if last.is_empty() { String::new() } else { format!("; it said last:\n{}", last.join("\n")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_bounded_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        std::fs::write(&path, vec![b'x'; KEPT_MAX as usize - 3]).unwrap();
        let mut log = Log::open(&path).unwrap();
        log.add(b"abc");
        log.add(b"def");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("xabc\n(the rest was left out)\n"), "{}", &text[text.len() - 40..]);
    }

    #[test]
    fn an_error_quotes_the_last_lines() {
        let tail = Tail::default();
        assert_eq!(tail.quote(), "");
        (0..10_000).for_each(|line| tail.add(format!("line {line}\n").as_bytes()));
        assert_eq!(tail.quote(), "; it said last:\nline 9995\nline 9996\nline 9997\nline 9998\nline 9999");
        assert!(tail.0.lock().unwrap().len() <= TAIL_MAX);
    }
}
