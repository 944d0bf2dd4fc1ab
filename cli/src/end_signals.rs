//! Signals that ask a process to end: SIGINT, SIGTERM, and SIGHUP, which it gets when its terminal closes.

use std::io;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signal's number on every Linux architecture.
const SIGHUP: u32 = 1;

/// SIGINT, SIGTERM and, unless the process shall outlive its terminal, SIGHUP: caught from when this is made.
#[derive(Debug)]
pub struct EndSignals(Vec<Signal>);

impl EndSignals {
    /// Catches them from now on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn catch() -> io::Result<Self> {
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        if !outlives_terminal() {
            kinds.push(SignalKind::hangup());
        }
        kinds.into_iter().map(signal).collect::<Result<_, _>>().map(EndSignals)
    }

    /// Waits for the next of them.
    pub async fn next(&mut self) {
        std::future::poll_fn(|cx| match self.0.iter_mut().any(|signal| signal.poll_recv(cx).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

/// Whether this process was started to outlive its terminal, as by `nohup`. To be asked before a handler is installed.
fn outlives_terminal() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, SIGHUP))
}

/// Whether the text of `/proc/PID/status` (proc(5)) says that a signal is ignored.
fn ignores(status: &str, signal: u32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = |mask: &str| format!("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        assert!(ignores(&status("0000000000001001"), SIGHUP));
        assert!(!ignores(&status("0000000000001000"), SIGHUP));
        assert!(!ignores("Name:\tx\n", SIGHUP));
    }
}
