//! Iterative search: the asking node visits peers. Each answers with the block or with its neighbours.
//!
//! No peer is visited twice unless it did not answer: nothing is amplified, and the search ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::DataCx;
use super::strategy::{SearchScope, SearchStep, SearchStrategy};
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};

/// Most peers visited in one search.
const VISITS_MAX: usize = 4_096;
/// Concurrent visits at the start.
const WIDTH: usize = 3;
/// Most concurrent visits, after many without success.
const WIDTH_MAX: usize = 24;
/// Visits without success after which the width doubles.
const PATIENCE: usize = 8;
/// Most concurrent visits, slow ones included.
const UNDER_WAY_MAX: usize = 64;

/// A peer to visit.
#[derive(Clone, Debug)]
struct VisitStop {
    peer: NodeId,
    /// Its contact, if this search discovered it.
    contact: Option<Contact>,
    hops: u32,
}

/// Visited peers and peers to visit.
#[derive(Debug)]
pub(super) struct Visits {
    wanted: Vec<BlockId>,
    /// Whether linked peers come first.
    linked_first: bool,
    seen: BTreeSet<NodeId>,
    near: VecDeque<VisitStop>,
    far: VecDeque<VisitStop>,
    under_way: BTreeMap<NodeId, VisitStop>,
    made: usize,
    /// Peers that did not answer. They are visited once more at the end, when there may be a path to them.
    failed: Vec<VisitStop>,
    second_round: bool,
}

impl Visits {
    /// A search for `wanted` that begins at this node's neighbours.
    pub(super) fn new(ctx: &DataCx<'_, '_>, wanted: Vec<BlockId>, linked_first: bool) -> Self {
        let mut visits = Visits {
            wanted,
            linked_first,
            seen: BTreeSet::from([ctx.me.id]),
            near: VecDeque::new(),
            far: VecDeque::new(),
            under_way: BTreeMap::new(),
            made: 0,
            failed: Vec::new(),
            second_round: false,
        };
        ctx.neighbours().for_each(|neighbour| visits.add(ctx, neighbour, None, 1));
        visits
    }

    /// Adds a peer to visit, unless it was added before.
    pub(super) fn add(&mut self, ctx: &DataCx<'_, '_>, peer: NodeId, contact: Option<Contact>, hops: u32) {
        if self.seen.len() <= VISITS_MAX && self.seen.insert(peer) {
            let near = self.linked_first && ctx.is_linked(peer);
            let queue = if near { &mut self.near } else { &mut self.far };
            queue.push_back(VisitStop { peer, contact, hops });
        }
    }

    /// The next peer to visit, if it is time for one.
    fn next_stop(&mut self, slow: usize) -> Option<VisitStop> {
        let width = (WIDTH << (self.made / PATIENCE).min(3)).min(WIDTH_MAX);
        if self.under_way.len() >= (width + slow).min(UNDER_WAY_MAX) {
            return None;
        }
        if self.is_exhausted() && !self.second_round {
            self.second_round = true;
            self.far.extend(self.failed.drain(..).take(UNDER_WAY_MAX));
        }
        let stop = self.near.pop_front().or_else(|| self.far.pop_front())?;
        self.under_way.insert(stop.peer, stop.clone());
        self.made += 1;
        Some(stop)
    }

    fn is_exhausted(&self) -> bool {
        self.under_way.is_empty() && self.near.is_empty() && self.far.is_empty()
    }

    /// Whether every reachable peer was visited.
    pub(super) fn is_over(&self) -> bool {
        self.is_exhausted() && (self.second_round || self.failed.is_empty())
    }
}

impl SearchStrategy for Visits {
    fn wanted(&self) -> &[BlockId] {
        &self.wanted
    }

    fn next(&mut self, scope: &mut SearchScope<'_, '_, '_>) -> SearchStep {
        match self.next_stop(scope.slow) {
            Some(VisitStop { peer, contact, hops }) => {
                if let Some(contact) = &contact {
                    scope.cx.learn(contact);
                }
                SearchStep::Visit { peer, hops }
            }
            None if self.is_over() => SearchStep::Exhausted,
            None => SearchStep::Wait,
        }
    }

    fn visited(&mut self, cx: &DataCx<'_, '_>, peer: NodeId, hops: u32, neighbours: Vec<Contact>) {
        self.under_way.remove(&peer);
        for contact in neighbours {
            self.add(cx, contact.id, Some(contact), hops + 1);
        }
    }

    fn visit_failed(&mut self, peer: NodeId) {
        self.failed.extend(self.under_way.remove(&peer));
    }
}
