//! NodeSelector plays: every node with its address and the ambassadors that it is configured with.

use butter::api::StoragePlace;

use crate::plan::{NetworkIndex, NodeIndex, NodePlan};
use crate::topology::addresses::HostAddresses;
use crate::topology::check::{AddressNeed, FRESH, NodeSelector, TopologyModel};

/// Most ambassadors that a node is configured with. Where more can be reached, each node gets others.
const AMBASSADORS_TOLD: usize = 32;

/// Every node, and where to find it.
pub(crate) struct NodeRoster {
    pub(crate) nodes: Vec<NodePlan>,
    /// Per group its first node.
    groups: Vec<usize>,
    /// Per retrieve step with fresh nodes: those.
    pub(crate) fresh: Vec<Vec<NodeIndex>>,
    /// Per network the ambassadors that its nodes reach: those on the way to the internet.
    pub(crate) reach: Vec<Vec<NodeIndex>>,
}

impl NodeRoster {
    pub(crate) fn new(
        model: &TopologyModel,
        needs: &[AddressNeed],
        fresh_steps: usize,
        hosts: &mut [HostAddresses],
    ) -> Self {
        let mut roster = NodeRoster { nodes: Vec::new(), groups: Vec::new(), fresh: Vec::new(), reach: Vec::new() };
        for group in &model.groups {
            roster.groups.push(roster.nodes.len());
            for number in 1..=group.size() {
                let name = match group.count {
                    Some(_) => format!("{}-{number}", group.name.value),
                    None => group.name.value.clone(),
                };
                let network = group.network_of(number - 1);
                roster.nodes.push(NodePlan {
                    name,
                    group: group.name.value.clone(),
                    network,
                    address: hosts[network.0].node(),
                    address6: None,
                    ambassador: group.ambassador,
                    store: group.store,
                    join: Vec::new(),
                    settings: group.settings.clone(),
                    from_start: true,
                    limits: group.limits,
                    behaviours: group.behaviours.clone(),
                    identities: group.identities,
                });
            }
        }
        for step in 1..=fresh_steps {
            roster.add_fresh(model, needs, step, hosts);
        }
        roster.meet(model);
        roster
    }

    /// One more node on each network that has any.
    fn add_fresh(&mut self, model: &TopologyModel, needs: &[AddressNeed], step: usize, hosts: &mut [HostAddresses]) {
        let prefix = if step == 1 { FRESH.to_owned() } else { format!("{FRESH}{step}") };
        let inhabited = needs.iter().enumerate().filter(|(_, need)| need.nodes > 0);
        let mut added = Vec::new();
        for (network, _) in inhabited {
            added.push(NodeIndex(self.nodes.len()));
            self.nodes.push(NodePlan {
                name: format!("{prefix}-{}", model.networks[network].name.value),
                group: FRESH.to_owned(),
                network: NetworkIndex(network),
                address: hosts[network].node(),
                address6: None,
                ambassador: false,
                store: StoragePlace::Memory,
                join: Vec::new(),
                settings: model.settings.clone(),
                from_start: false,
                limits: None,
                behaviours: Vec::new(),
                identities: 1,
            });
        }
        self.fresh.push(added);
    }

    /// Tells every node of ambassadors.
    fn meet(&mut self, model: &TopologyModel) {
        let mut here = vec![Vec::new(); model.networks.len()];
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.ambassador) {
            here[node.network.0].push(NodeIndex(index));
        }
        // Outer networks come first, so theirs are known.
        for (index, own) in here.into_iter().enumerate() {
            let outside = model.networks[index].behind.map(|outer| self.reach[outer.0].clone()).unwrap_or_default();
            self.reach.push(own.into_iter().chain(outside).collect());
        }
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let reach = &self.reach[node.network.0];
            let begin = if reach.len() > AMBASSADORS_TOLD { index % reach.len() } else { 0 };
            let others = reach[begin..].iter().chain(&reach[..begin]).copied();
            node.join = others.filter(|ambassador| ambassador.0 != index).take(AMBASSADORS_TOLD).collect();
        }
    }

    /// The nodes that a name stands for, in order.
    pub(crate) fn who(&self, model: &TopologyModel, who: &NodeSelector) -> Vec<NodeIndex> {
        let of_group = |group: usize| self.groups[group]..self.groups[group] + model.groups[group].size() as usize;
        match who {
            NodeSelector::All => (0..self.nodes.len()).map(NodeIndex).collect(),
            // Which fresh ones depends on the step: see `scenes`.
            NodeSelector::Fresh => Vec::new(),
            NodeSelector::Networks(networks) => {
                let here = self.nodes.iter().enumerate().filter(|(_, node)| networks.contains(node.network));
                here.map(|(index, _)| NodeIndex(index)).collect()
            }
            NodeSelector::Group(group) => of_group(*group).map(NodeIndex).collect(),
            NodeSelector::Node(group, number) => vec![NodeIndex(of_group(*group).start + *number as usize)],
        }
    }
}
