//! From a plan to namespaces with cables between them: one for each node and each router, and one that holds a bridge for each
//! network of the plan.

use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use ipnet::Ipv4Net;

use super::netlink::{self, FarEnd, Netlink, Request};
use crate::backend::fleet::neighbours::{Neighbour, mac, of};
use crate::backend::namespace::{Crew, Namespace};
use crate::plan::{NetworkIndex, NodeIndex, Plan};
use crate::probe::field::Stand;

/// Numbers of interfaces are chosen here, so that none has to be asked for: above those that the kernel gives to what it puts
/// into every namespace by itself.
const BRIDGES: u32 = 1_000;
const PORTS: u32 = 100_000;
const ENDS: u32 = 100;
/// The loopback interface's, in every namespace.
const LOOPBACK: u32 = 1;
/// Namespaces that are wired at once.
const AT_ONCE: usize = 16;

/// All namespaces of a run. Nothing of it has a name on this machine: it ends with whoever holds it.
#[derive(Debug)]
pub(super) struct Wired {
    crew: Crew,
    /// With the bridges.
    hub: Namespace,
    /// Ports of the bridges so far.
    ports: Arc<AtomicU32>,
    /// One for each node of the plan.
    pub(super) nodes: Vec<Namespace>,
    /// One for each network's router.
    pub(super) routers: Vec<Namespace>,
}

/// An interface that a host shall have.
#[derive(Debug)]
struct End {
    network: NetworkIndex,
    address: Ipv4Net,
    /// More addresses in the same subnet.
    others: Vec<Ipv4Addr>,
}

/// A host: a node or a router.
#[derive(Debug, Default)]
struct Host {
    /// `eth0`, `eth1`.
    ends: Vec<End>,
    gateway: Option<Ipv4Addr>,
    /// Met through `eth0`.
    neighbours: Vec<Neighbour>,
    ipv6: Ipv6,
}

/// What a host's kernel does in IPv6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ipv6 {
    /// What it likes: nobody is there to talk to.
    #[default]
    AsItComes,
    /// It makes an address of what its router advertises.
    Autoconfigured,
    /// Nothing: the router process does it all.
    Off,
}

/// Makes all of it.
pub(super) async fn wire(crew: Crew, plan: &Plan) -> anyhow::Result<Wired> {
    let bridges = (0..plan.networks.len() as u32).map(|index| netlink::bridge(&format!("n{index}"), BRIDGES + index));
    let bridges = bridges.collect();
    let (hub, ()) = crew.make(move |_| Netlink::open()?.perform(bridges)).await.context("the hub")?;
    let mut wired = Wired { crew, hub, ports: Arc::default(), nodes: Vec::new(), routers: Vec::new() };
    let hosts = (0..plan.networks.len()).map(|index| router(plan, NetworkIndex(index)));
    let hosts = hosts.chain((0..plan.nodes.len()).map(|index| node(plan, NodeIndex(index))));
    let hosts = hosts.map(|host| wired.make(host));
    let mut routers: Vec<_> = stream::iter(hosts).buffered(AT_ONCE).try_collect().await?;
    wired.nodes = routers.split_off(plan.networks.len());
    wired.routers = routers;
    Ok(wired)
}

impl Wired {
    /// A host of the probe, at addresses that nobody else has; `None` where so many are not free.
    pub(super) async fn stand(&self, plan: &Plan, network: NetworkIndex) -> anyhow::Result<Option<Stand>> {
        let addresses: Vec<_> = plan.free_addresses(network).take(Stand::ADDRESSES).collect();
        if addresses.len() < Stand::ADDRESSES {
            return Ok(None);
        }
        let mut end = end(plan, network, addresses[0]);
        end.others = addresses[1..].to_vec();
        let host = Host { ends: vec![end], gateway: Some(plan.network(network).gateway), ..Host::default() };
        Ok(Some(Stand { namespace: self.make(host).await?, addresses }))
    }

    async fn make(&self, host: Host) -> anyhow::Result<Namespace> {
        let (hub, ports) = (self.hub.clone(), Arc::clone(&self.ports));
        self.crew.make(move |here| host.wire(&hub, here, &ports)).await.map(|(namespace, ())| namespace)
    }
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
    End { network, address, others: Vec::new() }
}

impl Ipv6 {
    /// Sets it for interfaces yet to come, in the namespace that this thread is in.
    fn set(self) -> anyhow::Result<()> {
        let settings: &[(&str, &str)] = match self {
            Ipv6::AsItComes => &[],
            // Nobody else has these addresses: looking for that, or hesitating, would take a second.
            Ipv6::Autoconfigured => &[
                ("disable_ipv6", "0"),
                ("accept_ra", "1"),
                ("autoconf", "1"),
                ("dad_transmits", "0"),
                ("router_solicitation_delay", "0"),
            ],
            Ipv6::Off => &[("disable_ipv6", "1")],
        };
        settings.iter().try_for_each(|(key, value)| {
            let path = format!("/proc/sys/net/ipv6/conf/default/{key}");
            fs::write(&path, value).with_context(|| format!("writing {path}: does this kernel have IPv6?"))
        })
    }
}

impl Host {
    /// Wires the namespace `here`, which this thread is in, to the bridges of `hub`.
    fn wire(&self, hub: &Namespace, here: &Namespace, ports: &AtomicU32) -> anyhow::Result<()> {
        self.ipv6.set()?;
        let inside = Netlink::open()?;
        hub.enter().context("entering the hub")?;
        let cables = self.ends.iter().enumerate().map(|(at, end)| {
            let port = ports.fetch_add(1, Ordering::Relaxed);
            let far = FarEnd {
                namespace: here.as_raw_fd(),
                name: &format!("eth{at}"),
                index: ENDS + at as u32,
                mac: mac(end.address.addr()),
            };
            netlink::cable(&format!("p{port}"), PORTS + port, BRIDGES + end.network.0 as u32, &far)
        });
        Netlink::open()?.perform(cables.collect())?;
        inside.perform(self.configuration())
    }

    fn configuration(&self) -> Vec<Request> {
        let mut requests = vec![netlink::up(LOOPBACK)];
        for (index, end) in (ENDS..).zip(&self.ends) {
            requests.push(netlink::up(index));
            let others = end
                .others
                .iter()
                .map(|&other| Ipv4Net::new(other, end.address.prefix_len()).expect("the prefix of the first address"));
            requests.extend([end.address].into_iter().chain(others).map(|address| netlink::address(index, address)));
        }
        requests.extend(self.gateway.map(netlink::default_route));
        requests.extend(self.neighbours.iter().map(|&(host, mac)| netlink::neighbour(ENDS, host, mac)));
        requests
    }
}
