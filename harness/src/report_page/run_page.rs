//! The page of one run.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::document::{Document, Island};
use super::repeat;
use super::run_files::RunFiles;
use super::section::{PageSection, SECTIONS};
use super::thin;
use crate::results::result::RunVerdict;
use crate::results::run_set::RunSetError;

/// Most bytes of `result.json` that the page has; what is longer loses the ends of its longest lists.
const RESULT_BYTES_MAX: usize = 1 << 20;
/// Most bytes of what `run.json` and `timing.json` say.
const CIRCUMSTANCES_BYTES_MAX: usize = 256 << 10;

/// The HTML of the run in this directory.
///
/// # Errors
/// If the directory has no result that this program can read.
pub(super) fn html(directory: &Path) -> Result<String, RunSetError> {
    let mut files = RunFiles::read(directory)?;
    let sections = gather(&mut files);
    let mut result = files.result.take();
    let cuts = thin::cut_to(&mut result, RESULT_BYTES_MAX);
    let data = json!({"result": result, "cuts": cuts, "sections": sections, "notes": files.notes});
    let outline = &files.outline;
    let verdict = verdict_text(outline.verdict);
    Ok(Document {
        title: format!("{}: {verdict}", outline.name),
        summary: format!("{} on {}, seed {}: {verdict}.", outline.name, outline.backend, outline.seed),
        islands: vec![
            Island { id: "data", value: data },
            // What depends on the machine and the wall clock is on a line of its own, so that all other lines of two pages agree.
            Island { id: "circumstances", value: circumstances(&files) },
        ],
        views: SECTIONS.iter().map(|section| section.view).collect(),
    }
    .html())
}

/// What every section gathers from the record, by its name.
fn gather(files: &mut RunFiles) -> Map<String, Value> {
    let mut sections: Vec<Box<dyn PageSection>> = SECTIONS.iter().map(|section| (section.begin)()).collect();
    let events = files.each_event(|at_us, name, event| {
        sections.iter_mut().for_each(|section| section.event(at_us, name, event, files));
    });
    let samples = files.each_sample(|sample| sections.iter_mut().for_each(|section| section.sample(sample)));
    let data = SECTIONS.iter().zip(&mut sections).map(|(kind, section)| (kind.name.to_owned(), section.data(files)));
    let data = data.collect();
    files.notes.extend(events.err().map(|error| format!("events.jsonl is not shown as a whole: {error}")));
    files.notes.extend(samples.err().map(|error| format!("samples.csv.gz is not shown as a whole: {error}")));
    data
}

/// What `run.json` and `timing.json` say: how the run was started, where, when, and how long it took there.
fn circumstances(files: &RunFiles) -> Value {
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
