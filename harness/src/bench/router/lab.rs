//! Three hosts in network namespaces: near – router – far, and an operator who asks the router. Nothing of it has a name on
//! this machine: it ends with the values that hold it.

use std::fs::{self, File};
use std::future::Future;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use rtnetlink::{Handle, LinkUnspec, LinkVeth, RouteMessageBuilder};

use crate::net::link::LinkConfig;
use crate::net::nat::NatConfig;
use crate::net::network_policy::NetworkPolicy;
use crate::router::{CONFIG_VARIABLE, RouterConfig, SideConfig};

const NEAR: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
/// The host beyond the router.
pub(super) const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);
/// The near host's own address on the far side, where no router is between.
const BESIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 3);
const OPERATOR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const MANAGEMENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const CONTROL_PORT: u16 = 4_090;
/// How long the router may take to answer.
const READY_WITHIN: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// Linux's own translation of everything that leaves by `outside`.
const MASQUERADE: &str =
    "table ip bench { chain nat { type nat hook postrouting priority 100; oifname \"outside\" masquerade; }; }\n";

/// What is between the two hosts.
#[derive(Clone, Debug)]
pub(super) enum MiddleBox {
    /// A cable.
    Cable,
    /// Linux, which forwards and masquerades.
    Kernel,
    /// Butter's router with a port-restricted NAT and this link both ways.
    Router(LinkConfig),
}

/// The hosts, wired.
#[derive(Debug)]
pub(super) struct Lab {
    pub(super) near: Namespace,
    pub(super) far: Namespace,
    operator: Namespace,
    /// Of whatever is between them: what forwards in it may be no process, which would keep it.
    middle: Namespace,
    router: Option<RouterProcess>,
}

impl Lab {
    /// Makes all of it; `program` is the harness.
    pub(super) fn new(between: MiddleBox, program: &Path) -> anyhow::Result<Self> {
        let (near, far, operator) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
        let mut lab = Lab { near, far, operator, middle: Namespace::new()?, router: None };
        let middle = &lab.middle;
        if let MiddleBox::Cable = between {
            lab.near.cable(("near", net(BESIDE)), &lab.far, ("far", net(FAR)))?;
            return Ok(lab);
        }
        lab.near.cable(("near", net(NEAR)), middle, ("inside", net(INSIDE)))?;
        lab.near.default_route(INSIDE)?;
        middle.cable(("outside", net(OUTSIDE)), &lab.far, ("far", net(FAR)))?;
        lab.operator.cable(("operator", net(OPERATOR)), middle, ("management", net(MANAGEMENT)))?;
        match between {
            MiddleBox::Cable | MiddleBox::Kernel => middle.enter(masquerade)??,
            MiddleBox::Router(link) => {
                lab.router = Some(RouterProcess::start(middle, program, &config(link))?);
                lab.wait_for_router()?;
            }
        }
        Ok(lab)
    }

    fn wait_for_router(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let error = match self.metrics() {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            let child = &mut self.router.as_mut().expect("it was started").child;
            if let Some(status) = child.try_wait().context("looking at the router")? {
                bail!("the router has ended: {status}");
            }
            if Instant::now() > deadline {
                return Err(error.context("the router does not answer"));
            }
            thread::sleep(ASK_AGAIN);
        }
    }

    /// CPU seconds that the router has used; nothing where there is none.
    pub(super) fn router_cpu_s(&self) -> anyhow::Result<Option<f64>> {
        let Some(router) = &self.router else { return Ok(None) };
        let text = fs::read_to_string(format!("/proc/{}/stat", router.child.id())).context("looking at the router")?;
        // Behind the name, which is in brackets: user and system time are the 12th and 13th, in hundredths.
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).context("/proc tells no times of the router")?;
        Ok(Some((user + system) / 100.0))
    }

    /// The router's metrics, as text.
    pub(super) fn metrics(&self) -> anyhow::Result<String> {
        let control = SocketAddrV4::new(MANAGEMENT, CONTROL_PORT);
        let mut stream = self.operator.enter(|| TcpStream::connect_timeout(&control.into(), READY_WITHIN))??;
        stream.set_read_timeout(Some(READY_WITHIN))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: router\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }
}

fn net(address: Ipv4Addr) -> Ipv4Net {
    Ipv4Net::new(address, 24).expect("a length of 24 is right")
}

fn config(link: LinkConfig) -> RouterConfig {
    let side = |address| SideConfig { subnet: net(address).trunc(), address, gateway: None };
    RouterConfig {
        inside: side(INSIDE),
        outside: Some(side(OUTSIDE)),
        management: Some(side(MANAGEMENT)),
        nat: Some(NatConfig::port_restricted()),
        firewall: NetworkPolicy::Open,
        up: link.clone(),
        down: link,
        forwards: Vec::new(),
        pool: Vec::new(),
        routes: Vec::new(),
        ipv6: None,
        control_port: CONTROL_PORT,
        seed: 1,
        neighbours: Vec::new(),
        zones: Vec::new(),
    }
}

