//! `timing.json`: how long a run took on this machine, by the wall clock. Kept apart from the result, which must not depend
//! on the machine.

use std::time::Instant;

use serde::Serialize;

/// Durations of the parts of a run, in seconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RunTiming {
    /// From the beginning until every node answered: the image, the networks, the nodes.
    pub deploy_s: f64,
    /// Duration of all steps together.
    pub play_s: f64,
    /// From the end of the last step until everything was removed.
    pub teardown_s: f64,
    /// Activities of the backend, in order: `building the image`, `starting nodes`.
    pub activities: Vec<TimedPart>,
    /// Every step that was begun.
    pub steps: Vec<TimedPart>,
}

/// A part of a run and its duration.
#[derive(Clone, Debug, Serialize)]
pub struct TimedPart {
    /// Name of the activity, or summary of the step.
    pub name: String,
    /// Duration of the part in seconds.
    pub took_s: f64,
}

/// Measures the durations of parts that follow one another.
#[derive(Debug, Default)]
pub struct Stopwatch {
    running: Option<(String, Instant)>,
    parts: Vec<TimedPart>,
}

impl Stopwatch {
    /// Begins a part. The running part ends.
    pub fn begin(&mut self, name: &str) {
        self.end();
        self.running = Some((name.to_owned(), Instant::now()));
    }

    /// Ends the running part.
    pub fn end(&mut self) {
        if let Some((name, began)) = self.running.take() {
            self.parts.push(TimedPart { name, took_s: began.elapsed().as_secs_f64() });
        }
    }

    /// Name of the running part.
    pub fn running(&self) -> Option<&str> {
        self.running.as_ref().map(|(name, _)| name.as_str())
    }

    /// Ends the running part and returns all parts.
    pub fn finish(mut self) -> Vec<TimedPart> {
        self.end();
        self.parts
    }
}
