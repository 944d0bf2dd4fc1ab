//! Which backend plays.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;

use super::tell;
use crate::backend::docker::{self, DockerBackend};
use crate::backend::netns::access::{self, Access};
use crate::backend::netns::{self, NetnsBackend};
use crate::backend::sim::Sim;
use crate::backend::{Action, Backend, BackendError, OpId, Progress, Report};
use crate::events::RunTime;
use crate::image;
use crate::plan::Plan;
use crate::probe::Probed;

/// As `--backend` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Wanted {
    /// Docker if its engine answers, else network namespaces if they can be made, else the simulator
    Auto,
    /// Every node and router in a container
    Docker,
    /// Every node and router in a network namespace, without Docker; as root or as an ordinary user
    Netns,
    /// Simulated, in virtual time
    Sim,
}

/// What will play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Docker,
    Netns,
    Sim,
}

impl Wanted {
    /// Finds out. What `auto` takes, and why, is told in one line. Namespaces of an ordinary user are had by beginning this
    /// program anew: then this does not return.
    pub(super) async fn choose(self) -> Result<Kind, BackendError> {
        if access::entered() {
            return Ok(Kind::Netns);
        }
        match self {
            Wanted::Sim => Ok(Kind::Sim),
            Wanted::Docker => docker::preflight().await.map(|()| Kind::Docker),
            Wanted::Netns => namespaces(netns::preflight().await?),
            Wanted::Auto => auto().await,
        }
    }
}

async fn auto() -> Result<Kind, BackendError> {
    let one_line = |error: &BackendError| format!("{:#}", error.what).replace('\n', " ");
    let no_docker = match docker::preflight().await {
        Ok(()) => {
            tell("backend: docker, as its engine answers");
            return Ok(Kind::Docker);
        }
        Err(error) => format!("docker cannot be used here: {}", one_line(&error)),
    };
    match netns::preflight().await {
        Ok(access) => {
            tell(&format!("backend: netns, as {no_docker}"));
            namespaces(access)
        }
        Err(error) => {
            tell(&format!("backend: sim, as {no_docker}; {}", one_line(&error)));
            Ok(Kind::Sim)
        }
    }
}

fn namespaces(access: Access) -> Result<Kind, BackendError> {
    match access {
        Access::Ready => Ok(Kind::Netns),
        Access::InUserNamespace => Err(access::enter()),
    }
}

/// A backend for one run.
#[expect(clippy::large_enum_variant, reason = "one per run")]
pub(super) enum Chosen {
    Docker(DockerBackend),
    Netns(NetnsBackend),
    Sim(Sim),
}

/// How a run is set up, for the backends that it matters to.
#[derive(Clone, Debug, Default)]
pub(super) struct SetUp {
    /// What was deployed shall be left.
    pub(super) keep: bool,
    /// Routers are probed before anything is played.
    pub(super) probe: bool,
    /// Where logs are kept.
    pub(super) logs: Option<PathBuf>,
    /// What is run.
    pub(super) programs: image::Choice,
}

impl Chosen {
    pub(super) fn new(kind: Kind, plan: &Plan, set_up: SetUp) -> Self {
        let SetUp { keep, probe, logs, programs } = set_up;
        match kind {
            Kind::Docker => {
                let options = docker::Options { programs, keep, logs, probe, tamper: None };
                Chosen::Docker(DockerBackend::new(plan.clone(), options))
            }
            Kind::Netns => {
                let options = netns::Options { programs, logs, probe, tamper: None };
                Chosen::Netns(NetnsBackend::new(plan.clone(), options))
            }
            Kind::Sim => Chosen::Sim(Sim::new(plan)),
        }
    }

    /// The plan as it is played, once the backend is up: with the subnets that were free.
    pub(super) fn plan(&self, written: &Arc<Plan>) -> Arc<Plan> {
        match self {
            Chosen::Docker(backend) => Arc::new(backend.plan().clone()),
            Chosen::Netns(_) | Chosen::Sim(_) => Arc::clone(written),
        }
    }

    /// What came of the self-probe.
    pub(super) fn probed(&self) -> Probed {
        match self {
            Chosen::Docker(backend) => backend.probed().clone(),
            Chosen::Netns(backend) => backend.probed().clone(),
            Chosen::Sim(_) => Probed::NotNeeded,
        }
    }

    /// Leaves what was deployed, and tells how to remove it. `None` if there is nothing that could be left.
    pub(super) async fn keep(&self, logs: PathBuf) -> Option<Result<String, BackendError>> {
        let Chosen::Docker(backend) = self else { return None };
        let run = backend.run_id()?;
        if let Err(error) = backend.collect_logs(&logs).await {
            return Some(Err(error.into()));
        }
        Some(Ok(format!(
            "kept: docker ps --filter label=butter.run={run} shows its containers; harness clean --run {run} removes it"
        )))
    }
}

impl Backend for Chosen {
    fn name(&self) -> &'static str {
        match self {
            Chosen::Docker(backend) => backend.name(),
            Chosen::Netns(backend) => backend.name(),
            Chosen::Sim(backend) => backend.name(),
        }
    }

    async fn up(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        match self {
            Chosen::Docker(backend) => backend.up(progress).await,
            Chosen::Netns(backend) => backend.up(progress).await,
            Chosen::Sim(backend) => backend.up(progress).await,
        }
    }

    fn now(&self) -> RunTime {
        match self {
            Chosen::Docker(backend) => backend.now(),
            Chosen::Netns(backend) => backend.now(),
            Chosen::Sim(backend) => backend.now(),
        }
    }

    fn submit(&mut self, op: OpId, action: Action) {
        match self {
            Chosen::Docker(backend) => backend.submit(op, action),
            Chosen::Netns(backend) => backend.submit(op, action),
            Chosen::Sim(backend) => backend.submit(op, action),
        }
    }

    async fn next(&mut self, until: RunTime) -> Option<Report> {
        match self {
            Chosen::Docker(backend) => backend.next(until).await,
            Chosen::Netns(backend) => backend.next(until).await,
            Chosen::Sim(backend) => backend.next(until).await,
        }
    }

    async fn down(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        match self {
            Chosen::Docker(backend) => backend.down(progress).await,
            Chosen::Netns(backend) => backend.down(progress).await,
            Chosen::Sim(backend) => backend.down(progress).await,
        }
    }
}
