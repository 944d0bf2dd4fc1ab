//! Link-layer addresses that nodes get beforehand, so that large LANs do not fill the kernel's neighbour table.
//!
//! That table is one for all namespaces of the machine: `gc_thresh3` entries, 1,024 as Linux comes. Fifty nodes of one LAN that
//! all talk to each other need 2,450, and what does not fit loses its packets. Permanent entries are not counted.

use std::fs;
use std::net::Ipv4Addr;

use crate::net::autoconf::mac;
use crate::netns::host::Neighbour;
use crate::plan::{NetworkIndex, NodeIndex, Plan};

/// The kernel's bound on entries of all namespaces (arp(7)).
const LIMIT_FILE: &str = "/proc/sys/net/ipv4/neigh/default/gc_thresh3";

/// How many entries this kernel keeps; `None` where it does not say.
pub(crate) fn limit() -> Option<usize> {
    fs::read_to_string(LIMIT_FILE).ok()?.trim().parse().ok()
}

/// Entries that the plan needs if all hosts of each network talk to each other.
pub(crate) fn demand(plan: &Plan) -> usize {
    let count = |network: NetworkIndex| {
        let nodes = plan.nodes.iter().filter(|node| node.network == network).count();
        // Each knows all but itself, and the gateway. Routers keep tables of their own.
        nodes * hosts(plan, network).len()
    };
    (0..plan.networks.len()).map(|index| count(NetworkIndex(index))).sum()
}

/// Every host that a node may meet on its LAN. `gateway` is the link-layer address of its router.
pub(crate) fn of(plan: &Plan, node: NodeIndex, gateway: [u8; 6]) -> Vec<Neighbour> {
    let node = plan.node(node);
    let others =
        hosts(plan, node.network).into_iter().filter(|host| *host != node.address).map(|host| (host, mac(host)));
    others.chain([(plan.network(node.network).gateway, gateway)]).collect()
}

/// Nodes of a network, and outsides of the routers in it.
fn hosts(plan: &Plan, network: NetworkIndex) -> Vec<Ipv4Addr> {
    let nodes = plan.nodes.iter().filter(|node| node.network == network).map(|node| node.address);
    let uplinks = plan.networks.iter().filter_map(|other| other.behind.as_ref());
    let mut hosts: Vec<_> =
        nodes.chain(uplinks.filter(|uplink| uplink.to == network).map(|uplink| uplink.address)).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_node_is_told_of_its_lan_and_its_gateway_only() {
        let plan = testing::plan();
        let gateway = [2, 0, 0, 0, 0, 1];
        let result = of(&plan, NodeIndex(0), gateway);
        let addresses: Vec<_> = result.iter().map(|(address, _)| address.to_string()).collect();
        assert_eq!(addresses, ["203.0.113.2", "203.0.113.3", "203.0.113.1"]);
        assert_eq!(result[0].1, [0x02, 0x42, 203, 0, 113, 2]);
        assert_eq!(result[2].1, gateway);
        assert_eq!(of(&plan, NodeIndex(1), gateway).len(), 1);
    }

    #[test]
    fn demand_grows_with_the_square_of_a_lan() {
        let mut plan = testing::plan();
        assert_eq!(demand(&plan), 3 + 1 + 1);
        for last in 20..69_u8 {
            let node = crate::plan::NodePlan { address: Ipv4Addr::new(10, 1, 0, last), ..plan.nodes[1].clone() };
            plan.nodes.push(node);
        }
        assert_eq!(demand(&plan), 3 + 50 * 50 + 1);
    }
}
