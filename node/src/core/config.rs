//! How a node behaves. One table of keys serves the command line, the topology file and the library.

use std::net::SocketAddr;
use std::time::Duration;

/// Settings of a node. Shared by reference among simulated nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Serve as an ambassador: publicly reachable, introduces peers and relays.
    pub ambassador: bool,
    /// Serve as an ambassador, with a smaller relay quota, while this node is publicly reachable.
    pub auto_ambassador: bool,
    /// Ambassadors to join through, by address.
    pub join: Vec<SocketAddr>,
    /// Look for peers on the LAN by multicast.
    pub discover: bool,
    /// Ask the NAT on the way out to forward a port (PCP, NAT-PMP, UPnP).
    pub port_mapping: bool,
    /// Pause between pings on the LAN while nobody is known.
    pub ping: Duration,
    /// Most neighbours: links that carry the overlay.
    pub active: usize,
    /// Most known hosts that are not neighbours.
    pub passive: usize,
    /// Pause between exchanges of known hosts.
    pub refresh: Duration,
    /// Copies of each block.
    pub replicas: usize,
    /// Pause between beats to a peer that shares groups.
    pub heartbeat: Duration,
    /// Bytes of blocks that this node keeps for the network.
    pub storage: u64,
    /// How blocks are looked for.
    pub retrieval: Retrieval,
    /// Hops that a flooded query travels.
    pub ttl: u8,
    /// Share of the neighbours to which random BFS forwards.
    pub fraction: f64,
    /// When a request, put or get is given up.
    pub deadline: Duration,
}

/// How blocks are looked for. See [`crate::overlay::data::retrieve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retrieval {
    /// The neighbours first, then [`Retrieval::Bfs`], so that what is there is found.
    Auto,
    /// Iterative breadth-first search: the asker visits peer after peer and never one twice.
    Bfs,
    /// Forwarding to every neighbour, bounded by hops (Gnutella).
    Flood,
    /// Forwarding to a random share of the neighbours.
    Rbfs,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            ambassador: false,
            auto_ambassador: true,
            join: Vec::new(),
            discover: true,
            port_mapping: true,
            ping: Duration::from_secs(1),
            active: 8,
            passive: 56,
            refresh: Duration::from_secs(10),
            replicas: 3,
            heartbeat: Duration::from_secs(2),
            storage: 512 << 20,
            retrieval: Retrieval::Auto,
            ttl: 7,
            fraction: 0.5,
            deadline: Duration::from_secs(10),
        }
    }
}

/// A setting that [`Config::set`] knows: its name, an example, and what it does.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// As written in files and options.
    pub name: &'static str,
    /// A value of the right shape.
    pub example: &'static str,
    /// One line.
    pub help: &'static str,
}

/// Every setting that a topology file or `--set` may change.
pub const SETTINGS: &[Setting] = &[
    Setting { name: "discover", example: "true", help: "look for peers on the LAN by multicast" },
    Setting { name: "auto_ambassador", example: "true", help: "serve as an ambassador while publicly reachable" },
    Setting { name: "port_mapping", example: "true", help: "ask the NAT on the way out to forward a port" },
    Setting { name: "ping", example: "1s", help: "pause between pings on the LAN while nobody is known" },
    Setting { name: "active", example: "8", help: "most neighbours" },
    Setting { name: "passive", example: "56", help: "most known hosts beside the neighbours" },
    Setting { name: "refresh", example: "10s", help: "pause between exchanges of known hosts" },
    Setting { name: "replicas", example: "3", help: "copies of each block" },
    Setting { name: "heartbeat", example: "2s", help: "pause between beats to a peer that shares groups" },
    Setting { name: "storage", example: "512MiB", help: "what the node keeps for the network" },
    Setting { name: "retrieval", example: "auto", help: "auto, bfs, flood or rbfs" },
    Setting { name: "ttl", example: "7", help: "hops of a flooded query" },
    Setting { name: "fraction", example: "0.5", help: "share of the neighbours to which rbfs forwards" },
    Setting { name: "deadline", example: "10s", help: "when a request, put or get is given up" },
];

