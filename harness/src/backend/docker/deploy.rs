//! From a plan to routers that answer.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bollard::Docker;
use bollard::query_parameters::{InspectContainerOptions, StartContainerOptions};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep};

use super::containers::{Containers, STARTS_AT_ONCE};
use super::label::{self, RunLabels};
use super::wiring::Wiring;
use super::{logs, neighbours, networks, subnets};
use crate::backend::BackendError;
use crate::backend::process::client::{ApiClient, Route, api_client};
use crate::backend::process::neighbours::{demand, limit};
use crate::backend::process::node_api;
use crate::backend::process::router_config::CONTROL_PORT;
use crate::net::autoconf::mac;
use crate::netns::NamespaceWorkers;
use crate::plan::{NetworkIndex, NodeIndex, Plan};
use crate::progress::Progress;
use crate::router::RouterConfig;

/// How long a router may take to answer after its start.
const ROUTER_DEADLINE: Duration = Duration::from_secs(30);
/// Pause between questions to a router that does not answer yet.
const ROUTER_PAUSE: Duration = Duration::from_millis(50);
/// Bytes of randomness in the token of a run.
const TOKEN_BYTES: usize = 32;

/// Creates the networks, and the routers until all of them answer. The plan is moved to subnets that are free here.
pub(crate) async fn routers(
    docker: Docker,
    run_labels: RunLabels,
    image: String,
    (tamper, keys): (Option<fn(&mut RouterConfig)>, bool),
    plan: &mut Plan,
    progress: &mut dyn Progress,
) -> Result<(Containers, Vec<ApiClient>), BackendError> {
    progress.begin("creating networks", 0);
    let networks = networks::create(&docker, plan, &run_labels).await?;
    if !networks.moved.is_empty() {
        progress.note(&format!("subnets that are in use on this host were moved: {}", networks.moved.join(", ")));
    }
    let spare = subnets::spare_addresses(plan)?;
    let token = label::random_hex(TOKEN_BYTES)?;
    // Since API 1.46 the engine has another place for those.
    let sets_interfaces = docker.client_version().minor_version < 46;
    let wiring = Wiring { run_labels, networks, image, token, sets_interfaces, spare, tamper, keys };
    let routers = start_routers(&docker, plan, &wiring, progress).await?;
    let workers = NamespaceWorkers::new(STARTS_AT_ONCE)?;
    let gateways = gateways(&docker, plan, &wiring, &workers, progress).await?;
    Ok((Containers::new(docker, wiring, workers, gateways), routers))
}

async fn start_routers(
    docker: &Docker,
    plan: &Plan,
    wiring: &Wiring,
    progress: &mut dyn Progress,
) -> Result<Vec<ApiClient>, BackendError> {
    progress.begin("starting routers", plan.networks.len() as u64);
    let start = |network: NetworkIndex| async move {
        let started = start_router(docker, plan, wiring, network).await;
        started.with_context(|| format!("the router of {} does not start", plan.network(network).name))
    };
    let starts = (0..plan.networks.len()).map(|index| start(NetworkIndex(index)));
    let mut starts = stream::iter(starts).buffered(STARTS_AT_ONCE);
    let mut routers = Vec::with_capacity(plan.networks.len());
    while let Some(router) = starts.try_next().await? {
        routers.push(router);
        progress.advance(1);
    }
    Ok(routers)
}

async fn start_router(
    docker: &Docker,
    plan: &Plan,
    wiring: &Wiring,
    network: NetworkIndex,
) -> anyhow::Result<ApiClient> {
    wiring.create_router(docker, plan, network).await?;
    let name = wiring.router_name(plan, network);
    docker.start_container(&name, None::<StartContainerOptions>).await.context("the engine cannot start it")?;
    let address = SocketAddrV4::new(wiring.router_management(network), CONTROL_PORT);
    let client = api_client(Route::Direct(address), None)?;
    let deadline = Instant::now() + ROUTER_DEADLINE;
    loop {
        let Err(error) = node_api::metrics(&client).await else { return Ok(client) };
        let state =
            docker.inspect_container(&name, None::<InspectContainerOptions>).await.context("asking the engine")?.state;
        if state.is_some_and(|state| state.running == Some(false)) {
            bail!("it ended at once{}", logs::quote(docker, &name).await);
        }
        if Instant::now() > deadline {
            let last_output = logs::quote(docker, &name).await;
            return Err(error.context(format!(
                "it does not answer at {address} within {} s{last_output}",
                ROUTER_DEADLINE.as_secs()
            )));
        }
        sleep(ROUTER_PAUSE).await;
    }
}

/// Link-layer addresses of the routers' inside ends, if the neighbour tables of nodes can be filled; if not and it matters, says so.
async fn gateways(
    docker: &Docker,
    plan: &Plan,
    wiring: &Wiring,
    workers: &NamespaceWorkers,
    progress: &mut dyn Progress,
) -> anyhow::Result<BTreeMap<NetworkIndex, [u8; 6]>> {
    let name = wiring.router_name(plan, NetworkIndex(0));
    let state =
        docker.inspect_container(&name, None::<InspectContainerOptions>).await.context("asking the engine")?.state;
    let pid =
        state.and_then(|state| state.pid).ok_or_else(|| anyhow!("the engine does not say which process {name} is"))?;
    if neighbours::may_enter(workers, pid).await {
        return Ok(wiring.spare.iter().map(|(&network, &address)| (network, mac(address))).collect());
    }
    if let Some(limit) = limit().filter(|limit| demand(plan) > *limit) {
        progress.note(&format!(
            "this run may need {} entries of the kernel's neighbour table, which holds {limit}: packets may be lost. \
             Run as root, or raise it: sudo sysctl -w net.ipv4.neigh.default.gc_thresh3={}",
            demand(plan),
            (2 * demand(plan)).next_power_of_two()
        ));
    }
    Ok(BTreeMap::new())
}

/// The way to each node's control API, where it is in `plan`.
pub(crate) fn ways_to_nodes(plan: &Plan, wiring: &Wiring) -> impl Fn(NodeIndex) -> anyhow::Result<ApiClient> + use<> {
    let token = wiring.token.clone();
    let routes: Vec<_> = plan.nodes.iter().map(|node| wiring.way_to_node(node.network, node.address)).collect();
    move |node| api_client(routes[node.0].clone(), Some(&token))
}
