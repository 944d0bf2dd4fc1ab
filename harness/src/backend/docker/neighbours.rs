//! Tells containers their neighbours from outside: see [`crate::backend::fleet::neighbours`].

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::thread;

use anyhow::{Context, anyhow};
use futures_util::{StreamExt, TryStreamExt, stream};
use nix::sched::{CloneFlags, setns};
use rtnetlink::Handle;
use rtnetlink::packet_route::address::AddressAttribute;

use crate::backend::fleet::neighbours::Neighbour;

/// Requests to the kernel under way at once.
const AT_ONCE: usize = 32;

/// Whether this process is likely to be let into containers' network namespaces. Only trying tells: see [`may_enter`].
pub(crate) fn enters_namespaces() -> bool {
    nix::unistd::geteuid().is_root()
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
