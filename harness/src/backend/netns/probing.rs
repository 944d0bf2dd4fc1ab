//! The self-probe of a run on namespaces: hosts beside the nodes, which are gone before the nodes start.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, anyhow};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::wiring::Wired;
use crate::backend::BackendError;
use crate::plan::{Network, NetworkIndex, Plan, Uplink};
use crate::probe::field::{MAPPINGS_MAX, Stand, observe};
use crate::probe::{Observed, judge};

/// Routers that are probed at once.
const AT_ONCE: usize = 8;

/// Probes the first router of each group of networks, those of a group being configured alike. One whose networks have no free
/// addresses is left out, and so is one whose NAT allows fewer mappings than the probe needs.
pub(super) async fn probe(wired: &Wired, plan: &Plan) -> Result<Vec<Observed>, BackendError> {
    let subjects = subjects(plan);
    let places: BTreeSet<_> = subjects.iter().flat_map(|(index, _, uplink)| [*index, uplink.to]).collect();
    let stands = places.into_iter().map(|place| async move { anyhow::Ok((place, wired.stand(plan, place).await?)) });
    let stands: BTreeMap<NetworkIndex, Option<Stand>> =
        stream::iter(stands).buffered(AT_ONCE).try_collect().await.context("making the hosts of the probe")?;
    let stand = |place: &NetworkIndex| stands[place].as_ref();
    let probes = subjects.iter().filter_map(|(index, network, uplink)| {
        let (inside, outside) = (stand(index)?, stand(&uplink.to)?);
        Some(probe_one(network, uplink, inside, outside))
    });
    stream::iter(probes).buffered(AT_ONCE).try_collect().await
}

fn subjects(plan: &Plan) -> Vec<(NetworkIndex, &Network, &Uplink)> {
    let mut groups = BTreeSet::new();
    let networks = plan.networks.iter().enumerate();
    let behind = networks.filter_map(|(index, network)| Some((NetworkIndex(index), network, network.behind.as_ref()?)));
    let roomy =
        behind.filter(|(_, _, uplink)| uplink.nat.as_ref().is_none_or(|nat| nat.mappings_max() >= MAPPINGS_MAX));
    roomy.filter(|(_, network, _)| groups.insert(network.group.as_str())).collect()
}

async fn probe_one(
    network: &Network,
    uplink: &Uplink,
    inside: &Stand,
    outside: &Stand,
) -> Result<Observed, BackendError> {
    let failed = |what: anyhow::Error| BackendError {
        what: what.context(format!("{} does not behave as declared", network.name)),
        remedy: Some("What is declared is in the topology file; --no-probe plays without having looked.".to_owned()),
    };
    let observed = observe(&network.name, uplink, inside, outside).await.map_err(failed)?;
    judge(uplink, &observed).map_err(|why| failed(anyhow!(why)))?;
    Ok(observed)
}
