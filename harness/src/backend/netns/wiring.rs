//! From a plan to namespaces with cables between them: one for each node and each router, and one that holds a bridge for each
//! network of the plan.

use std::net::Ipv4Addr;

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use ipnet::Ipv4Net;

use crate::backend::process::neighbours::of;
use crate::net::autoconf::mac;
use crate::netns::host::{End, Host, Hub, Ipv6};
use crate::netns::netlink::{self, Netlink};
use crate::netns::{Crew, Namespace};
use crate::plan::{NetworkIndex, NodeIndex, Plan};

/// Numbers of bridges are chosen here, so that none has to be asked for: above those that the kernel gives to what it puts into
/// every namespace by itself.
const BRIDGES: u32 = 1_000;
/// Namespaces that are wired at once.
const AT_ONCE: usize = 16;

/// All namespaces of a run. Nothing of it has a name on this machine: it ends with whoever holds it.
#[derive(Debug)]
pub(super) struct Wired {
    /// With the bridges.
    pub(super) hub: Hub,
    /// One for each node of the plan.
    pub(super) nodes: Vec<Namespace>,
    /// One for each network's router.
    pub(super) routers: Vec<Namespace>,
}

/// Makes all of it.
pub(super) async fn wire(crew: Crew, plan: &Plan) -> anyhow::Result<Wired> {
    let number = |index: usize| BRIDGES + index as u32;
    let bridges = (0..plan.networks.len()).map(|index| netlink::bridge(&bridge(NetworkIndex(index)), number(index)));
    let bridges = bridges.collect();
    let (hub, ()) = crew.make(move |_| Netlink::open()?.perform(bridges)).await.context("the hub")?;
    let hub = Hub::new(crew, hub);
    let hosts = (0..plan.networks.len()).map(|index| router(plan, NetworkIndex(index)));
    let hosts = hosts.chain((0..plan.nodes.len()).map(|index| node(plan, NodeIndex(index))));
    let hosts = hosts.map(|host| hub.host(host));
    let mut routers: Vec<_> = stream::iter(hosts).buffered(AT_ONCE).try_collect().await?;
    let nodes = routers.split_off(plan.networks.len());
    Ok(Wired { hub, nodes, routers })
}

/// Name of a network's bridge.
pub(super) fn bridge(network: NetworkIndex) -> String {
    format!("n{}", network.0)
}

fn node(plan: &Plan, index: NodeIndex) -> Host {
    let node = plan.node(index);
    let network = plan.network(node.network);
    Host {
        ends: vec![end(plan, node.network, node.address)],
        gateway: Some(network.gateway),
        neighbours: of(plan, index, mac(network.gateway)),
        ipv6: if network.ipv6.is_some() { Ipv6::Autoconfigured } else { Ipv6::AsItComes },
    }
}

/// A router keeps a table of its neighbours itself, and has its routes from its configuration.
fn router(plan: &Plan, index: NetworkIndex) -> Host {
    let network = plan.network(index);
    let outside = network.behind.as_ref().map(|uplink| end(plan, uplink.to, uplink.address));
    let ends = [Some(end(plan, index, network.gateway)), outside].into_iter().flatten().collect();
    let ipv6 = if network.ipv6.is_some() { Ipv6::Off } else { Ipv6::AsItComes };
    Host { ends, ipv6, ..Host::default() }
}

fn end(plan: &Plan, network: NetworkIndex, address: Ipv4Addr) -> End {
    let prefix = plan.network(network).subnet.prefix_len();
    let address = Ipv4Net::new(address, prefix).expect("the prefix of a subnet");
    End { bridge: BRIDGES + network.0 as u32, address, others: Vec::new() }
}
