//! What containers said: the end of it in error messages, all of it (bounded) in the run's directory.

use std::path::Path;

use anyhow::Context;
use bollard::Docker;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::Shared;
use crate::plan::{NetworkIndex, NodeIndex};

/// Lines in an error message.
const TAIL_LINES: &str = "5";
/// Bytes of one container's log that are kept.
const KEPT_MAX: usize = 4 << 20;
/// Logs that are taken at once.
const AT_ONCE: usize = 4;

/// The last lines of a container's log, ready to follow an error message; empty when there are none.
pub(crate) async fn quote(docker: &Docker, container: &str) -> String {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(TAIL_LINES).build();
    let lines: Result<Vec<_>, _> = docker.logs(container, Some(options)).try_collect().await;
    let last_output: String = lines.unwrap_or_default().iter().map(ToString::to_string).collect();
    if last_output.trim().is_empty() { String::new() } else { format!("; it said last:\n{}", last_output.trim_end()) }
}

/// Passes on the log of a container, from its last `tail` lines on; with `follow`, until the container ends.
pub(crate) async fn print(
    docker: &Docker,
    container: &str,
    follow: bool,
    tail: Option<u32>,
    mut show: impl FnMut(&[u8]),
) -> anyhow::Result<()> {
    let tail = tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).follow(follow).tail(&tail).build();
    let mut lines = docker.logs(container, Some(options));
    while let Some(line) = lines.next().await {
        show(&line.context("asking the engine for a log")?.into_bytes());
    }
    Ok(())
}

/// Writes the log of every node and router that has a container: `NODE.log` and `router-NETWORK.log`.
pub(crate) async fn collect(shared: &Shared, folder: &Path) -> anyhow::Result<()> {
    tokio::fs::create_dir_all(folder).await.with_context(|| format!("creating {}", folder.display()))?;
    let plan = &*shared.present();
    let nodes = (0..plan.nodes.len()).map(NodeIndex).filter(|node| shared.node(*node).instance().is_some());
    let nodes = nodes.map(|node| (shared.host.wiring.node_name(plan, node), format!("{}.log", plan.node(node).name)));
    let routers = (0..plan.networks.len()).map(NetworkIndex);
    let routers = routers
        .map(|index| (shared.host.wiring.router_name(plan, index), format!("router-{}.log", plan.network(index).name)));
    let writes = nodes.chain(routers).map(|(container, file)| async move {
        let path = folder.join(file);
        write(&shared.host.docker, &container, &path).await.with_context(|| format!("writing {}", path.display()))
    });
    stream::iter(writes).buffer_unordered(AT_ONCE).try_collect().await
}

async fn write(docker: &Docker, container: &str, path: &Path) -> anyhow::Result<()> {
    let mut file = File::create(path).await?;
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).build();
    let mut lines = docker.logs(container, Some(options));
    let mut written = 0;
    while let Some(line) = lines.next().await {
        let bytes = line.context("asking the engine for a log")?.into_bytes();
        if written + bytes.len() > KEPT_MAX {
            file.write_all(b"(the rest was left out)\n").await?;
            break;
        }
        written += bytes.len();
        file.write_all(&bytes).await?;
    }
    file.flush().await.context("a log cannot be written")
}
