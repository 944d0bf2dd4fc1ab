//! Whatever is in two records and on a page of metrics is read or refused; a record does not differ from itself.

#![no_main]

use std::path::Path;

use butter_harness::metrics::exposition;
use butter_harness::report::comparison::render;
use butter_harness::report::style::TableStyle;
use butter_harness::results::compare::{Agreement, RunComparison};
use butter_harness::results::run_set::RunFigures;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str)| {
    let (one, other) = texts;
    _ = exposition::parse(one);
    let record = |text: &str| RunFigures::read(Path::new("result.json"), text).map(|figures| vec![figures]);
    let Ok(one) = record(one) else { return };
    if let Ok(compared) = RunComparison::of([&one, &one], 0.0) {
        assert_ne!(compared.agreement(), Agreement::Differs);
    }
    if let Ok(other) = record(other) {
        _ = RunComparison::of([&one, &other], 0.0).map(|compared| render(&compared, TableStyle::default()));
    }
});
