//! The page of several runs: a table of them, and what they measured with the 95 % interval of its mean.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::PAGE_FILE;
use super::document::{Document, Island};
use super::swept::{SweptVariable, swept, values_of};
use super::thin::{ThinList, shortened};
use crate::results::check_result::CheckUnit;
use crate::results::manifest::RunManifest;
use crate::results::outline::RunOutline;
use crate::results::published::{self, PublishedTable};
use crate::results::run_set::{MeasureName, RunFigures, RunSetError};
use crate::statistics::{mean_and_deviation, mean_interval};

/// Most runs in the table.
const RUNS_MAX: usize = 1_000;
/// Most single values of a measure in one combination.
const POINTS_MAX: usize = 100;
/// Most measures.
const MEASURES_MAX: usize = 120;
/// Most runs whose problems are shown.
const NOTES_MAX: usize = 20;
/// Most combinations of values.
const CELLS_MAX: usize = 200;
/// Longest value of a variable, in bytes.
const VALUE_BYTES_MAX: usize = 100;

/// The scripts of the page.
const VIEWS: [&str; 3] =
    [include_str!("view/set_runs.js"), include_str!("view/set_plots.js"), include_str!("view/set_table.js")];

/// A run as the page knows it.
struct SetRun {
    figures: RunFigures,
    outline: RunOutline,
    values: BTreeMap<String, String>,
    /// Why its values are not known, if so.
    problem: Option<String>,
    /// Path of its own page, from the page of the set.
    page: Option<String>,
    directory: String,
}

/// A line of the table of runs.
#[derive(Debug, Serialize)]
struct RunLine {
    directory: String,
    page: Option<String>,
    seed: u64,
    verdict: String,
    run_s: f64,
    checks: usize,
    passed: usize,
    /// Values of what varies, in its order.
    values: Vec<String>,
}

/// Runs of one topology on one backend.
#[derive(Debug, Serialize)]
struct SetTopology {
    name: String,
    backend: String,
    varied: Vec<VariedName>,
    /// Combinations of values, as indices into those of each variable.
    cells: ThinList<Vec<usize>>,
    measures: ThinList<SetMeasure>,
    runs: ThinList<RunLine>,
    verdicts: BTreeMap<String, usize>,
    /// Where the values were published that stand beside these; null if nowhere.
    published: Option<&'static str>,
}

/// A variable that varies, with its values.
#[derive(Debug, Serialize)]
struct VariedName {
    name: String,
    values: Vec<String>,
}

/// A measure over runs.
#[derive(Debug, Serialize)]
struct SetMeasure {
    name: String,
    unit: CheckUnit,
    /// Whether it is one of the run as a whole, not of one pair of networks or groups.
    is_whole: bool,
    cells: Vec<MeasuredCell>,
}

/// A measure in one combination of values.
#[derive(Debug, Serialize)]
struct MeasuredCell {
    cell: usize,
    runs: usize,
    mean: f64,
    deviation: f64,
    /// The 95 % interval of the mean; null of a single run.
    interval: Option<(f64, f64)>,
    min: f64,
    max: f64,
    points: Vec<f64>,
    /// What was published of it; null if nothing.
    published: Option<f64>,
    /// How that differs from what is measured here.
    remark: &'static str,
}

/// The HTML of the runs in these directories. `base` is where the page will be.
///
/// # Errors
/// If a record cannot be read.
pub(super) fn html(directories: &[PathBuf], base: &Path) -> Result<String, RunSetError> {
    let runs = directories.iter().map(|directory| set_run(directory, base)).collect::<Result<Vec<_>, _>>()?;
    let mut by_topology: BTreeMap<(String, String), Vec<&SetRun>> = BTreeMap::new();
    for run in &runs {
        by_topology.entry((run.figures.name.clone(), run.figures.backend.clone())).or_default().push(run);
    }
    let names: BTreeSet<&str> = by_topology.keys().map(|(name, _)| name.as_str()).collect();
    let title = format!("{}: {} runs", names.into_iter().collect::<Vec<_>>().join(", "), runs.len());
    let notes: Vec<&String> = runs.iter().filter_map(|run| run.problem.as_ref()).take(NOTES_MAX).collect();
    let topologies: Vec<SetTopology> = by_topology.iter().map(|(key, runs)| topology(key, runs)).collect();
    Ok(Document {
        summary: format!("{title}."),
        title,
        islands: vec![Island { id: "data", value: json!({"set": topologies, "notes": notes}) }],
        views: VIEWS.to_vec(),
        is_live: false,
    }
    .html())
}

fn set_run(directory: &Path, base: &Path) -> Result<SetRun, RunSetError> {
    let page = from_base(&directory.join(PAGE_FILE), base);
    let manifest = RunManifest::read(directory).map_err(|error| butter_cli::chain::one_line(&error));
    let (values, problem) = match manifest {
        Ok(manifest) => (values_of(&manifest), None),
        Err(why) => (BTreeMap::new(), Some(format!("{}: its values are not known: {why}", directory.display()))),
    };
    Ok(SetRun {
        figures: RunFigures::load(directory)?,
        outline: RunOutline::load(directory)?,
        values,
        problem,
        page: directory.join(PAGE_FILE).exists().then(|| page.display().to_string()),
        directory: directory.strip_prefix(base).unwrap_or(directory).display().to_string(),
    })
}

