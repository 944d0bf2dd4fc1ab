//! What a backend tells a router.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::net::firewall::Policy;
use crate::net::link::LinkConfig;
use crate::net::nat::{Forward, NatConfig};
use crate::net::network_policy::NetworkPolicy;
use crate::net::zone::Zone;

/// A router, as [`super::main_from_env`] reads it from the environment (JSON).
///
/// Its network namespace must not forward packets by itself, or they would pass around the NAT: on Docker give the container
/// `Sysctls: {"net.ipv4.ip_forward": "0"}` (the engine turns forwarding on for the machine, and containers inherit that).
/// A router that finds forwarding on turns it off per interface, and refuses to start where it cannot.
/// It needs the capabilities NET_RAW and NET_ADMIN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterConfig {
    /// The LAN. `address` is the default gateway of its nodes; the router takes it itself, instead of whatever address the
    /// interface has been given, so that Docker (which refuses `--ip <gateway>`) can be used.
    pub inside: SideConfig,
    /// The network that the LAN is behind; `None` for the internet's own router. `address` is the router's there and must be
    /// on the interface when the router starts: it is taken from the kernel and lives in the router only.
    pub outside: Option<SideConfig>,
    /// Where the control proxy listens, on `address`; `None` for no proxy.
    pub management: Option<SideConfig>,
    /// Address translation between inside and outside; `None` routes plainly.
    pub nat: Option<NatConfig>,
    /// What passes beside that.
    pub firewall: NetworkPolicy,
    /// The NAT's other addresses outside.
    pub pool: Vec<Ipv4Addr>,
    /// Ports that always lead inside.
    pub forwards: Vec<Forward>,
    /// Link model for packets that leave the LAN.
    pub up: LinkConfig,
    /// Link model for packets that enter the LAN.
    pub down: LinkConfig,
    /// Networks without a NAT, and the router there: an address in the inside or the outside subnet.
    pub routes: Vec<(Ipv4Net, Ipv4Addr)>,
    /// IPv6, if the LAN has any.
    pub ipv6: Option<RouterIpv6Config>,
    /// TCP port of the control proxy.
    pub control_port: u16,
    /// Decides ports and luck.
    pub seed: u64,
    /// Hosts whose link-layer addresses are known and never asked for.
    pub neighbours: Vec<(Ipv4Addr, [u8; 6])>,
    /// Hosts on either side whose packets are marked with their zone; none if the run has no partition.
    pub zones: Vec<(IpAddr, Zone)>,
}

/// IPv6 of a router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterIpv6Config {
    /// The LAN, to which the prefix is advertised.
    pub inside: SideConfig6,
    /// The network that the LAN is behind, if that has IPv6 too.
    pub outside: Option<SideConfig6>,
    /// Which flows from outside may come in.
    pub firewall: Policy,
    /// Other networks, and the router there: an address in the inside or the outside subnet.
    pub routes: Vec<(Ipv6Net, Ipv6Addr)>,
}

/// One side of a router, in IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SideConfig6 {
    /// The subnet of the network.
    pub subnet: Ipv6Net,
    /// The router's address there.
    pub address: Ipv6Addr,
    /// The next router outwards; only read on the outside.
    pub gateway: Option<Ipv6Addr>,
}

impl RouterConfig {
    /// Every address that the router has outside.
    pub fn outside_addresses(&self) -> Vec<Ipv4Addr> {
        self.outside.iter().map(|side| side.address).chain(self.pool.iter().copied()).collect()
    }
}

/// One side of a router. The interface is found by its subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SideConfig {
    /// The subnet of the network.
    pub subnet: Ipv4Net,
    /// The router's address there.
    pub address: Ipv4Addr,
    /// The next router outwards; only read on the outside.
    pub gateway: Option<Ipv4Addr>,
}
