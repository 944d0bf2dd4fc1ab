//! What a node's container does not receive: set from within by a command of its image, which the engine gives the power to.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::Shared;
use crate::netns::arrival_filter::{ArrivalFilter, COMMAND};
use crate::plan::NodeIndex;

/// How long the engine may take for the command.
const DEADLINE: Duration = Duration::from_secs(30);
/// Most of what the command says that is quoted.
const OUTPUT_MAX: usize = 4_096;

/// Installs a filter in the container of a node, which runs.
///
/// # Errors
/// If the engine does not carry the command out, or the kernel cannot filter.
pub(super) async fn install(run: &Shared, node: NodeIndex, filter: &ArrivalFilter) -> anyhow::Result<()> {
    let installed = timeout(DEADLINE, execute(run, node, filter)).await;
    installed.map_err(|_| anyhow!("the engine does not filter what it receives within {} s", DEADLINE.as_secs()))?
}

async fn execute(run: &Shared, node: NodeIndex, filter: &ArrivalFilter) -> anyhow::Result<()> {
    let docker = &run.host.docker;
    let filter = serde_json::to_string(filter).context("a filter as JSON")?;
    let options = CreateExecOptions {
        cmd: Some(vec!["/harness".to_owned(), COMMAND.to_owned(), filter]),
        // The container itself has no power over its network.
        privileged: Some(true),
        user: Some("0:0".to_owned()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let name = run.host.wiring.node_name(&run.plan, node);
    let id = docker.create_exec(&name, options).await.context("the engine takes no command for it")?.id;
    let started = docker.start_exec(&id, None).await.context("the engine does not carry a command out in it")?;
    let StartExecResults::Attached { mut output, .. } = started else {
        bail!("the engine does not attach to a command")
    };
    let mut said = String::new();
    while let Some(piece) = output.next().await {
        let piece = piece.context("listening to a command")?.into_bytes();
        said.push_str(&String::from_utf8_lossy(&piece[..piece.len().min(OUTPUT_MAX.saturating_sub(said.len()))]));
    }
    let code = docker.inspect_exec(&id).await.context("asking the engine how a command ended")?.exit_code;
    if code != Some(0) {
        bail!("filtering what it receives fails: {}", said.trim());
    }
    Ok(())
}
