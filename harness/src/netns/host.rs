//! Hosts: network namespaces with cables to bridges.

use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use anyhow::Context;
use ipnet::Ipv4Net;
use nix::net::if_::if_nametoindex;

use super::netlink::{self, Netlink, Request, VethPeer};
use super::{Namespace, NamespaceWorkers};
use crate::net::autoconf::mac;

/// The loopback interface's, in every namespace.
const LOOPBACK: u32 = 1;

/// A host of a LAN and its link-layer address.
pub(crate) type Neighbour = (Ipv4Addr, [u8; 6]);

/// Where the bridges are that hosts are wired to.
#[derive(Clone, Debug)]
pub(crate) struct BridgeNamespace {
    workers: NamespaceWorkers,
    namespace: Namespace,
}

/// A host that shall be.
#[derive(Debug, Default)]
pub(crate) struct HostSpec {
    /// `eth0`, `eth1`.
    pub(crate) interfaces: Vec<InterfaceSpec>,
    pub(crate) gateway: Option<Ipv4Addr>,
    /// Met through `eth0`.
    pub(crate) neighbours: Vec<Neighbour>,
    pub(crate) ipv6: Ipv6Mode,
}

/// An interface that a host shall have.
#[derive(Debug)]
pub(crate) struct InterfaceSpec {
    /// Number of the bridge that it is wired to.
    pub(crate) bridge: u32,
    pub(crate) address: Ipv4Net,
    /// More addresses in the same subnet.
    pub(crate) others: Vec<Ipv4Addr>,
}

/// What a host's kernel does in IPv6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ipv6Mode {
    /// The kernel's default: no other host has IPv6 there.
    #[default]
    KernelDefault,
    /// It makes an address of what its router advertises.
    Autoconfigured,
    /// Nothing: the router process does it all.
    Off,
}

impl BridgeNamespace {
    /// The bridges of a namespace. The crew makes the hosts.
    pub(crate) fn new(workers: NamespaceWorkers, namespace: Namespace) -> Self {
        BridgeNamespace { workers, namespace }
    }

    /// The number of a bridge.
    pub(crate) async fn bridge(&self, name: String) -> anyhow::Result<u32> {
        let find = move || if_nametoindex(name.as_str()).with_context(|| format!("there is no bridge {name}"));
        self.namespace.run(find).await
    }

    /// Makes a host. It is gone when its last handle is dropped and no process or socket is in it.
    pub(crate) async fn host(&self, host: HostSpec) -> anyhow::Result<Namespace> {
        let bridges = self.namespace.clone();
        self.workers.make(move |here| host.wire(&bridges, here)).await.map(|(namespace, ())| namespace)
    }

    /// Takes a host's one cable out, and wires it as another host that shall be. What runs in it goes on.
    pub(crate) async fn rewire(&self, present: &Namespace, host: HostSpec) -> anyhow::Result<()> {
        let (bridges, here) = (self.namespace.clone(), present.clone());
        let rewire = move || {
            let old = if_nametoindex(name(0).as_str()).context("the number of its interface")?;
            Netlink::open()?.perform(vec![netlink::removed(old)])?;
            host.wire(&bridges, &here)
        };
        present.run(rewire).await
    }
}

impl Ipv6Mode {
    /// Sets it for interfaces yet to come, in the namespace that this thread is in.
    fn set(self) -> anyhow::Result<()> {
        let settings: &[(&str, &str)] = match self {
            Ipv6Mode::KernelDefault => &[],
            // These addresses are unique: looking for that, or hesitating, would take a second.
            Ipv6Mode::Autoconfigured => &[
                ("disable_ipv6", "0"),
                ("accept_ra", "1"),
                ("autoconf", "1"),
                ("dad_transmits", "0"),
                ("router_solicitation_delay", "0"),
            ],
            Ipv6Mode::Off => &[("disable_ipv6", "1")],
        };
        settings.iter().try_for_each(|(key, value)| {
            let path = format!("/proc/sys/net/ipv6/conf/default/{key}");
            fs::write(&path, value).with_context(|| format!("writing {path}: does this kernel have IPv6?"))
        })
    }
}

impl HostSpec {
    /// Wires the namespace `here`, without interfaces yet, which this thread is in, to the bridges of `bridges`.
    fn wire(&self, bridges: &Namespace, here: &Namespace) -> anyhow::Result<()> {
        self.ipv6.set()?;
        bridges.enter().context("entering the bridges")?;
        let veths = self.interfaces.iter().enumerate().map(|(at, end)| {
            let far = VethPeer { namespace: here.as_raw_fd(), name: &name(at), mac: mac(end.address.addr()) };
            netlink::veth(end.bridge, &far)
        });
        Netlink::open()?.perform(veths.collect())?;
        here.enter().context("returning from the bridges")?;
        let interface = |at| if_nametoindex(name(at).as_str()).context("the number of a new interface");
        let interfaces: Vec<u32> = (0..self.interfaces.len()).map(interface).collect::<Result<_, _>>()?;
        Netlink::open()?.perform(self.configuration(&interfaces))
    }

    /// The requests that configure its interfaces of these numbers.
    fn configuration(&self, interfaces: &[u32]) -> Vec<Request> {
        let mut requests = vec![netlink::up(LOOPBACK)];
        for (&index, end) in interfaces.iter().zip(&self.interfaces) {
            requests.push(netlink::up(index));
            let others = end
                .others
                .iter()
                .map(|&other| Ipv4Net::new(other, end.address.prefix_len()).expect("the prefix of the first address"));
            requests.extend([end.address].into_iter().chain(others).map(|address| netlink::address(index, address)));
        }
        requests.extend(self.gateway.map(netlink::default_route));
        let neighbours = interfaces
            .iter()
            .take(1)
            .flat_map(|&eth0| self.neighbours.iter().map(move |&(host, mac)| netlink::neighbour(eth0, host, mac)));
        requests.extend(neighbours);
        requests
    }
}

/// Name of a host's interface: the kernel's own order.
fn name(at: usize) -> String {
    format!("eth{at}")
}
