//! The containers of nodes, as processes that begin and end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use bollard::Docker;
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use nix::sys::signal::Signal;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::wiring::Wiring;
use super::{Shared, filtering, logs, neighbours};
use crate::backend::held::{HeldApi, HeldHost, LogSource};
use crate::backend::process::client::Route;
use crate::backend::process::lifecycle::{LEAVE_WITHIN, ProcessInstance};
use crate::backend::process::moves::NodePlace;
use crate::backend::process::neighbours::of;
use crate::backend::process::{ProcessHost, ProcessRun, node_command};
use crate::netns::NamespaceWorkers;
use crate::netns::arrival_filter::ArrivalFilter;
use crate::plan::{API_PORT, NetworkIndex, NodeIndex, Plan};

/// Containers that are started at once: more at a time costs the engine more in all, and it has been seen to leak endpoints.
pub(super) const STARTS_AT_ONCE: usize = 4;
/// How long the engine may take to start, kill or stop a container, beyond the time given for leaving.
const ENGINE_DEADLINE: Duration = Duration::from_secs(60);

/// Where the nodes of a run on Docker are.
#[derive(Debug)]
pub(crate) struct Containers {
    pub(super) docker: Docker,
    pub(super) wiring: Wiring,
    pub(super) workers: NamespaceWorkers,
    /// Link-layer addresses of the routers' inside ends; empty where neighbour tables cannot be filled.
    gateways: BTreeMap<NetworkIndex, [u8; 6]>,
    created: Mutex<BTreeSet<NodeIndex>>,
    starts: Semaphore,
}

impl Containers {
    pub(super) fn new(
        docker: Docker,
        wiring: Wiring,
        workers: NamespaceWorkers,
        gateways: BTreeMap<NetworkIndex, [u8; 6]>,
    ) -> Self {
        let starts = Semaphore::new(STARTS_AT_ONCE);
        Containers { docker, wiring, workers, gateways, created: Mutex::default(), starts }
    }

    fn created(&self) -> std::sync::MutexGuard<'_, BTreeSet<NodeIndex>> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProcessHost for Containers {
    async fn begin(run: &Arc<Shared>, node: NodeIndex, anew: bool, _: &ProcessInstance) -> anyhow::Result<()> {
        let _permit = run.host.starts.acquire().await.context("the run is over")?;
        create(run, node, anew).await?;
        let name = run.host.wiring.node_name(&run.present(), node);
        let start = run.host.docker.start_container(&name, None::<StartContainerOptions>);
        engine("start", ENGINE_DEADLINE, start).await?;
        tell_neighbours(run, &run.present(), node).await
    }

    async fn kill(run: &Shared, node: NodeIndex, instance: &ProcessInstance) -> anyhow::Result<()> {
        let killed = Self::signal(run, node, Signal::SIGKILL).await;
        // It may have ended by itself a moment before: then the word of that comes.
        if killed.is_err() && timeout(ENDED_SETTLES, instance.ended.cancelled()).await.is_ok() {
            return Ok(());
        }
        killed
    }

    async fn signal(run: &Shared, node: NodeIndex, signal: Signal) -> anyhow::Result<()> {
        let name = run.host.wiring.node_name(&run.present(), node);
        let options = KillContainerOptionsBuilder::default().signal(signal.as_str()).build();
        engine("signal", ENGINE_DEADLINE, run.host.docker.kill_container(&name, Some(options))).await
    }

    async fn stop(run: &Shared, node: NodeIndex, _: &ProcessInstance) -> anyhow::Result<()> {
        let name = run.host.wiring.node_name(&run.present(), node);
        let options = StopContainerOptionsBuilder::default().t(LEAVE_WITHIN.as_secs() as i32).build();
        let stop = run.host.docker.stop_container(&name, Some(options));
        engine("stop", ENGINE_DEADLINE + LEAVE_WITHIN, stop).await
    }

    async fn filter(run: &Shared, node: NodeIndex, filter: ArrivalFilter) -> anyhow::Result<()> {
        filtering::install(run, node, &filter).await
    }

    async fn is_out_of_memory(run: &Shared, node: NodeIndex) -> bool {
        let name = run.host.wiring.node_name(&run.present(), node);
        let inspected = run.host.docker.inspect_container(&name, None::<InspectContainerOptions>).await;
        let state = inspected.inspect_err(|error| tracing::warn!(%error, "the engine does not say why it was killed"));
        state.ok().and_then(|found| found.state).and_then(|state| state.oom_killed).unwrap_or(false)
    }

    async fn rewire(run: &Shared, node: NodeIndex, there: &Plan) -> anyhow::Result<()> {
        // Its container is made where it is by then.
        if !run.host.created().contains(&node) {
            return Ok(());
        }
        let Containers { docker, wiring, .. } = &run.host;
        let here = run.present();
        let moved = wiring.move_node(docker, &here, there, node);
        timeout(ENGINE_DEADLINE, moved).await.map_err(|_| {
            anyhow!("the engine does not connect it to another network within {} s", ENGINE_DEADLINE.as_secs())
        })??;
        tell_neighbours(run, there, node).await
    }

