//! What a fleet is asked to do that is no turn in a node's life.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use butter::core::connectivity::connect_requests::CONNECT_WITHIN;
use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::moves::{self, NodePlace};
use super::{INSPECTIONS_AT_ONCE, ProcessHost, ProcessRun, disks, node_api, partition};
use crate::metrics::exposition::Exposition;
use crate::op::{NodeSnapshot, Op, OpResult, OpTarget};
use crate::plan::{NetworkIndex, NodeIndex};
use crate::series::{Scrape, Source};

/// Does it.
pub(crate) async fn perform<H: ProcessHost>(run: &ProcessRun<H>, op: Op, target: OpTarget) -> OpResult {
    match (op, target) {
        (Op::Put { node, item }, _) => {
            let Some(item) = run.item(item) else {
                return OpResult::Failed { node: Some(node), reason: "the plan has no such item".to_owned() };
            };
            let deadline = run.deadline(node);
            call(run, node, &run.transfers, deadline, node_api::put(&run.node(node).client, &item, deadline)).await
        }
        (Op::Search { node, query, limit }, _) => {
            let deadline = run.deadline(node);
            let search = node_api::search(&run.node(node).client, &query, limit, deadline);
            call(run, node, &run.transfers, deadline, search).await
        }
        (Op::Get { node, exhaustive, .. } | Op::GetAbsent { node, exhaustive, .. }, OpTarget::Item(id)) => {
            let deadline = run.deadline(node);
            let get = node_api::get(&run.node(node).client, (id, exhaustive), deadline);
            call(run, node, &run.transfers, deadline, get).await
        }
        (Op::Connect { node, .. }, OpTarget::Peer(peer)) => {
            call(run, node, &run.transfers, CONNECT_WITHIN, node_api::link(&run.node(node).client, peer)).await
        }
        (Op::Ping { node, deadline, .. }, OpTarget::Peer(peer)) => {
            let asked = node_api::ping(&run.node(node).client, peer, deadline);
            call(run, node, &run.pings, deadline, asked).await
        }
        (Op::Rebind { network, addresses }, _) => changed(node_api::rebind(&run.routers[network.0], &addresses).await),
        (Op::Move { node, network, address, address6 }, _) => {
            let place = NodePlace { network, address, address6 };
            match moves::carry(run, node, place).await {
                Ok(()) => OpResult::NetworkChanged,
                Err(error) => OpResult::Failed { node: Some(node), reason: format!("{error:#}") },
            }
        }
        (Op::SetLink { network, up, down }, _) => {
            changed(node_api::set_link(&run.routers[network.0], &up, &down).await)
        }
        (Op::SetFirewall { network, policy }, _) => {
            changed(node_api::set_firewall(&run.routers[network.0], policy).await)
        }
        (Op::Partition { name, sides, direction }, _) => {
            changed(partition::change(run, |partitions| partitions.begin(&name, &sides, direction)).await)
        }
        (Op::Heal { names }, _) => changed(partition::change(run, |partitions| partitions.heal(&names)).await),
        (Op::FillDisk { node, full }, _) => store_changed(node, disks::fill(run, node, full).await),
        (Op::CorruptStore { node, share, seed }, _) => {
            store_changed(node, disks::corrupt(run, node, share, seed).await)
        }
        (Op::Inspect, _) => OpResult::Inspected(look(run).await),
        (Op::Sample, _) => OpResult::Sampled(sample(run).await),
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

fn store_changed(node: NodeIndex, answer: anyhow::Result<()>) -> OpResult {
    answer.map_or_else(
        |error| OpResult::Failed { node: Some(node), reason: format!("{error:#}") },
        |()| OpResult::StoreChanged,
    )
}

/// Waits for what a node that lives is asked, until that life ends. It begins when `room` has a place; `deadline` is the
/// node's own.
async fn call<H: ProcessHost>(
    run: &ProcessRun<H>,
    node: NodeIndex,
    room: &Semaphore,
    deadline: Duration,
    call: impl Future<Output = anyhow::Result<OpResult>>,
) -> OpResult {
    let failed = |why: String| OpResult::Failed { node: Some(node), reason: why };
    let Some(instance) = run.node(node).live() else { return failed("the node is down".to_owned()) };
    let within = deadline + 2 * node_api::MARGIN;
    let call = timeout(within, async {
        let _permit = room.acquire().await.context("the run is over")?;
        call.await
    });
    tokio::select! {
        result = call => match result {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => failed(format!("{error:#}")),
            Err(_) => failed(format!("no answer within {} s", within.as_secs())),
        },
        () = instance.ended.cancelled() => failed("the node ended before it answered".to_owned()),
    }
}

async fn look<H: ProcessHost>(run: &ProcessRun<H>) -> Vec<NodeSnapshot> {
    let looks = live(run).map(|node| async move {
        let _permit = run.inspections.acquire().await.ok()?;
        let seen = node_api::view(&run.node(node).client, node).await;
        let mut seen = reported_or_logged(run, node, seen)?;
        if !run.present().node(node).behaviours.is_empty() {
            // A hostile node holds nothing that counts.
            seen.blocks.clear();
        }
        Some(seen)
    });
    // In order of nodes, whoever answers first.
    stream::iter(looks).buffered(INSPECTIONS_AT_ONCE).filter_map(std::future::ready).collect().await
}

async fn sample<H: ProcessHost>(run: &ProcessRun<H>) -> Vec<Scrape> {
    let nodes = live(run).map(|node| async move {
        let _permit = run.inspections.acquire().await.ok()?;
        let exposed = reported_or_logged(run, node, node_api::metrics(&run.node(node).client).await)?;
        Some(scrape(Source::Node(node), exposed))
    });
    let nodes: Vec<_> =
        stream::iter(nodes).buffered(INSPECTIONS_AT_ONCE).filter_map(std::future::ready).collect().await;
    let routers = (0..run.routers.len()).map(|index| async move {
        let _permit = run.inspections.acquire().await.ok()?;
        let scraped = node_api::metrics(&run.routers[index]).await;
        let scraped = scraped.inspect_err(|error| tracing::debug!("router {index} shows no metrics: {error:#}"));
        Some(scrape(Source::Router(NetworkIndex(index)), scraped.ok()?))
    });
    let routers = stream::iter(routers).buffered(INSPECTIONS_AT_ONCE).filter_map(std::future::ready);
    nodes.into_iter().chain(routers.collect::<Vec<_>>().await).collect()
}

fn live<H: ProcessHost>(run: &ProcessRun<H>) -> impl Iterator<Item = NodeIndex> {
    (0..run.nodes.len()).map(NodeIndex).filter(|node| run.node(*node).live().is_some())
}

/// A node that ends meanwhile does not answer; its end is reported elsewhere.
fn reported_or_logged<H: ProcessHost, T>(run: &ProcessRun<H>, node: NodeIndex, answer: anyhow::Result<T>) -> Option<T> {
    answer.inspect_err(|error| tracing::debug!("{} does not answer: {error:#}", run.present().node(node).name)).ok()
}

fn scrape(source: Source, exposed: Exposition) -> Scrape {
    Scrape { source, families: Arc::new(exposed.families), series: exposed.series }
}
