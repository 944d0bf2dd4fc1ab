//! A run's directory, and the record that is written into it during the run. A run that is cut off leaves what it had.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::event_line;
use crate::events::{Event, EventKind, RunTime};
use crate::metrics::samples::{SAMPLES_FILE, Samples};
use crate::plan::Plan;
use crate::results::manifest::RunManifest;
use crate::results::result::RunResult;
use crate::results::timing::{RunTiming, Stopwatch, TimedPart};
use crate::run::{RunObserver, RunStatus};
use crate::series::Scrape;

/// Most names that are tried for a new directory.
const NAMES_MAX: u32 = 1_000;

/// Why a directory cannot be used. Nothing in it has changed.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The directory holds something already: the record of a run is never overwritten.
    #[error("{0} is not empty: choose another directory, or remove it")]
    NotEmpty(PathBuf),
    /// The directory, or a file in it, cannot be written.
    #[error("cannot write {path}")]
    Io {
        /// The directory or file in question.
        path: PathBuf,
        /// What the operating system reports.
        source: io::Error,
    },
}

/// The directory of one run.
#[derive(Debug)]
pub struct RunDirectory(PathBuf);

impl RunDirectory {
    /// Makes the directory `path`, or takes it if it is empty.
    ///
    /// # Errors
    /// If there is something in it, or it cannot be made.
    pub fn at(path: &Path) -> Result<Self, DirectoryError> {
        fs::create_dir_all(path).map_err(|source| io_error(path, source))?;
        let mut entries = fs::read_dir(path).map_err(|source| io_error(path, source))?;
        match entries.next() {
            None => Ok(RunDirectory(path.to_owned())),
            Some(_) => Err(DirectoryError::NotEmpty(path.to_owned())),
        }
    }

    /// Makes `NAME-TIME-SEED` in `runs`, or `NAME-SEED` without a time; with a number at the end where that is taken.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new(runs: &Path, plan: &Plan, now: Option<SystemTime>) -> Result<Self, DirectoryError> {
        fs::create_dir_all(runs).map_err(|source| io_error(runs, source))?;
        for path in Self::names(runs, plan, now) {
            match fs::create_dir(&path) {
                Ok(()) => return Ok(RunDirectory(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(io_error(&path, source)),
            }
        }
        Err(DirectoryError::NotEmpty(runs.join(&plan.name)))
    }

    /// The paths that [`RunDirectory::new`] tries, in their order.
    pub fn names(runs: &Path, plan: &Plan, now: Option<SystemTime>) -> impl Iterator<Item = PathBuf> {
        let time = now.map(|now| humantime::format_rfc3339_seconds(now).to_string().replace([':', '-'], ""));
        let name = [Some(plan.name.clone()), time, Some(plan.seed.to_string())];
        let first = runs.join(name.into_iter().flatten().collect::<Vec<_>>().join("-"));
        (1..=NAMES_MAX).map(move |n| {
            let mut path = first.clone().into_os_string();
            if n > 1 {
                path.push(format!("-{n}"));
            }
            path.into()
        })
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The directory for the logs of nodes and routers, made if it does not exist.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn logs(&self) -> Result<PathBuf, DirectoryError> {
        let logs = self.0.join("logs");
        fs::create_dir_all(&logs).map_err(|source| io_error(&logs, source))?;
        Ok(logs)
    }

    /// Writes the topology, files that it names, and the plan.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_plan(&self, plan: &Plan) -> Result<(), DirectoryError> {
        self.write("topology.yaml", &plan.source)?;
        for file in &plan.files {
            self.write(&file.name, &file.text)?;
        }
        self.write("plan.json", &json(plan))
    }

    /// Writes what the run was made from; at its end once more, with what is known then.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_manifest(&self, manifest: &RunManifest) -> Result<(), DirectoryError> {
        self.write("run.json", &json(manifest))
    }

    /// Writes the result of the run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_result(&self, result: &RunResult) -> Result<(), DirectoryError> {
        self.write("result.json", &result.to_json())
    }

    /// Writes how long the parts of the run took.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_timing(&self, timing: &RunTiming) -> Result<(), DirectoryError> {
        self.write("timing.json", &json(timing))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), DirectoryError> {
        let path = self.0.join(name);
        fs::write(&path, text).map_err(|source| io_error(&path, source))
    }

    fn create(&self, name: &str) -> Result<File, DirectoryError> {
        let path = self.0.join(name);
        File::create_new(&path).map_err(|source| io_error(&path, source))
    }
}

/// Indented JSON with a newline at its end.
pub fn json(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("plain data is always JSON");
    text.push('\n');
    text
}

