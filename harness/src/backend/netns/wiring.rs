//! From a plan to namespaces with cables between them: one for each node and each router, and one that holds a bridge for each
//! network of the plan.

use std::net::Ipv4Addr;

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use ipnet::Ipv4Net;

use crate::backend::process::neighbours::of;
use crate::net::autoconf::mac;
use crate::netns::host::{BridgeNamespace, HostSpec, InterfaceSpec, Ipv6Mode};
use crate::netns::netlink::{self, Netlink};
use crate::netns::{Namespace, NamespaceWorkers};
use crate::plan::{NetworkIndex, NodeIndex, Plan};

/// Numbers of bridges are chosen here, so that none has to be asked for: above those that the kernel gives to what it puts into
/// every namespace by itself.
const BRIDGES: u32 = 1_000;
/// Namespaces that are wired at once.
const AT_ONCE: usize = 16;

/// All namespaces of a run. Nothing of it has a name on this machine: it ends with whoever holds it.
#[derive(Debug)]
pub(super) struct RunNamespaces {
    /// With the bridges.
    pub(super) bridges: BridgeNamespace,
    /// One for each node of the plan.
    pub(super) nodes: Vec<Namespace>,
    /// One for each network's router.
    pub(super) routers: Vec<Namespace>,
}

/// Makes all of it.
pub(super) async fn wire(workers: NamespaceWorkers, plan: &Plan) -> anyhow::Result<RunNamespaces> {
    let number = |index: usize| BRIDGES + index as u32;
    let bridges = (0..plan.networks.len()).map(|index| netlink::bridge(&bridge(NetworkIndex(index)), number(index)));
    let bridges = bridges.collect();
    let (bridges, ()) = workers.make(move |_| Netlink::open()?.perform(bridges)).await.context("the bridges")?;
    let bridges = BridgeNamespace::new(workers, bridges);
    let hosts = (0..plan.networks.len()).map(|index| router(plan, NetworkIndex(index)));
    let hosts = hosts.chain((0..plan.nodes.len()).map(|index| node(plan, NodeIndex(index))));
    let hosts = hosts.map(|host| bridges.host(host));
    let mut routers: Vec<_> = stream::iter(hosts).buffered(AT_ONCE).try_collect().await?;
    let nodes = routers.split_off(plan.networks.len());
    Ok(RunNamespaces { bridges, nodes, routers })
}

impl RunNamespaces {
    /// Takes the cable of a node to another network. In `plan`, it is there already.
    pub(super) async fn move_node(&self, plan: &Plan, index: NodeIndex) -> anyhow::Result<()> {
        self.bridges.rewire(&self.nodes[index.0], node(plan, index)).await
    }
}

/// Name of a network's bridge.
pub(super) fn bridge(network: NetworkIndex) -> String {
    format!("n{}", network.0)
}

fn node(plan: &Plan, index: NodeIndex) -> HostSpec {
    let node = plan.node(index);
    let network = plan.network(node.network);
    HostSpec {
        interfaces: vec![end(plan, node.network, node.address)],
        gateway: Some(network.gateway),
        neighbours: of(plan, index, mac(network.gateway)),
        ipv6: if network.ipv6.is_some() { Ipv6Mode::Autoconfigured } else { Ipv6Mode::KernelDefault },
    }
}

/// A router keeps a table of its neighbours itself, and has its routes from its configuration.
fn router(plan: &Plan, index: NetworkIndex) -> HostSpec {
    let network = plan.network(index);
    let outside = network.behind.as_ref().map(|uplink| end(plan, uplink.to, uplink.address));
    let interfaces = [Some(end(plan, index, network.gateway)), outside].into_iter().flatten().collect();
    let ipv6 = if network.ipv6.is_some() { Ipv6Mode::Off } else { Ipv6Mode::KernelDefault };
    HostSpec { interfaces, ipv6, ..HostSpec::default() }
}

fn end(plan: &Plan, network: NetworkIndex, address: Ipv4Addr) -> InterfaceSpec {
    let prefix = plan.network(network).subnet.prefix_len();
    let address = Ipv4Net::new(address, prefix).expect("the prefix of a subnet");
    InterfaceSpec { bridge: BRIDGES + network.0 as u32, address, others: Vec::new() }
}
