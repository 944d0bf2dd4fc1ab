//! Which backend plays a run, and why.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;

use super::tell;
use crate::backend::docker::{self, DockerBackend};
use crate::backend::netns::{self, NetnsBackend};
use crate::backend::sim::SimBackend;
use crate::backend::{Backend, BackendError};
use crate::events::RunTime;
use crate::netns::access::{self, NamespaceAccess};
use crate::op::{BackendEvent, Op, OpId, OpTarget};
use crate::plan::{FidelityChoice, Plan};
use crate::probe::ProbeOutcome;
use crate::programs;
use crate::progress::Progress;
use crate::sim::network::NodeSlot;
use crate::sim::transport::PacketTap;

/// As `--backend` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum BackendArg {
    /// The first usable one of docker, netns and sim
    Auto,
    /// Each node and router in a container
    Docker,
    /// Each node and router in a network namespace, without Docker and without root
    Netns,
    /// Simulated in virtual time
    Sim,
}

/// As `--fidelity` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FidelityArg {
    /// packet for up to 100 nodes that run from the start, message for more
    Auto,
    /// A model of QUIC, for many nodes
    Message,
    /// QUIC itself, packet by packet
    Packet,
}

impl BackendArg {
    /// As it stands on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            BackendArg::Auto => "auto",
            BackendArg::Docker => "docker",
            BackendArg::Netns => "netns",
            BackendArg::Sim => "sim",
        }
    }
}

impl From<FidelityArg> for FidelityChoice {
    fn from(fidelity: FidelityArg) -> Self {
        match fidelity {
            FidelityArg::Auto => FidelityChoice::Auto,
            FidelityArg::Message => FidelityChoice::Message,
            FidelityArg::Packet => FidelityChoice::Packet,
        }
    }
}

/// The backend that will play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BackendKind {
    Docker,
    Netns,
    Sim,
}

impl BackendKind {
    /// Its name in records.
    pub(super) fn name(self) -> &'static str {
        match self {
            BackendKind::Docker => "docker",
            BackendKind::Netns => "netns",
            BackendKind::Sim => "sim",
        }
    }
}

impl BackendArg {
    /// The backend of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        BackendArg::from_str(name, false).ok()
    }

    /// Decides, and reports what `auto` took and why. For namespaces of an ordinary user, the program starts itself anew: then
    /// this does not return.
    pub(super) async fn choose(self) -> Result<BackendKind, BackendError> {
        match self.resolve().await? {
            (BackendKind::Netns, NamespaceAccess::InUserNamespace) => Err(access::enter().into()),
            (kind, _) => Ok(kind),
        }
    }

    /// Decides, for another process that is to be started. Says how that process has namespaces.
    pub(super) async fn resolve(self) -> Result<(BackendKind, NamespaceAccess), BackendError> {
        const READY: NamespaceAccess = NamespaceAccess::Ready;
        if access::entered() {
            return Ok((BackendKind::Netns, READY));
        }
        match self {
            BackendArg::Sim => Ok((BackendKind::Sim, READY)),
            BackendArg::Docker => docker::preflight().await.map(|()| (BackendKind::Docker, READY)),
            BackendArg::Netns => Ok((BackendKind::Netns, netns::preflight().await?)),
            BackendArg::Auto => auto().await,
        }
    }
}

async fn auto() -> Result<(BackendKind, NamespaceAccess), BackendError> {
    let one_line = |error: &BackendError| butter_cli::chain::one_line(error).replace('\n', " ");
    let no_docker = match docker::preflight().await {
        Ok(()) => {
            tell("backend: docker");
            return Ok((BackendKind::Docker, NamespaceAccess::Ready));
        }
        Err(error) => format!("docker is not usable: {}", one_line(&error)),
    };
    match netns::preflight().await {
        Ok(access) => {
            tell(&format!("backend: netns ({no_docker})"));
            Ok((BackendKind::Netns, access))
        }
        Err(error) => {
            tell(&format!("backend: sim ({no_docker}; {})", one_line(&error)));
            Ok((BackendKind::Sim, NamespaceAccess::Ready))
        }
    }
}

/// A backend for one run.
#[expect(clippy::large_enum_variant, reason = "one per run")]
pub(super) enum AnyBackend {
    Docker(DockerBackend),
    Netns(NetnsBackend),
    Sim(SimBackend),
}

/// How a run is set up, for the backends that it matters to.
#[derive(Clone, Debug, Default)]
pub(super) struct BackendSetup {
    /// What was deployed shall be left.
    pub(super) keep: bool,
    /// Routers are probed before anything is played.
    pub(super) probe: bool,
    /// Where logs are kept.
    pub(super) logs: Option<PathBuf>,
    /// Programs of nodes and routers.
    pub(super) programs: programs::ProgramChoice,
}

