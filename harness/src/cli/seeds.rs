//! Many runs of a topology, for `--seeds` or for a file that says `sweep` or `runs`: into one directory, from which a later call goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::backend_choice::BackendKind;
use super::complain;
use super::error::CommandError;
use super::inspect::{OverrideArgs, load_again, load_all};
use super::origin::{LoadedPlan, PlanOrigin};
use crate::plan::Plan;
use crate::plan::sweep::{Sweep, SweepRun};
use crate::results::directory::{DirectoryError, RunDirectory};
use crate::results::run_set::RunFigures;

/// Most seeds of one call.
const SEEDS_MAX: usize = 100_000;
/// Files of which a record that was cut off has one at least.
const BEGUN: [&str; 3] = ["topology.yaml", "plan.json", "run.json"];

/// Seeds, each once, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeedList(Vec<u64>);

/// Reads `1..20`, `3`, or several of them with commas between.
///
/// # Errors
/// If the text is no such list.
pub(super) fn parse(text: &str) -> Result<SeedList, String> {
    let expected = || "expected seeds such as 1..20 or 3,5,8".to_owned();
    let mut seeds = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once("..").unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| expected());
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return Err(expected());
        }
        if last - first >= SEEDS_MAX as u64 || seeds.len() >= SEEDS_MAX {
            return Err(format!("expected at most {SEEDS_MAX} seeds"));
        }
        seeds.extend(first..=last);
    }
    seeds.sort_unstable();
    seeds.dedup();
    Ok(SeedList(seeds))
}

/// The plans of a call.
pub(super) struct PlanSet {
    pub(super) plans: Vec<LoadedPlan>,
    /// What a file varies, in each of its plans, by their hashes.
    pub(super) labels: BTreeMap<String, String>,
    /// The file of each plan, as given on the command line.
    pub(super) files: Vec<String>,
    /// Whether a file is played more than once.
    pub(super) is_repeated: bool,
}

/// Every file's plan, or its plans. What is wrong with each file has been shown before this fails.
pub(super) fn load(
    files: &[PathBuf],
    overrides: &OverrideArgs,
    seeds: Option<&SeedList>,
) -> Result<PlanSet, Vec<Option<String>>> {
    let once = load_all(files, overrides)?;
    let is_repeated = seeds.is_some() || once.iter().any(|loaded| sweep_of(loaded, overrides).is_used());
    let mut labels = BTreeMap::new();
    let name = |file: &PathBuf| file.display().to_string();
    if !is_repeated {
        return Ok(PlanSet { plans: once, labels, files: files.iter().map(name).collect(), is_repeated });
    }
    if files.iter().any(|file| file.as_os_str() == "-") {
        let error = "standard input (`-`) can be read only once: name a file to play it several times";
        complain(error);
        return Err(vec![Some(error.to_owned()); files.len()]);
    }
    let (mut plans, mut names) = (Vec::new(), Vec::new());
    for (file, loaded) in files.iter().zip(&once) {
        for SweepRun { set, seed } in runs(&sweep_of(loaded, overrides), loaded.plan.seed, seeds) {
            let loaded = load_again(file, &overrides.with(seed, &set)).map_err(|error| {
                let of = |other: &PathBuf| (other == file).then(|| error.clone());
                files.iter().map(of).collect::<Vec<_>>()
            })?;
            let values: Vec<String> = set.iter().map(|(name, value)| format!("{name}={value}")).collect();
            labels.insert(loaded.plan.topology_hash.clone(), values.join(", "));
            plans.push(loaded);
            names.push(name(file));
        }
    }
    Ok(PlanSet { plans, labels, files: names, is_repeated })
}

/// What a file varies, but for what the command line sets. The record of a run is of one of its combinations.
fn sweep_of(loaded: &LoadedPlan, overrides: &OverrideArgs) -> Sweep {
    match loaded.origin {
        PlanOrigin::File(_) => loaded.plan.sweep.without(&overrides.set),
        PlanOrigin::Record(..) => Sweep::default(),
    }
}

