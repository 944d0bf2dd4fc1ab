//! `butter run`: checked arguments become a node.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use butter_cli::given::GivenOptions;
use butter_cli::{chain, logging, values};
use clap::Args;

use crate::Node;
use crate::app::StartError;
use crate::config::{NodeConfig, SETTINGS};
use crate::core::config::Config;
use crate::driver::api::{ApiAddress, ApiError, ApiSettings, DEFAULT_ADDRESS, TOKEN_VARIABLE};
use crate::driver::multicast::GROUP;
use crate::driver::transport::TransportError;

use super::{ApiArgs, Failure, LOG_VARIABLE};

/// Port of peers, unless an address names another.
const DEFAULT_PORT: u16 = 4001;

#[derive(Args, Debug)]
#[command(after_help = after_help())]
pub(super) struct RunArgs {
    #[command(flatten)]
    given: GivenOptions,
    /// Listen for peers at this UDP address; port 0 is a free one, [::] is any address of both IPv4 and IPv6
    #[arg(long, value_name = "HOST:PORT", env = "BUTTER_LISTEN", default_value = "[::]:4001", value_parser = values::socket_address)]
    listen: SocketAddr,
    /// Keep the node's identity and the blocks that it stores in this directory; without it both end with the node
    #[arg(long, value_name = "DIR", env = "BUTTER_STORE")]
    store: Option<PathBuf>,
    /// Keep blocks in memory also with --store: only the identity outlives the node
    #[arg(long, env = "BUTTER_BLOCKS_IN_MEMORY", requires = "store")]
    blocks_in_memory: bool,
    /// Serve as an ambassador: a publicly reachable peer that introduces others and relays for them
    #[arg(long, env = "BUTTER_AMBASSADOR")]
    ambassador: bool,
    /// Join through the ambassador at this address (repeatable); a name is looked up at each try
    #[arg(long, value_name = "HOST[:PORT]", env = "BUTTER_JOIN", value_delimiter = ',', value_parser = host_and_port)]
    join: Vec<String>,
    /// Use only this interface for discovery on the LAN, such as `lo` (repeatable) [default: all but loopback]
    #[arg(long, value_name = "IF", env = "BUTTER_LAN", value_delimiter = ',')]
    lan: Vec<String>,
    /// Multicast group and port for discovery on the LAN
    #[arg(long, value_name = "IP:PORT", env = "BUTTER_GROUP", default_value_t = GROUP, value_parser = multicast_group)]
    group: SocketAddrV4,
    /// Disable discovery on the LAN
    #[arg(long, env = "BUTTER_NO_DISCOVER")]
    no_discover: bool,
    /// Open no socket for peers until `butter start`, so that nodes can start together
    #[arg(long, env = "BUTTER_START_PAUSED")]
    start_paused: bool,
    /// Log filter: a level from off to trace, or levels of targets such as info,butter=debug [default: info]
    #[arg(long, value_name = "FILTER", env = LOG_VARIABLE, value_parser = logging::filter)]
    log: Option<String>,
    /// Change a setting (repeatable); see the list below
    #[arg(long, value_name = "KEY=VALUE", env = "BUTTER_SET", value_parser = setting)]
    set: Vec<(String, String)>,
}

impl RunArgs {
    /// The log filter: the option wins over the setting, and the setting over the variable.
    pub(super) fn log_filter(&self) -> Option<&str> {
        let setting = self.set.iter().rev().find(|(key, _)| key == "log").map(|(_, value)| value.as_str());
        let option = self.log.as_deref();
        if self.given.contains("log") { option } else { setting.or(option) }
    }
}

