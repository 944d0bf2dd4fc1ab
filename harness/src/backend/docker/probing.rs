//! The self-probe of a run on Docker: hosts on the engine's bridges, which are gone before nodes start. They are none of the
//! engine's: namespaces that nothing but this process holds.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use bollard::Docker;
use bollard::query_parameters::ListNetworksOptionsBuilder;

use super::{Shared, mark};
use crate::backend::namespace::Crew;
use crate::backend::namespace::host::Hub;
use crate::backend::{BackendError, Progress};
use crate::probe::Probed;
use crate::probe::field::Stand;
use crate::probe::survey::Survey;

/// Letters of a network's id that its bridge is named by.
const BRIDGE_ID_LEN: usize = 12;

/// Probes the routers of a run whose nodes have not started.
pub(super) async fn probe(shared: &Shared, progress: &mut dyn Progress) -> Result<Probed, BackendError> {
    let wiring = &shared.host.wiring;
    let bridges = bridges(&shared.host.docker, &wiring.mark.run).await?;
    let bridge = |index: usize| bridges.get(&wiring.networks.names[index]).cloned();
    let bridges: Option<Vec<_>> = (0..shared.plan.networks.len()).map(bridge).collect();
    let bridges = bridges.context("the engine does not list every network of the run")?;
    let taken = wiring.spare.values().copied().collect();
    let (survey, mut findings) = Survey::of(&shared.plan, |network| bridges[network.0].clone(), &taken);
    progress.begin("probing routers", survey.len() as u64);
    let stands = match stands(&survey, &shared.host.crew).await {
        Ok(stands) => stands,
        Err(error) => return Ok(not_available(&error, progress)),
    };
    let found = |finding| {
        progress.advance(1);
        findings.take(finding)
    };
    survey.carry_out(&stands, found).await?;
    Ok(findings.into_probed(progress)?)
}

/// Names of the run's bridges on this machine, by the names of their networks.
async fn bridges(docker: &Docker, run: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let filters = HashMap::from([("label", vec![format!("{}={run}", mark::RUN)])]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let networks = docker.list_networks(Some(options)).await.context("asking the engine for the run's networks")?;
    let bridge = |id: String| format!("br-{}", &id[..BRIDGE_ID_LEN.min(id.len())]);
    Ok(networks.into_iter().filter_map(|network| Some((network.name?, bridge(network.id?)))).collect())
}

/// The hosts of the probe, made by this process.
async fn stands(survey: &Survey, crew: &Crew) -> anyhow::Result<Vec<Stand>> {
    survey.stands(&Hub::new(crew.clone(), crew.home()?)).await
}

fn not_available(error: &anyhow::Error, progress: &mut dyn Progress) -> Probed {
    let why = format!("{error:#}");
    progress.note(&format!("routers are played without having been probed: {why}"));
    Probed::NotAvailable { why }
}
