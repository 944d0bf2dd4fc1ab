//! Receives everything and shows nothing.

use std::sync::Arc;

use butter_harness::checks;
use butter_harness::events::{Event, RunTime};
use butter_harness::plan::Check;
use butter_harness::progress::Progress;
use butter_harness::run::{RunObserver, RunSoFar, RunStatus};
use butter_harness::series::Scrape;

pub(crate) struct SilentObserver;

impl RunObserver for SilentObserver {
    fn event(&mut self, _: &Event) {}
    fn sampled(&mut self, _: RunTime, _: &Arc<Vec<Scrape>>) {}
    fn status(&mut self, _: &RunStatus) {}
    fn unmet(&mut self, wanted: &[Check], so_far: &RunSoFar<'_>) -> Option<String> {
        checks::unmet(wanted, so_far)
    }
}

impl Progress for SilentObserver {
    fn begin(&mut self, _: &str, _: u64) {}
    fn advance(&mut self, _: u64) {}
    fn note(&mut self, _: &str) {}
}
