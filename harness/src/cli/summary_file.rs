//! The summary of `harness run` in Markdown: appended at the end, so that steps of a CI job can share a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::CommandError;
use super::junit_file::ReportedRun;
use crate::report::markdown::{self, SummarizedRun};

/// Where the summary of this command goes.
#[derive(Debug)]
pub(super) struct SummaryFile {
    path: PathBuf,
    file: File,
}

impl SummaryFile {
    /// Opens the file for more text. What is there stays.
    ///
    /// # Errors
    /// If that cannot be.
    pub(super) fn open(path: &Path) -> Result<Self, CommandError> {
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(|source| failed(path, source))?;
        Ok(SummaryFile { path: path.to_owned(), file })
    }

    /// Appends what became of these runs.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn append(mut self, runs: &[ReportedRun]) -> Result<(), CommandError> {
        let summarized: Vec<SummarizedRun<'_>> = runs.iter().map(as_summarized).collect();
        let text = markdown::summary(&summarized);
        self.file.write_all(text.as_bytes()).map_err(|source| failed(&self.path, source))
    }
}

fn failed(path: &Path, source: io::Error) -> CommandError {
    CommandError::Summary { path: path.to_owned(), source }
}

fn as_summarized(run: &ReportedRun) -> SummarizedRun<'_> {
    let ReportedRun { file, outline, errors, directory, .. } = run;
    let stories = run.stories();
    let (result, record) = (outline.as_ref(), directory.as_deref());
    SummarizedRun { file, result, errors, record, page: run.page(), stories }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("summary.md");
        std::fs::write(&path, "before\n").unwrap();
        let run = ReportedRun::not_begun("one.yaml".to_owned(), vec!["no engine".to_owned()]);
        SummaryFile::open(&path).unwrap().append(&[run]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("before\n") && text.contains("no engine"), "{text}");
    }

    #[test]
    fn a_path_that_cannot_be_written_is_an_error_at_once() {
        let error = SummaryFile::open(Path::new("/nonexistent/summary.md")).unwrap_err();
        assert!(matches!(error, CommandError::Summary { .. }), "{error:?}");
        let full = SummaryFile::open(Path::new("/dev/full")).unwrap();
        let run = ReportedRun::not_begun("one.yaml".to_owned(), Vec::new());
        assert!(matches!(full.append(&[run]), Err(CommandError::Summary { .. })));
    }
}
