//! From a plan to containers that answer: networks, routers, nodes.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bollard::Docker;
use bollard::query_parameters::{InspectContainerOptions, StartContainerOptions};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep};

use super::containers::{Wiring, mac};
use super::lives::{self, Node, Turn};
use super::mark::{self, Mark};
use super::networks;
use super::routing::CONTROL_PORT;
use super::shared::{self, Shared};
use super::tunnel::{Client, Route};
use super::{logs, neighbours, node_api, subnets};
use crate::backend::{BackendError, OpId, Progress, Report};
use crate::plan::{API_PORT, Act, NetworkIndex, NodeIndex, Plan};

/// How long a router may take to answer after its start.
const ROUTER_DEADLINE: Duration = Duration::from_secs(30);
/// Pause between questions to a router that does not answer yet.
const ROUTER_PAUSE: Duration = Duration::from_millis(50);
/// Bytes of randomness in the token of a run.
const TOKEN_BYTES: usize = 32;

/// What a deployment starts from.
pub(crate) struct Deployment {
    pub(crate) docker: Docker,
    pub(crate) mark: Mark,
    /// Tag of the image.
    pub(crate) image: String,
    pub(crate) reports: mpsc::Sender<Report>,
}

/// The turns of one node that wait.
type Queue = mpsc::Receiver<(OpId, Turn)>;
/// Those of every node.
pub(crate) type Queues = Vec<Queue>;

/// Creates the networks, and the routers until all of them answer.
pub(crate) async fn routers(
    from: Deployment,
    mut plan: Plan,
    progress: &mut dyn Progress,
) -> Result<(Shared, Queues), BackendError> {
    progress.begin("creating networks", 0);
    let networks = networks::create(&from.docker, &mut plan, &from.mark).await?;
    if !networks.moved.is_empty() {
        progress.note(&format!("subnets that are in use on this host were moved: {}", networks.moved.join(", ")));
    }
    let spare = subnets::spare_addresses(&plan)?;
    let token = mark::random_hex(TOKEN_BYTES)?;
    let wiring = Wiring { mark: from.mark, networks, image: from.image, token, spare };
    let routers = start_routers(&from.docker, &plan, &wiring, progress).await?;
    let gateways = gateways(&from.docker, &plan, &wiring, progress).await?;
    let (nodes, queues) = nodes_of(&plan, &wiring)?.into_iter().unzip();
    let shared = Shared {
        docker: from.docker,
        deadlines: plan.nodes.iter().map(|node| plan.node_config(node).deadline).collect(),
        plan,
        wiring,
        nodes,
        routers,
        gateways,
        starts: Semaphore::new(shared::STARTS_AT_ONCE),
        glances: Semaphore::new(shared::GLANCES_AT_ONCE),
        transfers: Semaphore::new(shared::TRANSFERS_AT_ONCE),
        clock: OnceLock::new(),
        reports: from.reports,
    };
    Ok((shared, queues))
}

/// Starts every node that runs from the start, and waits until all of them answer.
pub(crate) async fn nodes(shared: &Shared, progress: &mut dyn Progress) -> Result<(), BackendError> {
    let from_start = (0..shared.nodes.len()).map(NodeIndex).filter(|node| shared.plan.node(*node).from_start);
    // Ambassadors first: whoever finds them at its first try joins sooner.
    let (first, then): (Vec<_>, Vec<_>) = from_start.partition(|node| shared.plan.node(*node).ambassador);
    progress.begin("starting nodes", (first.len() + then.len()) as u64);
    for group in [first, then] {
        let all = group.len().max(1);
        let starts = group.into_iter().map(|node| async move {
            let name = &shared.plan.node(node).name;
            lives::start(shared, node, true).await.with_context(|| format!("the node {name} does not start"))
        });
        // Those that wait for an answer do not keep others from starting: the permits bound the starts.
        let mut starts = stream::iter(starts).buffer_unordered(all);
        while starts.try_next().await?.is_some() {
            progress.advance(1);
        }
    }
    Ok(())
}

