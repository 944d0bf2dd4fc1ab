//! How a run came out, step by step and check by check: of a run that has just ended, or from its record.

use std::path::Path;

use serde::Deserialize;

use super::check_result::CheckResult;
use super::result::{RunResult, RunVerdict};
use super::run_set::{RunSetError, read_result};
use super::steps::StepResult;

/// The parts of `result.json` that say how a run came out.
#[derive(Clone, Debug, Deserialize)]
pub struct RunOutline {
    /// Name of the topology.
    pub name: String,
    /// Name of the backend.
    pub backend: String,
    /// Seed of the run.
    pub seed: u64,
    /// SHA-256 of what decides the run beside its seed.
    pub topology_hash: String,
    /// How the run came out.
    pub verdict: RunVerdict,
    /// The run's clock at the end, in seconds.
    pub run_s: f64,
    /// Why steps did not end as planned, or why nothing was played.
    pub errors: Vec<String>,
    /// Why the environment was not the one that the topology declares.
    pub environment_faults: Vec<String>,
    /// Every check with its bound and value.
    pub checks: Vec<CheckResult>,
    /// Every step that was begun.
    pub steps: Vec<StepResult>,
}

impl RunOutline {
    /// From the record of a run in its directory.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn load(directory: &Path) -> Result<Self, RunSetError> {
        read_result(directory)
    }
}

impl From<&RunResult> for RunOutline {
    fn from(result: &RunResult) -> Self {
        RunOutline {
            name: result.name.clone(),
            backend: result.backend.clone(),
            seed: result.seed,
            topology_hash: result.topology_hash.clone(),
            verdict: result.verdict,
            run_s: result.run_s,
            errors: result.errors.clone(),
            environment_faults: result.environment_faults.clone(),
            checks: result.checks.clone(),
            steps: result.steps.clone(),
        }
    }
}
