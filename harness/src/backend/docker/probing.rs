//! The self-probe of a run on Docker: hosts on the engine's bridges, which are gone before nodes start. They are none of the
//! engine's: namespaces that nothing but this process holds, or, where it may not, a container.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use bollard::Docker;
use bollard::query_parameters::ListNetworksOptionsBuilder;

use super::prober::{self, RemoteProbeError};
use super::{Shared, label};
use crate::backend::BackendError;
use crate::backend::process::router_config;
use crate::probe::ProbeOutcome;
use crate::probe::survey::Survey;
use crate::progress::Progress;

/// Letters of a network's id that its bridge is named by.
const BRIDGE_ID_LEN: usize = 12;

/// Probes the routers of a run whose nodes have not started.
pub(super) async fn probe(shared: &Shared, progress: &mut dyn Progress) -> Result<ProbeOutcome, BackendError> {
    let wiring = &shared.host.wiring;
    let bridges = bridges(&shared.host.docker, &wiring.run_labels.run).await?;
    let bridge = |index: usize| bridges.get(&wiring.networks.names[index]).cloned();
    let bridges: Option<Vec<_>> = (0..shared.plan.networks.len()).map(bridge).collect();
    let bridges = bridges.context("the engine does not list every network of the run")?;
    let taken = wiring.spare.values().copied().collect();
    let (survey, mut findings) = Survey::of(&shared.plan, |network| bridges[network.0].clone(), &taken);
    progress.begin("probing routers", survey.len() as u64);
    let mut found = |finding| {
        progress.advance(1);
        findings.take(finding)
    };
    let impossible = match survey.hosts_at_home(&shared.host.workers).await {
        Ok(hosts) => {
            survey.carry_out(&hosts, found).await?;
            None
        }
        Err(here) => match prober::carry_out(&shared.host.docker, wiring, &survey, &mut found).await {
            Ok(()) => None,
            Err(RemoteProbeError::Found(error)) => return Err(error.into()),
            Err(RemoteProbeError::NotPossible(there)) => Some((here, there)),
        },
    };
    router_config::forget_probe(&shared.routers, findings.networks()).await?;
    match impossible {
        Some((here, there)) => Ok(not_available(&here, &there, progress)),
        None => Ok(findings.into_probed(progress)?),
    }
}

/// Names of the run's bridges on this machine, by the names of their networks.
async fn bridges(docker: &Docker, run: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let filters = HashMap::from([("label", vec![format!("{}={run}", label::RUN)])]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let networks = docker.list_networks(Some(options)).await.context("asking the engine for the run's networks")?;
    let bridge = |id: String| format!("br-{}", &id[..BRIDGE_ID_LEN.min(id.len())]);
    Ok(networks.into_iter().filter_map(|network| Some((network.name?, bridge(network.id?)))).collect())
}

/// Tells why neither this process nor a container can probe.
fn not_available(here: &anyhow::Error, there: &anyhow::Error, progress: &mut dyn Progress) -> ProbeOutcome {
    let why = format!("{here:#}; and by a container: {there:#}");
    progress.note(&format!("routers have not been probed: {why}. As root they may be."));
    ProbeOutcome::NotAvailable { why }
}
