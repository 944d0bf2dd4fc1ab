//! The router process: the NAT and link models of [`crate::net`] between real interfaces.
//!
//! - [`config`]: what a backend tells a router.
//! - [`engine`]: the router without its sockets: frames in, frames out, some of them later. It has [`routes`], the two links as
//!   [`link_queue`]s, its own ARP as [`neighbours`] and the same of IPv6 as [`ndp`], and counts into [`stats`].
//! - [`zone_marks`]: which side of a partition a packet comes from.
//! - [`frame`]: frames and sides. [`offload`]: what hosts leave to the network card.
//! - [`io`]: the loop between [`socket`]s and engine; [`interfaces`]: which ones, and their addresses.
//! - [`gateway`]: what hosts of the LAN may ask for, mappings that is.
//! - [`proxy`]: the way in for control of nodes and of the router itself ([`control`]), and the router's [`metrics`].
//!
//! Invariants: no packet passes from one side to the other but through the engine (the kernel does not forward); the outside
//! address exists in the engine alone; the control proxy is reached from the management interface alone.
//!
//! Deliberately absent: later fragments of IPv6 from outside, where a filter is (it knows flows, not datagrams, and none of the
//! traffic here needs them); cutting packets of IPv6 that are too long for the next link, which only their sender may do (RFC 8200
//! §4.5): the sender gets an error. An interface that is taken away ends the router's use of it: a container that is connected anew needs a new
//! router process.

use std::net::{SocketAddrV4, TcpListener};
use std::sync::Arc;
use std::thread;

use anyhow::Context;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use tokio::sync::watch;

pub mod config;
pub mod control;
pub mod engine;
pub mod frame;
pub mod gateway;
pub mod interfaces;
pub mod io;
pub mod link_queue;
pub mod metrics;
pub mod ndp;
pub mod neighbours;
pub mod offload;
pub mod proxy;
pub mod routes;
pub mod socket;
pub mod stats;
pub mod zone_marks;

pub use config::{RouterConfig, RouterIpv6Config, SideConfig, SideConfig6};
use engine::RouterEngine;
use frame::Interface;
use gateway::Gateway;
use io::Sockets;
use metrics::RouterMetrics;
use proxy::Proxy;
use socket::PacketSocket;

/// The environment variable that holds a [`RouterConfig`] as JSON.
pub const CONFIG_VARIABLE: &str = "BUTTER_ROUTER";

/// Runs the router that the environment variable [`CONFIG_VARIABLE`] describes: what `harness router` does.
///
/// # Errors
/// When the variable is missing or wrong, or as [`run`].
pub fn main_from_env() -> anyhow::Result<()> {
    let text =
        std::env::var(CONFIG_VARIABLE).with_context(|| format!("{CONFIG_VARIABLE} must hold the configuration"))?;
    run(serde_json::from_str(&text).with_context(|| format!("{CONFIG_VARIABLE} is not a router's configuration"))?)
}

/// Routes until the process gets SIGTERM or SIGINT. Needs NET_RAW and NET_ADMIN in its network namespace.
///
/// # Errors
/// When an interface is missing or may not be used, or when one goes away. SIGTERM and SIGINT end the process at once.
pub fn run(config: RouterConfig) -> anyhow::Result<()> {
    exit_on_signals()?;
    let interfaces = runtime()?.block_on(interfaces::prepare(&config))?;
    let metrics = Arc::new(RouterMetrics::new(config.nat.is_some()));
    let outside = interfaces.outside.as_ref().map(|outside| outside.interface);
    let initial = InitialState { config: config.clone(), inside: interfaces.inside.interface, outside };
    let mut engine = initial.engine();
    let sockets = Sockets {
        inside: PacketSocket::open(interfaces.inside.index)?,
        outside: interfaces.outside.as_ref().map(|outside| PacketSocket::open(outside.index)).transpose()?,
    };
    let (control, commands) = control::channel()?;
    let (rebound, rebinds) = watch::channel(0);
    let listener = match config.management.zip(interfaces.management) {
        Some((management, attached)) => {
            Some(proxy::listen(&attached.name, SocketAddrV4::new(management.address, config.control_port))?)
        }
        None => None,
    };
    let inside_interface = interfaces.inside.name;
    let gateway = config
        .nat
        .as_ref()
        .filter(|nat| !nat.mapping_protocols.is_empty())
        .map(|nat| Gateway::new(config.inside, inside_interface.clone(), nat.clone(), control.clone()));
    let proxy = Proxy {
        inside: config.inside,
        outside: config.outside.filter(|_| config.nat.is_some()),
        inside_interface,
        metrics: Arc::clone(&metrics),
        control,
        initial,
        rebound,
    };
    serve_beside(gateway.map(|gateway| (gateway, rebinds)), proxy, listener)?;
    tracing::info!(inside = %config.inside.subnet, outside = ?config.outside.map(|outside| outside.address), "routes");
    io::run(&mut engine, &sockets, &commands, &metrics)
}

/// What the data path begins as.
#[derive(Debug)]
pub struct InitialState {
    config: RouterConfig,
    inside: Interface,
    outside: Option<Interface>,
}

impl InitialState {
    fn engine(&self) -> RouterEngine {
        RouterEngine::new(&self.config, self.inside, self.outside)
    }
}

/// Runs what is no part of the data path, in a thread of its own.
fn serve_beside(
    gateway: Option<(Gateway, watch::Receiver<u64>)>,
    proxy: Proxy,
    listener: Option<TcpListener>,
) -> anyhow::Result<()> {
    let runtime = runtime()?;
    if let Some((gateway, rebinds)) = gateway {
        let _entered = runtime.enter();
        gateway.serve(rebinds)?;
    }
    let serve = move || match listener {
        Some(listener) => match runtime.block_on(proxy.serve(listener)) {
            Ok(never) => match never {},
            Err(error) => tracing::error!(%error, "the control proxy has ended"),
        },
        None => runtime.block_on(std::future::pending()),
    };
    thread::Builder::new().name("control".to_owned()).spawn(serve).context("cannot start the control proxy")?;
    Ok(())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")
}

/// Process 1 of a container has no default handlers: without these, each stop would wait its whole time-out.
fn exit_on_signals() -> anyhow::Result<()> {
    extern "C" fn exit(_: libc::c_int) {
        // SAFETY: _exit may be called from a signal handler; nothing of the router needs to be undone.
        unsafe { libc::_exit(0) }
    }
    let action = SigAction::new(SigHandler::Handler(exit), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        // SAFETY: the handler only calls _exit, which is async-signal-safe.
        unsafe { sigaction(signal, &action) }.context("cannot handle signals")?;
    }
    Ok(())
}
