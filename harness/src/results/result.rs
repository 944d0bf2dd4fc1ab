//! `result.json`. On a deterministic backend the same file and seed give the same bytes: the wall clock has no influence.

use serde::{Deserialize, Serialize};

use super::absents::AbsentSummary;
use super::check_result::CheckResult;
use super::connectivity::{GroupConnectivity, connectivity};
use super::failed_operations::{FailedOperations, failed_operations};
use super::incidents::{IncidentResults, unplanned_deaths};
use super::items::ItemResults;
use super::links::{NetworkLinks, links};
use super::nodes::NodeResults;
use super::queries::QueryResults;
use super::rebind_recovery::{RebindRecovery, rebind_recovery};
use super::repair::RepairResults;
use super::searches::SearchSummary;
use super::steps::{StepResult, errors, steps};
use super::tally::Tally;
use super::topology_shape::TopologyShape;
use super::views::ViewFigures;
use crate::backend::BackendError;
use crate::machine_load::MachineLoad;
use crate::metrics::history::MetricHistory;
use crate::metrics::traffic::TrafficResults;
use crate::plan::{Fidelity, Plan};
use crate::probe::ProbeOutcome;
use crate::run::{RunEnd, RunRecord, StopReason};

#[cfg(test)]
mod tests;

/// Version of the shape of `result.json`: raised when a field changes its meaning or goes, not when one is added.
pub const SCHEMA_VERSION: u32 = 2;

/// Name of the backend that has a fidelity.
const SIMULATOR: &str = "sim";

/// Everything that is known of a run after its end.
#[derive(Clone, Debug, Serialize)]
pub struct RunResult {
    /// Version of this shape: [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Name of the topology.
    pub name: String,
    /// One line that describes the topology, from the file.
    pub description: String,
    /// Whether the run passed, and if not, how it ended.
    pub verdict: RunVerdict,
    /// Name of the backend: `docker`, `netns` or `sim`.
    pub backend: String,
    /// How closely the simulator followed QUIC; absent where nodes ran QUIC itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fidelity: Option<Fidelity>,
    /// What the self-probe of the routers found.
    pub probe: ProbeOutcome,
    /// Random seed of the run.
    pub seed: u64,
    /// SHA-256 of what decides the run beside the seed: the file and the values that override its variables and settings.
    pub topology_hash: String,
    /// Networks, groups and steps by name: runs that differ in them cannot be compared.
    pub topology: TopologyShape,
    /// The run's clock at the end, in seconds.
    pub run_s: f64,
    /// Why steps did not end as planned, or why nothing was played.
    pub errors: Vec<String>,
    /// Why the environment was not the one that the topology declares: unplanned deaths, a saturated machine.
    pub environment_faults: Vec<String>,
    /// How well the machine kept up; `None` on a backend with a clock of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineLoad>,
    /// Every check with its bound and value.
    pub checks: Vec<CheckResult>,
    /// Items stored, and those still held by live nodes.
    pub items: ItemResults,
    /// Queries, in total and by network.
    pub queries: QueryResults,
    /// Searches for keywords; absent if there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub searches: Option<SearchSummary>,
    /// Gets of keys that no item has; null without one.
    pub absent: Option<AbsentSummary>,
    /// Connectivity between every pair of node groups that a `connect` step tested.
    pub connectivity: Vec<GroupConnectivity>,
    /// Recovery of links from every rebind.
    pub rebind_recovery: Vec<RebindRecovery>,
    /// The graph of neighbours.
    pub views: ViewFigures,
    /// Links by network and path, at the last sample.
    pub links: Vec<NetworkLinks>,
    /// Failed puts, gets and links by reason, the most frequent first; at most a hundred.
    pub failed_operations: Vec<FailedOperations>,
    /// Starts and ends of nodes.
    pub nodes: NodeResults,
    /// What nodes have sent.
    pub traffic: TrafficResults,
    /// What repair cost.
    pub repair: RepairResults,
    /// Every step that was begun.
    pub steps: Vec<StepResult>,
    /// Operations that did not happen as planned, and nodes that ended without being asked to.
    pub incidents: IncidentResults,
}

/// How a run came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunVerdict {
    /// Every check passed, and every step ended as planned.
    Passed,
    /// Nothing failed, but a check could not be measured, or the file has none.
    Inconclusive,
    /// A check failed, or a step did not end as planned.
    Failed,
    /// A router or a node died unasked, or the machine was saturated: what checks measured proves nothing.
    EnvironmentFailed,
    /// The user ended the run.
    Interrupted,
    /// The run reached its time limit.
    TimeLimit,
    /// Nothing was played: the environment failed, or a router does not behave as declared.
    NotPlayed,
}