/// The path as it leads from `base`, or from the root if it leads elsewhere.
fn from_base(path: &Path, base: &Path) -> PathBuf {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let base = if base.as_os_str().is_empty() { Path::new(".") } else { base };
    let path = absolute(path);
    path.strip_prefix(absolute(base)).map(Path::to_owned).unwrap_or(path)
}

fn topology((name, backend): &(String, String), runs: &[&SetRun]) -> SetTopology {
    let varied = swept(&runs.iter().map(|run| &run.values).collect::<Vec<_>>());
    let mut cells: BTreeMap<Vec<usize>, Vec<&RunFigures>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.figures.has_ended()) {
        cells.entry(cell_of(run, &varied)).or_default().push(&run.figures);
    }
    let of = cells.len();
    let cells: Vec<(Vec<usize>, Vec<&RunFigures>)> = cells.into_iter().take(CELLS_MAX).collect();
    let theirs = published::table_of(name);
    let names: BTreeSet<&MeasureName> = runs.iter().flat_map(|run| run.figures.values.keys()).collect();
    let measures: Vec<SetMeasure> = names.into_iter().map(|name| measure(name, &cells, &varied, theirs)).collect();
    let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
    runs.iter().for_each(|run| *verdicts.entry(run.figures.verdict.clone()).or_default() += 1);
    let short = |value: &String| shortened(value, VALUE_BYTES_MAX);
    SetTopology {
        name: name.clone(),
        backend: backend.clone(),
        cells: ThinList { rows: cells.into_iter().map(|(cell, _)| cell).collect(), of },
        measures: ThinList::first(measures, MEASURES_MAX),
        runs: ThinList::first(lines(runs, &varied), RUNS_MAX),
        varied: varied
            .into_iter()
            .map(|variable| VariedName { values: variable.values.iter().map(short).collect(), name: variable.name })
            .collect(),
        verdicts,
        published: theirs.map(|table| table.source),
    }
}

/// Which value each variable had in a run.
fn cell_of(run: &SetRun, varied: &[SweptVariable]) -> Vec<usize> {
    let value = |variable: &SweptVariable| run.values.get(&variable.name).map_or("", String::as_str);
    varied.iter().filter_map(|variable| variable.values.iter().position(|other| other == value(variable))).collect()
}

/// Runs in order: those that did not pass first.
fn lines(runs: &[&SetRun], varied: &[SweptVariable]) -> Vec<RunLine> {
    let mut runs = runs.to_vec();
    runs.sort_by_key(|run| (run.figures.verdict == "passed", cell_of(run, varied), run.figures.seed));
    let line = |run: &SetRun| RunLine {
        directory: run.directory.clone(),
        page: run.page.clone(),
        seed: run.figures.seed,
        verdict: run.figures.verdict.clone(),
        run_s: run.outline.run_s,
        checks: run.outline.checks.len(),
        passed: run.outline.checks.iter().filter(|check| check.passed).count(),
        values: varied.iter().map(|variable| run.values.get(&variable.name).cloned().unwrap_or_default()).collect(),
    };
    runs.into_iter().map(line).collect()
}

fn measure(
    name: &MeasureName,
    cells: &[(Vec<usize>, Vec<&RunFigures>)],
    varied: &[SweptVariable],
    theirs: Option<&PublishedTable>,
) -> SetMeasure {
    let cell = |(cell, (at, runs)): (usize, &(Vec<usize>, Vec<&RunFigures>))| {
        let swept =
            |(variable, value): (&SweptVariable, &usize)| format!("{}={}", variable.name, variable.values[*value]);
        let swept: Vec<String> = varied.iter().zip(at).map(swept).collect();
        let published = theirs.and_then(|table| table.value_of(name, &swept));
        let values: Vec<f64> = runs.iter().filter_map(|run| Some(run.values.get(name)?.value)).collect();
        let (mean, deviation) = mean_and_deviation(&values)?;
        let (min, max) = values.iter().fold((f64::MAX, f64::MIN), |(min, max), &v| (min.min(v), max.max(v)));
        let points = values.iter().copied().take(POINTS_MAX).collect();
        let within = |(low, high): (f64, f64)| match name.unit() {
            CheckUnit::Share => (low.max(0.0), high.min(1.0)),
            CheckUnit::Seconds | CheckUnit::Plain => (low.max(0.0), high),
        };
        let interval = mean_interval(&values).map(within);
        let (published, remark) = published.map_or((None, ""), |published| (Some(published.value), published.remark));
        Some(MeasuredCell { cell, runs: values.len(), mean, deviation, interval, min, max, points, published, remark })
    };
    SetMeasure {
        name: name.to_string(),
        unit: name.unit(),
        is_whole: !matches!(
            name,
            MeasureName::RetrievalBetween(..)
                | MeasureName::Connected(..)
                | MeasureName::Direct(..)
                | MeasureName::ConnectedP50(..)
        ),
        cells: cells.iter().enumerate().filter_map(cell).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_leads_to_those_of_its_runs_wherever_it_is() {
        let from = |path: &str, base: &str| from_base(Path::new(path), Path::new(base)).display().to_string();
        assert_eq!(from("set/run-1/report.html", "set"), "run-1/report.html");
        assert_eq!(from("run-1/report.html", ""), "run-1/report.html");
        assert_eq!(from("/runs/run-1/report.html", "/pages"), "/runs/run-1/report.html");
    }
}
