//! The page of one run.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::document::{Document, Island};
use super::repeat;
use super::run_files::RunFiles;
use super::section::{PageSection, SECTIONS};
use super::thin::{self, CutList};
use crate::results::outline::RunOutline;
use crate::results::result::RunVerdict;
use crate::results::run_set::RunSetError;

/// Most bytes of `result.json` that the page has; what is longer loses the ends of its longest lists.
pub(super) const RESULT_BYTES_MAX: usize = 1 << 20;
/// Most bytes of what `run.json` and `timing.json` say.
const CIRCUMSTANCES_BYTES_MAX: usize = 256 << 10;

/// What the page of a run shows.
pub(super) struct RunPage {
    outline: RunOutline,
    pub(super) result: Value,
    /// Lists of the result that were cut.
    pub(super) cuts: Vec<CutList>,
    pub(super) sections: Map<String, Value>,
    /// What could not be read.
    pub(super) notes: Vec<String>,
    /// What depends on the machine and the wall clock.
    pub(super) circumstances: Value,
}

impl RunPage {
    /// That of the run in this directory.
    ///
    /// # Errors
    /// If the directory has no result that this program can read.
    pub(super) fn read(directory: &Path) -> Result<Self, RunSetError> {
        let mut files = RunFiles::read(directory)?;
        let sections = gather(&mut files);
        let mut result = files.result.take();
        let cuts = thin::cut_to(&mut result, RESULT_BYTES_MAX);
        let circumstances = circumstances(&files);
        Ok(RunPage { outline: files.outline, result, cuts, sections, notes: files.notes, circumstances })
    }

    /// The page as a file.
    pub(super) fn html(self) -> String {
        let RunPage { outline, result, cuts, sections, notes, circumstances } = self;
        let data = json!({"result": result, "cuts": cuts, "sections": sections, "notes": notes});
        let verdict = verdict_text(outline.verdict);
        Document {
            title: format!("{}: {verdict}", outline.name),
            summary: format!("{} on {}, seed {}: {verdict}.", outline.name, outline.backend, outline.seed),
            islands: vec![
                Island { id: "data", value: data },
                // On a line of its own, so that all other lines of two pages agree.
                Island { id: "circumstances", value: circumstances },
            ],
            views: views(),
            is_live: false,
        }
        .html()
    }
}

/// The page of a run that goes on, which asks the server for all that it shows.
pub(super) fn live_html() -> String {
    Document {
        title: "harness run".to_owned(),
        summary: "A run that goes on.".to_owned(),
        islands: vec![Island { id: "live", value: json!({"events": "/events"}) }],
        views: views(),
        is_live: true,
    }
    .html()
}

fn views() -> Vec<&'static str> {
    SECTIONS.iter().map(|section| section.view).collect()
}

/// What every section gathers from the record, by its name.
fn gather(files: &mut RunFiles) -> Map<String, Value> {
    let mut sections: Vec<Box<dyn PageSection>> = SECTIONS.iter().map(|section| (section.begin)()).collect();
    let events = files.each_event(|at_us, name, event| {
        sections.iter_mut().for_each(|section| section.event(at_us, name, event, files));
    });
    let samples = files.each_sample(|sample| sections.iter_mut().for_each(|section| section.sample(sample)));
    let data = SECTIONS.iter().zip(&sections).map(|(kind, section)| (kind.name.to_owned(), section.data(files)));
    let data = data.collect();
    files.notes.extend(events.err().map(|error| format!("events.jsonl is not shown as a whole: {error}")));
    files.notes.extend(samples.err().map(|error| format!("samples.csv.gz is not shown as a whole: {error}")));
    data
}

/// What `run.json` and `timing.json` say: how the run was started, where, when, and how long it took there.
pub(super) fn circumstances(files: &RunFiles) -> Value {
    let Some(manifest) = &files.manifest else { return json!({"timing": files.timing}) };
    let mut value = json!({
        "command": repeat::command(manifest, &files.plan["fidelity"], &files.topology, files.directory()),
        "run": manifest,
        "timing": files.timing,
    });
    thin::cut_to(&mut value, CIRCUMSTANCES_BYTES_MAX);
    value
}

fn verdict_text(verdict: RunVerdict) -> &'static str {
    match verdict {
        RunVerdict::Passed => "passed",
        RunVerdict::Inconclusive => "inconclusive",
        RunVerdict::Failed => "failed",
        RunVerdict::EnvironmentFailed => "the environment failed",
        RunVerdict::Interrupted => "interrupted",
        RunVerdict::TimeLimit => "stopped by the time limit",
        RunVerdict::NotPlayed => "not played",
    }
}
