//! Iterative search: the asker visits peers, each of which answers with the block or with its neighbours.
//!
//! No peer is visited twice, and no peer works for a query but once: nothing is amplified, and the end is known.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::Ctx;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};

/// Peers visited at most: a search that has come so far ends.
pub(super) const VISITS_MAX: usize = 4_096;
/// Visits at a time in the beginning.
const WIDTH: usize = 3;
/// Visits at a time after many in vain.
const WIDTH_MAX: usize = 24;
/// Visits in vain after which the width doubles.
const PATIENCE: usize = 8;
/// Visits under way in all, those that are slow included.
const UNDER_WAY_MAX: usize = 64;

/// A peer to visit.
#[derive(Clone, Debug)]
struct Stop {
    peer: NodeId,
    /// How to reach it, if it was heard of in this search.
    contact: Option<Contact>,
    hops: u32,
}

/// Where a search has been and where it goes next.
#[derive(Debug)]
pub(super) struct Visits {
    wanted: Vec<BlockId>,
    /// Whether peers that are linked already come first.
    linked_first: bool,
    seen: BTreeSet<NodeId>,
    near: VecDeque<Stop>,
    far: VecDeque<Stop>,
    under_way: BTreeMap<NodeId, Stop>,
    made: usize,
    /// Peers that did not answer. They are visited once more in the end: a link may have failed for want of a way to them.
    failed: Vec<Stop>,
    second_round: bool,
}

impl Visits {
    /// A search for `wanted` that begins at this node's neighbours.
    pub(super) fn new(ctx: &Ctx<'_>, wanted: Vec<BlockId>, linked_first: bool) -> Self {
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

    /// One more peer to visit, unless it is known.
    pub(super) fn add(&mut self, ctx: &Ctx<'_>, peer: NodeId, contact: Option<Contact>, hops: u32) {
        if self.seen.len() <= VISITS_MAX && self.seen.insert(peer) {
            let near = self.linked_first && ctx.is_linked(peer);
            let queue = if near { &mut self.near } else { &mut self.far };
            queue.push_back(Stop { peer, contact, hops });
        }
    }

    /// What is looked for.
    pub(super) fn wanted(&self) -> &[BlockId] {
        &self.wanted
    }

    /// The next peer to visit and the hops to it, if it is time for one.
    pub(super) fn next(&mut self, ctx: &mut Ctx<'_>, slow: usize) -> Option<(NodeId, u32)> {
        let width = (WIDTH << (self.made / PATIENCE).min(3)).min(WIDTH_MAX);
        if self.under_way.len() >= (width + slow).min(UNDER_WAY_MAX) {
            return None;
        }
        if self.is_exhausted() && !self.second_round {
            self.second_round = true;
            self.far.extend(self.failed.drain(..).take(UNDER_WAY_MAX));
        }
        let stop = self.near.pop_front().or_else(|| self.far.pop_front())?;
        if let Some(contact) = &stop.contact {
            ctx.learn(contact);
        }
        let next = (stop.peer, stop.hops);
        self.under_way.insert(stop.peer, stop);
        self.made += 1;
        Some(next)
    }

    /// A peer `hops` away has answered with its neighbours.
    pub(super) fn answered(&mut self, ctx: &Ctx<'_>, peer: NodeId, hops: u32, hosts: Vec<Contact>) {
        self.under_way.remove(&peer);
        for contact in hosts {
            self.add(ctx, contact.id, Some(contact), hops + 1);
        }
    }

    /// A peer does not answer.
    pub(super) fn failed(&mut self, peer: NodeId) {
        self.failed.extend(self.under_way.remove(&peer));
    }

    fn is_exhausted(&self) -> bool {
        self.under_way.is_empty() && self.near.is_empty() && self.far.is_empty()
    }

    /// Whether all that could be reached were visited.
    pub(super) fn is_over(&self) -> bool {
        self.is_exhausted() && (self.second_round || self.failed.is_empty())
    }
}
