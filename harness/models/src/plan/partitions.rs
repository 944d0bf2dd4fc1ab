//! The partitions of a plan: the zone of each node, and what is cut while a partition is in force.

use std::collections::BTreeMap;

use crate::net::zone::{CutDirection, ZONES_MAX, Zone, ZoneCuts};
use crate::op::Op;
use crate::plan::{NodeIndex, Plan};

/// The nodes of a partition, by side.
pub type PartitionSides = Vec<Vec<NodeIndex>>;

/// Zones of a plan's nodes, and the partitions in force.
#[derive(Clone, Debug)]
pub struct PartitionState {
    /// By node; empty in a plan without partitions.
    zones: Vec<Zone>,
    /// By name.
    in_force: BTreeMap<String, (PartitionSides, CutDirection)>,
    cuts: ZoneCuts,
}

impl PartitionState {
    /// Nothing is cut yet.
    ///
    /// # Panics
    /// If the plan needs more than [`ZONES_MAX`] zones; the planner refuses that.
    pub fn new(plan: &Plan) -> Self {
        let ops = plan.steps.iter().flat_map(|step| &step.ops);
        let partitions = ops.filter_map(|timed| match &timed.op {
            Op::Partition { sides, .. } => Some(sides),
            _ => None,
        });
        let zones = zones(partitions, plan.nodes.len()).expect("the planner bounds the number of zones");
        PartitionState { zones, in_force: BTreeMap::new(), cuts: ZoneCuts::default() }
    }

    /// Whether the plan has partitions at all.
    pub fn is_used(&self) -> bool {
        !self.zones.is_empty()
    }

    /// The zone of a node.
    pub fn zone(&self, node: NodeIndex) -> Zone {
        self.zones.get(node.0).copied().unwrap_or(Zone::OUTSIDE)
    }

    /// What is cut now.
    pub fn cuts(&self) -> &ZoneCuts {
        &self.cuts
    }

    /// Whether nothing that one node sends reaches another.
    pub fn is_cut(&self, from: NodeIndex, to: NodeIndex) -> bool {
        self.cuts.is_cut(self.zone(from), self.zone(to))
    }

    /// Carries out [`Op::Partition`].
    pub fn begin(&mut self, name: &str, sides: &PartitionSides, direction: CutDirection) {
        self.in_force.insert(name.to_owned(), (sides.clone(), direction));
        self.cut_anew();
    }

    /// Carries out [`Op::Heal`].
    pub fn heal(&mut self, names: &[String]) {
        self.in_force.retain(|name, _| !names.contains(name));
        self.cut_anew();
    }

    fn cut_anew(&mut self) {
        let mut cuts = ZoneCuts::default();
        for (sides, direction) in self.in_force.values() {
            let zones: Vec<Vec<Zone>> = sides.iter().map(|side| self.zones_of(side)).collect();
            for (place, side) in zones.iter().enumerate() {
                let others = zones[place + 1..].iter().flatten();
                for (&zone, &other) in side.iter().flat_map(|zone| others.clone().map(move |other| (zone, other))) {
                    cuts.cut(zone, other);
                    if direction.is_both() {
                        cuts.cut(other, zone);
                    }
                }
            }
        }
        self.cuts = cuts;
    }

    /// The zones of a side, each once. A zone is whole on one side of each partition or outside of it.
    fn zones_of(&self, side: &[NodeIndex]) -> Vec<Zone> {
        let mut zones: Vec<Zone> = side.iter().map(|&node| self.zone(node)).collect();
        zones.sort_unstable();
        zones.dedup();
        zones
    }
}

