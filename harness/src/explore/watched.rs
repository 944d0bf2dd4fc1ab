//! The simulator, with what must hold at each inspection and at each acknowledgement.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use butter::config::NodeConfig;
use butter::core::identity::{BlockId, NodeId};
use butter::overlay::data::seeded_fault::SeededFault;
use butter::overlay::data::view::GroupView;

use super::breach::Breach;
use crate::adversary::Behaviour;
use crate::backend::sim::SimBackend;
use crate::backend::{Backend, BackendError};
use crate::events::RunTime;
use crate::op::{BackendEvent, Op, OpId, OpResult, OpTarget};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::sim::invariants;
use crate::sim::network::NodeSlot;

/// Most breaches that are kept of a run: the first.
const BREACHES_MAX: usize = 20;
/// How long after the last end or partition of a node its peers must know of it.
const KNOWN_AFTER: Duration = Duration::from_secs(60);
/// Inspections at which a holder of a block was not a member of its group, more often than it was: they come every 5 s.
const OUTSIDE_MAX: u32 = 8;
/// For how long a block may have more copies than wanted: one that is handed on is at two nodes until the others have shown theirs.
const SURPLUS_MAX: Duration = Duration::from_secs(20);

/// The simulator, watched.
#[derive(Debug)]
pub(super) struct WatchedSim {
    sim: SimBackend,
    config: NodeConfig,
    /// Number of hostile nodes.
    liars: usize,
    /// Whether none of them acknowledges blocks that it does not keep: such a one is a member as good as any until it is found out.
    is_group_honest: bool,
    /// When an operation last took something away from the network.
    disturbed: Option<RunTime>,
    /// When the loss of a link has last changed: connections over it back off for as long as they were in trouble.
    relinked: Option<RunTime>,
    /// Names of the partitions in force.
    partitions: BTreeSet<String>,
    /// Blocks of acknowledged puts.
    acknowledged: BTreeSet<BlockId>,
    /// Honest holders of these at the last inspection, each with how often of late it was not a member of the group.
    holders: BTreeMap<(BlockId, NodeSlot), u32>,
    /// Since when blocks have had more honest copies than wanted.
    surplus: BTreeMap<BlockId, RunTime>,
    /// When a node has ended or was suspended.
    ended: Vec<(RunTime, NodeSlot)>,
    breaches: Vec<Breach>,
}

impl WatchedSim {
    /// # Panics
    /// If the plan has no node.
    pub(super) fn new(plan: &Plan, fault: Option<SeededFault>) -> Self {
        let config = plan.node_config(plan.nodes.first().expect("a scenario has nodes"));
        let liars = plan.nodes.iter().filter(|node| !node.behaviours.is_empty()).count();
        let is_group_honest = plan.nodes.iter().all(|node| !node.behaviours.contains(&Behaviour::Drop));
        let mut sim = SimBackend::new(plan);
        fault.into_iter().for_each(|fault| sim.build_in(fault));
        WatchedSim {
            sim,
            config,
            liars,
            is_group_honest,
            disturbed: None,
            relinked: None,
            partitions: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            holders: BTreeMap::new(),
            surplus: BTreeMap::new(),
            ended: Vec::new(),
            breaches: Vec::new(),
        }
    }

    pub(super) fn sim(&self) -> &SimBackend {
        &self.sim
    }

    /// What did not hold so far.
    pub(super) fn breaches(&mut self) -> Vec<Breach> {
        std::mem::take(&mut self.breaches)
    }

    fn add(&mut self, breach: Breach) {
        if self.breaches.len() < BREACHES_MAX {
            self.breaches.push(breach);
        }
    }

    fn inspect(&mut self) {
        let at = self.sim.now();
        for violation in invariants::views(self.sim.engine(), &self.config.core) {
            self.add(Breach::View { at, violation });
        }
        self.inspect_holders();
        self.inspect_groups();
        self.inspect_surplus();
    }

    /// A member has shown that it holds the block, so that a group of members without it was never proved.
    fn inspect_groups(&mut self) {
        if self.is_disturbed() || !self.is_group_honest {
            return;
        }
        let nodes = || self.sim.engine().nodes();
        let held: BTreeSet<(NodeId, BlockId)> =
            nodes().flat_map(|(_, node)| node.overlay().blocks().map(|block| (node.me().id, block))).collect();
        let honest = nodes().filter(|(slot, _)| self.sim.is_honest(*slot));
        let is_usurped = |node: NodeId, block: BlockId, view: &GroupView| {
            !view.contains(node) && !view.members().iter().any(|&member| held.contains(&(member, block)))
        };
        let copies = honest
            .flat_map(|(_, node)| node.overlay().blocks().map(move |block| (node, block)))
            .filter(|(_, block)| self.acknowledged.contains(block))
            .filter(|(node, block)| {
                node.overlay().view_of(*block).is_some_and(|view| is_usurped(node.me().id, *block, view))
            })
            .count();
        if copies > 0 {
            self.add(Breach::Usurped { at: self.sim.now(), copies });
        }
    }

    /// Whether peers may not know yet, or cannot know, how others fare.
    fn is_disturbed(&self) -> bool {
        !self.partitions.is_empty() || self.is_of_late(self.disturbed)
    }

    /// Whether peers may not have heard yet of what happened then.
    fn is_of_late(&self, then: Option<RunTime>) -> bool {
        then.is_some_and(|then| self.sim.now() < then.plus(KNOWN_AFTER))
    }

    /// Blocks that have had more honest copies than wanted for long.
    pub(super) fn lasting_surplus(&self) -> BTreeSet<BlockId> {
        let at = self.sim.now();
        self.surplus.iter().filter(|(_, since)| since.plus(SURPLUS_MAX) <= at).map(|(&block, _)| block).collect()
    }