fn after_help() -> String {
    let lines = SETTINGS.iter().map(|key| format!("  {:<24}{}", format!("{}={}", key.name, key.example), key.help));
    format!("{EXAMPLES}\n\nSettings:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

const EXAMPLES: &str = "\
Examples:
  butter run
  butter run --store ~/.butter --join ambassador.example.org:4001
  butter run --ambassador --set replicas=5 --set heartbeat=2s
  butter run --log debug,quinn_proto=warn

Exit status: 0 the node has left; 2 wrong arguments; 3 the node cannot be started.";

pub(super) async fn run(args: RunArgs, api: ApiArgs) -> Result<(), Failure> {
    let config = config(&args)?;
    let mut node = Node::builder()
        .config(config)
        .listen(args.listen)
        .lan(args.lan)
        .group(args.group)
        .api(ApiSettings { address: api.api, token: api.api_token, start_paused: args.start_paused });
    if let Some(folder) = args.store {
        node = node.store(folder);
    }
    if args.blocks_in_memory {
        node = node.blocks_in_memory();
    }
    node.run().await.map_err(Failure::Start)
}

/// What to do about a node that does not start, in the terms of this command line.
pub(super) fn remedy(error: &StartError) -> Option<String> {
    let in_use = |error: &std::io::Error| error.kind() == std::io::ErrorKind::AddrInUse;
    Some(match error {
        StartError::Lan(_) => "name interfaces with --lan, or switch discovery off with --no-discover".to_owned(),
        StartError::Api(ApiError::NoToken(_)) => format!(
            "give a token with --api-token or {TOKEN_VARIABLE}, or listen on {DEFAULT_ADDRESS} or unix:PATH with --api"
        ),
        StartError::Api(ApiError::Bind { source, .. }) if in_use(source) => {
            "check with `butter status` whether another node is running, or take a free port with --api 127.0.0.1:0"
                .to_owned()
        }
        StartError::Api(ApiError::Bind { source, address: ApiAddress::Unix(_) })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            "create the directory of the socket, or name another path with --api".to_owned()
        }
        StartError::Transport(TransportError::Bind { source, .. }) if in_use(source) => {
            "take a free port with --listen [::]:0, or stop the node that uses this one".to_owned()
        }
        _ => return None,
    })
}

fn config(args: &RunArgs) -> Result<NodeConfig, Failure> {
    let mut config = NodeConfig::from(Config { ambassador: args.ambassador, ..Config::default() });
    for (key, value) in &args.set {
        config.set(key, value).map_err(|error| Failure::Usage(error.into()))?;
    }
    if args.no_discover {
        config.core_mut().discover = false;
    }
    for ambassador in &args.join {
        match ambassador.parse() {
            Ok(address) => config.core_mut().join.push(address),
            Err(_) => config.core_mut().join_names.push(ambassador.clone()),
        }
    }
    Ok(config)
}

/// A setting that the configuration takes.
fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = values::setting(text)?;
    match NodeConfig::default().set(&key, &value) {
        Ok(_) => Ok((key, value)),
        Err(error) => {
            let names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
            Err(format!("{}; settings are {}", chain::one_line(&error), names.join(", ")))
        }
    }
}

/// An ambassador as HOST:PORT. Without a port it is the one at which nodes listen by default.
fn host_and_port(text: &str) -> Result<String, String> {
    if text.parse::<SocketAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, DEFAULT_PORT).to_string());
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse::<u16>().ok()),
        None => (text, Some(DEFAULT_PORT)),
    };
    let is_name = !host.is_empty() && !host.contains([':', '/', '[', ' ']);
    match port {
        Some(port) if is_name && port != 0 => Ok(format!("{host}:{port}")),
        _ => Err("expected HOST or HOST:PORT, such as ambassador.example.org:4001".to_owned()),
    }
}

fn multicast_group(text: &str) -> Result<SocketAddrV4, String> {
    let group: Option<SocketAddrV4> = text.parse().ok();
    group
        .filter(|group| group.ip().is_multicast())
        .ok_or_else(|| format!("expected an IPv4 multicast address with a port, such as {GROUP}"))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        run: RunArgs,
    }

    fn filter(arguments: &[&str], variable: &str) -> Option<String> {
        let arguments = std::iter::once("program").chain(arguments.iter().copied()).map(Into::into);
        let environment = |name: &str| (name == LOG_VARIABLE).then(|| variable.into());
        let matches = butter_cli::arguments::parse(Program::command(), arguments, &environment, &[]).unwrap();
        Program::from_arg_matches(&matches).unwrap().run.log_filter().map(str::to_owned)
    }

    #[test]
    fn log_option_wins_over_the_setting_and_the_setting_over_the_variable() {
        let (option, setting) = (["--log", "trace"], ["--set", "log=debug"]);
        assert_eq!(filter(&[option, setting].concat(), "warn").as_deref(), Some("trace"));
        assert_eq!(filter(&setting, "warn").as_deref(), Some("debug"));
        assert_eq!(filter(&[], "warn").as_deref(), Some("warn"));
        assert_eq!(filter(&[], ""), None);
    }
}
