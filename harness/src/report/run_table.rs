//! Several runs of a topology in one table: mean and spread over runs, with the 95 % interval of the mean.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{CellAlignment, Table};

use super::comparison::range;
use super::format::{in_unit, plural};
use super::style::{TableStyle, add_row, right_aligned};
use crate::results::check_result::CheckUnit;
use crate::results::published::{self, PublishedTable};
use crate::results::run_set::{MeasureName, RunFigures};
use crate::statistics::{mean_and_deviation, mean_interval};

/// Most rows about two networks or two node groups; with more, none is shown.
const PAIR_ROWS_SHOWN: usize = 120;

/// A table for each topology, and how its runs ended; with a newline at the end. `labels` say, by the hashes of topologies, which
/// values a file varies.
pub fn render(runs: &[RunFigures], labels: &BTreeMap<String, String>, style: TableStyle) -> String {
    let mut topologies: BTreeMap<(&str, &str), Vec<&RunFigures>> = BTreeMap::new();
    for run in runs {
        topologies.entry((&run.name, &run.backend)).or_default().push(run);
    }
    let mut text = String::new();
    for ((name, backend), runs) in topologies {
        let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
        runs.iter().for_each(|run| *verdicts.entry(&run.verdict).or_default() += 1);
        let verdicts: Vec<String> = verdicts.into_iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        let count = plural(runs.len() as u64, "run");
        let pairs = rows_of_pairs(&runs);
        let shows_pairs = pairs <= PAIR_ROWS_SHOWN;
        let table = table(&runs, labels, shows_pairs, style);
        text += &format!("{name} on {backend}, {count}: {}\n{table}\n", verdicts.join(", "));
        if let Some(theirs) = published::table_of(name) {
            text += &beside(theirs, &runs, labels, style);
        }
        if !shows_pairs {
            text += &format!("{pairs} rows of pairs are left out: harness table --format csv has them\n");
        }
    }
    text
}

/// How many rows are about two networks or two node groups.
fn rows_of_pairs(runs: &[&RunFigures]) -> usize {
    let names: BTreeSet<&MeasureName> = runs.iter().flat_map(|run| run.values.keys()).collect();
    names.into_iter().filter(|name| is_of_pair(name)).count()
}

fn is_of_pair(name: &MeasureName) -> bool {
    use MeasureName::{Connected, ConnectedP50, Direct, RetrievalBetween};
    matches!(name, RetrievalBetween(..) | Connected(..) | Direct(..) | ConnectedP50(..))
}

/// A row for each measure, and for each combination of values if the file varies any: those of one measure together. Runs that were
/// not played to their end, or not in the environment that they declare, count in no figure.
fn table(runs: &[&RunFigures], labels: &BTreeMap<String, String>, shows_pairs: bool, style: TableStyle) -> Table {
    let mut cells: BTreeMap<&str, Vec<&RunFigures>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.has_ended()) {
        cells.entry(labels.get(&run.topology_hash).map_or("", String::as_str)).or_default().push(run);
    }
    let mut table = style.table(["measure", "of", "runs", "mean", "95 % interval", "deviation", "min", "max"]);
    let names: BTreeSet<&MeasureName> = runs.iter().flat_map(|run| run.values.keys()).collect();
    for name in names.into_iter().filter(|name| shows_pairs || !is_of_pair(name)) {
        for (cell, runs) in &cells {
            if let Some(row) = row(name, cell, runs) {
                add_row(&mut table, style, row);
            }
        }
    }
    right_aligned(table, 2)
}

fn row(name: &MeasureName, cell: &str, runs: &[&RunFigures]) -> Option<[String; 8]> {
    let values: Vec<f64> = runs.iter().filter_map(|run| Some(run.values.get(name)?.value)).collect();
    let (mean, deviation) = mean_and_deviation(&values)?;
    let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(least, most), &v| (least.min(v), most.max(v)));
    let unit = name.unit();
    let interval = mean_interval(&values).map_or("–".to_owned(), |(low, high)| range(low, high, unit));
    let deviation = if values.len() > 1 { spread(deviation, unit) } else { "–".to_owned() };
    let [mean, least, most] = [mean, least, most].map(|value| in_unit(value, unit));
    let cell = if cell.is_empty() { "all".to_owned() } else { cell.to_owned() };
    Some([name.to_string(), cell, values.len().to_string(), mean, interval, deviation, least, most])
}

