//! The JUnit file of `harness run`: opened before anything else, complete after every end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use butter_cli::chain;

use super::error::CommandError;
use crate::report::junit::{self, JunitRun};
use crate::results::manifest::RunManifest;
use crate::results::outline::RunOutline;
use crate::results::run_set::RunSetError;

/// What the file says of a run that has not ended. It stays if this process is killed.
const NOT_ENDED: &str = "the run has not ended, or its process was killed";

/// One run as it is reported.
#[derive(Debug)]
pub(super) struct ReportedRun {
    /// The topology file, as given on the command line.
    pub(super) file: String,
    /// When the run began, by the wall clock.
    pub(super) began: SystemTime,
    /// How long it took, deployment and removal included.
    pub(super) took: Duration,
    /// How it came out; `None` if the run did not begin.
    pub(super) outline: Option<RunOutline>,
    /// What went wrong beside the result.
    pub(super) errors: Vec<String>,
}

impl ReportedRun {
    /// A run that did not begin.
    pub(super) fn not_begun(file: String, errors: Vec<String>) -> Self {
        ReportedRun { file, began: SystemTime::now(), took: Duration::ZERO, outline: None, errors }
    }

    /// A run that an earlier call has played, from its record. What `run.json` does not say of its time is left open.
    ///
    /// # Errors
    /// If the record cannot be read.
    pub(super) fn played_before(file: String, directory: &Path) -> Result<Self, RunSetError> {
        let outline = RunOutline::load(directory)?;
        let manifest = RunManifest::read(directory).ok();
        let began = manifest.as_ref().and_then(|run| humantime::parse_rfc3339(&run.started).ok());
        let durations = manifest.and_then(|run| run.durations);
        let took_s = durations.map_or(0.0, |parts| parts.deploy_s + parts.play_s + parts.teardown_s);
        Ok(ReportedRun {
            file,
            began: began.unwrap_or(SystemTime::UNIX_EPOCH),
            took: Duration::try_from_secs_f64(took_s).unwrap_or_default(),
            outline: Some(outline),
            errors: Vec::new(),
        })
    }
}

/// Where the JUnit report of this command goes.
#[derive(Debug)]
pub(super) struct JunitFile(PathBuf);

impl JunitFile {
    /// Replaces what is there by a report that none of the runs of these files has ended.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn open(path: &Path, files: &[String]) -> Result<Self, CommandError> {
        let file = JunitFile(path.to_owned());
        let not_ended = |file: &String| ReportedRun::not_begun(file.clone(), vec![NOT_ENDED.to_owned()]);
        file.write(&files.iter().map(not_ended).collect::<Vec<_>>())?;
        Ok(file)
    }

    /// Writes the report of these runs.
    ///
    /// # Errors
    /// If it cannot be written. What was there before is there still.
    pub(super) fn write(&self, runs: &[ReportedRun]) -> Result<(), CommandError> {
        let runs: Vec<JunitRun<'_>> = runs.iter().map(as_junit).collect();
        let xml = junit::xml(&runs).map_err(|error| CommandError::JunitText(chain::one_line(&error)))?;
        replace(&self.0, &xml).map_err(|source| CommandError::Junit { path: self.0.clone(), source })
    }
}

fn as_junit(run: &ReportedRun) -> JunitRun<'_> {
    let ReportedRun { file, began, took, outline, errors } = run;
    JunitRun { file, began: *began, took: *took, result: outline.as_ref(), errors }
}

/// Puts `text` in the place of a file at once, so that a full disk leaves the old one whole. A pipe or device is written to.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return fs::write(path, text);
    }
    let mut name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let replaced = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
    if replaced.is_err() {
        // The first error is the one to report; that of the removal follows from it.
        _ = fs::remove_file(&new);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<String> {
        vec!["one.yaml".to_owned()]
    }

    #[test]
    fn until_the_end_the_report_says_that_there_was_none() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("junit.xml");
        fs::write(&path, "an older, green one").unwrap();
        let file = JunitFile::open(&path, &files()).unwrap();
        let junit = fs::read_to_string(&path).unwrap();
        assert!(junit.contains("errors=\"1\"") && junit.contains(NOT_ENDED), "{junit}");
        file.write(&[ReportedRun::not_begun("one.yaml".to_owned(), vec!["no engine".to_owned()])]).unwrap();
        let junit = fs::read_to_string(&path).unwrap();
        assert!(junit.contains("no engine") && !junit.contains(NOT_ENDED), "{junit}");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_an_error_at_once() {
        let scratch = tempfile::tempdir().unwrap();
        let error = JunitFile::open(&scratch.path().join("no/dir/junit.xml"), &files()).unwrap_err();
        assert!(matches!(error, CommandError::Junit { .. }), "{error:?}");
        assert!(matches!(JunitFile::open(Path::new("/dev/full"), &files()), Err(CommandError::Junit { .. })));
        JunitFile::open(Path::new("/dev/null"), &files()).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