/// Writes `events.jsonl` and `samples.csv.gz` during the run, and measures the durations of its steps.
#[derive(Debug)]
pub struct Recorder {
    plan: Arc<Plan>,
    path: PathBuf,
    events: BufWriter<File>,
    samples: Samples<File>,
    begun: Option<SystemTime>,
    steps: Stopwatch,
    /// The first write error: nothing is written after it.
    failed: Option<io::Error>,
}

impl Recorder {
    /// Begins the record of a run. `begun` is when the run's clock was zero, unless that clock is simulated.
    ///
    /// # Errors
    /// If its files cannot be made.
    pub fn new(plan: &Arc<Plan>, directory: &RunDirectory, begun: Option<SystemTime>) -> Result<Self, DirectoryError> {
        let samples = Samples::new(directory.create(SAMPLES_FILE)?);
        Ok(Recorder {
            plan: Arc::clone(plan),
            path: directory.path().to_owned(),
            events: BufWriter::new(directory.create("events.jsonl")?),
            samples: samples.map_err(|source| io_error(directory.path(), source))?,
            begun,
            steps: Stopwatch::default(),
            failed: None,
        })
    }

    /// Ends the record. Returns how long each step took.
    ///
    /// # Errors
    /// If anything of it could not be written.
    pub fn finish(mut self) -> Result<Vec<TimedPart>, DirectoryError> {
        self.attempt(|this| this.events.flush());
        let written = self.failed.map_or_else(|| self.samples.finish(), Err);
        written.map_err(|source| io_error(&self.path, source))?;
        Ok(self.steps.finish())
    }

    fn attempt(&mut self, write: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.failed.is_none() {
            self.failed = write(self).err();
        }
    }
}

impl RunObserver for Recorder {
    fn event(&mut self, event: &Event) {
        match event.kind {
            EventKind::StepBegan { step, .. } => self.steps.begin(&self.plan.steps[step].summary),
            EventKind::StepEnded { .. } => self.steps.end(),
            _ => {}
        }
        self.attempt(|this| {
            let line = event_line::line(event, &this.plan, this.begun)?;
            this.events.write_all(line.as_bytes())
        });
    }

    fn sampled(&mut self, at: RunTime, scrapes: &Arc<Vec<Scrape>>) {
        self.attempt(|this| this.samples.write(&this.plan, at, scrapes));
    }

    fn status(&mut self, _: &RunStatus) {}
}

fn io_error(path: &Path, source: io::Error) -> DirectoryError {
    DirectoryError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::{self, looked, step_began, step_ended};

    #[test]
    fn directory_that_is_not_empty_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a/b");
        let directory = RunDirectory::at(&path).unwrap();
        RunDirectory::at(&path).unwrap();
        directory.write_plan(&fixture::plan()).unwrap();
        let error = RunDirectory::at(&path).unwrap_err().to_string();
        assert!(error.contains("is not empty"), "{error}");
    }

    #[test]
    fn runs_that_begin_in_one_second_have_directories_of_their_own() {
        let scratch = tempfile::tempdir().unwrap();
        let new = |now| RunDirectory::new(scratch.path(), &fixture::plan(), now).unwrap().path().to_owned();
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(86_399);
        let names = [Some(now), Some(now), None].map(|now| new(now).file_name().unwrap().to_owned());
        assert_eq!(names, ["fixture-19700101T235959Z-7", "fixture-19700101T235959Z-7-2", "fixture-7"]);
    }

    #[test]
    fn record_has_a_line_for_each_event() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = RunDirectory::at(scratch.path()).unwrap();
        let mut recorder = Recorder::new(&Arc::new(fixture::plan()), &directory, None).unwrap();
        for event in [step_began(0), looked(1, 2), step_ended(0)] {
            recorder.event(&event);
        }
        recorder.sampled(RunTime(0), &Arc::new(Vec::new()));
        let steps = recorder.finish().unwrap();
        assert_eq!(steps[0].name, "store something");
        let written = fs::read_to_string(scratch.path().join("events.jsonl")).unwrap();
        let looked: serde_json::Value = serde_json::from_str(written.lines().nth(1).unwrap()).unwrap();
        assert_eq!(
            (&looked["event"], &looked["persistent"], &looked["at_us"]),
            (&"inspected".into(), &1.into(), &1_000_000.into())
        );
        assert_eq!(written.lines().count(), 3);
    }

    #[test]
    fn unwritable_record_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = RunDirectory::at(scratch.path()).unwrap();
        let mut recorder = Recorder::new(&Arc::new(fixture::plan()), &directory, None).unwrap();
        recorder.events = BufWriter::with_capacity(0, File::open("/dev/null").unwrap());
        recorder.event(&looked(1, 2));
        assert!(recorder.finish().is_err());
    }
}