fn runs(sweep: &Sweep, seed: u64, seeds: Option<&SeedList>) -> Vec<SweepRun> {
    let Some(SeedList(seeds)) = seeds else { return sweep.expand(seed) };
    let with_seeds = |set: Vec<(String, String)>| seeds.iter().map(move |&seed| SweepRun { set: set.clone(), seed });
    sweep.combinations().into_iter().flat_map(with_seeds).collect()
}

/// Directory and figures of the record of the same run in `folder`, if it was played to its end. What runs that were cut off have
/// left is removed.
/// Runs of one seed lie beside each other, `NAME-SEED` and `NAME-SEED-2`, when a sweep varies more than the seed: `swept` has the
/// hashes of all of them.
///
/// # Errors
/// If there is something else in its place.
pub(super) fn already_played(
    folder: &Path,
    plan: &Plan,
    kind: BackendKind,
    swept: &BTreeSet<String>,
) -> Result<Option<(PathBuf, RunFigures)>, CommandError> {
    // What was cut off, or removed, may lie before it.
    for directory in RunDirectory::names(folder, plan, None).take(swept.len().max(1)) {
        if !directory.exists() {
            continue;
        }
        if directory.join("result.json").exists() {
            let figures = RunFigures::load(&directory)?;
            if figures.topology_hash != plan.topology_hash && swept.contains(&figures.topology_hash) {
                continue;
            }
            if figures.topology_hash != plan.topology_hash || figures.backend != kind.name() {
                return Err(CommandError::OtherRuns(directory));
            }
            if figures.has_ended() {
                return Ok(Some((directory, figures)));
            }
        } else if !is_empty(&directory) && !BEGUN.iter().any(|file| directory.join(file).exists()) {
            return Err(DirectoryError::NotEmpty(directory).into());
        }
        fs::remove_dir_all(&directory).map_err(|source| DirectoryError::Io { path: directory, source })?;
    }
    Ok(None)
}

/// Whether there is nothing in a directory: an earlier call made it, and was ended before the run began.
fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture;

    #[test]
    fn seeds_are_ranges_and_single_numbers() {
        assert_eq!(parse("1..4"), Ok(SeedList(vec![1, 2, 3, 4])));
        assert_eq!(parse("7"), Ok(SeedList(vec![7])));
        assert_eq!(parse("9, 2..3,3"), Ok(SeedList(vec![2, 3, 9])));
        for text in ["", "4..1", "1..", "-1", "a", "1..18446744073709551615"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_run_that_ended_is_not_played_again_and_one_that_was_cut_off_is() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan { name: "t".to_owned(), topology_hash: "h".to_owned(), ..fixture::plan() };
        let directory = folder.path().join(format!("t-{}", plan.seed));
        let swept = BTreeSet::from(["h".to_owned(), "sibling".to_owned()]);
        let played = || already_played(folder.path(), &plan, BackendKind::Sim, &swept);
        let write = |verdict: &str, hash: &str| {
            let mut record = fixture::record("sim", plan.seed, 1, 1);
            (record["verdict"], record["topology_hash"]) = (verdict.into(), hash.into());
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("result.json"), record.to_string()).unwrap();
        };
        assert!(played().unwrap().is_none());
        write("failed", "h");
        assert_eq!(played().unwrap().unwrap().1.seed, plan.seed);
        write("passed", "other");
        assert!(matches!(played(), Err(CommandError::OtherRuns(_))));
        write("passed", "sibling");
        assert!(played().unwrap().is_none() && directory.exists());
        write("interrupted", "h");
        assert!(played().unwrap().is_none() && !directory.exists());
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("plan.json"), "{}").unwrap();
        assert!(played().unwrap().is_none() && !directory.exists());
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("letter.txt"), "").unwrap();
        assert!(played().is_err() && directory.exists());
    }
}
