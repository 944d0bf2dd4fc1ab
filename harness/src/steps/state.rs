//! What is true of a run when a step begins, by the plan: who is alive, what is stored, how networks are joined.
//!
//! Pure: the same topology and seed give the same operations on every machine. No dead node is ended or used, as far as a plan
//! can know; what ends otherwise in a run is the run's to report.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use butter::api::StoragePlace;
use butter::core::random::{Random, child, sample};
use rand::{Rng, RngExt};

use super::meanwhile::Meanwhile;
use super::named::NodeNames;
use super::step::ScheduleError;
use crate::op::Op;
use crate::plan::partitions::{PartitionSides, zones};
use crate::plan::{Item, NetworkIndex, NodeIndex, NodePlaces, NodePlan};
use crate::topology::check::{NodeSelector, TopologyModel};
use crate::topology::roster::NodeRoster;
use crate::topology::uplinks::UplinkStates;

/// Most operations of a plan.
pub const OPS_MAX: usize = 8_000_000;

/// What a put or get has beside the nodes' own deadline before its step is given up.
pub(crate) const WORKLOAD_GRACE: Duration = Duration::from_secs(60);

/// Keeps these generators apart from those of other users of the run's seed: `time`, in the upper half.
const PURPOSE: u64 = 0x7469_6D65_0000_0000;

/// What is true when a step begins.
pub(crate) struct PlanState<'p> {
    model: &'p TopologyModel,
    roster: &'p NodeRoster,
    lives: Vec<NodeLife>,
    places: NodePlaces,
    /// Every item stored so far.
    pub(crate) items: Vec<Item>,
    uplinks: UplinkStates<'p>,
    /// Every partition so far.
    partitions: Vec<PartitionSides>,
    /// Names of those in force.
    partitions_in_force: BTreeSet<String>,
    /// Operations of the steps before.
    ops: usize,
    /// Steps with fresh nodes so far.
    fresh_steps: usize,
    /// How long a put or get may be under way.
    pub(crate) grace: Duration,
    /// What steps that run beside the one being scheduled do to nodes.
    pub(super) meanwhile: Option<Meanwhile>,
}

impl<'p> PlanState<'p> {
    /// At the beginning of a run. `deadline` is the longest after which a node gives a put or get up.
    pub(crate) fn new(
        model: &'p TopologyModel,
        roster: &'p NodeRoster,
        uplinks: UplinkStates<'p>,
        deadline: Duration,
    ) -> Self {
        let life = |node: &NodePlan| if node.from_start { NodeLife::Up } else { NodeLife::Unstarted };
        let lives = roster.nodes.iter().map(life).collect();
        let grace = WORKLOAD_GRACE + deadline;
        PlanState {
            model,
            roster,
            lives,
            places: NodePlaces::default(),
            items: Vec::new(),
            uplinks,
            partitions: Vec::new(),
            partitions_in_force: BTreeSet::new(),
            ops: 0,
            fresh_steps: 0,
            grace,
            meanwhile: None,
        }
    }

