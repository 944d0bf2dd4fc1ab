//! What varies between runs: variables and settings, with the values that they took.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::results::manifest::RunManifest;

/// Units of values, by their ends, each with what one of it is in a common unit.
const UNITS: [(&str, f64); 16] = [
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3_600.0),
    ("KiB", 1_024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("kbit", 1e3),
    ("mbit", 1e6),
    ("gbit", 1e9),
    ("B", 1.0),
    ("%", 0.01),
    ("kB", 1e3),
    ("MB", 1e6),
    ("us", 1e-6),
    ("", 1.0),
];

/// A variable or setting that is not the same in all runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SweptVariable {
    pub(super) name: String,
    /// Its values, the smallest first.
    pub(super) values: Vec<String>,
}

/// The values of variables and settings of a run, by name.
pub(super) fn values_of(manifest: &RunManifest) -> BTreeMap<String, String> {
    let all = manifest.variables.iter().chain(&manifest.settings);
    all.map(|value| (value.name.clone(), value.value.clone())).collect()
}

/// What varies between these runs.
pub(super) fn swept(runs: &[&BTreeMap<String, String>]) -> Vec<SweptVariable> {
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.keys()).collect();
    let variable = |name: &String| {
        let values: BTreeSet<&str> = runs.iter().map(|run| run.get(name).map_or("", String::as_str)).collect();
        let mut values: Vec<String> = values.into_iter().map(str::to_owned).collect();
        values.sort_by(|one, other| compared(one, other));
        (values.len() > 1).then(|| SweptVariable { name: name.clone(), values })
    };
    names.into_iter().filter_map(variable).collect()
}

/// By size if both are numbers, else by their letters.
fn compared(one: &str, other: &str) -> Ordering {
    match (number(one), number(other)) {
        (Some(a), Some(b)) => a.total_cmp(&b).then_with(|| one.cmp(other)),
        _ => one.cmp(other),
    }
}

/// `1/50`, `40ms`, `2.5`.
fn number(text: &str) -> Option<f64> {
    if let Some((part, whole)) = text.split_once('/') {
        return Some(part.trim().parse::<f64>().ok()? / whole.trim().parse::<f64>().ok()?);
    }
    let in_unit = |(unit, size): &(&str, f64)| Some(text.strip_suffix(unit)?.trim().parse::<f64>().ok()? * size);
    UNITS.iter().find_map(in_unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_the_order_of_their_size() {
        let run = |die: &str, wait: &str| {
            BTreeMap::from([("die", die), ("wait", wait), ("same", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())))
        };
        let runs = [run("1/5", "2s"), run("1/50", "900ms"), run("1/10", "1m"), run("1/5", "bfs")];
        let swept = swept(&runs.iter().collect::<Vec<_>>());
        assert_eq!(
            swept[0],
            SweptVariable { name: "die".to_owned(), values: ["1/50", "1/10", "1/5"].map(str::to_owned).to_vec() }
        );
        assert_eq!((swept[1].name.as_str(), swept.len()), ("wait", 2));
        assert_eq!(["900ms", "2s", "1m", "64KiB"].map(number), [Some(0.9), Some(2.0), Some(60.0), Some(65_536.0)]);
        assert_eq!(number("bfs"), None);
    }
}
