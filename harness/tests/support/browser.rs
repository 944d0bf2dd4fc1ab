//! The browser on this machine.

use std::process::Command;

use crate::skipped::skipped;

/// Names of the browser, the first that is found.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// Makes it a failure that there is none.
const REQUIRED: &str = "BUTTER_REQUIRE_CHROMIUM";

/// Its name. Where there is none, the test says that it is skipped.
///
/// # Panics
/// If there is none, and [`REQUIRED`] is set to 1.
pub(crate) fn find() -> Option<&'static str> {
    let answers = |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success());
    let found = BROWSERS.iter().find(answers);
    if found.is_none() {
        assert!(std::env::var(REQUIRED).as_deref() != Ok("1"), "Chromium is not installed");
        skipped(format_args!("Chromium is not installed; {REQUIRED}=1 makes this a failure"));
    }
    found.copied()
}
