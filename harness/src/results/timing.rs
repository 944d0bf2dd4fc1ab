//! `timing.json`: how long a run took on this machine, by the clock on the wall. Kept apart from the result, which must not
//! depend on it.

use std::time::Instant;

use serde::Serialize;

/// How long each part of a run took.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timing {
    /// From the beginning until every node answered: the image, the networks, the nodes.
    pub deploy_s: f64,
    /// All steps.
    pub play_s: f64,
    /// Until everything was removed.
    pub teardown_s: f64,
    /// What the backend said it was doing, in order: `building the image`, `starting nodes`.
    pub activities: Vec<Took>,
    /// Every step that was begun.
    pub steps: Vec<Took>,
}

/// A part and how long it took.
#[derive(Clone, Debug, Serialize)]
pub struct Took {
    /// Which.
    pub what: String,
    /// How long, in seconds.
    pub s: f64,
}

/// Takes times, one part after another.
#[derive(Debug, Default)]
pub struct Stopwatch {
    running: Option<(String, Instant)>,
    took: Vec<Took>,
}

impl Stopwatch {
    /// A part begins, and the one before it ends.
    pub fn begin(&mut self, what: &str) {
        self.end();
        self.running = Some((what.to_owned(), Instant::now()));
    }

    /// The running part ends.
    pub fn end(&mut self) {
        if let Some((what, began)) = self.running.take() {
            self.took.push(Took { what, s: began.elapsed().as_secs_f64() });
        }
    }

    /// The running part.
    pub fn running(&self) -> Option<&str> {
        self.running.as_ref().map(|(what, _)| what.as_str())
    }

    /// All parts so far.
    pub fn finish(mut self) -> Vec<Took> {
        self.end();
        self.took
    }
}
