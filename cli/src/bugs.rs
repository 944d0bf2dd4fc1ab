//! What a program says when it breaks one of its own rules.

use std::panic;

use crate::output;

/// Exit status of a program that found a bug of its own: `EX_SOFTWARE` of sysexits.h. A panic of the main thread ends with 101.
pub const EXIT_STATUS: u8 = 70;

/// Has every panic of this program ask for a report to the authors.
pub fn ask_for_reports(program: &'static str, repository: &'static str) {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        default(info);
        output::message(&request(program, repository));
    }));
}

/// Asks for a report of a bug.
pub fn request(program: &str, repository: &str) -> String {
    format!("this is a bug in {program}: please report it with the lines above at {repository}/issues")
}
