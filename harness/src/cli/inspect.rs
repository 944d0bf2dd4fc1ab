//! `validate`, and what every command has that reads topology files: overrides, and plans with their notes and faults.

use std::path::{Path, PathBuf};

use butter_cli::given::GivenOptions;
use butter_cli::{chain, output, values};
use clap::Args;

use super::origin::{LoadedPlan, PlanOrigin, version_note};
use super::{Exit, complain, fail, show, tell};
use crate::plan::Plan;
use crate::planner;
use crate::results::manifest::{ReplaySource, RunManifest};
use crate::topology::Overrides;

#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    /// Topology files or records of runs; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    overrides: OverrideArgs,
}

/// Values that replace those of a file.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct OverrideArgs {
    #[command(flatten)]
    pub(super) given: GivenOptions,
    /// Random seed (overrides the file's)
    #[arg(long, env = "HARNESS_SEED", allow_negative_numbers = true, value_parser = values::count(0..=u64::MAX))]
    pub(super) seed: Option<u64>,
    /// Set a variable of the file, or a setting of all nodes, such as die=1/50 or heartbeat=2s (repeatable)
    #[arg(long, value_name = "KEY=VALUE", env = "HARNESS_SET", value_parser = values::setting)]
    pub(super) set: Vec<(String, String)>,
}

impl From<&OverrideArgs> for Overrides {
    fn from(args: &OverrideArgs) -> Self {
        Overrides { seed: args.seed, set: args.set.clone(), folder: None }
    }
}

impl OverrideArgs {
    /// The same with another seed, and with these values unless the command line says otherwise.
    pub(super) fn with(&self, seed: u64, set: &[(String, String)]) -> Self {
        OverrideArgs { seed: Some(seed), set: [set, &self.set].concat(), ..self.clone() }
    }

    /// What a record says, with what stands on the command line in its place. Variables of the environment do not count: those
    /// of the recorded run do.
    fn over(&self, recorded: &RunManifest) -> Overrides {
        let mut overrides = recorded.overrides();
        if self.given.contains("seed") || self.given.contains("seeds") {
            overrides.seed = self.seed;
        }
        if self.given.contains("set") {
            overrides.set.extend(self.set.iter().cloned());
        }
        overrides
    }
}

/// The name that stands for standard input on a command line.
const STDIN: &str = "-";

/// Every file's plan. The faults of all files are shown before this fails with what is wrong with each of them.
pub(super) fn load_all(files: &[PathBuf], overrides: &OverrideArgs) -> Result<Vec<LoadedPlan>, Vec<Option<String>>> {
    check_stdin(files).map_err(|error| vec![Some(error); files.len()])?;
    let plans: Vec<Result<LoadedPlan, String>> = files.iter().map(|file| load(file, overrides, true)).collect();
    if plans.iter().any(Result::is_err) {
        return Err(plans.into_iter().map(Result::err).collect());
    }
    Ok(plans.into_iter().flatten().collect())
}

/// Standard input can be read once.
fn check_stdin(files: &[PathBuf]) -> Result<(), String> {
    if files.iter().filter(|file| file.as_os_str() == STDIN).count() > 1 {
        let error = "standard input (`-`) can be read only once";
        complain(error);
        return Err(error.to_owned());
    }
    Ok(())
}

/// A file's plan with other values, when its notes have been shown.
pub(super) fn load_again(file: &Path, overrides: &OverrideArgs) -> Result<LoadedPlan, String> {
    load(file, overrides, false)
}

/// The plan of a topology file, or of the record in a directory; or its faults without colour, which are shown too.
pub(super) fn load(file: &Path, overrides: &OverrideArgs, with_notes: bool) -> Result<LoadedPlan, String> {
    let (loaded, origin) = if file.as_os_str() == STDIN {
        let name = "stdin";
        let loaded = planner::load_from(name, std::io::stdin().lock(), &overrides.into());
        (loaded, PlanOrigin::File(name.to_owned()))
    } else if file.is_dir() {
        let source = ReplaySource::read(file).map_err(|error| {
            let text = chain::one_line(&error);
            fail(error);
            text
        })?;
        let ReplaySource { manifest, topology } = &source;
        version_note(&source)
            .filter(|_| with_notes)
            .into_iter()
            .for_each(|note| tell(&format!("note: {}: {note}", file.display())));
        // Files that the topology names were copied into the record.
        let overrides = Overrides { folder: Some(file.to_owned()), ..overrides.over(manifest) };
        let loaded = planner::read(&manifest.topology, topology, &overrides);
        (loaded, PlanOrigin::Record(file.to_owned(), Box::new(source.manifest)))
    } else {
        (planner::load(file, &overrides.into()), PlanOrigin::File(file.display().to_string()))
    };
    match loaded {
        Ok(plan) => {
            plan.notes
                .iter()
                .filter(|_| with_notes)
                .for_each(|note| tell(&format!("note: {}: {note}", file.display())));
            Ok(LoadedPlan { plan, origin })
        }
        Err(diagnostics) => {
            tell(diagnostics.render(output::stderr().color).trim_end());
            Err(diagnostics.render(false).trim_end().to_owned())
        }
    }
}

pub(super) fn validate(args: &ValidateArgs) -> Exit {
    if check_stdin(&args.files).is_err() {
        return Exit::Usage;
    }
    let mut exit = Exit::Passed;
    for file in &args.files {
        match load(file, &args.overrides, true) {
            Ok(LoadedPlan { plan, .. }) => show(&format!("{}: valid: {}\n", file.display(), sizes(&plan))),
            Err(_) => exit = Exit::Usage,
        }
    }
    exit
}

fn sizes(plan: &Plan) -> String {
    let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let from_start = plan.nodes.iter().filter(|node| node.from_start).count();
    let parts = [
        count(from_start, "node"),
        count(plan.networks.len(), "network"),
        count(plan.items.len(), "item"),
        count(plan.steps.len(), "step"),
        count(plan.checks.len(), "check"),
    ];
    parts.join(", ")
}
