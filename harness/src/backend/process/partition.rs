//! Partitions of a run: what each node does not receive, kept up over its restarts.

use std::sync::{MutexGuard, PoisonError};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{ProcessHost, ProcessRun};
use crate::netns::arrival_filter::ArrivalFilter;
use crate::plan::NodeIndex;
use crate::plan::partitions::PartitionState;

/// Nodes whose filters are changed at once.
const FILTERS_AT_ONCE: usize = 16;

/// Changes the partitions in force, and has every running node receive accordingly.
///
/// # Errors
/// If a node cannot be kept from receiving what it should not.
pub(crate) async fn change<H: ProcessHost>(
    run: &ProcessRun<H>,
    change: impl FnOnce(&mut PartitionState),
) -> anyhow::Result<()> {
    change(&mut lock(run));
    let nodes = (0..run.nodes.len()).map(NodeIndex).filter(|node| run.node(*node).begun().is_some());
    let apply = |node: NodeIndex| async move {
        let instance = run.node(node).begun();
        match apply(run, node).await {
            // What has ended meanwhile gets its filter when it starts again.
            Err(_) if instance.is_none_or(|instance| instance.ended.is_cancelled()) => Ok(()),
            applied => applied.with_context(|| format!("cutting {} off", run.present().node(node).name)),
        }
    };
    stream::iter(nodes.map(apply)).buffer_unordered(FILTERS_AT_ONCE).try_collect().await
}

/// A node has come to another network: it has another interface, and others have another neighbour.
///
/// # Errors
/// As for [`change`].
pub(crate) async fn moved<H: ProcessHost>(run: &ProcessRun<H>) -> anyhow::Result<()> {
    if lock(run).is_used() { change(run, |_| ()).await } else { Ok(()) }
}

/// Has a node that has just begun receive no more than the partitions in force allow.
///
/// # Errors
/// As for [`change`].
pub(crate) async fn keep<H: ProcessHost>(run: &ProcessRun<H>, node: NodeIndex) -> anyhow::Result<()> {
    if lock(run).is_used() { apply(run, node).await } else { Ok(()) }
}

/// One change at a time for each node, always to what is in force by then.
async fn apply<H: ProcessHost>(run: &ProcessRun<H>, node: NodeIndex) -> anyhow::Result<()> {
    let _turn = run.node(node).filtering.lock().await;
    let filter = filter(run, node);
    H::filter(run, node, filter).await
}

fn filter<H: ProcessHost>(run: &ProcessRun<H>, node: NodeIndex) -> ArrivalFilter {
    let plan = run.present();
    let partitions = lock(run);
    let network = plan.node(node).network;
    let neighbours = (0..plan.nodes.len()).map(NodeIndex).filter(|other| plan.node(*other).network == network);
    let cut = neighbours.filter(|other| partitions.is_cut(*other, node));
    let hosts = cut.map(|other| plan.node(other).address).collect();
    ArrivalFilter::new(hosts, partitions.cuts().cut_from(partitions.zone(node)).collect())
}

fn lock<H>(run: &ProcessRun<H>) -> MutexGuard<'_, PartitionState> {
    run.partitions.lock().unwrap_or_else(PoisonError::into_inner)
}
