//! `validate` and `plan`: what can be told of a file without deploying anything.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, show, tell};
use crate::plan::Plan;
use crate::planner;
use crate::results::directory::json;
use crate::topology::Overrides;

#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    /// Topology files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    overrides: OverrideArgs,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// A topology file
    file: PathBuf,
    /// As JSON: what a run writes to plan.json
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overrides: OverrideArgs,
}

/// What replaces what a file says.
#[derive(Clone, Debug, Args)]
pub(super) struct OverrideArgs {
    /// Decides everything random, in place of the file's seed
    #[arg(long, env = "HARNESS_SEED")]
    seed: Option<u64>,
    /// A variable of the file, or a setting of all nodes: die=1/50, heartbeat=2s
    #[arg(long, value_name = "KEY=VALUE", env = "HARNESS_SET", value_delimiter = ',', value_parser = key_value)]
    set: Vec<(String, String)>,
}

impl From<&OverrideArgs> for Overrides {
    fn from(args: &OverrideArgs) -> Self {
        Overrides { seed: args.seed, set: args.set.clone() }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as die=1/50".to_owned()),
    }
}

/// Every file's plan, or every file's faults, told on stderr.
pub(super) fn load_all(files: &[PathBuf], overrides: &OverrideArgs) -> Result<Vec<Plan>, Exit> {
    let plans: Vec<Option<Plan>> = files.iter().map(|file| load(file, overrides)).collect();
    plans.into_iter().collect::<Option<Vec<_>>>().ok_or(Exit::Usage)
}

fn load(file: &Path, overrides: &OverrideArgs) -> Option<Plan> {
    match planner::load(file, &overrides.into()) {
        Ok(plan) => Some(plan),
        Err(diagnostics) => {
            tell(diagnostics.render(std::io::stderr().is_terminal()).trim_end());
            None
        }
    }
}

pub(super) fn validate(args: &ValidateArgs) -> Exit {
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
    show(&if args.json { json(&plan) } else { planner::describe(&plan) });
    Exit::Passed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_split_at_its_first_equals_sign() {
        assert_eq!(key_value("die=1/50"), Ok(("die".to_owned(), "1/50".to_owned())));
        assert_eq!(key_value("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(key_value("die").is_err() && key_value("=1").is_err());
    }
}