async fn start_routers(
    docker: &Docker,
    plan: &Plan,
    wiring: &Wiring,
    progress: &mut dyn Progress,
) -> Result<Vec<Client>, BackendError> {
    progress.begin("starting routers", plan.networks.len() as u64);
    let start = |network: NetworkIndex| async move {
        let started = start_router(docker, plan, wiring, network).await;
        started.with_context(|| format!("the router of {} does not start", plan.network(network).name))
    };
    let starts = (0..plan.networks.len()).map(|index| start(NetworkIndex(index)));
    let mut starts = stream::iter(starts).buffered(shared::STARTS_AT_ONCE);
    let mut routers = Vec::with_capacity(plan.networks.len());
    while let Some(router) = starts.try_next().await? {
        routers.push(router);
        progress.advance(1);
    }
    Ok(routers)
}

async fn start_router(docker: &Docker, plan: &Plan, wiring: &Wiring, network: NetworkIndex) -> anyhow::Result<Client> {
    wiring.create_router(docker, plan, network).await?;
    let name = wiring.router_name(plan, network);
    docker.start_container(&name, None::<StartContainerOptions>).await.context("the engine cannot start it")?;
    let address = SocketAddrV4::new(wiring.router_management(network), CONTROL_PORT);
    let client = Client::new(Route::Straight(address), None)?;
    let deadline = Instant::now() + ROUTER_DEADLINE;
    loop {
        let Err(error) = node_api::metrics(&client).await else { return Ok(client) };
        let state =
            docker.inspect_container(&name, None::<InspectContainerOptions>).await.context("asking the engine")?.state;
        if state.is_some_and(|state| state.running == Some(false)) {
            bail!("it ended at once{}", logs::quote(docker, &name).await);
        }
        if Instant::now() > deadline {
            let said = logs::quote(docker, &name).await;
            return Err(
                error.context(format!("it does not answer at {address} within {} s{said}", ROUTER_DEADLINE.as_secs()))
            );
        }
        sleep(ROUTER_PAUSE).await;
    }
}

/// Link-layer addresses of the routers' inside ends, if nodes can be told their neighbours; if not and it matters, says so.
async fn gateways(
    docker: &Docker,
    plan: &Plan,
    wiring: &Wiring,
    progress: &mut dyn Progress,
) -> anyhow::Result<BTreeMap<NetworkIndex, [u8; 6]>> {
    let name = wiring.router_name(plan, NetworkIndex(0));
    let state =
        docker.inspect_container(&name, None::<InspectContainerOptions>).await.context("asking the engine")?.state;
    let pid =
        state.and_then(|state| state.pid).ok_or_else(|| anyhow!("the engine does not say which process {name} is"))?;
    if neighbours::may_enter(pid).await {
        return Ok(wiring.spare.iter().map(|(&network, &address)| (network, mac(address))).collect());
    }
    if let Some(limit) = neighbours::limit().filter(|limit| neighbours::demand(plan) > *limit) {
        progress.note(&format!(
            "this run may need {} entries of the kernel's neighbour table, which holds {limit}: packets may be lost. \
             Run as root, or raise it: sudo sysctl -w net.ipv4.neigh.default.gc_thresh3={}",
            neighbours::demand(plan),
            (2 * neighbours::demand(plan)).next_power_of_two()
        ));
    }
    Ok(BTreeMap::new())
}

fn nodes_of(plan: &Plan, wiring: &Wiring) -> anyhow::Result<Vec<(Node, Queue)>> {
    let acts = plan.steps.iter().flat_map(|step| &step.actions);
    let keepers: std::collections::BTreeSet<NodeIndex> = acts
        .filter_map(|timed| match timed.act {
            Act::Start { node, fresh: false } => Some(node),
            _ => None,
        })
        .collect();
    let node = |(index, node): (usize, &crate::plan::NodePlan)| {
        let proxy = SocketAddrV4::new(wiring.router_management(node.network), CONTROL_PORT);
        let target = SocketAddrV4::new(node.address, API_PORT);
        let client = Client::new(Route::Through { proxy, target }, Some(&wiring.token))?;
        Ok(Node::new(client, keepers.contains(&NodeIndex(index))))
    };
    plan.nodes.iter().enumerate().map(node).collect()
}