    fn route(run: &Shared, to: NodePlace) -> Option<Route> {
        Some(run.host.wiring.way_to_node(to.network, to.address))
    }

    const STORE: &str = "root/store";

    async fn process_id(run: &Shared, node: NodeIndex) -> anyhow::Result<i32> {
        filtering::process_id(run, node).await
    }

    async fn discard(run: &Shared, node: NodeIndex, store: bool) -> anyhow::Result<()> {
        let Containers { docker, wiring, .. } = &run.host;
        if run.host.created().contains(&node) {
            match store {
                true => wiring.remove_node(docker, &run.present(), node).await?,
                false => wiring.remove_container(docker, &run.present(), node).await?,
            }
            run.host.created().remove(&node);
        }
        Ok(())
    }

    async fn namespace(run: &Shared, host: HeldHost) -> anyhow::Result<PathBuf> {
        let pid = filtering::process_of(&run.host.docker, &container(run, host)).await?;
        Ok(format!("/proc/{pid}/ns/net").into())
    }

    fn log(run: &Shared, host: HeldHost) -> Option<LogSource> {
        Some(LogSource::Container(container(run, host)))
    }

    async fn keys(run: &Shared, node: NodeIndex) -> anyhow::Result<Option<PathBuf>> {
        if !run.host.wiring.keys {
            return Ok(None);
        }
        let volume = run.host.wiring.node_name(&run.present(), node);
        let found = run.host.docker.inspect_volume(&volume).await.context("asking the engine for its volume")?;
        Ok(Some(PathBuf::from(found.mountpoint).join(node_command::KEY_FILE)))
    }

    fn api(run: &Shared, node: NodeIndex) -> HeldApi {
        let address = SocketAddrV4::new(run.present().node(node).address, API_PORT);
        HeldApi { address, token: Some(run.host.wiring.token.clone()) }
    }

    async fn last_output(run: &Shared, node: NodeIndex) -> String {
        logs::quote(&run.host.docker, &run.host.wiring.node_name(&run.present(), node)).await
    }
}

fn container(run: &Shared, host: HeldHost) -> String {
    match host {
        HeldHost::Node(node) => run.host.wiring.node_name(&run.present(), node),
        HeldHost::Router(network) => run.host.wiring.router_name(&run.present(), network),
    }
}

/// How long the word that a container has ended may be under way when the engine already refuses to kill it.
const ENDED_SETTLES: Duration = Duration::from_secs(5);

/// Waits for the engine to do something to a container.
async fn engine(
    what: &str,
    within: Duration,
    doing: impl Future<Output = Result<(), bollard::errors::Error>>,
) -> anyhow::Result<()> {
    let done = timeout(within, doing).await;
    let done = done.map_err(|_| anyhow!("the engine does not {what} it within {} s", within.as_secs()))?;
    done.with_context(|| format!("the engine cannot {what} it"))
}

/// Creates a node's container unless it is there; `anew` takes another in its place.
async fn create(run: &ProcessRun<Containers>, node: NodeIndex, anew: bool) -> anyhow::Result<()> {
    let Containers { docker, wiring, .. } = &run.host;
    let created = run.host.created().contains(&node);
    if created && !anew {
        return Ok(());
    }
    if created {
        wiring.remove_node(docker, &run.present(), node).await?;
        run.host.created().remove(&node);
    }
    wiring.create_node(docker, &run.present(), node, run.node(node).persistent).await?;
    run.host.created().insert(node);
    Ok(())
}

/// Fills the table of neighbours of a node where it is in `plan`, if it runs.
async fn tell_neighbours(run: &Shared, plan: &Plan, node: NodeIndex) -> anyhow::Result<()> {
    let Some(gateway) = run.host.gateways.get(&plan.node(node).network) else { return Ok(()) };
    let name = run.host.wiring.node_name(plan, node);
    let inspected = run.host.docker.inspect_container(&name, None::<InspectContainerOptions>).await;
    let state = inspected.context("asking the engine for its process")?.state;
    // Without a process it has ended, which others notice.
    let Some(pid) = state.and_then(|state| state.pid).filter(|pid| *pid > 0) else { return Ok(()) };
    let result = of(plan, node, *gateway);
    match neighbours::install(&run.host.workers, pid, plan.node(node).address, result).await {
        // One that has just ended has no namespace any more; its end is reported elsewhere.
        Err(error) if Path::new(&format!("/proc/{pid}/ns/net")).exists() => {
            Err(error.context("telling it its neighbours"))
        }
        _ => Ok(()),
    }
}
