//! The backend `docker`: every node and every router in a container of its own, on bridges that only routers leave.
//!
//! | module | what it does |
//! | --- | --- |
//! | `context` | the engine's address |
//! | `engine` | reaches the engine, or says why it cannot be used and what to do |
//! | `label` | names, labels, and whose a run is |
//! | `subnets`, `networks` | chooses free subnets; creates the bridges |
//! | `containers` | what containers may do; their starts and ends |
//! | `deploy` | all of these in order, until every router answers |
//! | `watch` | notices what ends by itself |
//! | `probing`, `prober` | the self-probe |
//! | `bare` | what the engine itself needs for as many containers |
//! | `neighbours` | keeps large LANs out of the kernel's neighbour table |
//! | `filtering` | what nodes do not receive |
//! | `logs`, `teardown` | what is left of a run, and that nothing else is |
//!
//! Invariant: everything created carries the run's label, so whatever becomes of this process, [`Backend::down`] or
//! `harness clean` finds it.

pub(crate) mod bare;
mod containers;
mod context;
mod deploy;
pub mod engine;
mod filtering;
pub mod image;
pub(crate) mod label;
pub(crate) mod logs;
mod neighbours;
mod networks;
mod prober;
mod probing;
mod subnets;
pub(crate) mod teardown;
mod watch;
mod wiring;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bollard::Docker;
use tokio::time::{Instant, sleep_until};

pub(crate) use engine::connect;
pub(crate) use neighbours::enters_namespaces;

use crate::backend::capacity::MachineRoom;
use crate::backend::held::{HeldBackend, HeldHosts};
use crate::backend::process::lifecycle::persistent_nodes;
use crate::backend::process::{ProcessBackend, ProcessRun};
use crate::backend::{Backend, BackendError};
use crate::events::RunTime;
use crate::op::{BackendEvent, Op, OpId, OpTarget};
use crate::plan::Plan;
use crate::probe::ProbeOutcome;
use crate::programs;
use crate::progress::Progress;
use crate::router::RouterConfig;
use containers::Containers;
use label::RunLabels;

/// What the tasks of a run on Docker share.
type Shared = ProcessRun<Containers>;

/// How long the engine may still be at a request that was given up, for all that is known here.
const GIVEN_UP_SETTLES: Duration = Duration::from_millis(1_000);
/// Times that a run's belongings are looked for again.
const REMOVAL_ROUNDS_MAX: usize = 5;

/// How a run on Docker is set up.
#[derive(Clone, Debug, Default)]
pub struct DockerOptions {
    /// Which programs the image gets.
    pub programs: programs::ProgramChoice,
    /// Label the run as kept, so that `harness clean` leaves it once this process has gone.
    pub keep: bool,
    /// Where [`Backend::down`] leaves the logs of all containers before it removes them.
    pub logs: Option<PathBuf>,
    /// Whether routers are probed before nodes start.
    pub probe: bool,
    /// Whether nodes write down the secrets of their connections, for captures of a lab that is held.
    pub keys: bool,
    /// Whether it is left up for commands: any node may be started again with what it had.
    pub held: bool,
    /// For tests of the probe: changes the configuration of routers, against the plan.
    pub tamper: Option<fn(&mut RouterConfig)>,
}

/// A run on Docker.
#[derive(Debug)]
pub struct DockerBackend {
    plan: Plan,
    options: DockerOptions,
    /// What there is to take down, from the moment that anything is created.
    begun: Option<(Docker, RunLabels)>,
    operation: ProcessBackend<Containers>,
    probed: ProbeOutcome,
    engine_version: Option<String>,
}

/// Whether a run on Docker can be had here.
///
/// # Errors
/// With the reason and the remedy.
pub async fn preflight() -> Result<(), BackendError> {
    engine::connect().await?;
    programs::node_origin().await?;
    Ok(())
}

impl DockerBackend {
    /// A run of `plan`. Nothing is created before [`Backend::up`].
    pub fn new(plan: Plan, options: DockerOptions) -> Self {
        DockerBackend {
            plan,
            options,
            begun: None,
            operation: ProcessBackend::new(),
            probed: ProbeOutcome::Skipped,
            engine_version: None,
        }
    }

    /// The plan as it is played: after [`Backend::up`], with the subnets that were free.
    pub fn plan(&self) -> &Plan {
        self.operation.run().map_or(&self.plan, |run| &run.plan)
    }

    /// Version of the engine, once [`Backend::up`] has found it.
    pub fn engine_version(&self) -> Option<&str> {
        self.engine_version.as_deref()
    }

    /// What came of the self-probe.
    pub fn probed(&self) -> &ProbeOutcome {
        &self.probed
    }