/// Has Linux forward and translate in the namespace of this thread.
fn masquerade() -> anyhow::Result<()> {
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("switching the kernel's forwarding on")?;
    let mut nft = Command::new("nft");
    let mut nft = nft.args(["-f", "-"]).stdin(Stdio::piped()).spawn().context("starting nft (of nftables)")?;
    nft.stdin.take().expect("it is piped").write_all(MASQUERADE.as_bytes()).context("telling nft what to do")?;
    let status = nft.wait().context("waiting for nft")?;
    ensure!(status.success(), "nft has failed: {status}");
    Ok(())
}

/// A router process, which ends with the value, or with the thread that made it.
#[derive(Debug)]
struct RouterProcess {
    child: Child,
}

impl RouterProcess {
    fn start(namespace: &Namespace, program: &Path, config: &RouterConfig) -> anyhow::Result<Self> {
        let config = serde_json::to_string(config).context("writing the router's configuration")?;
        let mut command = Command::new(program);
        command.arg("router").env(CONFIG_VARIABLE, config).stdin(Stdio::null());
        let die_with_us = || set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from);
        // SAFETY: between fork and exec only a system call is made, which allocates nothing and takes no lock.
        unsafe { command.pre_exec(die_with_us) };
        // On this thread, not one that ends at once: the router gets a signal when the thread that started it dies.
        let home = File::open("/proc/thread-self/ns/net").context("finding the own network namespace")?;
        setns(&namespace.file, CloneFlags::CLONE_NEWNET).context("entering a network namespace")?;
        let child = command.spawn();
        setns(&home, CloneFlags::CLONE_NEWNET).context("returning to the own network namespace")?;
        Ok(RouterProcess { child: child.with_context(|| format!("starting {}", program.display()))? })
    }
}

impl Drop for RouterProcess {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A network namespace, as long as it is held or anything is in it.
#[derive(Debug)]
pub(super) struct Namespace {
    file: File,
}

impl Namespace {
    fn new() -> anyhow::Result<Self> {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace")?;
            File::open("/proc/thread-self/ns/net").context("finding the new network namespace")
        };
        let file = thread::scope(|scope| scope.spawn(make).join()).unwrap_or_else(|panic| resume(panic))?;
        let namespace = Namespace { file };
        namespace.netlink(async |handle| up(&handle, "lo").await)?;
        Ok(namespace)
    }

    /// Does something in it, on a thread of its own. Sockets that are made there stay there.
    pub(super) fn enter<T: Send>(&self, act: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        let inside = || {
            setns(&self.file, CloneFlags::CLONE_NEWNET).context("entering a network namespace")?;
            Ok(act())
        };
        thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| resume(panic))
    }

    fn netlink<F: Future<Output = anyhow::Result<()>>>(
        &self,
        act: impl FnOnce(Handle) -> F + Send,
    ) -> anyhow::Result<()> {
        self.enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (connection, handle, _) = rtnetlink::new_connection()?;
                tokio::spawn(connection);
                act(handle).await
            })
        })?
    }

    /// A cable from here to there: the ends' names and addresses.
    fn cable(&self, here: (&str, Ipv4Net), other: &Namespace, there: (&str, Ipv4Net)) -> anyhow::Result<()> {
        let descriptor = other.file.as_raw_fd();
        self.netlink(async |handle| {
            handle.link().add(LinkVeth::new(here.0, there.0).build()).execute().await.context("making a cable")?;
            let far_end = index(&handle, there.0).await?;
            let moved = LinkUnspec::new_with_index(far_end).setns_by_fd(descriptor).build();
            handle.link().set(moved).execute().await.context("moving a cable's end")?;
            connect(&handle, here).await
        })?;
        other.netlink(async |handle| connect(&handle, there).await)
    }

    fn default_route(&self, via: Ipv4Addr) -> anyhow::Result<()> {
        self.netlink(async |handle| {
            let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(via).build();
            handle.route().add(route).execute().await.context("adding a route")
        })
    }
}

fn resume(panic: Box<dyn std::any::Any + Send>) -> ! {
    std::panic::resume_unwind(panic)
}

/// Gives an interface its address and switches it on.
async fn connect(handle: &Handle, (name, address): (&str, Ipv4Net)) -> anyhow::Result<()> {
    let interface = index(handle, name).await?;
    let add = handle.address().add(interface, address.addr().into(), address.prefix_len());
    add.execute().await.context("giving an interface its address")?;
    up(handle, name).await
}

async fn index(handle: &Handle, name: &str) -> anyhow::Result<u32> {
    let found = handle.link().get().match_name(name.to_owned()).execute().try_next().await;
    Ok(found
        .context("looking for an interface")?
        .with_context(|| format!("there is no interface {name}"))?
        .header
        .index)
}

async fn up(handle: &Handle, name: &str) -> anyhow::Result<()> {
    let on = LinkUnspec::new_with_index(index(handle, name).await?).up().build();
    handle.link().set(on).execute().await.context("switching an interface on")
}