    /// The nodes that are meant, dead or alive, each once and in order.
    pub(crate) fn nodes_of<'s>(&self, selectors: impl IntoIterator<Item = &'s NodeSelector>) -> Vec<NodeIndex> {
        let named = |selector: &NodeSelector| match selector {
            NodeSelector::Networks(networks) => {
                let is_there = |node: &NodeIndex| networks.contains(self.network_of(*node));
                (0..self.roster.nodes.len()).map(NodeIndex).filter(is_there).collect()
            }
            other => self.roster.who(self.model, other),
        };
        BTreeSet::from_iter(selectors.into_iter().flat_map(named)).into_iter().collect()
    }

    /// The network that a node is on when the step begins.
    pub(crate) fn network_of(&self, node: NodeIndex) -> NetworkIndex {
        self.places.network(&self.roster.nodes, node)
    }

    /// Notes that a node has come to this network before the first step.
    pub(crate) fn set_place(&mut self, node: NodeIndex, network: NetworkIndex) {
        self.places.moved(node, network);
    }

    /// Takes a node to another network.
    ///
    /// # Errors
    /// If it is there already, or cannot come there.
    pub(crate) fn move_node(&mut self, node: NodeIndex, network: NetworkIndex) -> Result<Op, ScheduleError> {
        let plan = self.node(node);
        let (name, has_ipv6) = (plan.name.clone(), plan.address6.is_some());
        let to = || self.model.networks[network.0].name.value.clone();
        if plan.identities > 1 {
            return Err(ScheduleError::SeveralIdentities { node: name });
        }
        if self.network_of(node) == network {
            return Err(ScheduleError::AlreadyThere { node: name, network: to() });
        }
        let Some((address, address6)) = self.uplinks.arrival(network) else {
            return Err(ScheduleError::NetworkFull { node: name, network: to() });
        };
        self.places.moved(node, network);
        Ok(Op::Move { node, network, address, address6: address6.filter(|_| has_ipv6) })
    }

    pub(crate) fn node(&self, node: NodeIndex) -> &NodePlan {
        &self.roster.nodes[node.0]
    }

    pub(crate) fn is_alive(&self, node: NodeIndex) -> bool {
        self.lives[node.0] == NodeLife::Up
    }

    /// Notes what an operation makes of a node.
    pub(crate) fn set_life(&mut self, node: NodeIndex, life: NodeLife) {
        self.lives[node.0] = life;
    }

    /// Every node's life.
    pub(super) fn lives(&self) -> &[NodeLife] {
        &self.lives
    }

    /// The nodes of a network that are in such a state, in order.
    pub(super) fn nodes_on(&self, network: NetworkIndex, life: NodeLife) -> Vec<NodeIndex> {
        let nodes = (0..self.roster.nodes.len()).map(NodeIndex);
        nodes.filter(|node| self.network_of(*node) == network && self.lives[node.0] == life).collect()
    }

    /// Those of `nodes` who are alive at the beginning of the step.
    pub(crate) fn live_of(&self, nodes: &[NodeIndex]) -> Vec<NodeIndex> {
        let is_alive = |node: NodeIndex| match &self.meanwhile {
            Some(meanwhile) => meanwhile.began_up(node),
            None => self.is_alive(node),
        };
        nodes.iter().copied().filter(|node| is_alive(*node)).collect()
    }

    /// The node of `nodes` that works at this time of the step: the one at `place`, or the next that no other step ends or has
    /// just started.
    pub(super) fn working(&self, nodes: &[NodeIndex], place: usize, at: Duration) -> NodeIndex {
        let Some(meanwhile) = &self.meanwhile else { return nodes[place] };
        let from_place = || nodes[place..].iter().chain(&nodes[..place]).copied();
        let standing = from_place().find(|node| meanwhile.stands(*node, at));
        standing.or_else(|| from_place().find(|node| meanwhile.is_up(*node, at))).unwrap_or(nodes[place])
    }

    /// How many items were stored before the step.
    pub(super) fn items_before(&self) -> usize {
        self.meanwhile.as_ref().map_or(self.items.len(), |meanwhile| meanwhile.items)
    }

    /// Those of the named nodes that are in such a state: all, or `count` of them at random; in order.
    ///
    /// # Errors
    /// If there are none, or fewer than `count`.
    pub(crate) fn pick(
        &self,
        names: &NodeNames,
        life: NodeLife,
        count: Option<u64>,
        seeds: &SeedStream,
    ) -> Result<Vec<NodeIndex>, ScheduleError> {
        let mut nodes = self.nodes_of(names.selectors());
        nodes.retain(|node| self.lives[node.0] == life);
        let wanted = count.unwrap_or(1);
        if (nodes.len() as u64) < wanted {
            return Err(ScheduleError::TooFewNodes { names: names.text(), life, wanted, found: nodes.len() });
        }
        if let Some(count) = count {
            nodes = sample(&mut seeds.random(SeedPurpose::Picks), nodes, count as usize);
            nodes.sort();
        }
        Ok(nodes)
    }

    /// As [`PlanState::pick`], for nodes with blocks on a disk.
    ///
    /// # Errors
    /// As there, or if one keeps its blocks in memory.
    pub(crate) fn pick_with_disks(
        &self,
        names: &NodeNames,
        life: NodeLife,
        count: Option<u64>,
        seeds: &SeedStream,
    ) -> Result<Vec<NodeIndex>, ScheduleError> {
        let nodes = self.pick(names, life, count, seeds)?;
        match nodes.iter().find(|&&node| self.node(node).store != StoragePlace::Disk) {
            Some(&node) => Err(ScheduleError::NoDisk { node: self.node(node).name.clone() }),
            None => Ok(nodes),
        }
    }

    /// The nodes that join for this step, one on each network that has any.
    pub(crate) fn take_fresh(&mut self) -> Vec<NodeIndex> {
        self.fresh_steps += 1;
        self.roster.fresh[self.fresh_steps - 1].clone()
    }

    /// Operations that may still be added to the plan.
    pub(crate) fn ops_left(&self) -> usize {
        OPS_MAX.saturating_sub(self.ops)
    }

    /// Adds the operations of a step.
    pub(crate) fn count_ops(&mut self, ops: usize) -> Result<(), ScheduleError> {
        self.ops += ops;
        if self.ops > OPS_MAX { Err(ScheduleError::TooManyOps) } else { Ok(()) }
    }

    /// The nodes that are on none of these sides, in order.
    pub(crate) fn others<'s>(&self, sides: impl Iterator<Item = &'s Vec<NodeIndex>>) -> Vec<NodeIndex> {
        let named: BTreeSet<NodeIndex> = sides.flatten().copied().collect();
        (0..self.roster.nodes.len()).map(NodeIndex).filter(|node| !named.contains(node)).collect()
    }

    /// Notes that a partition begins.
    ///
    /// # Errors
    /// If one of this name is in force, a node is on two sides, or the plan divides its nodes too often.
    pub(crate) fn partition(&mut self, name: &str, sides: &PartitionSides) -> Result<(), ScheduleError> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = sides.iter().flatten().find(|node| !seen.insert(**node)) {
            return Err(ScheduleError::OnTwoSides { node: self.node(*twice).name.clone() });
        }
        if !self.partitions_in_force.insert(name.to_owned()) {
            return Err(ScheduleError::PartitionInForce { name: name.to_owned() });
        }
        self.partitions.push(sides.clone());
        zones(&self.partitions, self.roster.nodes.len()).map(drop).ok_or(ScheduleError::TooManyZones)
    }

    /// Notes that partitions end: those of these names, or all. Their names.
    ///
    /// # Errors
    /// If one of them, or any at all, is not in force.
    pub(crate) fn heal(&mut self, names: &[String]) -> Result<Vec<String>, ScheduleError> {
        if names.is_empty() {
            let all: Vec<String> = std::mem::take(&mut self.partitions_in_force).into_iter().collect();
            return if all.is_empty() { Err(ScheduleError::NotPartitioned { name: None }) } else { Ok(all) };
        }
        match names.iter().find(|name| !self.partitions_in_force.remove(*name)) {
            Some(name) => Err(ScheduleError::NotPartitioned { name: Some(name.clone()) }),
            None => Ok(names.to_vec()),
        }
    }

    /// How networks are joined, for steps that change that.
    pub(crate) fn uplinks(&mut self) -> &mut UplinkStates<'p> {
        &mut self.uplinks
    }
}