    /// Copies of a block that it should have, of so many live honest nodes.
    pub(super) fn copies_wanted(&self) -> usize {
        let honest = self.sim.engine().nodes().filter(|(slot, _)| self.sim.is_honest(*slot)).count();
        self.config.data.replicas.min(honest)
    }

    fn inspect_surplus(&mut self) {
        let (at, wanted) = (self.sim.now(), self.copies_wanted());
        let copies = invariants::copies_at(self.sim.engine(), |slot| self.sim.is_honest(slot));
        let before = std::mem::take(&mut self.surplus);
        let surplus =
            copies.into_iter().filter(|(block, copies)| self.acknowledged.contains(block) && *copies > wanted);
        self.surplus = surplus.map(|(block, _)| (block, before.get(&block).copied().unwrap_or(at))).collect();
    }

    /// Whether a node accepts blocks that it does not keep.
    fn keeps_nothing(&self, slot: NodeSlot) -> bool {
        self.sim.behaviours(slot).contains(&Behaviour::Drop)
    }

    /// Compares who holds acknowledged blocks with who held them at the last inspection.
    fn inspect_holders(&mut self) {
        let at = self.sim.now();
        let is_disturbed = self.is_disturbed() || self.is_of_late(self.relinked);
        self.ended.retain(|(ended, _)| at < ended.plus(KNOWN_AFTER));
        let mut holders = BTreeMap::new();
        let honest = self.sim.engine().nodes().filter(|(slot, _)| self.sim.is_honest(*slot));
        for (slot, node) in honest {
            for block in node.overlay().blocks().filter(|block| self.acknowledged.contains(block)) {
                let before = self.holders.get(&(block, slot)).copied().unwrap_or(0);
                let is_member = node.overlay().view_of(block).is_some_and(|view| view.contains(node.me().id));
                // A surplus copy is kept while its group cannot be asked.
                let outside = match is_member {
                    _ if is_disturbed => 0,
                    true => before.saturating_sub(1),
                    false => before + 1,
                };
                holders.insert((block, slot), outside);
            }
        }
        // Whoever drops a copy has seen a proof from each that counts: of liars only those that keep what they accept can give it.
        let wanted = self.config.data.replicas;
        let kept = invariants::copies_at(self.sim.engine(), |slot| !self.keeps_nothing(slot));
        let copies_of = |block: BlockId| kept.get(&block).copied().unwrap_or(0);
        let has_ended = |slot: NodeSlot| self.ended.iter().any(|(_, ended)| *ended == slot);
        let dropped = self.holders.keys().filter(|held| !holders.contains_key(*held) && !has_ended(held.1));
        let fewest = dropped.map(|&(block, _)| copies_of(block)).min();
        let is_ousted = |(held, outside): (&(BlockId, NodeSlot), &u32)| *outside == OUTSIDE_MAX && !has_ended(held.1);
        let ousted = holders.iter().filter(|holder| is_ousted(*holder)).count();
        self.holders = holders;
        // Those that have ended of late may have been counted on.
        if let Some(copies) = fewest.filter(|copies| copies + self.ended.len() < wanted) {
            self.add(Breach::DroppedEarly { at, copies, wanted });
        }
        if ousted > 0 {
            self.add(Breach::Ousted { at, copies: ousted });
        }
    }

    /// A put was acknowledged. Its copies count only if every peer had the time to hear of those that have ended.
    fn acknowledged(&mut self, event: &BackendEvent) {
        let OpResult::Stored(blocks) = &event.result else { return };
        let at = self.sim.now();
        self.acknowledged.extend(blocks);
        if self.is_disturbed() {
            return;
        }
        let copies = invariants::copies_at(self.sim.engine(), |slot| self.sim.is_honest(slot));
        let fewest = blocks.iter().map(|block| copies.get(block).copied().unwrap_or(0)).min().unwrap_or(0);
        // Who lies may be among those that have taken a block.
        let wanted = self.config.data.replicas.saturating_sub(self.liars).max(1);
        if fewest < wanted {
            self.add(Breach::EarlyAcknowledgement { at, copies: fewest, wanted });
        }
    }
}

impl Backend for WatchedSim {
    fn name(&self) -> &'static str {
        self.sim.name()
    }

    async fn up(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        self.sim.up(progress).await
    }

    fn now(&self) -> RunTime {
        self.sim.now()
    }

    fn submit(&mut self, id: OpId, op: Op, target: OpTarget) {
        match &op {
            Op::Kill { node } | Op::Stop { node } | Op::Pause { node } | Op::Start { node, .. } => {
                self.ended.push((self.sim.now(), node.0 as NodeSlot));
            }
            Op::Partition { name, .. } => _ = self.partitions.insert(name.clone()),
            Op::SetLink { .. } => self.relinked = Some(self.sim.now()),
            Op::Heal { names } => names.iter().for_each(|name| _ = self.partitions.remove(name)),
            _ => {}
        }
        match &op {
            Op::Inspect => self.inspect(),
            Op::Kill { .. }
            | Op::Stop { .. }
            | Op::Pause { .. }
            | Op::Resume { .. }
            | Op::Partition { .. }
            | Op::Heal { .. }
            | Op::Move { .. }
            | Op::SetFirewall { .. }
            | Op::Rebind { .. } => self.disturbed = Some(self.sim.now()),
            _ => {}
        }
        self.sim.submit(id, op, target);
    }

    async fn next(&mut self, until: RunTime) -> Option<BackendEvent> {
        let event = self.sim.next(until).await?;
        self.acknowledged(&event);
        Some(event)
    }

    async fn down(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        self.sim.down(progress).await
    }
}