impl From<StopReason> for RunVerdict {
    fn from(why: StopReason) -> Self {
        match why {
            StopReason::Interrupted => RunVerdict::Interrupted,
            StopReason::TimeLimit => RunVerdict::TimeLimit,
        }
    }
}

impl RunResult {
    /// Sums up a run on the backend of this name. `checks` are how its checks came out.
    pub fn of(plan: &Plan, backend: &str, played: &RunRecord, checks: Vec<CheckResult>) -> Self {
        let tally = Tally::of(plan, &played.events);
        let steps = steps(plan, &played.events);
        let errors = errors(&steps);
        let environment_faults = unplanned_deaths(plan, &tally.incidents);
        RunResult {
            schema_version: SCHEMA_VERSION,
            name: plan.name.clone(),
            description: plan.description.clone(),
            verdict: verdict(&played.ended, &errors, &environment_faults, &checks),
            backend: backend.to_owned(),
            fidelity: (backend == SIMULATOR).then(|| plan.sim_fidelity()),
            probe: ProbeOutcome::default(),
            seed: plan.seed,
            topology_hash: plan.topology_hash.clone(),
            topology: TopologyShape::of(plan),
            run_s: tally.end.as_secs_f64(),
            errors,
            environment_faults,
            machine: None,
            checks,
            items: ItemResults::from(&tally.items),
            queries: QueryResults::new(plan, &tally.queries),
            absent: AbsentSummary::of(&tally.absents),
            searches: SearchSummary::of(&tally.searches),
            connectivity: connectivity(plan, &tally.connectivity),
            rebind_recovery: rebind_recovery(plan, &tally.rebinds),
            views: ViewFigures::of(&tally.views),
            links: played
                .last_sample
                .as_ref()
                .map_or_else(Vec::new, |(_, scrapes)| links(plan, &tally.queries.places, scrapes)),
            failed_operations: failed_operations(&played.events),
            nodes: NodeResults::new(plan, &tally.nodes),
            traffic: played.metric_history.traffic(),
            repair: RepairResults::of(played.metric_history.repair(tally.end), &tally.node_ends),
            steps,
            incidents: IncidentResults::new(plan, &tally.incidents),
        }
    }

    /// Adds how well the machine kept up. A saturated one spoils the verdict.
    #[must_use]
    pub fn on_machine(mut self, load: MachineLoad) -> Self {
        if let Some(fault) = load.fault() {
            self.environment_faults.push(fault);
            if matches!(self.verdict, RunVerdict::Passed | RunVerdict::Failed) {
                self.verdict = RunVerdict::EnvironmentFailed;
            }
        }
        self.machine = Some(load);
        self
    }

    /// The result of a run that could not be brought up.
    pub fn not_deployed(plan: &Plan, backend: &str, probe: ProbeOutcome, error: &BackendError) -> Self {
        RunResult {
            probe: error.differing_router().cloned().map_or(probe, ProbeOutcome::Refused),
            ..RunResult::not_played(plan, backend, RunVerdict::NotPlayed, butter_cli::chain::one_line(error))
        }
    }

    /// The result of a run that ended before its first step, for this reason.
    pub fn not_played(plan: &Plan, backend: &str, verdict: RunVerdict, reason: String) -> Self {
        let nothing = RunRecord {
            events: Vec::new(),
            metric_history: MetricHistory::default(),
            last_sample: None,
            ended: RunEnd::GaveUp,
        };
        RunResult { verdict, errors: vec![reason], ..RunResult::of(plan, backend, &nothing, Vec::new()) }
    }

    /// The text of `result.json`.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain data is always JSON");
        text.push('\n');
        text
    }
}

fn verdict(ended: &RunEnd, errors: &[String], environment_faults: &[String], checks: &[CheckResult]) -> RunVerdict {
    match ended {
        RunEnd::Stopped(why) => (*why).into(),
        RunEnd::Finished | RunEnd::GaveUp if !environment_faults.is_empty() => RunVerdict::EnvironmentFailed,
        RunEnd::GaveUp => RunVerdict::Failed,
        RunEnd::Finished if !errors.is_empty() || checks.iter().any(CheckResult::has_failed) => RunVerdict::Failed,
        RunEnd::Finished if checks.is_empty() || !checks.iter().all(|check| check.passed) => RunVerdict::Inconclusive,
        RunEnd::Finished => RunVerdict::Passed,
    }
}
