//! `validate` and `plan`: what a file makes, without deploying anything.

use std::path::{Path, PathBuf};

use butter_cli::{output, values};
use clap::Args;

use super::{Exit, complain, show, tell};
use crate::plan::Plan;
use crate::planner;
use crate::results::directory::json;
use crate::topology::Overrides;

#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    /// Topology files; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    overrides: OverrideArgs,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// Topology file; `-` reads standard input
    file: PathBuf,
    /// Print JSON, as a run writes it to plan.json
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overrides: OverrideArgs,
}

/// Values that replace those of a file.
#[derive(Clone, Debug, Args)]
pub(super) struct OverrideArgs {
    /// Random seed (overrides the file's)
    #[arg(long, env = "HARNESS_SEED", allow_negative_numbers = true, value_parser = values::count(0..=u64::MAX))]
    seed: Option<u64>,
    /// Set a variable of the file, or a setting of all nodes, such as die=1/50 or heartbeat=2s (repeatable)
    #[arg(long, value_name = "KEY=VALUE", env = "HARNESS_SET", value_parser = values::setting)]
    set: Vec<(String, String)>,
}

impl From<&OverrideArgs> for Overrides {
    fn from(args: &OverrideArgs) -> Self {
        Overrides { seed: args.seed, set: args.set.clone() }
    }
}

/// The name that stands for standard input on a command line.
const STDIN: &str = "-";

/// Every file's plan. The faults of all files are shown before this fails.
pub(super) fn load_all(files: &[PathBuf], overrides: &OverrideArgs) -> Result<Vec<Plan>, Exit> {
    check_stdin(files)?;
    let plans: Vec<Option<Plan>> = files.iter().map(|file| load(file, overrides)).collect();
    plans.into_iter().collect::<Option<Vec<_>>>().ok_or(Exit::Usage)
}

/// Standard input can be read once.
fn check_stdin(files: &[PathBuf]) -> Result<(), Exit> {
    if files.iter().filter(|file| file.as_os_str() == STDIN).count() > 1 {
        complain("standard input (`-`) can be read only once");
        return Err(Exit::Usage);
    }
    Ok(())
}

fn load(file: &Path, overrides: &OverrideArgs) -> Option<Plan> {
    let loaded = match file.as_os_str() == STDIN {
        true => planner::load_from("stdin", std::io::stdin().lock(), &overrides.into()),
        false => planner::load(file, &overrides.into()),
    };
    match loaded {
        Ok(plan) => {
            plan.notes.iter().for_each(|note| tell(&format!("note: {}: {note}", file.display())));
            Some(plan)
        }
        Err(diagnostics) => {
            tell(diagnostics.render(output::stderr().color).trim_end());
            None
        }
    }
}

pub(super) fn validate(args: &ValidateArgs) -> Exit {
    if let Err(exit) = check_stdin(&args.files) {
        return exit;
    }
    let mut exit = Exit::Passed;
    for file in &args.files {
        match load(file, &args.overrides) {
            Some(plan) => show(&format!("{}: valid: {}\n", file.display(), sizes(&plan))),
            None => exit = Exit::Usage,
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

pub(super) fn plan(args: &PlanArgs) -> Exit {
    let Some(plan) = load(&args.file, &args.overrides) else { return Exit::Usage };
    match args.json {
        true => output::data(json(&plan).as_bytes()),
        false => show(&planner::describe(&plan)),
    }
    Exit::Passed
}
