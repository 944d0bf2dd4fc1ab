//! `harness plan`: what a file makes, for a person or for a program.

use std::path::PathBuf;

use butter_cli::output;
use clap::{Args as ClapArgs, ValueEnum};
use serde_norway::with::singleton_map_recursive;

use super::inspect::{OverrideArgs, load};
use super::origin::LoadedPlan;
use super::{Exit, show};
use crate::plan::Plan;
use crate::planner;
use crate::results::directory::json;

#[derive(ClapArgs, Debug)]
pub(super) struct Args {
    /// Topology file or record of a run; `-` reads standard input
    file: PathBuf,
    /// How the plan is printed
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    format: PlanFormat,
    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    overrides: OverrideArgs,
}

/// As `--format` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PlanFormat {
    /// On one page, for a person
    Text,
    /// As a run writes it to plan.json
    Json,
    /// The same data as YAML
    Yaml,
}

pub(super) fn plan(args: &Args) -> Exit {
    let Ok(LoadedPlan { plan, .. }) = load(&args.file, &args.overrides, true) else { return Exit::Usage };
    match if args.json { PlanFormat::Json } else { args.format } {
        PlanFormat::Text => show(&planner::describe(&plan)),
        PlanFormat::Json => output::data(json(&plan).as_bytes()),
        PlanFormat::Yaml => output::data(yaml(&plan).as_bytes()),
    }
    Exit::Passed
}

/// The data of plan.json, in its order: variants are maps, as in JSON, and not tags.
fn yaml(plan: &Plan) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_norway::Serializer::new(&mut bytes);
    singleton_map_recursive::serialize(plan, &mut serializer).expect("plain data is always YAML");
    drop(serializer);
    String::from_utf8(bytes).expect("YAML is written as UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Overrides;

    /// One with every kind of operation that a plan may have.
    #[test]
    fn yaml_has_the_data_of_json() {
        for name in ["three-lans", "restart", "hostile", "partition", "nat-matrix", "dual-stack", "rebind"] {
            let file = format!("{}/../topologies/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
            let overrides = Overrides { seed: Some(u64::MAX), ..Overrides::default() };
            let plan = planner::load(file.as_ref(), &overrides).unwrap();
            let from_yaml: serde_json::Value = serde_norway::from_str(&yaml(&plan)).unwrap();
            assert_eq!(from_yaml, serde_json::to_value(&plan).unwrap(), "{name}");
        }
    }
}