/// The zone of each of `nodes` nodes: two have the same if they are on the same side of every partition, or outside of it. Empty
/// without partitions; `None` if that makes more than [`ZONES_MAX`] zones.
pub fn zones<'s>(partitions: impl IntoIterator<Item = &'s PartitionSides>, nodes: usize) -> Option<Vec<Zone>> {
    let mut zones: Vec<usize> = Vec::new();
    for sides in partitions {
        zones.resize(nodes, 0);
        // Each zone so far is divided by the sides.
        let mut numbers = BTreeMap::from([((0, 0), 0)]);
        let mut side_of = vec![0; nodes];
        for (number, side) in (1..).zip(sides) {
            side.iter().for_each(|node| side_of[node.0] = number);
        }
        for (zone, side) in zones.iter_mut().zip(side_of) {
            let next = numbers.len();
            *zone = *numbers.entry((*zone, side)).or_insert(next);
        }
        if numbers.len() > ZONES_MAX {
            return None;
        }
    }
    zones.into_iter().map(Zone::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{EndCondition, Step, TimedOp};
    use crate::testing;

    fn plan(partitions: &[(&str, &[&[usize]])]) -> Plan {
        let mut plan = testing::plan();
        let more = plan.nodes[1].clone();
        plan.nodes.push(more);
        let op = |&(name, sides): &(&str, &[&[usize]])| {
            let sides = sides.iter().map(|side| side.iter().copied().map(NodeIndex).collect()).collect();
            TimedOp::at_once(Op::Partition { name: name.to_owned(), sides, direction: CutDirection::Both })
        };
        let (ops, ends) = (partitions.iter().map(op).collect(), EndCondition::Checked { checks: Vec::new() });
        plan.steps = vec![Step { verb: "partition", summary: String::new(), ops, ends, line: 1 }];
        plan
    }

    fn cut_pairs(state: &PartitionState, nodes: usize) -> Vec<(usize, usize)> {
        let pairs = (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b)));
        pairs.filter(|&(a, b)| state.is_cut(NodeIndex(a), NodeIndex(b))).collect()
    }

    #[test]
    fn partitions_that_overlap_cut_and_heal_on_their_own() {
        let plan = plan(&[("first", &[&[0], &[1, 2]]), ("second", &[&[1], &[2], &[3]])]);
        let mut state = PartitionState::new(&plan);
        let begin = |state: &mut PartitionState, place: usize| {
            let Op::Partition { name, sides, direction } = &plan.steps[0].ops[place].op else { panic!() };
            state.begin(name, sides, *direction);
        };
        begin(&mut state, 0);
        assert_eq!(cut_pairs(&state, 4), [(0, 1), (0, 2)]);
        begin(&mut state, 1);
        assert_eq!(cut_pairs(&state, 4), [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)]);
        state.heal(&["first".to_owned()]);
        assert_eq!(cut_pairs(&state, 4), [(1, 2), (1, 3), (2, 3)]);
        state.heal(&["second".to_owned()]);
        assert!(state.cuts().is_empty());
    }

    #[test]
    fn a_one_way_cut_lets_the_other_side_through() {
        let mut state = PartitionState::new(&plan(&[("p", &[&[0], &[1, 2]])]));
        let sides = vec![vec![NodeIndex(0)], vec![NodeIndex(1), NodeIndex(2)]];
        state.begin("p", &sides, CutDirection::OneWay);
        assert!(state.is_cut(NodeIndex(0), NodeIndex(2)) && !state.is_cut(NodeIndex(2), NodeIndex(0)));
    }

    #[test]
    fn nodes_that_no_partition_names_are_outside_of_all() {
        let state = PartitionState::new(&plan(&[("p", &[&[1], &[2]])]));
        assert!(state.is_used());
        assert_eq!([state.zone(NodeIndex(0)), state.zone(NodeIndex(3))], [Zone::OUTSIDE; 2]);
        assert_ne!(state.zone(NodeIndex(1)), state.zone(NodeIndex(2)));
        assert!(!PartitionState::new(&testing::plan()).is_used());
    }

    #[test]
    fn more_zones_than_a_packet_can_name_are_refused() {
        let sides = |count: usize| -> PartitionSides { (0..count).map(|node| vec![NodeIndex(node)]).collect() };
        assert!(zones(&[sides(ZONES_MAX - 1)], ZONES_MAX).is_some());
        assert_eq!(zones(&[sides(ZONES_MAX)], ZONES_MAX), None);
    }
}
