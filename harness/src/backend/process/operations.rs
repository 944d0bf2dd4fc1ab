//! What a fleet is asked to do that is no turn in a node's life.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use butter::core::connectivity::connect_requests::CONNECT_WITHIN;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Fleet, GLANCES_AT_ONCE, Host, node_api};
use crate::metrics::exposition::Exposition;
use crate::metrics::series::{Scrape, Source};
use crate::op::{NodeSnapshot, Op, OpResult, OpTarget};
use crate::plan::{NetworkIndex, NodeIndex};

/// Does it.
pub(crate) async fn perform<H: Host>(fleet: &Fleet<H>, op: Op, target: OpTarget) -> OpResult {
    match (op, target) {
        (Op::Put { node, item }, _) => {
            let value = Bytes::from(fleet.plan.items[item.0].bytes());
            let deadline = fleet.deadlines[node.0];
            call(fleet, node, &fleet.transfers, deadline, node_api::put(&fleet.node(node).client, value, deadline))
                .await
        }
        (Op::Get { node, .. }, OpTarget::Item(id)) => {
            let deadline = fleet.deadlines[node.0];
            call(fleet, node, &fleet.transfers, deadline, node_api::get(&fleet.node(node).client, id, deadline)).await
        }
        (Op::Connect { node, .. }, OpTarget::Peer(peer)) => {
            call(fleet, node, &fleet.transfers, CONNECT_WITHIN, node_api::link(&fleet.node(node).client, peer)).await
        }
        (Op::Ping { node, deadline, .. }, OpTarget::Peer(peer)) => {
            let asked = node_api::ask_peer(&fleet.node(node).client, peer, deadline);
            call(fleet, node, &fleet.asks, deadline, asked).await
        }
        (Op::Rebind { network, addresses }, _) => {
            changed(node_api::rebind(&fleet.routers[network.0], &addresses).await)
        }
        (Op::SetLink { network, up, down }, _) => {
            changed(node_api::set_link(&fleet.routers[network.0], &up, &down).await)
        }
        (Op::Inspect, _) => OpResult::Inspected(look(fleet).await),
        (Op::Sample, _) => OpResult::Sampled(sample(fleet).await),
        (op, target) => {
            OpResult::Failed { node: op.node(), reason: format!("{} take another target than {target:?}", op.plural()) }
        }
    }
}

fn changed(answer: anyhow::Result<()>) -> OpResult {
    answer.map_or_else(
        |error| OpResult::Failed { node: None, reason: format!("{error:#}") },
        |()| OpResult::NetworkChanged,
    )
}

/// Waits for what a node that lives is asked, until that life ends. It begins when `room` has a place; `deadline` is the
/// node's own.
async fn call<H: Host>(
    fleet: &Fleet<H>,
    node: NodeIndex,
    room: &Semaphore,
    deadline: Duration,
    call: impl Future<Output = anyhow::Result<OpResult>>,
) -> OpResult {
    let failed = |why: String| OpResult::Failed { node: Some(node), reason: why };
    let Some(life) = fleet.node(node).live() else { return failed("it does not run".to_owned()) };
    let within = deadline + 2 * node_api::MARGIN;
    let call = timeout(within, async {
        let _permit = room.acquire().await.context("the run is over")?;
        call.await
    });
    tokio::select! {
        told = call => match told {
            Ok(Ok(told)) => told,
            Ok(Err(error)) => failed(format!("{error:#}")),
            Err(_) => failed(format!("no answer within {} s", within.as_secs())),
        },
        () = life.ended.cancelled() => failed("it ended before it answered".to_owned()),
    }
}

async fn look<H: Host>(fleet: &Fleet<H>) -> Vec<NodeSnapshot> {
    let looks = live(fleet).map(|node| async move {
        let _permit = fleet.glances.acquire().await.ok()?;
        let seen = node_api::view(&fleet.node(node).client, node).await;
        told_or_logged(fleet, node, seen)
    });
    // In order of nodes, whoever answers first.
    stream::iter(looks).buffered(GLANCES_AT_ONCE).filter_map(std::future::ready).collect().await
}

async fn sample<H: Host>(fleet: &Fleet<H>) -> Vec<Scrape> {
    let nodes = live(fleet).map(|node| async move {
        let _permit = fleet.glances.acquire().await.ok()?;
        let exposed = told_or_logged(fleet, node, node_api::metrics(&fleet.node(node).client).await)?;
        Some(scrape(Source::Node(node), exposed))
    });
    let nodes: Vec<_> = stream::iter(nodes).buffered(GLANCES_AT_ONCE).filter_map(std::future::ready).collect().await;
    let routers = (0..fleet.routers.len()).map(|index| async move {
        let _permit = fleet.glances.acquire().await.ok()?;
        let scraped = node_api::metrics(&fleet.routers[index]).await;
        let scraped = scraped.inspect_err(|error| tracing::debug!("router {index} shows no metrics: {error:#}"));
        Some(scrape(Source::Router(NetworkIndex(index)), scraped.ok()?))
    });
    let routers = stream::iter(routers).buffered(GLANCES_AT_ONCE).filter_map(std::future::ready);
    nodes.into_iter().chain(routers.collect::<Vec<_>>().await).collect()
}

fn live<H: Host>(fleet: &Fleet<H>) -> impl Iterator<Item = NodeIndex> {
    (0..fleet.nodes.len()).map(NodeIndex).filter(|node| fleet.node(*node).live().is_some())
}

/// A node that ends meanwhile does not answer; its end is told elsewhere.
fn told_or_logged<H: Host, T>(fleet: &Fleet<H>, node: NodeIndex, answer: anyhow::Result<T>) -> Option<T> {
    answer.inspect_err(|error| tracing::debug!("{} does not answer: {error:#}", fleet.plan.node(node).name)).ok()
}

fn scrape(source: Source, exposed: Exposition) -> Scrape {
    Scrape { source, families: Arc::new(exposed.families), series: exposed.series }
}