/// What is true of a node by the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeLife {
    /// It joins for a later step.
    Unstarted,
    /// It runs.
    Up,
    /// It has failed or left.
    Down,
    /// It is frozen.
    Paused,
}

/// What a node of a lab that is up is by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldNode {
    pub(crate) life: NodeLife,
    /// Name of the network that it is on.
    pub(crate) network: String,
}

impl fmt::Display for NodeLife {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NodeLife::Unstarted => "not started",
            NodeLife::Up => "alive",
            NodeLife::Down => "down",
            NodeLife::Paused => "paused",
        })
    }
}

/// Generators of one step, one for each purpose.
pub(crate) struct SeedStream {
    seed: u64,
    step: u64,
}

/// What a generator is for. The numbers decide what a seed draws: they never change.
#[derive(Clone, Copy)]
pub(crate) enum SeedPurpose {
    Items = 1,
    Storers = 2,
    Deaths = 3,
    Choice = 4,
    Readers = 5,
    Order = 6,
    Pairs = 7,
    Picks = 8,
    Damage = 9,
    Keywords = 10,
    Queries = 11,
    AbsentKeys = 12,
    Arrivals = 13,
    Popularity = 14,
    Inner = 15,
}

impl SeedStream {
    /// Of step number `step`, from 0.
    pub(crate) fn new(seed: u64, step: usize) -> Self {
        SeedStream { seed, step: step as u64 }
    }

    /// Of a step inside this one.
    pub(super) fn inner(&self, place: usize) -> SeedStream {
        SeedStream { seed: self.random(SeedPurpose::Inner).next_u64(), step: place as u64 }
    }

    /// The generator for one purpose.
    pub(crate) fn random(&self, purpose: SeedPurpose) -> Random {
        child(self.seed, PURPOSE | self.step << 8 | purpose as u64)
    }
}

/// Fisher and Yates' shuffle.
pub(crate) fn shuffle<T>(random: &mut Random, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        let other = random.random_range(0..=last as u64) as usize;
        items.swap(last, other);
    }
}

/// The indices of networks, each once, in the order of the plan.
pub(crate) fn in_plan_order(networks: impl IntoIterator<Item = NetworkIndex>) -> Vec<NetworkIndex> {
    BTreeSet::from_iter(networks).into_iter().collect()
}
