//! What a node's container does not receive. A node has no power over its network, so the filter is set from outside: by this
//! process, if it may enter the container's network namespace, or else by a container that shares it.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{
    InspectContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::neighbours::{enters_namespaces, may_enter};
use super::{Shared, logs};
use crate::netns::arrival_filter::ArrivalFilter;
use crate::plan::NodeIndex;

/// How long it may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Installs a filter in the container of a node, which runs.
///
/// # Errors
/// If neither way is open, or the kernel cannot filter.
pub(super) async fn install(run: &Shared, node: NodeIndex, filter: &ArrivalFilter) -> anyhow::Result<()> {
    let installed = timeout(DEADLINE, async {
        match enters_namespaces() {
            true => from_outside(run, node, filter).await,
            false => from_beside(run, node, filter).await,
        }
    });
    installed.await.map_err(|_| anyhow!("filtering what it receives takes more than {} s", DEADLINE.as_secs()))?
}

/// The number of the process of a node, as the engine sees it.
pub(super) async fn process_id(run: &Shared, node: NodeIndex) -> anyhow::Result<i32> {
    process_of(&run.host.docker, &run.host.wiring.node_name(&run.present(), node)).await
}

/// The number of the process of a container, as the engine sees it.
pub(super) async fn process_of(docker: &Docker, name: &str) -> anyhow::Result<i32> {
    let inspected = docker.inspect_container(name, None::<InspectContainerOptions>).await;
    let state = inspected.context("asking the engine for its process")?.state;
    let pid = state.and_then(|state| state.pid).filter(|pid| *pid > 0).context("it has ended")?;
    i32::try_from(pid).context("the number of its process")
}

async fn from_outside(run: &Shared, node: NodeIndex, filter: &ArrivalFilter) -> anyhow::Result<()> {
    let pid = process_id(run, node).await?.into();
    if !may_enter(&run.host.workers, pid).await {
        return from_beside(run, node, filter).await;
    }
    let filter = filter.clone();
    let installed = run.host.workers.open(pid)?.run(move || filter.install()).await;
    installed.context("filtering what it receives")
}

async fn from_beside(run: &Shared, node: NodeIndex, filter: &ArrivalFilter) -> anyhow::Result<()> {
    let docker = &run.host.docker;
    let filter = serde_json::to_string(filter).context("a filter as JSON")?;
    let name = run.host.wiring.create_filter(docker, &run.present(), node, filter).await?;
    let carried_out = carry_out(run, &name).await;
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    let removed = docker.remove_container(&name, Some(options)).await;
    carried_out?;
    removed.with_context(|| format!("removing the container {name}"))
}

async fn carry_out(run: &Shared, name: &str) -> anyhow::Result<()> {
    let docker = &run.host.docker;
    docker.start_container(name, None::<StartContainerOptions>).await.context("the engine cannot start a filter")?;
    let ended = docker.wait_container(name, None::<WaitContainerOptions>).next().await;
    match ended.context("the engine does not say how a filter ended")? {
        Ok(_) => Ok(()),
        Err(Error::DockerContainerWaitError { code, .. }) => {
            bail!("filtering what it receives fails with status {code}{}", logs::quote(docker, name).await)
        }
        Err(error) => Err(error).context("waiting for a filter"),
    }
}
