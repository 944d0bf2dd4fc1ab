//! The JUnit file of `harness run`: opened before anything else, complete after every end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use butter_cli::chain;

use super::error::CommandError;
use crate::explain::{self, Record};
use crate::report::junit::{self, JunitRun};
use crate::report_page::PAGE_FILE;
use crate::results::check_result::{CheckFailures, CheckResult};
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
    /// Directory of its record; `None` if the run did not begin.
    pub(super) directory: Option<PathBuf>,
}

impl ReportedRun {
    /// A run that did not begin.
    pub(super) fn not_begun(file: String, errors: Vec<String>) -> Self {
        ReportedRun { file, began: SystemTime::now(), took: Duration::ZERO, outline: None, errors, directory: None }
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
            directory: Some(directory.to_owned()),
        })
    }
}

/// Most stories of one check.
const STORIES_MAX: usize = 3;
/// Most lines of a story: a report of many runs stays readable.
const STORY_LINES_MAX: usize = 40;

impl ReportedRun {
    /// Its page, if it has one.
    pub(super) fn page(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join(PAGE_FILE)).filter(|page| page.exists())
    }

    /// Why its checks failed, one entry for each. Empty if none failed or the record does not tell.
    pub(super) fn stories(&self) -> Vec<Option<String>> {
        let (Some(outline), Some(directory)) = (&self.outline, &self.directory) else { return Vec::new() };
        if !outline.checks.iter().any(CheckResult::has_failed) {
            return Vec::new();
        }
        let Ok(record) = Record::read(directory) else { return Vec::new() };
        outline.checks.iter().map(|check| check.has_failed().then(|| story(&record, check)).flatten()).collect()
    }
}

/// The stories of the first items or queries that failed a check, or everything that failed if it names none.
fn story(record: &Record, check: &CheckResult) -> Option<String> {
    let of = |failures: &CheckFailures, number: usize| match failures.subject.as_str() {
        "item" => explain::item(record, number).ok(),
        "query" => explain::query(record, number).ok(),
        _ => None,
    };
    let numbers =
        check.failures.iter().flat_map(|failures| failures.first.iter().map(move |number| (failures, *number)));
    let stories = numbers.take(STORIES_MAX).filter_map(|(failures, number)| of(failures, number));
    let stories: Vec<String> = stories.map(|story| cut(&story)).collect();
    let all = if stories.is_empty() { cut(&everything(record)) } else { stories.join("\n") };
    (!all.is_empty()).then_some(all)
}

/// Everything that failed in the run, by kind.
fn everything(record: &Record) -> String {
    let failed = explain::failures(record, STORY_LINES_MAX).into_iter().filter(|list| list.total > 0);
    let lines = failed.flat_map(|list| {
        let cases = list.cases.into_iter().map(|case| format!("  {}\n", case.line));
        std::iter::once(format!("{}: {}\n", list.title, list.total)).chain(cases)
    });
    lines.collect()
}

fn cut(story: &str) -> String {
    let lines: Vec<&str> = story.lines().collect();
    let left = lines.len().saturating_sub(STORY_LINES_MAX);
    let more = if left > 0 { format!("… and {left} more lines: see harness explain\n") } else { String::new() };
    let shown: String = lines.iter().take(STORY_LINES_MAX).map(|line| format!("{line}\n")).collect();
    shown + &more
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
    let ReportedRun { file, began, took, outline, errors, directory } = run;
    let stories = run.stories();
    let (result, record) = (outline.as_ref(), directory.as_deref());
    JunitRun { file, began: *began, took: *took, result, errors, record, page: run.page(), stories }
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
