//! Settings of a node that runs the data overlay: those of the core and of the overlay, by one flat set of names.

use std::sync::{Arc, LazyLock};

use tracing::level_filters::LevelFilter;

use crate::core::config::{self, Config, ConfigError, ConfigKey, Setting};
use crate::overlay::data::config::{DATA_SETTINGS, DataConfig};

/// Every setting that a topology file or `--set` may change.
pub static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    let core = config::SETTINGS.iter().map(|key| key.setting);
    let data = DATA_SETTINGS.iter().map(|key| key.setting);
    core.chain(data).chain(PROGRAM_SETTINGS.iter().map(|key| key.setting)).collect()
});

/// Settings of the program that runs a node. A simulated node ignores them.
const PROGRAM_SETTINGS: &[ConfigKey<ProgramConfig>] =
    &[ConfigKey::new("log", "debug", "log filter: a level, or levels of targets", |config, text| {
        is_log_filter(text)
            .then(|| config.log = Some(text.to_owned()))
            .ok_or("levels such as info or warn,butter=debug")
    })];

/// Settings of the program that runs a node, rather than of the node itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramConfig {
    /// The log filter: `LEVEL` or `TARGET=LEVEL`, separated by commas. `None` leaves it to the program.
    pub log: Option<String>,
}

/// Settings of the core, of the data overlay and of the program. Cheap to clone, so that simulated nodes share them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeConfig {
    /// Settings of the core, whichever overlay runs.
    pub core: Arc<Config>,
    /// Settings of the data overlay.
    pub data: Arc<DataConfig>,
    /// Settings of the program.
    pub program: Arc<ProgramConfig>,
}

impl NodeConfig {
    /// The core's settings, for changes.
    pub fn core_mut(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.core)
    }

    /// The data overlay's settings, for changes.
    pub fn data_mut(&mut self) -> &mut DataConfig {
        Arc::make_mut(&mut self.data)
    }

    /// Sets `key` to `value`, written as in a file: `heartbeat` to `2s`, `storage` to `64MiB`.
    ///
    /// # Errors
    /// If there is no such key or the value does not fit it. The configuration is unchanged then.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        if DATA_SETTINGS.iter().any(|known| known.setting.name == key) {
            config::apply(&*DATA_SETTINGS, self.data_mut(), key, value)
        } else if PROGRAM_SETTINGS.iter().any(|known| known.setting.name == key) {
            config::apply(PROGRAM_SETTINGS, Arc::make_mut(&mut self.program), key, value)
        } else {
            config::apply(config::SETTINGS, self.core_mut(), key, value)
        }
    }
}

impl From<Config> for NodeConfig {
    fn from(core: Config) -> Self {
        NodeConfig { core: Arc::new(core), ..NodeConfig::default() }
    }
}

impl From<DataConfig> for NodeConfig {
    fn from(data: DataConfig) -> Self {
        NodeConfig { data: Arc::new(data), ..NodeConfig::default() }
    }
}

/// Whether a text is a list of levels, each with or without a target.
fn is_log_filter(text: &str) -> bool {
    let level = |directive: &str| directive.rsplit_once('=').map_or(directive, |(_, level)| level).trim().to_owned();
    !text.trim().is_empty() && text.split(',').all(|directive| level(directive).parse::<LevelFilter>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_unique_name_and_accepts_its_example() {
        for (at, setting) in SETTINGS.iter().enumerate() {
            NodeConfig::default().set(setting.name, setting.example).unwrap_or_else(|error| panic!("{error}"));
            assert!(SETTINGS[..at].iter().all(|other| other.name != setting.name), "{}", setting.name);
        }
    }

    #[test]
    fn invalid_value_changes_nothing_and_the_error_names_what_is_valid() {
        let mut config = NodeConfig::default();
        let error = config.set("heartbeat", "2").unwrap_err();
        assert!(error.to_string().contains("with its unit"), "{error}");
        let error = config.set("retrieval", "dht").unwrap_err();
        assert!(error.to_string().contains("auto, bfs"), "{error}");
        assert!(config.set("storage", "64").is_err());
        assert!(config.set("replicas", "0").is_err());
        assert!(config.set("log", "inffo").is_err() && config.set("log", "warn,butter=loud").is_err());
        assert!(config.set("beat", "1s").unwrap_err().to_string().contains("beat"));
        assert_eq!(config, NodeConfig::default());
    }
}
