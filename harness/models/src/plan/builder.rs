//! Plans made in code rather than from a file, for benches and tests.
//!
//! [`PlanBuilder::new`] begins with an internet and gives every network and node its address; [`PlanBuilder::empty`] begins with
//! nothing and takes addresses from its caller. Whatever else a plan can hold is changed through [`PlanBuilder::plan_mut`]. The
//! simulator plays it with the fidelity `message` unless that is changed.

use std::net::Ipv4Addr;

use butter::api::StoragePlace;
use ipnet::Ipv4Net;

use crate::net::link::LinkConfig;
use crate::net::nat::NatConfig;
use crate::plan::{FidelityChoice, Network, NetworkIndex, NodeIndex, NodePlan, Plan, ResolvedInputs, Uplink};

/// A plan under construction.
#[derive(Clone, Debug)]
pub struct PlanBuilder {
    plan: Plan,
    /// Next free address of each network, counted from its first.
    next_host: Vec<u32>,
    settings: Vec<(String, String)>,
}

impl PlanBuilder {
    /// A plan with the internet alone.
    pub fn new(seed: u64) -> Self {
        let mut builder = PlanBuilder::empty("built", seed);
        builder.network_named("internet", "20.0.0.0/8", None);
        builder.plan.networks[0].subnet_allocated = true;
        builder
    }

    /// A plan without networks.
    pub fn empty(name: &str, seed: u64) -> Self {
        let plan = Plan {
            name: name.to_owned(),
            description: String::new(),
            seed,
            fidelity: FidelityChoice::Message,
            topology_hash: String::new(),
            source: String::new(),
            networks: Vec::new(),
            nodes: Vec::new(),
            graph: None,
            files: Vec::new(),
            items: Vec::new(),
            steps: Vec::new(),
            checks: Vec::new(),
            inputs: ResolvedInputs::default(),
            sweep: Default::default(),
            notes: Vec::new(),
        };
        PlanBuilder { plan, next_host: Vec::new(), settings: Vec::new() }
    }

    /// A network with this subnet, whose first address is its gateway.
    ///
    /// # Panics
    /// If the subnet is none.
    pub fn network_named(&mut self, name: &str, subnet: &str, behind: Option<Uplink>) -> NetworkIndex {
        let subnet: Ipv4Net = subnet.parse().expect("a subnet such as 10.1.0.0/24");
        self.plan.networks.push(Network {
            name: name.to_owned(),
            group: name.to_owned(),
            subnet,
            subnet_allocated: false,
            gateway: Ipv4Addr::from(u32::from(subnet.network()) + 1),
            ipv6: None,
            behind,
            region: None,
            log: None,
        });
        self.next_host.push(2);
        NetworkIndex(self.plan.networks.len() - 1)
    }

    /// A node at this address that runs from the start: a group of its own, with the settings of [`PlanBuilder::with`], and no
    /// ambassador to join through.
    pub fn node_named(&mut self, name: &str, network: NetworkIndex, address: Ipv4Addr) -> &mut NodePlan {
        let index = self.plan.nodes.len();
        self.plan.nodes.push(NodePlan {
            name: name.to_owned(),
            group: name.to_owned(),
            network,
            address,
            address6: None,
            ambassador: false,
            store: StoragePlace::Memory,
            join: Vec::new(),
            settings: self.settings.clone(),
            from_start: true,
            limits: None,
            behaviours: Vec::new(),
            identities: 1,
        });
        &mut self.plan.nodes[index]
    }

    /// Goes on with a plan. Addresses that the builder chooses may be taken; those of named networks and nodes are the caller's.
    pub fn from_plan(plan: Plan) -> Self {
        let next_host = vec![2; plan.networks.len()];
        PlanBuilder { plan, next_host, settings: Vec::new() }
    }

    /// Every node added from now on has this setting.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The network at the root of the tree.
    pub const INTERNET: NetworkIndex = NetworkIndex(0);

    /// A network of up to 250 nodes behind another.
    pub fn network(&mut self, behind: NetworkIndex, nat: Option<NatConfig>, link: LinkConfig) -> NetworkIndex {
        let index = self.plan.networks.len();
        let subnet = Ipv4Net::new_assert(Ipv4Addr::from(0x0a00_0000 + ((index as u32) << 8)), 24);
        let address = self.address(behind);
        let uplink = Uplink::new(behind, address, nat, link);
        let network = self.network_named(&format!("network-{index}"), &subnet.to_string(), Some(uplink));
        self.plan.networks[index].subnet_allocated = true;
        network
    }

    /// A node that runs from the start, with every ambassador so far to join through.
    pub fn node(&mut self, network: NetworkIndex) -> NodeIndex {
        let ambassadors = (0..self.plan.nodes.len()).filter(|&node| self.plan.nodes[node].ambassador).map(NodeIndex);
        let join = ambassadors.collect();
        self.node_joining(network, join)
    }

    /// A node that runs from the start, with these ambassadors to join through.
    pub fn node_joining(&mut self, network: NetworkIndex, join: Vec<NodeIndex>) -> NodeIndex {
        let index = self.plan.nodes.len();
        let address = self.address(network);
        let node = self.node_named(&format!("node-{index}"), network, address);
        (node.group, node.join) = ("node".to_owned(), join);
        NodeIndex(index)
    }

    /// An ambassador on the internet, through which every node added after it joins.
    pub fn ambassador(&mut self) -> NodeIndex {
        let node = self.node(Self::INTERNET);
        self.plan.nodes[node.0].ambassador = true;
        node
    }

    /// The plan so far, to change at will.
    pub fn plan_mut(&mut self) -> &mut Plan {
        &mut self.plan
    }

    /// The plan that was built.
    pub fn into_plan(self) -> Plan {
        self.plan
    }

    fn address(&mut self, network: NetworkIndex) -> Ipv4Addr {
        let host = &mut self.next_host[network.0];
        *host += 1;
        Ipv4Addr::from(u32::from(self.plan.networks[network.0].subnet.network()) + *host - 1)
    }
}
