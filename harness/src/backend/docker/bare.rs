//! What the engine itself needs: containers that do nothing, on one network, to hold a run's deployment against.

use std::time::Duration;

use anyhow::Context;
use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, NetworkCreateRequest};
use bollard::query_parameters::StartContainerOptions;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use super::containers::STARTS_AT_ONCE;
use super::image;
use super::label::{ObjectRole, RunLabels};
use super::wiring::{confined, create};
use super::{engine, remove_run};
use crate::backend::BackendError;
use crate::programs;
use crate::progress::Progress;

/// Memory of a container.
const MEMORY: i64 = 256 << 20;

/// Starts `count` containers, each with a node that is alone, and removes them. How long the starting took.
///
/// # Errors
/// When the engine refuses something; what was made is removed.
pub(crate) async fn measure(
    programs: &programs::ProgramChoice,
    count: usize,
    progress: &mut dyn Progress,
) -> Result<Duration, BackendError> {
    let docker = engine::connect().await?.docker;
    let image = image::build(programs, progress).await?.tag;
    let run_labels = RunLabels::new("bare", false)?;
    progress.begin("starting bare containers", count as u64);
    let began = Instant::now();
    let started = start(&docker, &run_labels, &image, count, progress).await;
    let took = began.elapsed();
    let removed = remove_run(&docker, &run_labels.run, progress).await;
    started?;
    removed?;
    Ok(took)
}

async fn start(
    docker: &Docker,
    run_labels: &RunLabels,
    image: &str,
    count: usize,
    progress: &mut dyn Progress,
) -> anyhow::Result<()> {
    let network = run_labels.name(ObjectRole::Network, "bare");
    let labels = run_labels.labels(ObjectRole::Network, "bare");
    let request =
        NetworkCreateRequest { name: network.clone(), labels: Some(labels), ..NetworkCreateRequest::default() };
    docker.create_network(request).await.context("the engine could not create a network")?;
    let begin = |number: usize| {
        let (name, network) = (run_labels.name(ObjectRole::Node, &number.to_string()), network.clone());
        async move {
            create(docker, &name, body(run_labels, image, &network, number)).await?;
            let started = docker.start_container(&name, None::<StartContainerOptions>).await;
            started.with_context(|| format!("the engine cannot start {name}"))
        }
    };
    let mut starts = stream::iter((0..count).map(begin)).buffer_unordered(STARTS_AT_ONCE);
    while starts.try_next().await?.is_some() {
        progress.advance(1);
    }
    Ok(())
}

fn body(run_labels: &RunLabels, image: &str, network: &str, number: usize) -> ContainerCreateBody {
    let arguments = ["run", "--listen", "127.0.0.1:4001", "--set", "discover=false"];
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec!["/butter".to_owned()]),
        cmd: Some(arguments.map(str::to_owned).to_vec()),
        labels: Some(run_labels.labels(ObjectRole::Node, &number.to_string())),
        host_config: Some(HostConfig { network_mode: Some(network.to_owned()), ..confined(MEMORY) }),
        ..ContainerCreateBody::default()
    }
}
