//! A LAN with one host, its router, the internet with one host of two addresses, and an operator on the management network.

use std::net::SocketAddrV4;

use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::NatConfig;
use butter_harness::net::network_policy::NetworkPolicy;
use butter_harness::router::{RouterConfig, SideConfig};

use crate::netns::{Namespace, Router, Switches, control_address, metric};

/// The router's address on the internet.
pub(crate) const OUTSIDE: &str = "203.0.113.2";
/// Addresses of the host on the internet.
pub(crate) const FAR: [&str; 2] = ["203.0.113.11", "203.0.113.12"];
/// Address of the LAN's host.
pub(crate) const NEAR: &str = "10.1.0.2";
/// TCP port of the control proxy.
pub(crate) const CONTROL_PORT: u16 = 4_090;

/// All of it, running.
#[derive(Debug)]
pub(crate) struct Lab {
    /// Where everything is plugged in: `lan`, `internet`, `management`.
    pub(crate) switches: Switches,
    /// The LAN's host.
    pub(crate) near: Namespace,
    /// The host on the internet.
    pub(crate) far: Namespace,
    /// Who controls the router.
    pub(crate) operator: Namespace,
    /// The router's namespace.
    pub(crate) router_namespace: Namespace,
    /// Configuration of the router.
    pub(crate) config: RouterConfig,
    /// Its process.
    pub(crate) router: Option<Router>,
}

/// Configuration of a router with this NAT and these links.
pub(crate) fn config(nat: Option<NatConfig>, up: LinkConfig, down: LinkConfig) -> RouterConfig {
    let side = |subnet: &str, address: &str| SideConfig {
        subnet: subnet.parse().unwrap(),
        address: address.parse().unwrap(),
        gateway: None,
    };
    RouterConfig {
        inside: side("10.1.0.0/24", "10.1.0.1"),
        outside: Some(side("203.0.113.0/24", OUTSIDE)),
        management: Some(side("10.9.0.0/24", "10.9.0.2")),
        nat,
        firewall: NetworkPolicy::Open,
        pool: Vec::new(),
        forwards: Vec::new(),
        up,
        down,
        routes: Vec::new(),
        control_port: CONTROL_PORT,
        ipv6: None,
        seed: 7,
        neighbours: Vec::new(),
        zones: Vec::new(),
    }
}

impl Lab {
    /// Everything but the router process.
    pub(crate) fn wired(config: RouterConfig) -> Self {
        let lab = Lab {
            switches: Switches::new(),
            near: Namespace::new(),
            far: Namespace::new(),
            operator: Namespace::new(),
            router_namespace: Namespace::new(),
            config,
            router: None,
        };
        for switch in ["lan", "internet", "management"] {
            lab.switches.add(switch);
        }
        let net = |text: &str| text.parse().unwrap();
        lab.switches.attach(&lab.near, "lan", &[net("10.1.0.2/24")]);
        lab.near.route(net("0.0.0.0/0"), lab.config.inside.address);
        lab.switches.attach(&lab.far, "internet", &[net("203.0.113.11/24"), net("203.0.113.12/24")]);
        lab.switches.attach(&lab.operator, "management", &[net("10.9.0.1/24")]);
        // As Docker does it: the gateway's address is refused, the router has to take it.
        lab.switches.attach(&lab.router_namespace, "lan", &[net("10.1.0.254/24")]);
        lab.switches.attach(&lab.router_namespace, "internet", &[net("203.0.113.2/24")]);
        lab.switches.attach(&lab.router_namespace, "management", &[net("10.9.0.2/24")]);
        lab
    }

    /// Everything, with a router of this NAT on perfect links.
    pub(crate) fn with_nat(nat: NatConfig) -> Self {
        Self::start(config(Some(nat), LinkConfig::default(), LinkConfig::default()))
    }

    /// Everything.
    pub(crate) fn start(config: RouterConfig) -> Self {
        Self::wired(config).run()
    }

    /// Starts the router.
    pub(crate) fn run(mut self) -> Self {
        self.router = Some(Router::start(&self.router_namespace, &self.config, &self.operator));
        self
    }

    /// The value of a series of the router.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        metric(&self.operator, &self.config, series)
    }

    /// How many packets the router has dropped for a cause.
    pub(crate) fn dropped(&self, cause: &str) -> u64 {
        self.metric(&format!("butter_router_dropped_total{{cause=\"{cause}\"}}"))
    }

    /// Where the proxy listens.
    pub(crate) fn control(&self) -> SocketAddrV4 {
        control_address(&self.config)
    }
}
