//! Whatever is in two records and on a page of metrics is read or refused; a record agrees with itself.

#![no_main]

use butter_harness::metrics::exposition;
use butter_harness::report::comparison::render;
use butter_harness::report::style::TableStyle;
use butter_harness::results::compare::RunComparison;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str)| {
    let (one, other) = texts;
    _ = exposition::parse(one);
    if let Ok(compared) = RunComparison::of([one, one]) {
        assert!(compared.agrees());
    }
    _ = RunComparison::of([one, other]).map(|compared| render(&compared, TableStyle::default()));
});
