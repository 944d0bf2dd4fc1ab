//! Settings of the data overlay and the table that names them.

use std::sync::LazyLock;
use std::time::Duration;

use super::retrieve::Retrieval;
use super::seeded_fault::SeededFault;
use super::view::MEMBERS_MAX;
use crate::core::config::{ConfigKey, values};

/// Settings of the data overlay. Shared by reference among simulated nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct DataConfig {
    /// Copies of each block, this node's own included.
    pub replicas: usize,
    /// Pause between heartbeats to a peer that shares groups.
    pub heartbeat: Duration,
    /// Bytes of blocks that this node stores for the network.
    pub storage: u64,
    /// Strategy of the search for blocks.
    pub retrieval: Retrieval,
    /// Whether each search asks every peer before it ends without success.
    pub exhaustive: bool,
    /// Most hops that a flooded query travels.
    pub ttl: u8,
    /// Random walks of one search with the strategy `walk`.
    pub walkers: usize,
    /// Share of the neighbours to which the strategy `rbfs` forwards.
    pub fraction: f64,
    /// A fault that is built in on purpose; no setting names it.
    pub fault: Option<SeededFault>,
}

impl Default for DataConfig {
    fn default() -> Self {
        DataConfig {
            replicas: 3,
            heartbeat: Duration::from_secs(2),
            storage: 512 << 20,
            retrieval: Retrieval::default(),
            exhaustive: false,
            ttl: 7,
            walkers: 16,
            fraction: 0.5,
            fault: None,
        }
    }
}

/// The data overlay's settings by name.
pub static DATA_SETTINGS: LazyLock<[ConfigKey<DataConfig>; 8]> = LazyLock::new(|| {
    [
        ConfigKey::new("replicas", "3", "copies of each block (1 to 16)", |config, text| {
            values::count(text, 1, MEMBERS_MAX).map(|value| config.replicas = value)
        }),
        ConfigKey::new("heartbeat", "2s", "pause between heartbeats to a peer that shares groups", |config, text| {
            values::duration(text).map(|value| config.heartbeat = value)
        }),
        ConfigKey::new("storage", "512MiB", "storage that the node offers to the network", |config, text| {
            values::size(text).map(|value| config.storage = value)
        }),
        ConfigKey::new("retrieval", "auto", Retrieval::help(), |config, text| {
            Retrieval::named(text).map(|value| config.retrieval = value).ok_or_else(Retrieval::names)
        }),
        ConfigKey::new("exhaustive", "false", "ask every peer before a search ends without success", |config, text| {
            values::flag(text).map(|value| config.exhaustive = value)
        }),
        ConfigKey::new("ttl", "7", "most hops of a flooded query (1 to 32)", |config, text| {
            values::count(text, 1, 32).map(|value| config.ttl = value as u8)
        }),
        ConfigKey::new("walkers", "16", "random walks of one search with walk (1 to 64)", |config, text| {
            values::count(text, 1, 64).map(|value| config.walkers = value)
        }),
        ConfigKey::new("fraction", "0.5", "share of the neighbours to which rbfs forwards", |config, text| {
            values::fraction(text).map(|value| config.fraction = value)
        }),
    ]
});
