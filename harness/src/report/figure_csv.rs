//! Sets of runs as plot data: CSV with a row for each combination of values and each measure.

use std::collections::BTreeMap;

use crate::results::run_set::{MeasureName, RunFigures};
use crate::statistics::{mean_and_deviation, mean_interval};

/// A run with the values that its file varies, by name.
pub type VariedRun = (RunFigures, BTreeMap<String, String>);

/// The columns are topology, backend, one for each varied name, measure, runs, mean, deviation, low and high: the last two bound the
/// 95 % interval of the mean, and are empty for a single run. Shares are 0..1 and durations in seconds. Runs that were not played to
/// their end count in no figure.
///
/// # Errors
/// If a field cannot be written, which memory does not cause.
pub fn render(runs: &[VariedRun]) -> csv::Result<String> {
    let names: Vec<&str> = varied_names(runs);
    let mut cells: BTreeMap<Vec<&str>, BTreeMap<&MeasureName, Vec<f64>>> = BTreeMap::new();
    for (run, varied) in runs.iter().filter(|(run, _)| run.has_ended()) {
        let values = names.iter().map(|name| varied.get(*name).map_or("", String::as_str));
        let cell: Vec<&str> = [run.name.as_str(), run.backend.as_str()].into_iter().chain(values).collect();
        for (measure, value) in &run.values {
            cells.entry(cell.clone()).or_default().entry(measure).or_default().push(value.value);
        }
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = ["topology", "backend"].into_iter().chain(names);
    writer.write_record(head.chain(["measure", "runs", "mean", "deviation", "low", "high"]))?;
    for (cell, measures) in &cells {
        for (measure, values) in measures {
            let Some((mean, deviation)) = mean_and_deviation(values) else { continue };
            let interval = mean_interval(values);
            let bound = |of: fn((f64, f64)) -> f64| interval.map_or(String::new(), |interval| of(interval).to_string());
            let figures = [
                measure.to_string(),
                values.len().to_string(),
                mean.to_string(),
                deviation.to_string(),
                bound(|(low, _)| low),
                bound(|(_, high)| high),
            ];
            writer.write_record(cell.iter().copied().chain(figures.iter().map(String::as_str)))?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Names that any run varies, each once, in order.
fn varied_names(runs: &[VariedRun]) -> Vec<&str> {
    let mut names: Vec<&str> = runs.iter().flat_map(|(_, varied)| varied.keys().map(String::as_str)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::results::fixture::record;

    #[test]
    fn a_row_has_the_mean_over_runs_of_one_combination() {
        let run = |seed, direct, die: &str| -> VariedRun {
            let figures = RunFigures::read(Path::new("r"), &record("sim", seed, 20, direct).to_string()).unwrap();
            (figures, BTreeMap::from([("die".to_owned(), die.to_owned())]))
        };
        let text = render(&[run(1, 18, "1/50"), run(2, 20, "1/50"), run(3, 10, "0, or so")]).unwrap();
        assert!(text.starts_with("topology,backend,die,measure,runs,mean,deviation,low,high\n"), "{text}");
        let row = |begin: &str| text.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("{text}"));
        assert!(row("t,sim,1/50,\"direct: a, b\"").contains(",2,0.95,"), "{text}");
        assert!(row("t,sim,\"0, or so\",\"direct: a, b\"").ends_with(",1,0.5,0,,"), "{text}");
    }
}
