//! What is true of a run by now: who lives, which items were acknowledged, what became of queries.

use std::collections::{BTreeMap, BTreeSet};

use butter::core::identity::{BlockId, NodeId};

use super::failed_repairs::FailedRepairBook;
use super::holders::HolderBook;
use crate::events::{BlockSpread, EventKind, Retrieved, ViewGraph};
use crate::metrics::run::OUTCOMES;
use crate::op::NodeSnapshot;
use crate::plan::{ItemIndex, NodeIndex};

/// The books of a run.
#[derive(Debug)]
pub(super) struct RunState {
    /// Live nodes, with their identity once it is known.
    live: BTreeMap<NodeIndex, Option<NodeId>>,
    /// Identities of all lives so far.
    identities: BTreeMap<NodeId, NodeIndex>,
    /// Counts changes to `live`.
    generation: u64,
    /// Acknowledged items with their blocks, the one that names them first.
    stored: BTreeMap<ItemIndex, Vec<BlockId>>,
    pub(super) queries: QueryCounts,
    holders: HolderBook,
    failed_repairs: FailedRepairBook,
}

/// QueryCounts by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryCounts {
    /// The right bytes came.
    pub found: u64,
    /// Gets that returned other bytes.
    pub wrong_bytes: u64,
    /// The node said that no peer has it.
    pub not_found: u64,
    /// Not every peer had answered the node in time.
    pub incomplete: u64,
    /// The node gave no answer in time.
    pub timed_out: u64,
    /// The asking node could not be asked.
    pub unasked: u64,
}

impl QueryCounts {
    /// Counts one. An item that was never stored is not asked for.
    pub fn count(&mut self, result: &Retrieved) {
        match result {
            Retrieved::Found { .. } => self.found += 1,
            Retrieved::WrongBytes => self.wrong_bytes += 1,
            Retrieved::NotFound => self.not_found += 1,
            Retrieved::Incomplete(_) => self.incomplete += 1,
            Retrieved::TimedOut => self.timed_out += 1,
            Retrieved::Unasked { .. } => self.unasked += 1,
            Retrieved::NeverStored => {}
        }
    }

    /// All of them, those that could not be asked too: the plan wanted them answered.
    pub fn total(&self) -> u64 {
        self.by_outcome().iter().map(|(_, count)| count).sum()
    }

    /// Names and counts, in a stable order.
    pub fn by_outcome(&self) -> [(&'static str, u64); OUTCOMES.len()] {
        let counts = [self.found, self.wrong_bytes, self.not_found, self.incomplete, self.timed_out, self.unasked];
        std::array::from_fn(|at| (OUTCOMES[at], counts[at]))
    }
}

impl RunState {
    /// At the beginning of a run, when these nodes are `live`.
    pub(super) fn new(live: &[NodeIndex]) -> Self {
        RunState {
            live: live.iter().map(|node| (*node, None)).collect(),
            identities: BTreeMap::new(),
            generation: 0,
            stored: BTreeMap::new(),
            queries: QueryCounts::default(),
            holders: HolderBook::default(),
            failed_repairs: FailedRepairBook::default(),
        }
    }

    pub(super) fn is_live(&self, node: NodeIndex) -> bool {
        self.live.contains_key(&node)
    }

    /// Who a live node is, once that is known.
    pub(super) fn identity(&self, node: NodeIndex) -> Option<NodeId> {
        self.live.get(&node).copied().flatten()
    }

    pub(super) fn live(&self) -> usize {
        self.live.len()
    }

    /// Grows with every change to the live nodes.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn started(&mut self, node: NodeIndex, id: NodeId) {
        self.live.insert(node, Some(id));
        self.identities.insert(id, node);
        self.generation += 1;
    }

    pub(super) fn ended(&mut self, node: NodeIndex) {
        if self.live.remove(&node).is_some() {
            self.generation += 1;
        }
    }

    /// Takes note of an identity; whether it was not known.
    pub(super) fn identify(&mut self, node: NodeIndex, id: NodeId) -> bool {
        match self.live.get_mut(&node) {
            Some(known @ None) => {
                *known = Some(id);
                self.identities.insert(id, node);
                true
            }
            _ => false,
        }
    }

