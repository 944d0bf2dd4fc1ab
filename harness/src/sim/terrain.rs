//! Plans made in code rather than from a file: networks and nodes, without steps. For benches and tests.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::net::link::LinkConfig;
use crate::net::nat::NatConfig;
use crate::plan::{Network, NetworkIndex, NodeIndex, NodePlan, Plan, Uplink};

/// A plan being made.
#[derive(Clone, Debug)]
pub struct Terrain {
    plan: Plan,
    /// Next free address of each network, counted from its first.
    next_host: Vec<u32>,
    settings: Vec<(String, String)>,
}

impl Terrain {
    /// The internet alone.
    pub fn new(seed: u64) -> Self {
        let internet = Network {
            name: "internet".to_owned(),
            group: "internet".to_owned(),
            subnet: Ipv4Net::new_assert(Ipv4Addr::new(20, 0, 0, 0), 8),
            subnet_allocated: true,
            gateway: Ipv4Addr::new(20, 0, 0, 1),
            ipv6: None,
            behind: None,
            region: None,
        };
        let plan = Plan {
            name: "terrain".to_owned(),
            description: String::new(),
            seed,
            topology_hash: String::new(),
            source: String::new(),
            networks: vec![internet],
            nodes: Vec::new(),
            items: Vec::new(),
            steps: Vec::new(),
            checks: Vec::new(),
        };
        Terrain { plan, next_host: vec![2], settings: Vec::new() }
    }

    /// Every node added from now on has this setting.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The internet.
    pub const INTERNET: NetworkIndex = NetworkIndex(0);

    /// A network of up to 250 nodes behind another.
    pub fn network(&mut self, behind: NetworkIndex, nat: Option<NatConfig>, link: LinkConfig) -> NetworkIndex {
        let index = self.plan.networks.len();
        let subnet = Ipv4Net::new_assert(Ipv4Addr::from(0x0a00_0000 + ((index as u32) << 8)), 24);
        let address = self.address(behind);
        self.plan.networks.push(Network {
            name: format!("network-{index}"),
            group: format!("network-{index}"),
            subnet,
            subnet_allocated: true,
            gateway: Ipv4Addr::from(u32::from(subnet.network()) + 1),
            ipv6: None,
            behind: Some(Uplink {
                to: behind,
                address,
                pool: Vec::new(),
                forwards: Vec::new(),
                ipv6: None,
                nat,
                up: link.clone(),
                down: link,
            }),
            region: None,
        });
        self.next_host.push(2);
        NetworkIndex(index)
    }

    /// A node that runs from the start, told of every ambassador so far.
    pub fn node(&mut self, network: NetworkIndex) -> NodeIndex {
        let ambassadors = (0..self.plan.nodes.len()).filter(|&node| self.plan.nodes[node].ambassador).map(NodeIndex);
        let join = ambassadors.collect();
        self.node_told_of(network, join)
    }

    /// A node that runs from the start, told of these ambassadors.
    pub fn node_told_of(&mut self, network: NetworkIndex, join: Vec<NodeIndex>) -> NodeIndex {
        let index = self.plan.nodes.len();
        let address = self.address(network);
        self.plan.nodes.push(NodePlan {
            name: format!("node-{index}"),
            group: "node".to_owned(),
            network,
            address,
            address6: None,
            ambassador: false,
            join,
            settings: self.settings.clone(),
            from_start: true,
        });
        NodeIndex(index)
    }

    /// An ambassador on the internet, told to every node added after it.
    pub fn ambassador(&mut self) -> NodeIndex {
        let node = self.node(Self::INTERNET);
        self.plan.nodes[node.0].ambassador = true;
        node
    }

    /// The plan so far, to change at will.
    pub fn plan_mut(&mut self) -> &mut Plan {
        &mut self.plan
    }

    /// The plan.
    pub fn into_plan(self) -> Plan {
        self.plan
    }

    fn address(&mut self, network: NetworkIndex) -> Ipv4Addr {
        let host = &mut self.next_host[network.0];
        *host += 1;
        Ipv4Addr::from(u32::from(self.plan.networks[network.0].subnet.network()) + *host - 1)
    }
}