impl AnyBackend {
    pub(super) fn new(kind: BackendKind, plan: &Plan, set_up: BackendSetup) -> Self {
        let BackendSetup { keep, probe, logs, programs } = set_up;
        match kind {
            BackendKind::Docker => {
                let options = docker::DockerOptions { programs, keep, logs, probe, ..docker::DockerOptions::default() };
                AnyBackend::Docker(DockerBackend::new(plan.clone(), options))
            }
            BackendKind::Netns => {
                let options = netns::NetnsOptions { programs, logs, probe, ..netns::NetnsOptions::default() };
                AnyBackend::Netns(NetnsBackend::new(plan.clone(), options))
            }
            BackendKind::Sim => AnyBackend::Sim(SimBackend::new(plan)),
        }
    }

    /// Listens to the datagrams of a node, on the simulator.
    pub(super) fn tap(&mut self, plan: &Plan, node: Option<&str>) {
        let slot = node.and_then(|node| plan.nodes.iter().position(|known| known.name == node));
        if let (AnyBackend::Sim(backend), Some(slot)) = (self, slot) {
            backend.tap(slot as NodeSlot);
        }
    }

    /// What was heard of that node.
    pub(super) fn tapped(&mut self) -> Option<PacketTap> {
        match self {
            AnyBackend::Sim(backend) => backend.tapped(),
            AnyBackend::Docker(_) | AnyBackend::Netns(_) => None,
        }
    }

    /// The plan as it is played, once the backend is up: with the subnets that were free.
    pub(super) fn plan(&self, written: &Arc<Plan>) -> Arc<Plan> {
        match self {
            AnyBackend::Docker(backend) => Arc::new(backend.plan().clone()),
            AnyBackend::Netns(_) | AnyBackend::Sim(_) => Arc::clone(written),
        }
    }

    /// Version of the Docker engine that plays the run, once the backend is up.
    pub(super) fn engine_version(&self) -> Option<String> {
        match self {
            AnyBackend::Docker(backend) => backend.engine_version().map(str::to_owned),
            AnyBackend::Netns(_) | AnyBackend::Sim(_) => None,
        }
    }

    /// What came of the self-probe.
    pub(super) fn probed(&self) -> ProbeOutcome {
        match self {
            AnyBackend::Docker(backend) => backend.probed().clone(),
            AnyBackend::Netns(backend) => backend.probed().clone(),
            AnyBackend::Sim(_) => ProbeOutcome::NotNeeded,
        }
    }

    /// Leaves what was deployed, and tells how to remove it. `None` if there is nothing that could be left.
    pub(super) async fn keep(&self, logs: PathBuf) -> Option<Result<String, BackendError>> {
        let AnyBackend::Docker(backend) = self else { return None };
        let run = backend.run_id()?;
        if let Err(error) = backend.collect_logs(&logs).await {
            return Some(Err(error.into()));
        }
        Some(Ok(format!(
            "kept: list its containers with `docker ps --filter label=butter.run={run}`; remove it with `harness clean --run {run}`"
        )))
    }
}

impl Backend for AnyBackend {
    fn name(&self) -> &'static str {
        match self {
            AnyBackend::Docker(backend) => backend.name(),
            AnyBackend::Netns(backend) => backend.name(),
            AnyBackend::Sim(backend) => backend.name(),
        }
    }

    async fn up(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        match self {
            AnyBackend::Docker(backend) => backend.up(progress).await,
            AnyBackend::Netns(backend) => backend.up(progress).await,
            AnyBackend::Sim(backend) => backend.up(progress).await,
        }
    }

    fn now(&self) -> RunTime {
        match self {
            AnyBackend::Docker(backend) => backend.now(),
            AnyBackend::Netns(backend) => backend.now(),
            AnyBackend::Sim(backend) => backend.now(),
        }
    }

    fn submit(&mut self, id: OpId, op: Op, target: OpTarget) {
        match self {
            AnyBackend::Docker(backend) => backend.submit(id, op, target),
            AnyBackend::Netns(backend) => backend.submit(id, op, target),
            AnyBackend::Sim(backend) => backend.submit(id, op, target),
        }
    }

    async fn next(&mut self, until: RunTime) -> Option<BackendEvent> {
        match self {
            AnyBackend::Docker(backend) => backend.next(until).await,
            AnyBackend::Netns(backend) => backend.next(until).await,
            AnyBackend::Sim(backend) => backend.next(until).await,
        }
    }

    async fn down(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        match self {
            AnyBackend::Docker(backend) => backend.down(progress).await,
            AnyBackend::Netns(backend) => backend.down(progress).await,
            AnyBackend::Sim(backend) => backend.down(progress).await,
        }
    }
}
