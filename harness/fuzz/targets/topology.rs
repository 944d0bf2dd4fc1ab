//! Whatever a file holds is a plan, the same each time, or refused with reasons that can be shown.

#![no_main]

use butter_harness::planner;
use butter_harness::topology::Overrides;
use libfuzzer_sys::fuzz_target;

/// Digits in a row: files that ask for a lot take long without being of interest.
const DIGITS_MAX: usize = 3;

fuzz_target!(|text: &str| {
    if text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > DIGITS_MAX) {
        return;
    }
    let read = || planner::read("fuzz.yaml", text, &Overrides::default());
    match (read(), read()) {
        (Ok(plan), Ok(again)) => {
            assert_eq!(format!("{plan:?}"), format!("{again:?}"));
            assert!(!planner::describe(&plan).is_empty());
        }
        (Err(why), Err(again)) => {
            assert!(!why.to_string().is_empty());
            assert_eq!(why.to_string(), again.to_string());
        }
        _ => panic!("one text is read in two ways"),
    }
});
