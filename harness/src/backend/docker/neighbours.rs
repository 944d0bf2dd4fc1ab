//! Tells containers their neighbours from outside: see [`crate::backend::process::neighbours`].

use std::net::Ipv4Addr;

use anyhow::Context;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::if_nametoindex;

use crate::netns::NamespaceWorkers;
use crate::netns::host::Neighbour;
use crate::netns::netlink::{self, Netlink};

/// Whether this process is likely to be let into containers' network namespaces. Only trying tells: see [`may_enter`].
pub(crate) fn enters_namespaces() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether this process may enter the network namespace of process `pid`.
pub(crate) async fn may_enter(workers: &NamespaceWorkers, pid: i64) -> bool {
    match workers.open(pid) {
        Ok(namespace) => namespace.run(|| Ok(())).await.is_ok(),
        Err(_) => false,
    }
}

/// Installs permanent entries in the network namespace of process `pid`, on the interface with `address`.
///
/// Needs CAP_SYS_ADMIN and CAP_NET_ADMIN on this very machine.
pub(crate) async fn install(
    workers: &NamespaceWorkers,
    pid: i64,
    address: Ipv4Addr,
    neighbours: Vec<Neighbour>,
) -> anyhow::Result<()> {
    let install = move || {
        let interface = interface_with(address)?;
        let entries = neighbours.iter().map(|&(host, mac)| netlink::neighbour(interface, host, mac));
        Netlink::open()?.perform(entries.collect())
    };
    workers.open(pid)?.run(install).await
}

fn interface_with(address: Ipv4Addr) -> anyhow::Result<u32> {
    let has_it = |end: &InterfaceAddress| end.address.and_then(|end| Some(end.as_sockaddr_in()?.ip())) == Some(address);
    let end = getifaddrs().context("asking for the addresses of a container")?.find(has_it);
    let name = end.with_context(|| format!("the container has no interface with {address}"))?.interface_name;
    if_nametoindex(name.as_str()).with_context(|| format!("asking for the number of the interface {name}"))
}
