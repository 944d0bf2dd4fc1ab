//! Tests that cannot run on this machine say so where the test runner does not hide it.

use std::fmt::Display;
use std::io::Write;

/// Prints a line that begins with `skipped: `, as `.ci/run` counts them. What `eprintln!` prints is captured.
pub(crate) fn skipped(reason: impl Display) {
    writeln!(std::io::stderr(), "skipped: {reason}").expect("standard error is open");
}
