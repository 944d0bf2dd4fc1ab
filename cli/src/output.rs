//! Data on standard output, messages on standard error.
//!
//! A failed write is kept and reported once, by [`finish`]: the callers of [`data`] need not stop for it. A pipe whose reader
//! has gone (`| head`) is no failure; the rest of the output is dropped.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::terminal::{ColorChoice, Terminal, process_environment};

/// Both streams of the process.
#[derive(Clone, Copy, Debug, Default)]
struct Streams {
    stdout: Terminal,
    stderr: Terminal,
}

static STREAMS: OnceLock<Streams> = OnceLock::new();
static STDOUT: Mutex<Sink> = Mutex::new(Sink::new("standard output"));
static STDERR: Mutex<Sink> = Mutex::new(Sink::new("standard error"));

/// A write that failed, other than to a reader that has gone.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {stream}")]
pub struct WriteError {
    /// `standard output` or `standard error`.
    pub stream: &'static str,
    /// Reported by the system.
    #[source]
    pub cause: io::Error,
}

/// Decides what both streams can show. Until then, they are plain.
pub fn start(choice: ColorChoice) {
    let decide = |is_terminal: bool, columns| Terminal::decide(choice, is_terminal, columns, &process_environment);
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let columns = |size: Option<(terminal_size::Width, terminal_size::Height)>| size.map(|(width, _)| width.0);
    STREAMS.get_or_init(|| Streams {
        stdout: decide(stdout.is_terminal(), columns(terminal_size::terminal_size_of(&stdout))),
        stderr: decide(stderr.is_terminal(), columns(terminal_size::terminal_size_of(&stderr))),
    });
}

fn streams() -> Streams {
    STREAMS.get().copied().unwrap_or_default()
}

/// What standard output can show.
pub fn stdout() -> Terminal {
    streams().stdout
}

/// What standard error can show.
pub fn stderr() -> Terminal {
    streams().stderr
}

/// Writes text for people to standard output, in the characters of the locale.
pub fn text(text: &str) {
    data(stdout().charset.encode(text).as_bytes());
}

/// Writes bytes to standard output as they are.
pub fn data(bytes: &[u8]) {
    lock(&STDOUT).write(&mut io::stdout().lock(), bytes);
}

/// Writes a line to standard error.
pub fn message(line: &str) {
    let line = format!("{}\n", stderr().charset.encode(line));
    lock(&STDERR).write(&mut io::stderr().lock(), line.as_bytes());
}

/// Writes an error to standard error, after the word that `label` gives, such as `error`.
pub fn error(label: &str, what: &str) {
    match stderr().color {
        true => message(&format!("\x1b[1m\x1b[31m{label}:\x1b[0m {what}")),
        false => message(&format!("{label}: {what}")),
    }
}

/// Ends the output of a program: a write that failed before is reported now.
///
/// # Errors
/// If output was lost.
pub fn finish() -> Result<(), WriteError> {
    let result = lock(&STDOUT).finish();
    result.and(lock(&STDERR).finish())
}

fn lock(sink: &'static Mutex<Sink>) -> std::sync::MutexGuard<'static, Sink> {
    // A panic in another writer leaves nothing half done that matters here.
    sink.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream until its first failure.
struct Sink {
    stream: &'static str,
    failed: Option<io::Error>,
    closed: bool,
}

impl Sink {
    const fn new(stream: &'static str) -> Self {
        Sink { stream, failed: None, closed: false }
    }

    fn write(&mut self, out: &mut dyn Write, bytes: &[u8]) {
        if self.closed {
            return;
        }
        if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
            self.closed = true;
            self.failed = Some(error).filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
        }
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        self.failed.take().map_or(Ok(()), |cause| Err(WriteError { stream: self.stream, cause }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails with an error of this kind, and counts what was tried.
    struct Broken(io::ErrorKind, usize);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_first_failed_write_is_kept_and_ends_the_output() {
        let (mut sink, mut full) = (Sink::new("x"), Broken(io::ErrorKind::StorageFull, 0));
        sink.write(&mut full, b"a");
        sink.write(&mut full, b"b");
        assert_eq!(full.1, 1);
        assert_eq!(sink.finish().unwrap_err().cause.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let (mut sink, mut gone) = (Sink::new("x"), Broken(io::ErrorKind::BrokenPipe, 0));
        sink.write(&mut gone, b"a");
        sink.write(&mut gone, b"b");
        assert_eq!(gone.1, 1);
        assert!(sink.finish().is_ok());
    }
}
