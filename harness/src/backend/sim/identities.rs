//! Nodes that take part under several identities.
//!
//! On real backends such a node is one process, whose nodes share an address and differ in their ports. The simulator's networks
//! know nodes by their addresses alone. So each further identity has a slot after those of the plan's nodes, and an address of
//! its own in the same network.

use std::net::SocketAddrV4;
use std::ops::Range;

use butter::core::contact::Contact;
use butter::core::identity::NodeId;
use butter::core::random::child;
use rand::Rng;

use super::{SimBackend, purpose};
use crate::op::Op;
use crate::plan::partitions::PartitionSides;
use crate::plan::{NODE_PORT, NodeIndex, NodePlan, Plan};
use crate::sim::network::NodeSlot;

/// The slots of each node of a plan.
#[derive(Debug)]
pub(super) struct Identities {
    /// Slots of the plan's own nodes come first.
    nodes: usize,
    /// By node: the slots of its further identities.
    further: Vec<Range<NodeSlot>>,
}

impl Identities {
    /// The slots, and the plan as the engine takes it: with a node for each.
    ///
    /// # Panics
    /// If a subnet is too small; the planner refuses that.
    pub(super) fn of(plan: &Plan) -> (Self, Plan) {
        let mut wide = plan.clone();
        let mut further = Vec::with_capacity(plan.nodes.len());
        for node in &plan.nodes {
            let first = wide.nodes.len() as NodeSlot;
            for number in 2..=node.identities {
                let address = wide.free_addresses(node.network).next().expect("the planner made subnets large enough");
                let name = format!("{}-as-{number}", node.name);
                wide.nodes.push(NodePlan { name, address, address6: None, ..node.clone() });
            }
            further.push(first..wide.nodes.len() as NodeSlot);
        }
        let identities = Identities { nodes: plan.nodes.len(), further };
        for timed in wide.steps.iter_mut().flat_map(|step| &mut step.ops) {
            if let Op::Partition { sides, .. } = &mut timed.op {
                *sides = identities.widen(sides);
            }
        }
        (identities, wide)
    }

    /// The slots of a node's further identities.
    pub(super) fn further(&self, node: NodeIndex) -> Range<NodeSlot> {
        self.further.get(node.0).cloned().unwrap_or_default()
    }

    /// Whether a slot is that of a node's first identity: by that it is known to the run.
    pub(super) fn is_first(&self, slot: NodeSlot) -> bool {
        (slot as usize) < self.nodes
    }

    /// Each side with the further identities of its nodes.
    pub(super) fn widen(&self, sides: &PartitionSides) -> PartitionSides {
        let with_further = |side: &Vec<NodeIndex>| {
            let further = side.iter().flat_map(|&node| self.further(node)).map(|slot| NodeIndex(slot as usize));
            side.iter().copied().chain(further).collect()
        };
        sides.iter().map(with_further).collect()
    }
}

impl SimBackend {
    /// The identity of a slot in its present life.
    pub(super) fn id_of(&self, slot: NodeSlot) -> NodeId {
        let of_node = child(self.plan.seed, purpose::NODE + u64::from(slot)).next_u64();
        let mut id = NodeId([0; 32]);
        child(of_node, purpose::IDENTITY + self.lives[slot as usize].identity).fill_bytes(&mut id.0);
        id
    }

    /// The neighbours that the plan prescribes. No node changes its identity in such a plan.
    pub(super) fn prescribed_neighbours(&self, node: NodeIndex) -> Option<Vec<Contact>> {
        let graph = self.plan.graph.as_ref()?;
        let contact = |&neighbour: &NodeIndex| {
            let address = SocketAddrV4::new(self.plan.node(neighbour).address, NODE_PORT);
            Contact::public(self.id_of(neighbour.0 as NodeSlot), address.into())
        };
        Some(graph.neighbours[node.0].iter().map(contact).collect())
    }

    /// The hostile nodes, which know each other.
    pub(super) fn hostile_ids(&self) -> Vec<NodeId> {
        let nodes = self.plan.nodes.iter().enumerate();
        let hostile = nodes.filter(|(_, node)| !node.behaviours.is_empty());
        let slots = hostile
            .flat_map(|(index, _)| [index as NodeSlot].into_iter().chain(self.identities.further(NodeIndex(index))));
        slots.map(|slot| self.id_of(slot)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::builder::PlanBuilder;

    #[test]
    fn identities_have_slots_and_addresses_of_their_own_on_the_side_of_their_node() {
        let mut builder = PlanBuilder::new(1);
        for _ in 0..3 {
            builder.node_joining(PlanBuilder::INTERNET, Vec::new());
        }
        let mut plan = builder.into_plan();
        plan.nodes[1].identities = 3;
        let (identities, wide) = Identities::of(&plan);
        assert_eq!((wide.nodes.len(), identities.further(NodeIndex(1))), (5, 3..5));
        assert!(identities.further(NodeIndex(0)).is_empty() && identities.is_first(2) && !identities.is_first(3));
        let mut addresses: Vec<_> = wide.nodes.iter().map(|node| node.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 5);
        let sides = vec![vec![NodeIndex(0)], vec![NodeIndex(1), NodeIndex(2)]];
        assert_eq!(identities.widen(&sides)[1], [1, 2, 3, 4].map(NodeIndex));
    }
}