    /// Which run this is: the value of its label `butter.run`, once [`Backend::up`] has begun.
    pub fn run_id(&self) -> Option<&str> {
        self.begun.as_ref().map(|(_, run_labels)| run_labels.run.as_str())
    }

    /// Writes the log of each node and router into `folder`, at most 4 MiB of each.
    ///
    /// # Errors
    /// If the engine does not give one or the folder cannot be written.
    pub async fn collect_logs(&self, folder: &Path) -> anyhow::Result<()> {
        match self.operation.run() {
            Some(run) => logs::collect(run, folder).await,
            None => Ok(()),
        }
    }
}

impl Backend for DockerBackend {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn up(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        MachineRoom::look().check(&self.plan)?;
        let engine = engine::connect().await?;
        self.engine_version = engine.info.server_version.clone();
        note_crashed_runs(&engine.docker, progress).await?;
        let programs = programs::find(&self.options.programs, progress).await?;
        let image = image::ensure(&engine.docker, &programs, progress).await?;
        let run_labels = RunLabels::new(&self.plan.name, self.options.keep)?;
        self.begun = Some((engine.docker.clone(), run_labels.clone()));
        let mut plan = self.plan.clone();
        let options = (self.options.tamper, self.options.keys);
        let (host, routers) =
            deploy::routers(engine.docker, run_labels, image.tag, options, &mut plan, progress).await?;
        let to_node = deploy::ways_to_nodes(&plan, &host.wiring);
        // Already now, so that the logs of a deployment that fails can be kept.
        let persistent = persistent_nodes(&plan, self.options.held);
        let (run, queues) = self.operation.begin(host, plan, routers, &persistent, to_node)?;
        if self.options.probe {
            self.probed = probing::probe(&run, progress).await?;
        }
        self.operation.spawn(watch::serve(Arc::clone(&run)));
        run.start_nodes(progress).await?;
        self.operation.start_clock(queues)?;
        Ok(())
    }

    fn now(&self) -> RunTime {
        self.operation.now()
    }

    fn submit(&mut self, id: OpId, op: Op, target: OpTarget) {
        self.operation.submit(id, op, target);
    }

    async fn next(&mut self, until: RunTime) -> Option<BackendEvent> {
        self.operation.next(until).await
    }

    async fn down(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        let run = self.operation.end().await;
        let logs = match (&run, &self.options.logs) {
            (Some(run), Some(folder)) => logs::collect(run, folder).await,
            _ => Ok(()),
        };
        if let Some((docker, run_labels)) = self.begun.take() {
            remove_run(&docker, &run_labels.run, progress).await?;
        }
        logs.context("everything is removed, but not every log could be kept").map_err(BackendError::from)
    }
}

impl HeldBackend for DockerBackend {
    fn held(&self) -> Option<Arc<dyn HeldHosts>> {
        self.operation.run().map(|run| Arc::clone(run) as Arc<dyn HeldHosts>)
    }
}

/// What crashed runs left takes up subnets and memory.
async fn note_crashed_runs(docker: &Docker, progress: &mut dyn Progress) -> anyhow::Result<()> {
    let runs = teardown::find(docker, None).await?;
    let crashed = runs.values().filter(|objects_of_run| objects_of_run.crashed()).count();
    if crashed > 0 {
        progress.note(&format!("crashed runs left containers or networks ({crashed}); remove them: harness clean"));
    }
    Ok(())
}

/// Removes what carries the run's label, until nothing does. A request that was given up may still be under way in the
/// engine, so what it creates is waited for.
async fn remove_run(docker: &Docker, run: &str, progress: &mut dyn Progress) -> Result<(), BackendError> {
    let settled = Instant::now() + GIVEN_UP_SETTLES;
    let mut left = Vec::new();
    for round in 0..REMOVAL_ROUNDS_MAX {
        if round > 0 {
            sleep_until(settled).await;
        }
        let found = teardown::find(docker, Some(run)).await?;
        let objects: Vec<_> = found.into_values().flat_map(|objects_of_run| objects_of_run.objects).collect();
        if objects.is_empty() && round > 0 {
            return Ok(());
        }
        if !objects.is_empty() {
            progress.begin("removing containers and networks", objects.len() as u64);
        }
        left = teardown::remove(docker, &objects, progress).await;
        if !left.is_empty() {
            break;
        }
    }
    let left = match left.is_empty() {
        true => format!("new containers of run {run} keep appearing"),
        false => format!("what is left:{}", teardown::describe(&left)),
    };
    let remedy = format!(
        "Try again with: harness clean --run {run}; if the engine still refuses, restart it: sudo systemctl restart docker"
    );
    Err(BackendError::Removal { left, remedy })
}
