//! Where a plan comes from: a topology file, or the record of a run that is to be played again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use super::backend_choice::{BackendArg, BackendKind, FidelityArg};
use super::error::CommandError;
use super::help::OTHER_VARIABLES;
use super::inspect::OverrideArgs;
use super::run::Args;
use crate::plan::{FidelityChoice, Plan};
use crate::results::manifest::{
    MANIFEST_VERSION, Machine, ProgramVersion, ReplaySource, ResolvedSeed, RunManifest, RunOptions, ValueOrigin,
    resolved_values,
};

/// Variables of this program begin so.
const VARIABLE_PREFIX: &str = "HARNESS_";

/// A plan and where it comes from.
#[derive(Debug)]
pub(super) struct LoadedPlan {
    pub(super) plan: Plan,
    pub(super) origin: PlanOrigin,
}

impl LoadedPlan {
    /// The fidelity that the command line asks for; without it, that of the record, and then the file's.
    pub(super) fn choose_fidelity(&mut self, asked: Option<FidelityArg>) {
        let recorded = self.origin.recorded().and_then(|manifest| manifest.fidelity).map(FidelityChoice::from);
        self.plan.fidelity = asked.map(FidelityChoice::from).or(recorded).unwrap_or(self.plan.fidelity);
    }
}

/// Where a plan comes from.
#[derive(Debug)]
pub(super) enum PlanOrigin {
    /// A topology file, or `stdin`.
    File(String),
    /// The record in a directory. Boxed, as it is much larger.
    Record(PathBuf, Box<RunManifest>),
}

impl PlanOrigin {
    fn recorded(&self) -> Option<&RunManifest> {
        match self {
            PlanOrigin::File(_) => None,
            PlanOrigin::Record(_, manifest) => Some(manifest),
        }
    }

    /// How a run from here is played. A record decides what the command line leaves open.
    pub(super) fn options(&self, args: &Args) -> RunOptions {
        let time_limit_ms = args.time_limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let asked = RunOptions { keep: args.keep, probe: !args.no_probe, time_limit_ms };
        let Some(recorded) = self.recorded() else { return asked };
        let given = |option: &str| args.given.contains(option);
        RunOptions {
            keep: if given("keep") { asked.keep } else { recorded.options.keep },
            probe: if given("no_probe") { asked.probe } else { recorded.options.probe },
            time_limit_ms: if given("time_limit") { asked.time_limit_ms } else { recorded.options.time_limit_ms },
        }
    }

    /// What `run.json` says of a run of `plan` that begins now.
    pub(super) fn manifest(&self, plan: &Plan, kind: BackendKind, args: &Args) -> RunManifest {
        let (variables, settings) = resolved_values(&plan.inputs, |name| self.origin_of(plan, name, &args.overrides));
        RunManifest {
            schema_version: MANIFEST_VERSION,
            program: ProgramVersion::of_this_program(),
            command_line: std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect(),
            environment: environment(),
            replay_of: match self {
                PlanOrigin::File(_) => None,
                PlanOrigin::Record(directory, _) => Some(directory.clone()),
            },
            topology: match self {
                PlanOrigin::File(file) => file.clone(),
                PlanOrigin::Record(_, recorded) => recorded.topology.clone(),
            },
            backend: kind.name().to_owned(),
            fidelity: (kind == BackendKind::Sim).then(|| plan.sim_fidelity()),
            seed: ResolvedSeed { value: plan.seed, from: self.origin_of_seed(plan, &args.overrides) },
            variables,
            settings,
            options: self.options(args),
            started: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            machine: Machine::here(),
            durations: None,
        }
    }

    /// Where the value came from that overrides the file's.
    fn origin_of(&self, plan: &Plan, name: &str, overrides: &OverrideArgs) -> ValueOrigin {
        let is_set_now = overrides.given.contains("set") && overrides.set.iter().any(|(set, _)| set == name);
        match self.recorded() {
            _ if is_set_now => ValueOrigin::CommandLine,
            Some(recorded) => recorded.origin_of(name).unwrap_or(ValueOrigin::CommandLine),
            None if overrides.set.iter().any(|(set, _)| set == name) => ValueOrigin::Environment,
            None if plan.sweep.variables.iter().any(|(swept, _)| swept == name) => ValueOrigin::Sweep,
            None => ValueOrigin::Environment,
        }
    }

    fn origin_of_seed(&self, plan: &Plan, overrides: &OverrideArgs) -> ValueOrigin {
        match self.recorded() {
            _ if overrides.given.contains("seed") || overrides.given.contains("seeds") => ValueOrigin::CommandLine,
            Some(recorded) => recorded.seed.from,
            None if overrides.seed.is_some() => ValueOrigin::Environment,
            None if plan.inputs.seed_in_file => ValueOrigin::File,
            None => ValueOrigin::Default,
        }
    }
}

/// The backend that `--backend` names or, without it, the one that every record was made on.
pub(super) fn backend(args: &Args, plans: &[LoadedPlan]) -> Result<BackendArg, CommandError> {
    let recorded = plans.iter().filter_map(|loaded| loaded.origin.recorded());
    let mut recorded: Vec<&str> = recorded.map(|manifest| manifest.backend.as_str()).collect();
    recorded.dedup();
    match recorded[..] {
        _ if args.given.contains("backend") => Ok(args.backend),
        [] => Ok(args.backend),
        [name] => BackendArg::named(name).ok_or(CommandError::BackendsDiffer),
        _ => Err(CommandError::BackendsDiffer),
    }
}

/// A note if the record is of another program than this one: it may then end differently.
pub(super) fn version_note(source: &ReplaySource) -> Option<String> {
    let this = ProgramVersion::of_this_program();
    let recorded = &source.manifest.program;
    (*recorded != this)
        .then(|| format!("recorded by harness {}, played again by harness {}", recorded.describe(), this.describe()))
}

/// Variables that this program reads, as they are set.
pub(super) fn environment() -> BTreeMap<String, String> {
    let is_read =
        |name: &str| name.starts_with(VARIABLE_PREFIX) || OTHER_VARIABLES.iter().any(|(variable, _)| *variable == name);
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    variables
        .filter(|(name, value)| is_read(name) && !value.is_empty())
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect()
}
