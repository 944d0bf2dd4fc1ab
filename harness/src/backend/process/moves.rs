//! Nodes that come to another network, whether they run or not.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{ProcessHost, ProcessRun, partition};
use crate::plan::{NetworkIndex, NodeIndex, Plan};

/// Where a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodePlace {
    pub(crate) network: NetworkIndex,
    pub(crate) address: Ipv4Addr,
    pub(crate) address6: Option<Ipv6Addr>,
}

impl NodePlace {
    /// Puts a node of a plan there.
    pub(crate) fn put(self, plan: &mut Plan, node: NodeIndex) {
        let NodePlace { network, address, address6 } = self;
        let here = &mut plan.nodes[node.0];
        (here.network, here.address, here.address6) = (network, address, address6);
    }
}

/// Takes a node to another place. Its program notices by itself.
///
/// # Errors
/// If its host cannot be wired there.
pub(super) async fn carry<H: ProcessHost>(run: &ProcessRun<H>, node: NodeIndex, to: NodePlace) -> anyhow::Result<()> {
    let _turn = run.moving.lock().await;
    let mut there = Plan::clone(&run.present());
    to.put(&mut there, node);
    H::rewire(run, node, &there).await?;
    run.change_present(|plan| to.put(plan, node));
    if let Some(route) = H::route(run, to) {
        run.node(node).client.connector().lead(route);
        run.node(node).client.close_idle();
    }
    partition::moved(run).await
}
