//! The nodes and networks of a file that is played, as places in the lab: both have numbers of their own.

use super::slots::is_slot;
use crate::index::{NetworkIndex, NodeIndex};
use crate::op::{NodeSnapshot, Op, OpResult};
use crate::plan::Plan;
use crate::series::{Scrape, Source};

/// Where each node and network of a played plan is in the lab.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) nodes: Vec<NodeIndex>,
    pub(super) networks: Vec<NetworkIndex>,
}

impl Places {
    /// By name. A node that a step starts afresh takes the place of one that the lab has for such steps on the same network.
    pub(super) fn of(plan: &Plan, lab: &Plan) -> Result<Self, String> {
        let network = |name: &str| lab.networks.iter().position(|network| network.name == name).map(NetworkIndex);
        let networks =
            plan.networks.iter().map(|here| network(&here.name).ok_or_else(|| missing("network", &here.name)));
        let networks: Vec<NetworkIndex> = networks.collect::<Result<_, _>>()?;
        let mut nodes: Vec<NodeIndex> = Vec::with_capacity(plan.nodes.len());
        for here in &plan.nodes {
            let on = networks[here.network.0];
            let found = lab.nodes.iter().enumerate().position(|(index, there)| match here.from_start {
                true => there.name == here.name,
                false => {
                    let is_taken = nodes.contains(&NodeIndex(index));
                    !there.from_start && !is_slot(there) && there.network == on && !is_taken
                }
            });
            nodes.push(found.map(NodeIndex).ok_or_else(|| missing("node", &here.name))?);
        }
        Ok(Places { nodes, networks })
    }

    /// The numbers of the play for nodes of the lab; those that the play does not know are left out.
    pub(super) fn of_play(&self, nodes: &[NodeIndex]) -> Vec<NodeIndex> {
        nodes.iter().filter_map(|node| self.node_of_play(*node)).collect()
    }

    fn node_of_play(&self, node: NodeIndex) -> Option<NodeIndex> {
        self.nodes.iter().position(|place| *place == node).map(NodeIndex)
    }

    fn network_of_play(&self, network: NetworkIndex) -> Option<NetworkIndex> {
        self.networks.iter().position(|place| *place == network).map(NetworkIndex)
    }

    /// An operation of the play, with the numbers of the lab. Items are the play's own.
    pub(super) fn in_lab(&self, op: Op) -> Op {
        let at = |node: NodeIndex| self.nodes[node.0];
        let on = |network: NetworkIndex| self.networks[network.0];
        match op {
            Op::Start { node, fresh } => Op::Start { node: at(node), fresh },
            Op::Kill { node } => Op::Kill { node: at(node) },
            Op::Stop { node } => Op::Stop { node: at(node) },
            Op::Pause { node } => Op::Pause { node: at(node) },
            Op::Resume { node } => Op::Resume { node: at(node) },
            Op::Put { node, item } => Op::Put { node: at(node), item },
            Op::Get { node, item, exhaustive } => Op::Get { node: at(node), item, exhaustive },
            Op::GetAbsent { node, key, exhaustive } => Op::GetAbsent { node: at(node), key, exhaustive },
            Op::Search { node, query, limit } => Op::Search { node: at(node), query, limit },
            Op::Rebind { network, addresses } => Op::Rebind { network: on(network), addresses },
            Op::Move { node, network, address, address6 } => {
                Op::Move { node: at(node), network: on(network), address, address6 }
            }
            Op::SetFirewall { network, policy } => Op::SetFirewall { network: on(network), policy },
            Op::SetLink { network, up, down } => Op::SetLink { network: on(network), up, down },
            Op::Partition { name, sides, direction } => {
                let sides = sides.into_iter().map(|side| side.into_iter().map(at).collect()).collect();
                Op::Partition { name, sides, direction }
            }
            Op::Connect { node, peer, deadline } => Op::Connect { node: at(node), peer: at(peer), deadline },
            Op::Ping { node, peer, deadline } => Op::Ping { node: at(node), peer: at(peer), deadline },
            Op::FillDisk { node, full } => Op::FillDisk { node: at(node), full },
            Op::CorruptStore { node, share, seed } => Op::CorruptStore { node: at(node), share, seed },
            op @ (Op::Heal { .. } | Op::Inspect | Op::Sample) => op,
        }
    }

    /// A result with the numbers of the play; `None` if it is about what the play does not know.
    pub(super) fn in_play(&self, result: OpResult) -> Option<OpResult> {
        Some(match result {
            OpResult::NodeDied { node, reason } => OpResult::NodeDied { node: self.node_of_play(node)?, reason },
            OpResult::RouterDied { network, reason } => {
                OpResult::RouterDied { network: self.network_of_play(network)?, reason }
            }
            OpResult::Failed { node, reason } => {
                OpResult::Failed { node: node.and_then(|node| self.node_of_play(node)), reason }
            }
            OpResult::Inspected(snapshots) => {
                let known = |snapshot: NodeSnapshot| {
                    self.node_of_play(snapshot.node).map(|node| NodeSnapshot { node, ..snapshot })
                };
                let mut snapshots: Vec<_> = snapshots.into_iter().filter_map(known).collect();
                snapshots.sort_by_key(|snapshot| snapshot.node);
                OpResult::Inspected(snapshots)
            }
            OpResult::Sampled(scrapes) => {
                let known = |scrape: Scrape| {
                    let source = match scrape.source {
                        Source::Node(node) => Source::Node(self.node_of_play(node)?),
                        Source::Router(network) => Source::Router(self.network_of_play(network)?),
                    };
                    Some(Scrape { source, ..scrape })
                };
                OpResult::Sampled(scrapes.into_iter().filter_map(known).collect())
            }
            result => result,
        })
    }
}

fn missing(what: &str, name: &str) -> String {
    format!("the lab has no {what} for {name}, which the steps need")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner;
    use crate::topology::Overrides;

    #[test]
    fn nodes_are_found_by_name_and_fresh_ones_by_network() {
        let text = |nodes: &str| {
            format!(
                "networks: {{a: {{}}, b: {{behind: a}}}}\nnodes: {{{nodes}}}\nsteps: [store: {{items: 1, size: 1KiB}}, retrieve: {{items: all, from: [fresh]}}]\n"
            )
        };
        let plan = |nodes: &str| planner::read("t.yaml", &text(nodes), &Overrides::default()).unwrap();
        let (lab, play) = (plan("n: {on: a}, m: {on: b}"), plan("m: {on: b}, n: {on: a}"));
        let places = Places::of(&play, &lab).unwrap();
        for (here, there) in play.nodes.iter().zip(&places.nodes) {
            let there = lab.node(*there);
            assert_eq!(
                (here.from_start, play.network(here.network).name.as_str()),
                (there.from_start, lab.network(there.network).name.as_str())
            );
            assert!(!here.from_start || here.name == there.name);
        }
        assert_eq!(places.in_lab(Op::Kill { node: NodeIndex(0) }), Op::Kill { node: NodeIndex(1) });
        assert!(Places::of(&plan("n: {on: a}, x: {on: b}"), &lab).is_err());
    }
}
