//! From a lab that is up to a changed file: what can be changed in place, in order, and what cannot.

use std::collections::BTreeMap;

use super::difference::{DifferenceSubject, PlanChange, PlanDifference};
use super::slots;
use crate::op::Op;
use crate::plan::{NetworkIndex, NodeIndex, NodePlan, Plan};

/// How a lab becomes what a file describes.
#[derive(Debug)]
pub(super) struct Convergence {
    /// The plan of the lab afterwards.
    pub(super) plan: Plan,
    /// Nodes that go, with what they kept.
    pub(super) removed: Vec<NodeIndex>,
    /// Nodes that start again with other properties, and with what they kept.
    pub(super) changed: Vec<NodeIndex>,
    /// Nodes that are new.
    pub(super) added: Vec<NodeIndex>,
    /// Changes of links.
    pub(super) links: Vec<Op>,
}

impl Convergence {
    /// From the plan of the lab and that of the file with their differences.
    ///
    /// # Errors
    /// With each difference that cannot be changed in place, and why.
    pub(super) fn of(lab: &Plan, file: &Plan, differences: &[PlanDifference]) -> Result<Self, Vec<String>> {
        let mut plan = Plan { source: file.source.clone(), ..lab.clone() };
        let mut convergence = Steps::default();
        let mut refused = Vec::new();
        for difference in differences {
            let refusal = match (difference.subject, &difference.change) {
                (DifferenceSubject::Network, PlanChange::Link) => {
                    convergence.links.extend(link(&mut plan, file, &difference.name));
                    None
                }
                (DifferenceSubject::Network, PlanChange::Added | PlanChange::Removed) => {
                    Some("networks and their routers stay as they were deployed")
                }
                (DifferenceSubject::Network, PlanChange::Properties(_)) => {
                    Some("of a network that is up, only its link changes")
                }
                (DifferenceSubject::Node, change) => convergence.node(&mut plan, file, &difference.name, change).err(),
            };
            refused.extend(refusal.map(|why| format!("{difference} ({why})")));
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        let Steps { removed, changed, added, links } = convergence;
        define(&mut plan, file, changed.iter().chain(&added));
        Ok(Convergence { plan, removed, changed, added, links })
    }
}

#[derive(Default)]
struct Steps {
    removed: Vec<NodeIndex>,
    changed: Vec<NodeIndex>,
    added: Vec<NodeIndex>,
    links: Vec<Op>,
}

impl Steps {
    /// Plans the change of a node. The names of removed nodes are free then, and those of added ones taken.
    fn node(&mut self, plan: &mut Plan, file: &Plan, name: &str, change: &PlanChange) -> Result<(), &'static str> {
        let here = position(plan, name);
        let moves = matches!(change, PlanChange::Properties(properties) if properties.contains(&"on"));
        match (change, here) {
            (PlanChange::Properties(_), Some(node)) if !moves => self.changed.push(node),
            (PlanChange::Removed, Some(node)) => self.remove(plan, node),
            (PlanChange::Added | PlanChange::Properties(_), here) => {
                here.into_iter().for_each(|node| self.remove(plan, node));
                let there = position(file, name).map(|node| file.node(node)).expect("the file has it");
                let network = &file.network(there.network).name;
                let network = plan.networks.iter().position(|here| here.name == *network).map(NetworkIndex);
                // A host that is about to be left is not taken: its process may still run.
                let network = network.ok_or("its network is not up")?;
                let slot = slots::free_on(plan, network, &self.removed);
                let slot = slot.ok_or("its network has no host to spare")?;
                plan.nodes[slot.0] =
                    NodePlan { name: name.to_owned(), group: there.group.clone(), ..plan.node(slot).clone() };
                self.added.push(slot);
            }
            (PlanChange::Removed | PlanChange::Link, _) => {}
        }
        Ok(())
    }

    fn remove(&mut self, plan: &mut Plan, node: NodeIndex) {
        slots::empty(plan, node);
        self.removed.push(node);
    }
}

