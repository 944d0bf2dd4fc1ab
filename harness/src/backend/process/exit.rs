//! How a process ended, in words.

use nix::sys::signal::Signal;

/// What the shell and Docker add to the number of the signal that killed a process.
const BY_SIGNAL: i64 = 128;

/// `was killed (SIGKILL)` or `exited with status 3`.
pub(crate) fn how_it_ended(status: i64) -> String {
    let signal = status.checked_sub(BY_SIGNAL).and_then(|number| i32::try_from(number).ok());
    match signal.and_then(|number| Signal::try_from(number).ok()) {
        Some(signal) => format!("was killed ({signal})"),
        None => format!("exited with status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_named_and_another_status_is_a_number() {
        assert_eq!(how_it_ended(137), "was killed (SIGKILL)");
        assert_eq!(how_it_ended(139), "was killed (SIGSEGV)");
        assert_eq!(how_it_ended(3), "exited with status 3");
        assert_eq!(how_it_ended(0), "exited with status 0");
        assert_eq!(how_it_ended(-1), "exited with status -1");
        assert_eq!(how_it_ended(255), "exited with status 255");
    }
}
