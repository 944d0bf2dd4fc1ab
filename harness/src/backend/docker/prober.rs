//! The self-probe by a container: where this process may not wire hosts to the engine's bridges, the engine has one that may.

use std::time::Duration;

use anyhow::{Context, anyhow};
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::{
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions, UploadToContainerOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::wiring::{SURVEY, Wiring};
use crate::probe::ProbeError;
use crate::probe::remote_prober::FindingsReader;
use crate::probe::survey::{Finding, Survey};

/// How long the container may say nothing. What a single router may take is less: half a minute until nothing is known to pass, a
/// few seconds for its NAT, and two minutes at most for its link, however bad.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// Why it was not carried out.
pub(super) enum RemoteProbeError {
    /// Such a container cannot be had.
    NotPossible(anyhow::Error),
    /// What was found ended it.
    Found(ProbeError),
}

impl From<anyhow::Error> for RemoteProbeError {
    fn from(error: anyhow::Error) -> Self {
        RemoteProbeError::NotPossible(error)
    }
}

/// Probes all routers of a survey, until `found` has an error.
pub(super) async fn carry_out(
    docker: &Docker,
    wiring: &Wiring,
    survey: &Survey,
    found: impl FnMut(Finding) -> Result<(), ProbeError>,
) -> Result<(), RemoteProbeError> {
    let name = wiring.create_prober(docker).await?;
    let carried_out = run(docker, &name, survey, found).await;
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    let removed = docker.remove_container(&name, Some(options)).await;
    carried_out?;
    Ok(removed.with_context(|| format!("removing the container {name}"))?)
}

async fn run(
    docker: &Docker,
    name: &str,
    survey: &Survey,
    mut found: impl FnMut(Finding) -> Result<(), ProbeError>,
) -> Result<(), RemoteProbeError> {
    let options = UploadToContainerOptionsBuilder::default().path("/").build();
    let packed = bollard::body_full(pack(survey)?.into());
    docker.upload_to_container(name, Some(options), packed).await.context("telling it what to probe")?;
    docker.start_container(name, None::<StartContainerOptions>).await.context("the engine cannot start it")?;
    let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
    let mut output = docker.logs(name, Some(options));
    let (mut reader, mut complaint, mut awaited) = (FindingsReader::default(), String::new(), survey.len());
    while awaited > 0 {
        let piece = timeout(SILENCE_MAX, output.next()).await;
        let piece = piece.map_err(|_| anyhow!("it says nothing for {} s", SILENCE_MAX.as_secs()))?;
        let Some(piece) = piece else { return Err(anyhow!("it has ended: {}", complaint.trim()).into()) };
        match piece.context("listening to it")? {
            LogOutput::StdErr { message } => complaint.push_str(&String::from_utf8_lossy(&message)),
            other => {
                for finding in reader.take(&other.into_bytes())? {
                    found(finding).map_err(RemoteProbeError::Found)?;
                    awaited = awaited.saturating_sub(1);
                }
            }
        }
    }
    Ok(())
}

/// The survey as the container finds it.
fn pack(survey: &Survey) -> anyhow::Result<Vec<u8>> {
    let text = serde_json::to_vec(survey).context("a survey as JSON")?;
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(text.len() as u64);
    tar.append_data(&mut header, SURVEY, text.as_slice()).and_then(|()| tar.into_inner()).context("packing the survey")
}
