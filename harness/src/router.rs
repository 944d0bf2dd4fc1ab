//! The router process: the NAT and link models of [`crate::net`] between real interfaces.
//!
//! - [`config`]: what a backend tells a router.
//! - [`engine`]: the router without its sockets: frames in, frames out, some of them later. It has [`routes`], the two links as
//!   [`pipe`]s, its own ARP as [`neighbours`], and counts into [`stats`].
//! - [`offload`]: what hosts leave to the network card.

use anyhow::Context;

pub mod config;
pub mod engine;
pub mod neighbours;
pub mod offload;
pub mod pipe;
pub mod routes;
pub mod stats;

pub use config::{RouterConfig, Side};

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

/// Routes until the process is told to end. Needs NET_RAW and NET_ADMIN in its network namespace.
///
/// # Errors
/// When an interface is missing or may not be used. Nothing ends it afterwards but SIGTERM or SIGINT.
pub fn run(_config: RouterConfig) -> anyhow::Result<()> {
    anyhow::bail!("the router's data path has not landed")
}
