//! Hosts without a node: a lab is deployed with some on each network, which nodes take that are added later.

use crate::plan::{NetworkIndex, NodeIndex, NodePlan, Plan};

/// Hosts without a node on each network, where its subnet has room.
const SLOTS_PER_NETWORK: usize = 4;
/// Most of them in a lab.
const SLOTS_MAX: usize = 64;
/// Group of hosts without a node. No file has such a name.
const GROUP: &str = "slot.";

/// Whether a node of a plan is a host without one.
pub(super) fn is_slot(node: &NodePlan) -> bool {
    node.group == GROUP
}

/// Adds hosts without nodes to a plan that is to be deployed.
pub(crate) fn add(plan: &mut Plan) {
    for network in (0..plan.networks.len()).map(NetworkIndex) {
        let room = SLOTS_MAX.saturating_sub(plan.nodes.iter().filter(|node| is_slot(node)).count());
        // The first of the free ones is left to the backend.
        let free: Vec<_> = plan.free_addresses(network).skip(1).take(SLOTS_PER_NETWORK.min(room)).collect();
        for address in free {
            let subnet6 = plan.network(network).ipv6.map(|ipv6| ipv6.subnet);
            let address6 = subnet6.map(|subnet| crate::net::autoconf::autoconfigured(subnet, address));
            let slot = emptied(NodeIndex(plan.nodes.len()), network);
            plan.nodes.push(NodePlan { address, address6, ..slot });
        }
    }
}

/// Takes the node from its host.
pub(super) fn empty(plan: &mut Plan, node: NodeIndex) {
    let NodePlan { network, address, address6, .. } = plan.nodes[node.0];
    plan.nodes[node.0] = NodePlan { address, address6, ..emptied(node, network) };
}

/// A host of a network without a node, other than these.
pub(super) fn free_on(plan: &Plan, network: NetworkIndex, but: &[NodeIndex]) -> Option<NodeIndex> {
    let free = |(index, node): (usize, &NodePlan)| {
        is_slot(node) && node.network == network && !but.contains(&NodeIndex(index))
    };
    plan.nodes.iter().enumerate().position(free).map(NodeIndex)
}

fn emptied(node: NodeIndex, network: NetworkIndex) -> NodePlan {
    NodePlan {
        name: format!("{GROUP}{}", node.0),
        group: GROUP.to_owned(),
        network,
        address: std::net::Ipv4Addr::UNSPECIFIED,
        address6: None,
        ambassador: false,
        store: butter::api::StoragePlace::Memory,
        join: Vec::new(),
        settings: Vec::new(),
        from_start: false,
        limits: None,
        behaviours: Vec::new(),
        identities: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner;
    use crate::topology::Overrides;

    #[test]
    fn each_network_has_hosts_for_more_nodes_where_its_subnet_has_room() {
        let text = "networks: {a: {}, b: {behind: a, subnet: 10.9.0.0/29}}\nnodes: {n: {on: a}, m: {on: b, count: 4}}\nsteps: [settle: {for: 1s}]\n";
        let mut plan = planner::read("t.yaml", text, &Overrides::default()).unwrap();
        add(&mut plan);
        let on =
            |network| plan.nodes.iter().filter(|node| is_slot(node) && node.network == NetworkIndex(network)).count();
        assert_eq!((on(0), on(1)), (SLOTS_PER_NETWORK, 0));
        let slot = free_on(&plan, NetworkIndex(0), &[]).unwrap();
        plan.nodes[slot.0].group = "n".to_owned();
        assert_ne!(free_on(&plan, NetworkIndex(0), &[]), Some(slot));
        let address = plan.node(slot).address;
        empty(&mut plan, slot);
        assert!(is_slot(plan.node(slot)) && plan.node(slot).address == address);
    }
}
