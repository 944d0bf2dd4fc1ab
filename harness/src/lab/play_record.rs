//! The record of a file that was played on a lab: that of a run, without what only a run has: logs and durations of deploying and
//! removing.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::protocol::{PlayRequest, RecordRequest};
use crate::plan::Plan;
use crate::results::directory::{DirectoryError, Recorder, RunDirectory};
use crate::results::manifest::{
    MANIFEST_VERSION, Machine, ProgramVersion, ResolvedSeed, RunDurations, RunManifest, RunOptions, TOPOLOGY_FILE,
    ValueOrigin, resolved_values,
};
use crate::results::result::RunResult;
use crate::results::timing::RunTiming;
use crate::topology::Overrides;

/// A record that is being written.
pub(super) struct PlayRecord {
    directory: RunDirectory,
    manifest: RunManifest,
    pub(super) recorder: Recorder,
    began: Instant,
}

impl PlayRecord {
    /// Begins the record of a plan that is about to be played on the backend of this name.
    ///
    /// # Errors
    /// If its directory is not empty or cannot be written.
    pub(super) fn begin(
        (request, record): (&PlayRequest, &RecordRequest),
        of_lab: &Overrides,
        (plan, backend): (&Arc<Plan>, &str),
    ) -> Result<Self, DirectoryError> {
        let directory = RunDirectory::at(&record.directory)?;
        let manifest = manifest((request, record), of_lab, (plan, backend));
        directory.write_manifest(&manifest)?;
        directory.write_plan(plan)?;
        let recorder = Recorder::new(plan, &directory, Some(SystemTime::now()))?;
        Ok(PlayRecord { directory, manifest, recorder, began: Instant::now() })
    }

    /// Ends it.
    ///
    /// # Errors
    /// If anything of it could not be written. What could be is there.
    pub(super) fn end(self, result: &RunResult) -> Result<(), DirectoryError> {
        let play_s = self.began.elapsed().as_secs_f64();
        let steps = self.recorder.finish();
        let durations = Some(RunDurations { deploy_s: 0.0, play_s, teardown_s: 0.0 });
        let steps_written = steps.as_ref().map_or_else(|_| Vec::new(), Clone::clone);
        let timing = RunTiming { play_s, steps: steps_written, ..RunTiming::default() };
        let written = [
            self.directory.write_result(result),
            self.directory.write_timing(&timing),
            self.directory.write_manifest(&RunManifest { durations, ..self.manifest }),
        ];
        written.into_iter().chain([steps.map(drop)]).collect()
    }
}

fn manifest(
    (request, record): (&PlayRequest, &RecordRequest),
    of_lab: &Overrides,
    (plan, backend): (&Plan, &str),
) -> RunManifest {
    let origin_of = |name: &str| match request.set.iter().any(|(set, _)| set == name) {
        true => record.set_from,
        false => ValueOrigin::CommandLine,
    };
    let (variables, settings) = resolved_values(&plan.inputs, origin_of);
    let seed_from = match (request.seed, of_lab.seed) {
        (Some(_), _) => record.seed_from,
        (None, Some(_)) => ValueOrigin::CommandLine,
        (None, None) if plan.inputs.seed_in_file => ValueOrigin::File,
        (None, None) => ValueOrigin::Default,
    };
    RunManifest {
        schema_version: MANIFEST_VERSION,
        program: ProgramVersion::of_this_program(),
        command_line: record.command_line.clone(),
        environment: record.environment.clone(),
        replay_of: None,
        // The file that was played may have steps alone; this one has the topology of the lab, too.
        topology: record.directory.join(TOPOLOGY_FILE).display().to_string(),
        backend: backend.to_owned(),
        fidelity: None,
        seed: ResolvedSeed { value: plan.seed, from: seed_from },
        variables,
        settings,
        options: RunOptions { keep: false, probe: false, time_limit_ms: None },
        started: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        machine: Machine::here(),
        durations: None,
    }
}
