//! Settings of the core, and the table that names them. An overlay has its own settings and table: see [`crate::config`].

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
    /// Ambassadors to join through, as HOST:PORT. A name is looked up at each try, and all its addresses are dialled.
    pub join_names: Vec<String>,
    /// Look for peers on the LAN by multicast.
    pub discover: bool,
    /// Ask the NAT on the way out to forward a port (PCP, NAT-PMP, UPnP).
    pub port_mapping: bool,
    /// Predict and search for the ports that a NAT gives next. Without it peers only dial each other at the same time.
    pub port_search: bool,
    /// Pause between pings on the LAN while no host is known.
    pub ping: Duration,
    /// Most neighbours: links that carry the overlay.
    pub active: usize,
    /// Most known hosts that are not neighbours.
    pub passive: usize,
    /// Pause between exchanges of known hosts.
    pub refresh: Duration,
    /// When a request, put or get is given up.
    pub deadline: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            ambassador: false,
            auto_ambassador: true,
            join: Vec::new(),
            join_names: Vec::new(),
            discover: true,
            port_mapping: true,
            port_search: true,
            ping: Duration::from_secs(1),
            active: 8,
            passive: 56,
            refresh: Duration::from_secs(10),
            deadline: Duration::from_secs(10),
        }
    }
}

/// A setting by name, as topology files and `--set` write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Unique among the settings of the core and the overlay.
    pub name: &'static str,
    /// A valid value, in the notation of files and options.
    pub example: &'static str,
    /// One line that says what the setting does.
    pub help: &'static str,
}

/// A setting of the configuration `C`, and how to change it.
#[derive(Debug)]
pub struct ConfigKey<C: 'static> {
    /// Name, example and help.
    pub setting: Setting,
    /// Parses a value and stores it. The error says what would be valid.
    pub apply: fn(&mut C, &str) -> Result<(), &'static str>,
}

impl<C> ConfigKey<C> {
    /// An entry of a table of settings.
    pub const fn new(
        name: &'static str,
        example: &'static str,
        help: &'static str,
        apply: fn(&mut C, &str) -> Result<(), &'static str>,
    ) -> Self {
        ConfigKey { setting: Setting { name, example, help }, apply }
    }
}

/// Sets `key` of `table` in `config` to `value`.
///
/// # Errors
/// If the table has no such key or the value does not fit it. The configuration is unchanged then.
pub fn apply<C>(table: &[ConfigKey<C>], config: &mut C, key: &str, value: &str) -> Result<(), ConfigError> {
    let known = table.iter().find(|known| known.setting.name == key);
    let known = known.ok_or_else(|| ConfigError::UnknownKey(key.to_owned()))?;
    let bad = |reason| ConfigError::BadValue { key: known.setting.name, value: value.to_owned(), reason };
    (known.apply)(config, value.trim()).map_err(bad)
}

/// All settings of the core, in the order of help texts.
pub const SETTINGS: &[ConfigKey<Config>] = &[
    ConfigKey::new("discover", "true", "look for peers on the LAN by multicast", |config, text| {
        values::flag(text).map(|value| config.discover = value)
    }),
    ConfigKey::new("auto_ambassador", "true", "serve as an ambassador while publicly reachable", |config, text| {
        values::flag(text).map(|value| config.auto_ambassador = value)
    }),
    ConfigKey::new("port_mapping", "true", "ask the NAT on the way out to forward a port", |config, text| {
        values::flag(text).map(|value| config.port_mapping = value)
    }),
    ConfigKey::new("port_search", "true", "predict and search for the ports of peers' NATs", |config, text| {
        values::flag(text).map(|value| config.port_search = value)
    }),
    ConfigKey::new("ping", "1s", "pause between pings on the LAN while no host is known", |config, text| {
        values::duration(text).map(|value| config.ping = value)
    }),
    ConfigKey::new("active", "8", "most neighbours (2 to 64)", |config, text| {
        values::count(text, 2, 64).map(|value| config.active = value)
    }),
    ConfigKey::new("passive", "56", "most known hosts beside the neighbours (4 to 1024)", |config, text| {
        values::count(text, 4, 1_024).map(|value| config.passive = value)
    }),
    ConfigKey::new("refresh", "10s", "pause between exchanges of known hosts", |config, text| {
        values::duration(text).map(|value| config.refresh = value)
    }),
    ConfigKey::new("deadline", "10s", "time limit of a request, put or get", |config, text| {
        values::duration(text).map(|value| config.deadline = value)
    }),
];

/// A setting that cannot be taken. The configuration is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No table of settings has this key.
    #[error("unknown setting `{0}`")]
    UnknownKey(String),
    /// The value is not valid for the setting.
    #[error("invalid value `{value}` for `{key}`: expected {reason}")]
    BadValue {
        /// Name of the setting.
        key: &'static str,
        /// The rejected value, as given.
        value: String,
        /// What would be valid.
        reason: &'static str,
    },
}

/// Parsers of setting values. Each error says what would be valid.
pub mod values {
    use std::time::Duration;

    /// Parses `true` or `false`.
    pub fn flag(text: &str) -> Result<bool, &'static str> {
        text.parse().map_err(|_| "true or false")
    }

    /// A duration from 10 ms to 1 day.
    pub fn duration(text: &str) -> Result<Duration, &'static str> {
        let valid = Duration::from_millis(10)..=Duration::from_secs(86_400);
        let parsed = humantime::parse_duration(text).map_err(|_| "a duration with its unit, such as 500ms or 2s")?;
        if valid.contains(&parsed) { Ok(parsed) } else { Err("a duration between 10ms and 1day") }
    }

    /// A number of bytes.
    pub fn size(text: &str) -> Result<u64, &'static str> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("a size with its unit, such as 64MiB");
        }
        let parsed = text.parse::<bytesize::ByteSize>().map_err(|_| "a size with its unit, such as 64MiB")?;
        Ok(parsed.as_u64())
    }

    /// A whole number from `least` to `most`.
    pub fn count(text: &str, least: usize, most: usize) -> Result<usize, &'static str> {
        let parsed = text.parse().map_err(|_| "a whole number")?;
        if (least..=most).contains(&parsed) { Ok(parsed) } else { Err("a whole number within this setting's range") }
    }

    /// A number above 0, up to 1.
    pub fn fraction(text: &str) -> Result<f64, &'static str> {
        let parsed: f64 = text.parse().map_err(|_| "a number above 0, up to 1")?;
        if parsed > 0.0 && parsed <= 1.0 { Ok(parsed) } else { Err("a number above 0, up to 1") }
    }
}
