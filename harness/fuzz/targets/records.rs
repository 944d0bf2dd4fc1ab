//! Whatever is in two records and on a page of metrics is read or refused; a record agrees with itself.

#![no_main]

use butter_harness::metrics::scrape;
use butter_harness::results::compare::Comparison;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str)| {
    let (one, other) = texts;
    _ = scrape::parse(one);
    if let Ok(compared) = Comparison::of([one, one]) {
        assert!(compared.agrees());
    }
    _ = Comparison::of([one, other]).map(|compared| compared.to_string());
});
