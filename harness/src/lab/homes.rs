//! Where the nodes of a lab belong, and which addresses are free for those that move.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::op::Op;
use crate::plan::{NetworkIndex, Plan};

/// What a lab was deployed as.
#[derive(Debug)]
pub(super) struct LabHomes {
    /// With the addresses that it was deployed with.
    deployed: Arc<Plan>,
    /// By node of the lab: the network on which the lab's file has it.
    homes: Vec<NetworkIndex>,
}

impl LabHomes {
    /// Those of a lab that has just been deployed.
    pub(super) fn of(deployed: Arc<Plan>) -> Self {
        let homes = networks(&deployed);
        LabHomes { deployed, homes }
    }

    /// The lab as its file describes it: nodes that have moved are where they were before.
    pub(super) fn as_declared(&self, now: &Plan) -> Plan {
        let mut plan = now.clone();
        plan.nodes.iter_mut().zip(&self.homes).for_each(|(node, home)| node.network = *home);
        plan
    }

    /// From now on, nodes belong where they are.
    pub(super) fn settle(&mut self, now: &Plan) {
        self.homes = networks(now);
    }

    /// Addresses of a network that nodes can come to: first those that the lab's own file has set aside for moves.
    pub(super) fn free_addresses(&self, now: &Plan, network: NetworkIndex) -> Vec<Ipv4Addr> {
        let set_aside = self.deployed.steps.iter().flat_map(|step| &step.ops).filter_map(|timed| match timed.op {
            Op::Move { network: to, address, .. } => (to == network).then_some(address),
            _ => None,
        });
        // The first of the free ones is left to the backend.
        let free = set_aside.chain(self.deployed.free_addresses(network).skip(1));
        let here = now.nodes.iter().filter(|node| node.network == network);
        let taken: BTreeSet<Ipv4Addr> = here.map(|node| node.address).collect();
        free.filter(|address| !taken.contains(address)).collect()
    }
}

fn networks(plan: &Plan) -> Vec<NetworkIndex> {
    plan.nodes.iter().map(|node| node.network).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::LAB;
    use crate::lab::difference::differences;
    use crate::plan::NodeIndex;
    use crate::planner;
    use crate::topology::Overrides;

    fn plan(text: &str) -> Plan {
        planner::read("lab.yaml", text, &Overrides::default()).unwrap()
    }

    #[test]
    fn a_node_that_has_moved_is_no_difference_until_the_lab_is_brought_to_a_file() {
        let file = plan(LAB);
        let mut homes = LabHomes::of(Arc::new(file.clone()));
        let mut now = file.clone();
        let node = NodeIndex(now.nodes.iter().position(|node| node.name == "n-1").unwrap());
        now.nodes[node.0].network = NetworkIndex(0);
        assert_eq!(differences(&homes.as_declared(&now), &file), []);
        homes.settle(&now);
        assert_eq!(differences(&homes.as_declared(&now), &file).len(), 1);
    }

    #[test]
    fn addresses_set_aside_come_first_and_those_of_nodes_not_at_all() {
        let text = LAB.replace("  - join: {within: 30s}\n", "  - move: {nodes: n-1, to: internet}\n");
        let mut now = plan(&text);
        let homes = LabHomes::of(Arc::new(now.clone()));
        let free = homes.free_addresses(&now, NetworkIndex(0));
        let Op::Move { address, .. } = now.steps[0].ops[0].op else { panic!("it moves") };
        assert_eq!(free[0], address);
        assert!(!free.contains(&now.free_addresses(NetworkIndex(0)).next().unwrap()), "it is the backend's");
        let ambassador = now.nodes.iter().position(|node| node.name == "ambassador").unwrap();
        assert!(!free.contains(&now.nodes[ambassador].address));
        now.nodes[ambassador].address = address;
        assert_ne!(homes.free_addresses(&now, NetworkIndex(0))[0], address);
    }
}
