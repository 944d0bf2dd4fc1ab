//! `butter run`: arguments, checked, to a node.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;

use butter::app::Butter;
use butter::core::config::{Config, SETTINGS};
use butter::driver::api::ApiSettings;
use butter::driver::multicast::GROUP;

use super::{ApiArgs, Failure};

#[derive(Args, Debug)]
#[command(after_help = settings_help())]
pub(super) struct RunArgs {
    /// Listen for peers here (UDP); port 0 lets the system choose, [::] is any address of both IPv4 and IPv6
    #[arg(long, value_name = "ADDR", env = "BUTTER_LISTEN", default_value = "[::]:4001")]
    listen: SocketAddr,
    /// Keep what outlives the node, such as its identity, in this folder
    #[arg(long, value_name = "DIR", env = "BUTTER_STORE")]
    store: Option<PathBuf>,
    /// Serve as an ambassador: be publicly reachable, introduce peers of different networks, relay for them
    #[arg(long, env = "BUTTER_AMBASSADOR")]
    ambassador: bool,
    /// Join through the ambassador at this address (may be repeated)
    #[arg(long, value_name = "HOST:PORT", env = "BUTTER_JOIN", value_delimiter = ',')]
    join: Vec<String>,
    /// Be found on these interfaces only, such as `lo` [default: all but loopback]
    #[arg(long, value_name = "IF", env = "BUTTER_LAN", value_delimiter = ',')]
    lan: Vec<String>,
    /// Multicast group and port for finding peers on the LAN
    #[arg(long, value_name = "ADDR", env = "BUTTER_GROUP", default_value_t = GROUP)]
    group: SocketAddrV4,
    /// Do not look for peers on the LAN
    #[arg(long, env = "BUTTER_NO_DISCOVER")]
    no_discover: bool,
    /// Open no socket for peers until `butter start`, so that nodes can start together
    #[arg(long, env = "BUTTER_START_PAUSED")]
    start_paused: bool,
    /// Change a setting (may be repeated); see below
    #[arg(long, value_name = "KEY=VALUE", env = "BUTTER_SET", value_delimiter = ',')]
    set: Vec<String>,
}

fn settings_help() -> String {
    let lines = SETTINGS.iter().map(|key| format!("  {:<24}{}", format!("{}={}", key.name, key.example), key.help));
    format!("Settings:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

pub(super) async fn run(args: RunArgs, api: ApiArgs) -> Result<(), Failure> {
    let config = config(&args).await?;
    let mut butter = Butter::builder()
        .config(config)
        .listen(args.listen)
        .lan(args.lan)
        .group(args.group)
        .api(ApiSettings { address: api.api, token: api.api_token, start_paused: args.start_paused });
    if let Some(folder) = args.store {
        butter = butter.store(folder);
    }
    butter.run().await.map_err(|error| Failure::Environment(error.into()))
}

async fn config(args: &RunArgs) -> Result<Config, Failure> {
    let mut config = Config { ambassador: args.ambassador, ..Config::default() };
    for setting in &args.set {
        set(&mut config, setting).map_err(Failure::Usage)?;
    }
    if args.no_discover {
        config.discover = false;
    }
    for name in &args.join {
        config.join.extend(resolve(name).await?);
    }
    Ok(config)
}

fn set(config: &mut Config, setting: &str) -> anyhow::Result<()> {
    let (key, value) =
        setting.split_once('=').ok_or_else(|| anyhow!("--set {setting}: write KEY=VALUE, such as heartbeat=2s"))?;
    let names = || SETTINGS.iter().map(|key| key.name).collect::<Vec<_>>().join(", ");
    config.set(key.trim(), value).with_context(|| format!("--set {setting} (there are {})", names()))
}

/// The first address of `name`: an ambassador is one peer.
async fn resolve(name: &str) -> Result<Option<SocketAddr>, Failure> {
    if let Ok(address) = name.parse() {
        return Ok(Some(address));
    }
    if name.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
        return Err(Failure::Usage(anyhow!("--join {name}: write HOST:PORT, such as 203.0.113.1:4001")));
    }
    let found = tokio::net::lookup_host(name).await.with_context(|| format!("--join {name}: no such host"));
    Ok(found.map_err(Failure::Environment)?.next())
}
