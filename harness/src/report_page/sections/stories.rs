//! What failed in the run and why: what `harness explain` says.

use serde::Serialize;
use serde_json::{Value, json};

use super::super::run_files::RunFiles;
use super::super::section::PageSection;
use super::super::thin::shortened;
use crate::explain::{self, FailureCase, FailureList, Record, StorySubject};

/// Most cases of each kind that the page has.
const CASES_MAX: usize = 60;
/// Most cases of each kind that have their whole story on the page.
const STORIES_MAX: usize = 12;
/// Longest line of a case, in bytes.
const LINE_BYTES_MAX: usize = 1_000;
/// Longest story, in bytes.
const STORY_BYTES_MAX: usize = 12_000;

/// Reads the record again, as `harness explain` does.
#[derive(Debug)]
pub(in super::super) struct StoryData;

/// Cases of one kind.
#[derive(Debug, Serialize)]
struct StoryList {
    title: &'static str,
    of: usize,
    cases: Vec<StoryCase>,
}

/// One case, with its story where it has one.
#[derive(Debug, Serialize)]
struct StoryCase {
    line: String,
    /// What follows `harness explain DIR`, such as `item 3`.
    subject: Option<String>,
    story: Option<String>,
}

impl PageSection for StoryData {
    fn data(&self, files: &RunFiles) -> Value {
        if files.is_running {
            return Value::Null;
        }
        match Record::read(files.directory()) {
            Ok(record) => {
                let lists = explain::failures(&record, CASES_MAX);
                let lists: Vec<StoryList> =
                    lists.into_iter().filter(|list| list.total > 0).map(|list| story_list(&record, list)).collect();
                json!({"lists": lists})
            }
            Err(error) => json!({"unreadable": butter_cli::chain::one_line(&error)}),
        }
    }
}

fn story_list(record: &Record, list: FailureList) -> StoryList {
    let case = |(number, case): (usize, FailureCase)| {
        let story = case.subject.filter(|_| number < STORIES_MAX).and_then(|subject| story(record, subject));
        StoryCase {
            line: shortened(&case.line, LINE_BYTES_MAX),
            subject: case.subject.map(|subject| subject.to_string()),
            story: story.map(|story| shortened(&story, STORY_BYTES_MAX)),
        }
    };
    StoryList { title: list.title, of: list.total, cases: list.cases.into_iter().enumerate().map(case).collect() }
}

fn story(record: &Record, subject: StorySubject) -> Option<String> {
    match subject {
        StorySubject::Item(item) => explain::item(record, item).ok(),
        StorySubject::Query(query) => explain::query(record, query).ok(),
    }
}