/// What was published beside what is measured here, with where it was published.
fn beside(
    theirs: &PublishedTable,
    runs: &[&RunFigures],
    labels: &BTreeMap<String, String>,
    style: TableStyle,
) -> String {
    let mut table = style.table(["published", "of", "theirs", "ours", "95 % interval", "remark"]);
    for value in theirs.values {
        let is_there = |run: &&&RunFigures| {
            let label = labels.get(&run.topology_hash).map_or("", String::as_str);
            run.has_ended() && label.split(", ").any(|swept| swept == value.at)
        };
        let of_run = |run: &&RunFigures| Some(run.values.get(&value.measure)?.value);
        let values: Vec<f64> = runs.iter().filter(is_there).filter_map(of_run).collect();
        let unit = value.measure.unit();
        let ours = mean_and_deviation(&values).map_or("–".to_owned(), |(mean, _)| in_unit(mean, unit));
        let interval = mean_interval(&values).map_or("–".to_owned(), |(low, high)| range(low, high, unit));
        let name = value.measure.to_string();
        add_row(
            &mut table,
            style,
            [name, value.at.to_owned(), in_unit(value.value, unit), ours, interval, value.remark.to_owned()],
        );
    }
    for column in table.column_iter_mut().skip(2).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("\n{table}\n{}\n", style.charset.encode(&format!("Theirs: {}.", theirs.source)))
}

/// A deviation: that of shares is not rounded down as shares are.
fn spread(deviation: f64, unit: CheckUnit) -> String {
    match unit {
        CheckUnit::Share => format!("{:.2} %", deviation * 100.0),
        unit => in_unit(deviation, unit),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::results::fixture::record;

    #[test]
    fn table_has_mean_spread_and_interval_over_runs() {
        let run =
            |seed: u64, direct| RunFigures::read(Path::new("r"), &record("sim", seed, 20, direct).to_string()).unwrap();
        let text = render(&[run(1, 18), run(2, 20), run(3, 19)], &BTreeMap::new(), TableStyle::default());
        assert!(text.starts_with("t on sim, 3 runs: 3 passed\n"), "{text}");
        let line = text.lines().find(|line| line.contains("direct: a, b")).unwrap();
        // 95 % ± 4.303 · 5 % / √3
        for part in ["95 %", "82.58–100", "5.00 %", "90 %", "100 %"] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(
            render(&[run(1, 18)], &BTreeMap::new(), TableStyle::default()).contains('–'),
            "one run has no interval"
        );
    }

    #[test]
    fn a_run_that_its_environment_has_spoiled_is_in_no_figure() {
        let run = |verdict: &str, direct| {
            let figures = RunFigures::read(Path::new("r"), &record("netns", 1, 20, direct).to_string()).unwrap();
            RunFigures { verdict: verdict.to_owned(), ..figures }
        };
        let runs = [run("passed", 20), run("environment failed", 0)];
        let text = render(&runs, &BTreeMap::new(), TableStyle::default());
        assert!(text.starts_with("t on netns, 2 runs: 1 environment failed, 1 passed\n"), "{text}");
        let line = text.lines().find(|line| line.contains("direct: a, b")).unwrap();
        assert!(line.contains("100 %") && !line.contains("50 %"), "{line}");
    }

    #[test]
    fn what_was_published_stands_beside_ours() {
        let mut figures = RunFigures::read(Path::new("r"), &record("sim", 1, 20, 20).to_string()).unwrap();
        figures.name = "butter-persistence".to_owned();
        let measured = crate::results::run_set::MeasuredValue { value: 0.996, trials: None };
        figures.values.insert(MeasureName::Retrieval, measured);
        let labels = BTreeMap::from([(figures.topology_hash.clone(), "die=1/50".to_owned())]);
        let text = render(&[figures], &labels, TableStyle::default());
        let rows: Vec<&str> = text.lines().skip_while(|line| !line.contains("theirs")).collect();
        let at = |part: &str| rows.iter().find(|row| row.contains(part)).unwrap_or_else(|| panic!("{part}: {text}"));
        assert!(at("die=1/50 ").contains("74.80 %") && at("die=1/50 ").contains("99.60 %"), "{text}");
        assert!(at("die=1/10000").contains("100 %") && at("die=1/10000").contains('–'), "{text}");
        assert!(text.contains("Theirs: Butter"), "{text}");
    }

    #[test]
    fn combinations_of_a_sweep_have_rows_of_their_own() {
        let run = |hash: &str, direct| {
            let figures = RunFigures::read(Path::new("r"), &record("sim", 1, 20, direct).to_string()).unwrap();
            RunFigures { topology_hash: hash.to_owned(), ..figures }
        };
        let labels = BTreeMap::from([("x", "die=1/50"), ("y", "die=1/20")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        let text = render(&[run("x", 20), run("y", 10)], &labels, TableStyle::default());
        let rows: Vec<_> = text.lines().filter(|line| line.contains("direct: a, b")).collect();
        assert!(rows[0].contains("die=1/20") && rows[0].contains("50 %"), "{text}");
        assert!(rows[1].contains("die=1/50") && rows[1].contains("100 %"), "{text}");
    }
}
