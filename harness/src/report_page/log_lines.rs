//! Lines of a node's log that say what befell it: warnings and errors, and what was written around its ends and incidents.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use super::thin::shortened;

/// Most lines of one log that the page has.
const LINES_MAX: usize = 30;
/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 240;
/// Most bytes of a log that are read.
const LOG_BYTES_MAX: u64 = 32 << 20;
/// Lines written at most so long before a moment are about it, in milliseconds.
const BEFORE_MS: u64 = 1_500;
/// Lines written at most so long after it.
const AFTER_MS: u64 = 500;

/// What a page has of a log.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LogExcerpt {
    /// Path of the log, from the page.
    file: String,
    /// How many lines it has.
    of: usize,
    lines: Vec<LogLine>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct LogLine {
    /// Its place in the log, from 1.
    number: usize,
    /// On the run's clock; null without a time.
    at_ms: Option<u64>,
    /// Without the time.
    text: String,
    is_warning: bool,
}

impl LogExcerpt {
    /// How long it makes the page, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.lines.iter().map(|line| line.text.len() + 60).sum()
    }
}

/// The lines of a node's log that are about these moments, in milliseconds of the run's clock, and those that warn. `began` is when
/// that clock was zero. `None` if the node has no log.
pub(super) fn excerpt(
    directory: &Path,
    node: &str,
    began: Option<SystemTime>,
    moments_ms: &[u64],
) -> Option<LogExcerpt> {
    // A record may come from anywhere, and a name in it is no path.
    if node.contains(['/', '\\']) || node.starts_with('.') {
        return None;
    }
    let file = format!("logs/{node}.log");
    let log = File::open(directory.join(&file)).ok()?;
    let (of, lines) = chosen(BufReader::new(log.take(LOG_BYTES_MAX)), began, moments_ms).ok()?;
    Some(LogExcerpt { file, of, lines })
}

/// The number of lines, and the last [`LINES_MAX`] of those that say something.
fn chosen(log: impl BufRead, began: Option<SystemTime>, moments_ms: &[u64]) -> io::Result<(usize, Vec<LogLine>)> {
    let mut lines = VecDeque::new();
    let mut of = 0;
    for line in log.split(b'\n') {
        of += 1;
        let line = String::from_utf8_lossy(&line?).into_owned();
        let (at_ms, text) = parted(&line, began);
        let is_warning = ["WARN", "ERROR"].iter().any(|level| text.starts_with(level));
        let is_near = |moment: &u64| at_ms.is_some_and(|at| at + BEFORE_MS >= *moment && at <= moment + AFTER_MS);
        if is_warning || moments_ms.iter().any(is_near) {
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(LogLine { number: of, at_ms, text: shortened(text, LINE_BYTES_MAX), is_warning });
        }
    }
    Ok((of, lines.into()))
}

/// The time of a line on the run's clock, and the rest of the line.
fn parted(line: &str, began: Option<SystemTime>) -> (Option<u64>, &str) {
    let Some((time, rest)) = line.split_once(' ') else { return (None, line) };
    let Ok(at) = humantime::parse_rfc3339(time) else { return (None, line) };
    // What a node writes before the clock of the run begins is at its beginning.
    let on_clock = |began| at.duration_since(began).map_or(0, |passed| passed.as_millis() as u64);
    (began.map(on_clock), rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-30T14:00:00.000000Z  INFO butter: up\n\
                       2026-11-30T14:00:02.000000Z  WARN butter: slow disk\n\
                       2026-11-30T14:00:09.000000Z  INFO butter: a link ended\n\
                       no time at all\n\
                       2026-11-30T14:00:30.000000Z  INFO butter: long after\n";

    #[test]
    fn lines_are_those_that_warn_and_those_near_a_moment() {
        let began = humantime::parse_rfc3339("2026-11-30T14:00:00Z").ok();
        let (of, lines) = chosen(LOG.as_bytes(), began, &[10_000]).unwrap();
        let shown: Vec<_> =
            lines.iter().map(|line| (line.number, line.at_ms, line.text.as_str(), line.is_warning)).collect();
        let expected =
            [(2, Some(2_000), "WARN butter: slow disk", true), (3, Some(9_000), "INFO butter: a link ended", false)];
        assert_eq!((of, &shown[..]), (5, &expected[..]));
        assert_eq!(chosen(LOG.as_bytes(), None, &[10_000]).unwrap().1.len(), 1, "without a clock, only warnings");
    }

    #[test]
    fn a_name_is_no_path() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir(scratch.path().join("logs")).unwrap();
        std::fs::write(scratch.path().join("secret.log"), LOG).unwrap();
        assert!(excerpt(scratch.path(), "../secret", None, &[]).is_none());
        assert!(excerpt(scratch.path(), "nowhere", None, &[]).is_none());
    }

    #[test]
    fn of_many_warnings_the_last_stay() {
        let log = "2026-11-30T14:00:00Z WARN again\n".repeat(1_000);
        let (of, lines) = chosen(log.as_bytes(), None, &[]).unwrap();
        assert_eq!((of, lines.len(), lines[0].number), (1_000, LINES_MAX, 971));
    }
}
