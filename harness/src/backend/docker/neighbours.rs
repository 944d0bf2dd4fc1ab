//! Link-layer addresses told to nodes beforehand, so that large LANs do not fill the kernel's neighbour table.
//!
//! That table is one for all namespaces of the machine: `gc_thresh3` entries, 1,024 as Linux comes. Fifty nodes of one LAN that
//! all talk to each other need 2,450, and what does not fit loses its packets. Permanent entries are not counted.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::thread;

use anyhow::{Context, anyhow};
use futures_util::{StreamExt, TryStreamExt, stream};
use nix::sched::{CloneFlags, setns};
use rtnetlink::Handle;
use rtnetlink::packet_route::address::AddressAttribute;

use super::containers::mac;
use crate::plan::{NetworkIndex, NodeIndex, Plan};

/// The kernel's bound on entries of all namespaces (arp(7)).
const LIMIT_FILE: &str = "/proc/sys/net/ipv4/neigh/default/gc_thresh3";
/// Requests to the kernel under way at once.
const AT_ONCE: usize = 32;

/// A host of a LAN and its link-layer address.
pub(crate) type Neighbour = (Ipv4Addr, [u8; 6]);

/// How many entries this kernel keeps; `None` where it does not say.
pub(crate) fn limit() -> Option<usize> {
    fs::read_to_string(LIMIT_FILE).ok()?.trim().parse().ok()
}

/// Whether this process is likely to be let into containers' network namespaces. Only trying tells: see [`may_enter`].
pub(crate) fn enters_namespaces() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Entries that the plan needs if all hosts of each network talk to each other.
pub(crate) fn demand(plan: &Plan) -> usize {
    let count = |network: NetworkIndex| {
        let nodes = plan.nodes.iter().filter(|node| node.network == network).count();
        // Each knows all but itself, and the gateway. Routers keep tables of their own.
        nodes * hosts(plan, network).len()
    };
    (0..plan.networks.len()).map(|index| count(NetworkIndex(index))).sum()
}

/// Everybody whom a node may meet on its LAN. `gateway` is the link-layer address of its router.
pub(crate) fn of(plan: &Plan, node: NodeIndex, gateway: [u8; 6]) -> Vec<Neighbour> {
    let node = plan.node(node);
    let others =
        hosts(plan, node.network).into_iter().filter(|host| *host != node.address).map(|host| (host, mac(host)));
    others.chain([(plan.network(node.network).gateway, gateway)]).collect()
}

/// Nodes of a network, and outsides of the routers in it.
fn hosts(plan: &Plan, network: NetworkIndex) -> Vec<Ipv4Addr> {
    let nodes = plan.nodes.iter().filter(|node| node.network == network).map(|node| node.address);
    let uplinks = plan.networks.iter().filter_map(|other| other.behind.as_ref());
    let mut hosts: Vec<_> =
        nodes.chain(uplinks.filter(|uplink| uplink.to == network).map(|uplink| uplink.address)).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// Whether this process may enter the network namespace of process `pid`.
pub(crate) async fn may_enter(pid: i64) -> bool {
    on_own_thread(move || enter(pid)).await.is_ok()
}

/// Installs permanent entries in the network namespace of process `pid`, on the interface with `address`.
///
/// Needs CAP_SYS_ADMIN and CAP_NET_ADMIN on this very machine.
pub(crate) async fn install(pid: i64, address: Ipv4Addr, neighbours: Vec<Neighbour>) -> anyhow::Result<()> {
    on_own_thread(move || install_here(pid, address, &neighbours)).await
}

/// Runs `work` on a thread that enters a namespace and never comes back.
async fn on_own_thread(work: impl FnOnce() -> anyhow::Result<()> + Send + 'static) -> anyhow::Result<()> {
    let (done, result) = tokio::sync::oneshot::channel();
    thread::Builder::new()
        .name("neighbours".to_owned())
        .spawn(move || done.send(work()))
        .context("starting a thread")?;
    result.await.map_err(|_| anyhow!("the thread that entered a container's network namespace ended early"))?
}

fn enter(pid: i64) -> anyhow::Result<()> {
    let namespace = format!("/proc/{pid}/ns/net");
    let namespace = File::open(&namespace).with_context(|| format!("opening {namespace}"))?;
    setns(namespace, CloneFlags::CLONE_NEWNET).context("entering a container's network namespace")
}

fn install_here(pid: i64, address: Ipv4Addr, neighbours: &[Neighbour]) -> anyhow::Result<()> {
    enter(pid)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        let interface = interface_with(&handle, address).await?;
        let add = |&(host, mac): &Neighbour| {
            let request = handle.neighbours().add(interface, IpAddr::V4(host)).link_layer_address(&mac).replace();
            async move { request.execute().await.with_context(|| format!("adding the neighbour {host}")) }
        };
        stream::iter(neighbours.iter().map(add)).buffer_unordered(AT_ONCE).try_collect().await
    })
}

async fn interface_with(handle: &Handle, address: Ipv4Addr) -> anyhow::Result<u32> {
    let mut addresses = handle.address().get().execute();
    while let Some(message) = addresses.try_next().await.context("asking for the addresses of a container")? {
        let has_it = |attribute: &AddressAttribute| *attribute == AddressAttribute::Address(IpAddr::V4(address));
        if message.attributes.iter().any(has_it) {
            return Ok(message.header.index);
        }
    }
    Err(anyhow!("the container has no interface with {address}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::docker::testing;

    #[test]
    fn a_node_is_told_of_its_lan_and_its_gateway_only() {
        let plan = testing::plan();
        let gateway = [2, 0, 0, 0, 0, 1];
        let told = of(&plan, NodeIndex(0), gateway);
        let addresses: Vec<_> = told.iter().map(|(address, _)| address.to_string()).collect();
        assert_eq!(addresses, ["203.0.113.2", "203.0.113.3", "203.0.113.1"]);
        assert_eq!(told[0].1, [0x02, 0x42, 203, 0, 113, 2]);
        assert_eq!(told[2].1, gateway);
        assert_eq!(of(&plan, NodeIndex(1), gateway).len(), 1);
    }

    #[test]
    fn demand_grows_with_the_square_of_a_lan() {
        let mut plan = testing::plan();
        assert_eq!(demand(&plan), 3 + 1 + 1);
        for last in 20..69_u8 {
            let node = crate::plan::NodePlan { address: Ipv4Addr::new(10, 1, 0, last), ..plan.nodes[1].clone() };
            plan.nodes.push(node);
        }
        assert_eq!(demand(&plan), 3 + 50 * 50 + 1);
    }
}