/// The change of a network's link, which the plan has from then on.
fn link(plan: &mut Plan, file: &Plan, name: &str) -> Option<Op> {
    let there = file.networks.iter().find(|network| network.name == name)?.behind.as_ref()?;
    let index = plan.networks.iter().position(|network| network.name == name)?;
    let here = plan.networks[index].behind.as_mut()?;
    (here.up, here.down) = (there.up.clone(), there.down.clone());
    let (up, down) = (Box::new(there.up.clone()), Box::new(there.down.clone()));
    Some(Op::SetLink { network: NetworkIndex(index), up, down })
}

/// Gives nodes the properties that the file has for those of their names.
fn define<'n>(plan: &mut Plan, file: &Plan, nodes: impl Iterator<Item = &'n NodeIndex>) {
    let names: BTreeMap<String, NodeIndex> =
        plan.nodes.iter().enumerate().map(|(index, node)| (node.name.clone(), NodeIndex(index))).collect();
    for &node in nodes {
        let here = plan.node(node);
        let Some(there) = position(file, &here.name).map(|there| file.node(there)) else { continue };
        let join =
            there.join.iter().filter_map(|ambassador| names.get(&file.node(*ambassador).name).copied()).collect();
        let (network, address, address6) = (here.network, here.address, here.address6);
        plan.nodes[node.0] = NodePlan { network, address, address6, join, ..there.clone() };
    }
}

fn position(plan: &Plan, name: &str) -> Option<NodeIndex> {
    plan.nodes.iter().position(|node| node.name == name).map(NodeIndex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::LAB;
    use crate::lab::difference::differences;
    use crate::planner;
    use crate::topology::Overrides;

    fn converged(from: &str, to: &str) -> Result<Convergence, Vec<String>> {
        let plan = |text: &str| planner::read("lab.yaml", text, &Overrides::default()).unwrap();
        let (mut lab, file) = (plan(LAB), plan(&LAB.replace(from, to)));
        slots::add(&mut lab);
        let convergence = Convergence::of(&lab, &file, &differences(&lab, &file))?;
        assert_eq!(differences(&convergence.plan, &file), [], "{from} → {to}");
        assert_eq!(convergence.plan.nodes.len(), lab.nodes.len());
        Ok(convergence)
    }

    #[test]
    fn what_can_be_changed_in_place_is() {
        let counts = |from, to| {
            let Convergence { removed, changed, added, links, .. } = converged(from, to).unwrap();
            (removed.len(), changed.len(), added.len(), links.len())
        };
        assert_eq!(counts("count: 2", "count: 4"), (0, 0, 2, 0));
        assert_eq!(counts("count: 2", "count: 1"), (1, 0, 0, 0));
        assert_eq!(counts("5ms", "50ms"), (0, 0, 0, 1));
        assert_eq!(counts("count: 2", "count: 2, store: disk"), (0, 2, 0, 0));
        assert_eq!(counts("{on: home, count: 2}", "{on: internet, count: 2}"), (2, 0, 2, 0));
    }

    #[test]
    fn an_added_node_joins_as_the_file_says() {
        let Convergence { plan, added, .. } = converged("count: 2", "count: 3").unwrap();
        let node = plan.node(added[0]);
        assert_eq!((node.name.as_str(), plan.node(node.join[0]).name.as_str()), ("n-3", "ambassador"));
        assert!(plan.network(node.network).subnet.contains(&node.address));
    }

    #[test]
    fn what_cannot_be_changed_in_place_is_named() {
        let refused = |from, to| converged(from, to).unwrap_err().join("; ");
        assert!(refused("full-cone", "symmetric").starts_with("~ network home: nat (of a network that is up"));
        let full = refused("count: 2", "count: 7");
        assert_eq!(full, "+ node n-7 (its network has no host to spare)");
        let added = refused("nodes:", "  office: {behind: internet}\nnodes:\n  o: {on: office}");
        assert!(
            added.contains("+ network office (networks") && added.contains("+ node o (its network is not up)"),
            "{added}"
        );
    }
}
