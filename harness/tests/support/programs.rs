//! The program of nodes, and waiting for what other processes do.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use butter_harness::programs;
use butter_harness::progress::Progress;

/// How long anything that these tests wait for may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

struct Quiet;

impl Progress for Quiet {
    fn begin(&mut self, _: &str, _: u64) {}
    fn advance(&mut self, _: u64) {}
    fn note(&mut self, _: &str) {}
}

/// The node's program, built once.
pub(crate) fn node() -> &'static Path {
    static NODE: OnceLock<PathBuf> = OnceLock::new();
    NODE.get_or_init(|| {
        let choice = programs::ProgramChoice { node: None, harness: Some(env!("CARGO_BIN_EXE_harness").into()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = thread::spawn(move || runtime.block_on(programs::find(&choice, &mut Quiet)));
        found.join().unwrap().unwrap_or_else(|error| panic!("{error}")).node
    })
}

/// Asks until it is so.
///
/// # Panics
/// If it is not before the deadline.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        thread::park_timeout(Duration::from_millis(10));
    }
}