    pub(super) fn acknowledge(&mut self, item: ItemIndex, blocks: Vec<BlockId>) {
        self.stored.insert(item, blocks);
    }

    /// What an acknowledged item is asked for by.
    pub(super) fn id_of(&self, item: ItemIndex) -> Option<BlockId> {
        self.stored.get(&item).and_then(|blocks| blocks.first()).copied()
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.stored.len()
    }

    /// The node that has this identity, or had it.
    pub(super) fn node_of(&self, id: NodeId) -> Option<NodeIndex> {
        self.identities.get(&id).copied()
    }

    /// How the holders of items have changed since the last call, by the views of the live nodes.
    pub(super) fn holder_changes(&mut self, views: &[NodeSnapshot]) -> Vec<EventKind> {
        let views: Vec<&NodeSnapshot> = views.iter().filter(|view| self.is_live(view.node)).collect();
        let seen: BTreeSet<NodeIndex> = views.iter().map(|view| view.node).collect();
        let unseen = self.live.keys().copied().filter(|node| !seen.contains(node)).collect();
        self.holders.compare(&self.stored, &views, &unseen)
    }

    /// Repairs of acknowledged items that the live nodes have failed at since the last call.
    pub(super) fn new_failed_repairs(&mut self, views: &[NodeSnapshot]) -> Vec<EventKind> {
        let views: Vec<&NodeSnapshot> = views.iter().filter(|view| self.is_live(view.node)).collect();
        self.failed_repairs.new_in(&views, &self.stored, |id| self.identities.get(&id).copied())
    }

    /// What the views of the live nodes say together. Views of others, who died meanwhile, do not count; live nodes without a
    /// view hold nothing and have no known hosts.
    pub(super) fn look(&self, views: &[NodeSnapshot]) -> EventKind {
        let views: Vec<&NodeSnapshot> = views.iter().filter(|view| self.is_live(view.node)).collect();
        let mut copies: BTreeMap<BlockId, usize> = self.stored.values().flatten().map(|&block| (block, 0)).collect();
        for block in views.iter().flat_map(|view| &view.blocks) {
            if let Some(count) = copies.get_mut(block) {
                *count += 1;
            }
        }
        let kept = self.stored.values().filter(|blocks| blocks.iter().all(|block| copies[block] > 0)).count();
        let unseen = self.live.len().saturating_sub(views.len());
        let neighbours = |view: &NodeSnapshot| view.neighbours.min(view.known_hosts.len());
        let of_neighbours = components_by(&views, |view| &view.known_hosts[..neighbours(view)]);
        let held = views.iter().map(|view| view.blocks.len()).chain(std::iter::repeat_n(0, unseen));
        EventKind::Inspected {
            live: self.live.len(),
            components: components_by(&views, |view| &view.known_hosts).components + unseen,
            persistent: kept,
            acknowledged: self.stored.len(),
            copies: copies.values().sum(),
            blocks: copies.len(),
            copies_max: copies.values().copied().max().unwrap_or(0),
            spread: BlockSpread::of(held),
            views: ViewGraph { components: of_neighbours.components + unseen, ..of_neighbours },
        }
    }
}

/// Components of the graph in which two nodes are joined when one is among the `others` of the other.
fn components_by<'v>(views: &[&'v NodeSnapshot], others: impl Fn(&'v NodeSnapshot) -> &'v [NodeId]) -> ViewGraph {
    let index: BTreeMap<NodeId, usize> = views.iter().enumerate().map(|(i, view)| (view.id, i)).collect();
    let mut parent: Vec<usize> = (0..views.len()).collect();
    let mut sizes = vec![1; views.len()];
    let mut components = views.len();
    for (i, view) in views.iter().enumerate() {
        for j in others(view).iter().filter_map(|id| index.get(id)) {
            let (a, b) = (root(&mut parent, i), root(&mut parent, *j));
            if a != b {
                parent[a] = b;
                sizes[b] += sizes[a];
                components -= 1;
            }
        }
    }
    ViewGraph { components, largest: sizes.into_iter().max().unwrap_or(0) }
}

/// The root of `i`'s tree; halves the path to it (Tarjan and van Leeuwen 1984).
fn root(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}
