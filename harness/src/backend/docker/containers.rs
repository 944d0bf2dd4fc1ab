//! The containers of nodes, as processes that begin and end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use bollard::Docker;
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::wiring::Wiring;
use super::{Shared, logs, neighbours};
use crate::backend::process::lifecycle::{LEAVE_WITHIN, Life};
use crate::backend::process::neighbours::of;
use crate::backend::process::{Fleet, Host};
use crate::netns::Crew;
use crate::plan::{NetworkIndex, NodeIndex};

/// Containers that are started at once: more at a time costs the engine more in all, and it has been seen to leak endpoints.
pub(super) const STARTS_AT_ONCE: usize = 4;
/// How long the engine may take to start, kill or stop a container, beyond the time given for leaving.
const ENGINE_DEADLINE: Duration = Duration::from_secs(60);

/// Where the nodes of a run on Docker are.
#[derive(Debug)]
pub(crate) struct Containers {
    pub(super) docker: Docker,
    pub(super) wiring: Wiring,
    pub(super) crew: Crew,
    /// Link-layer addresses of the routers' inside ends; empty where neighbours cannot be told.
    gateways: BTreeMap<NetworkIndex, [u8; 6]>,
    created: Mutex<BTreeSet<NodeIndex>>,
    starts: Semaphore,
}

impl Containers {
    pub(super) fn new(docker: Docker, wiring: Wiring, crew: Crew, gateways: BTreeMap<NetworkIndex, [u8; 6]>) -> Self {
        let starts = Semaphore::new(STARTS_AT_ONCE);
        Containers { docker, wiring, crew, gateways, created: Mutex::default(), starts }
    }

    fn created(&self) -> std::sync::MutexGuard<'_, BTreeSet<NodeIndex>> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for Containers {
    async fn begin(fleet: &Arc<Shared>, node: NodeIndex, anew: bool, _: &Life) -> anyhow::Result<()> {
        let _permit = fleet.host.starts.acquire().await.context("the run is over")?;
        create(fleet, node, anew).await?;
        let name = fleet.host.wiring.node_name(&fleet.plan, node);
        let start = fleet.host.docker.start_container(&name, None::<StartContainerOptions>);
        engine("start", ENGINE_DEADLINE, start).await?;
        tell_neighbours(fleet, node, &name).await
    }

    async fn kill(fleet: &Shared, node: NodeIndex, life: &Life) -> anyhow::Result<()> {
        let name = fleet.host.wiring.node_name(&fleet.plan, node);
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        let killed = engine("kill", ENGINE_DEADLINE, fleet.host.docker.kill_container(&name, Some(options))).await;
        // It may have ended by itself a moment before: then the word of that comes.
        if killed.is_err() && timeout(ENDED_SETTLES, life.ended.cancelled()).await.is_ok() {
            return Ok(());
        }
        killed
    }

    async fn stop(fleet: &Shared, node: NodeIndex, _: &Life) -> anyhow::Result<()> {
        let name = fleet.host.wiring.node_name(&fleet.plan, node);
        let options = StopContainerOptionsBuilder::default().t(LEAVE_WITHIN.as_secs() as i32).build();
        let stop = fleet.host.docker.stop_container(&name, Some(options));
        engine("stop", ENGINE_DEADLINE + LEAVE_WITHIN, stop).await
    }

    async fn said(fleet: &Shared, node: NodeIndex) -> String {
        logs::quote(&fleet.host.docker, &fleet.host.wiring.node_name(&fleet.plan, node)).await
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
async fn create(fleet: &Fleet<Containers>, node: NodeIndex, anew: bool) -> anyhow::Result<()> {
    let Containers { docker, wiring, .. } = &fleet.host;
    let created = fleet.host.created().contains(&node);
    if created && !anew {
        return Ok(());
    }
    if created {
        wiring.remove_node(docker, &fleet.plan, node).await?;
        fleet.host.created().remove(&node);
    }
    wiring.create_node(docker, &fleet.plan, node, fleet.node(node).keeps).await?;
    fleet.host.created().insert(node);
    Ok(())
}

async fn tell_neighbours(fleet: &Shared, node: NodeIndex, name: &str) -> anyhow::Result<()> {
    let network = fleet.plan.node(node).network;
    let Some(gateway) = fleet.host.gateways.get(&network) else { return Ok(()) };
    let inspected = fleet.host.docker.inspect_container(name, None::<InspectContainerOptions>).await;
    let state = inspected.context("asking the engine for its process")?.state;
    // Without a process it has ended, which others notice.
    let Some(pid) = state.and_then(|state| state.pid).filter(|pid| *pid > 0) else { return Ok(()) };
    let told = of(&fleet.plan, node, *gateway);
    match neighbours::install(&fleet.host.crew, pid, fleet.plan.node(node).address, told).await {
        // One that has just ended has no namespace any more; that it has ended is told by others.
        Err(error) if Path::new(&format!("/proc/{pid}/ns/net")).exists() => {
            Err(error.context("telling it its neighbours"))
        }
        _ => Ok(()),
    }
}
