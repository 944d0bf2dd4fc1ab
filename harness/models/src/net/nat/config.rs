//! How a NAT behaves, in the terms of RFC 4787, and the kinds that topologies name.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a NAT behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatConfig {
    /// When a new outside port is taken (RFC 4787 §4.1).
    pub mapping: Dependence,
    /// Who may answer (RFC 4787 §5).
    pub filtering: Dependence,
    /// How outside ports are chosen (RFC 4787 §4.2).
    pub ports: Ports,
    /// Whether inside hosts reach each other through outside addresses (RFC 4787 §6).
    pub hairpin: bool,
    /// Life of an idle UDP mapping (RFC 4787 §4.3).
    #[serde(with = "crate::duration_text")]
    pub udp_timeout: Duration,
    /// Life of an idle established TCP connection (RFC 5382 §5).
    #[serde(with = "crate::duration_text")]
    pub tcp_timeout: Duration,
    /// Outside addresses, from 1. An inside host keeps to one of them (RFC 4787 REQ-2).
    pub pool: u8,
    /// Ports are handed to inside hosts in blocks (RFC 6888 REQ-14, RFC 7422); `None` hands out single ones.
    pub port_block: Option<PortBlock>,
    /// Most mappings of an inside host (RFC 6888 REQ-4); `None` knows no limit.
    pub quota: Option<u32>,
    /// How inside hosts may ask for mappings.
    pub mapping_protocols: BTreeSet<MappingProtocol>,
}

/// Ports by blocks: each inside host has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortBlock {
    /// Ports of a block, from 1.
    pub size: u16,
    /// Blocks that an inside host may have at a time, from 1.
    pub limit: u16,
}

/// A way of inside hosts to ask for a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MappingProtocol {
    /// UPnP's Internet Gateway Device.
    Upnp,
    /// NAT Port Mapping Protocol (RFC 6886).
    NatPmp,
    /// Port Control Protocol, version 2 (RFC 6887).
    Pcp,
}

impl MappingProtocol {
    /// All of them, as topologies name them.
    pub const NAMES: [(&str, MappingProtocol); 3] =
        [("upnp", MappingProtocol::Upnp), ("nat-pmp", MappingProtocol::NatPmp), ("pcp", MappingProtocol::Pcp)];
}

/// Life of an idle UDP mapping where a preset says nothing else: the shortest that RFC 4787 REQ-5 allows, so that
/// software which counts on more is found out.
pub const UDP_TIMEOUT: Duration = Duration::from_secs(2 * 60);
/// Life of an idle established TCP connection where a preset says nothing else (RFC 5382 REQ-5: at least 2 hours 4 minutes).
pub const TCP_TIMEOUT: Duration = Duration::from_secs((2 * 60 + 4) * 60);

impl NatConfig {
    /// Once an inside endpoint has sent anything, everybody reaches it: what RFC 4787 asks for where transparency matters
    /// most (REQ-1, REQ-8).
    pub fn full_cone() -> Self {
        NatConfig {
            mapping: Dependence::EndpointIndependent,
            filtering: Dependence::EndpointIndependent,
            ports: Ports::Preserve,
            hairpin: true,
            udp_timeout: UDP_TIMEOUT,
            tcp_timeout: TCP_TIMEOUT,
            pool: 1,
            port_block: None,
            quota: None,
            mapping_protocols: BTreeSet::new(),
        }
    }

    /// As [`NatConfig::full_cone`], but only addresses that the inside endpoint has sent to reach it: RFC 4787 REQ-8's
    /// stricter choice.
    pub fn address_restricted() -> Self {
        NatConfig { filtering: Dependence::AddressDependent, ..Self::full_cone() }
    }

    /// As [`NatConfig::full_cone`], but only endpoints that the inside endpoint has sent to reach it: most home routers.
    pub fn port_restricted() -> Self {
        NatConfig { filtering: Dependence::AddressAndPortDependent, ..Self::full_cone() }
    }

    /// A new random outside port for every other endpoint, which alone may answer; no hairpin. Not what RFC 4787 allows
    /// (REQ-1, REQ-9), but met in offices and mobile networks.
    pub fn symmetric() -> Self {
        NatConfig {
            mapping: Dependence::AddressAndPortDependent,
            filtering: Dependence::AddressAndPortDependent,
            ports: Ports::Random,
            hairpin: false,
            ..Self::full_cone()
        }
    }

    /// Most mappings that one inside host can have at a time.
    pub fn mappings_max(&self) -> u32 {
        let by_blocks = self.port_block.map(|block| u32::from(block.size) * u32::from(block.limit));
        self.quota.into_iter().chain(by_blocks).min().unwrap_or(u32::MAX)
    }

    /// Every preset, as topologies name them.
    pub fn presets() -> [(&'static str, NatConfig); 5] {
        [
            ("full-cone", Self::full_cone()),
            ("address-restricted", Self::address_restricted()),
            ("port-restricted", Self::port_restricted()),
            ("symmetric", Self::symmetric()),
            ("cgnat", Self::cgnat()),
        ]
    }

    /// A carrier's NAT as RFC 6888 wants it: mapping as RFC 4787 demands (REQ-1: endpoint-independent), filtering
    /// endpoint-independent (REQ-7 recommends it), hairpin (subscribers must reach each other), ports at random (REQ-15
    /// asks for protection against guessing), which is where it differs from [`NatConfig::full_cone`].
    pub fn cgnat() -> Self {
        NatConfig { ports: Ports::Random, ..Self::full_cone() }
    }
}

/// On how much of the other side's address something depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dependence {
    /// On nothing: every remote endpoint is treated alike.
    EndpointIndependent,
    /// On the remote address, whatever the port.
    AddressDependent,
    /// On its address and port.
    AddressAndPortDependent,
}

/// How outside ports are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ports {
    /// The inside port where it is free.
    Preserve,
    /// The next free one.
    Sequential,
    /// Any free one, chosen at random.
    Random,
}