/// A setting that cannot be taken. The configuration is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No such key.
    #[error("there is no setting '{0}'")]
    UnknownKey(String),
    /// The value does not fit.
    #[error("'{value}' is no value for {key}: {reason}")]
    BadValue {
        /// Which setting.
        key: &'static str,
        /// What was given.
        value: String,
        /// What fits.
        reason: &'static str,
    },
}

impl Config {
    /// Sets `key` to `value`, written as in a file: `heartbeat` to `2s`, `storage` to `64MiB`.
    ///
    /// # Errors
    /// If there is no such key or the value does not fit it.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let known = SETTINGS.iter().find(|k| k.name == key).ok_or_else(|| ConfigError::UnknownKey(key.to_owned()))?;
        let text = value.trim();
        let set = match known.name {
            "discover" => text.parse().map(|v| self.discover = v).map_err(|_| "true or false"),
            "auto_ambassador" => text.parse().map(|v| self.auto_ambassador = v).map_err(|_| "true or false"),
            "port_mapping" => text.parse().map(|v| self.port_mapping = v).map_err(|_| "true or false"),
            "ping" => duration(text).map(|v| self.ping = v),
            "active" => count(text, 2, 64).map(|v| self.active = v),
            "passive" => count(text, 4, 1_024).map(|v| self.passive = v),
            "refresh" => duration(text).map(|v| self.refresh = v),
            "replicas" => count(text, 1, 16).map(|v| self.replicas = v),
            "heartbeat" => duration(text).map(|v| self.heartbeat = v),
            "storage" => size(text).map(|v| self.storage = v),
            "retrieval" => retrieval(text).map(|v| self.retrieval = v),
            "ttl" => count(text, 1, 32).map(|v| self.ttl = v as u8),
            "fraction" => fraction(text).map(|v| self.fraction = v),
            "deadline" => duration(text).map(|v| self.deadline = v),
            _ => unreachable!("every key of SETTINGS has an arm: a test goes through them"),
        };
        set.map_err(|reason| ConfigError::BadValue { key: known.name, value: value.to_owned(), reason })
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let ok = Duration::from_millis(10)..=Duration::from_secs(86_400);
    let parsed = humantime::parse_duration(text).map_err(|_| "a duration with its unit, such as 500ms or 2s")?;
    if ok.contains(&parsed) { Ok(parsed) } else { Err("a duration between 10ms and 1day") }
}

fn size(text: &str) -> Result<u64, &'static str> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a size with its unit, such as 64MiB");
    }
    let parsed = text.parse::<bytesize::ByteSize>().map_err(|_| "a size with its unit, such as 64MiB")?;
    Ok(parsed.as_u64())
}

fn count(text: &str, least: usize, most: usize) -> Result<usize, &'static str> {
    let parsed = text.parse().map_err(|_| "a whole number")?;
    if (least..=most).contains(&parsed) { Ok(parsed) } else { Err("a whole number within this setting's range") }
}

fn fraction(text: &str) -> Result<f64, &'static str> {
    let parsed: f64 = text.parse().map_err(|_| "a number above 0, up to 1")?;
    if parsed > 0.0 && parsed <= 1.0 { Ok(parsed) } else { Err("a number above 0, up to 1") }
}

fn retrieval(text: &str) -> Result<Retrieval, &'static str> {
    match text {
        "auto" => Ok(Retrieval::Auto),
        "bfs" => Ok(Retrieval::Bfs),
        "flood" => Ok(Retrieval::Flood),
        "rbfs" => Ok(Retrieval::Rbfs),
        _ => Err("auto, bfs, flood or rbfs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_takes_its_example() {
        for key in SETTINGS {
            Config::default().set(key.name, key.example).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn a_bad_value_changes_nothing_and_says_what_fits() {
        let mut config = Config::default();
        let error = config.set("heartbeat", "2").unwrap_err();
        assert!(error.to_string().contains("with its unit"), "{error}");
        assert!(config.set("storage", "64").is_err());
        assert!(config.set("replicas", "0").is_err());
        assert!(config.set("beat", "1s").unwrap_err().to_string().contains("beat"));
        assert_eq!(config, Config::default());
    }
}
