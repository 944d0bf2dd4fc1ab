//! Random walks with state (Lv, Cao, Cohen, Li, Shenker: ICS 2002): walkers go on from peer to peer, and none visits a peer that
//! another has visited.
//!
//! The asking node moves the walkers itself, so each step checks back with it. A walker whose peer knows no new one goes on from a
//! random peer that some answer has named.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;

use super::super::super::{DataCx, waits};
use super::{PlannedVisit, SearchScope, SearchStep, SearchStrategy, StrategyEntry, VisitAnswer};
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Most peers that are named and not visited.
const FRONTIER_MAX: usize = 4_096;

pub(super) const ENTRY: StrategyEntry = StrategyEntry {
    name: "walk",
    summary: "random walks that avoid each other",
    floods: false,
    begin: |scope, wanted| {
        let mut search = WalkSearch { wanted, again_at: Time::NEVER, ..WalkSearch::default() };
        search.seen.insert(scope.cx.me.id);
        search.idle = vec![Vec::new(); scope.cx.settings.walkers];
        Box::new(search)
    },
};

/// The walkers of one search.
#[derive(Debug, Default)]
struct WalkSearch {
    wanted: Vec<BlockId>,
    /// Peers that were visited or will be.
    seen: BTreeSet<NodeId>,
    /// Peers that were named and not visited, with their hops.
    frontier: BTreeMap<NodeId, (Contact, u32)>,
    /// What the last peers of walkers that stand still have named.
    idle: Vec<Vec<NodeId>>,
    /// Peers that walkers are visiting.
    under_way: BTreeSet<NodeId>,
    /// When a node without neighbours looks for some again.
    again_at: Time,
    /// Times that it has looked.
    rounds: u32,
}

impl WalkSearch {
    fn name(&mut self, contacts: Vec<Contact>, hops: u32) {
        for contact in contacts {
            if !self.seen.contains(&contact.id) && self.frontier.len() < FRONTIER_MAX {
                self.frontier.entry(contact.id).or_insert((contact, hops));
            }
        }
    }

    /// The next peer of a walker that stands where these peers were named.
    fn choose(&self, scope: &mut SearchScope<'_, '_, '_>, named: &[NodeId]) -> Option<NodeId> {
        let fresh: Vec<NodeId> = named.iter().copied().filter(|peer| self.frontier.contains_key(peer)).collect();
        let count = if fresh.is_empty() { self.frontier.len() } else { fresh.len() };
        let chosen = (count > 0).then(|| scope.cx.random.random_range(0..count as u64) as usize)?;
        fresh.get(chosen).or_else(|| self.frontier.keys().nth(chosen)).copied()
    }
}

impl SearchStrategy for WalkSearch {
    fn wanted(&self) -> &[BlockId] {
        &self.wanted
    }

    fn next(&mut self, scope: &mut SearchScope<'_, '_, '_>) -> SearchStep {
        if self.seen.len() == 1 && self.frontier.is_empty() {
            // No peer was asked yet, so that nothing was found says nothing.
            let neighbours = scope.cx.neighbours().filter_map(|peer| scope.cx.contact(peer)).cloned().collect();
            self.name(neighbours, 1);
            if self.frontier.is_empty() {
                self.again_at = scope.cx.now + waits::round_pause(self.rounds);
                self.rounds += 1;
                return SearchStep::Wait;
            }
        }
        self.again_at = Time::NEVER;
        let Some(named) = self.idle.pop() else { return SearchStep::Wait };
        let chosen = self.choose(scope, &named).and_then(|peer| self.frontier.remove(&peer));
        let Some((contact, hops)) = chosen else {
            self.idle.push(named);
            return if self.under_way.is_empty() { SearchStep::Exhausted } else { SearchStep::Wait };
        };
        scope.cx.learn(&contact);
        self.seen.insert(contact.id);
        self.under_way.insert(contact.id);
        SearchStep::Visit { peer: contact.id, visit: PlannedVisit { hops, reach: 0, hinted: false } }
    }

    fn due(&self) -> Time {
        self.again_at
    }

    fn visited(&mut self, _: &DataCx<'_, '_>, peer: NodeId, answer: VisitAnswer) {
        if self.under_way.remove(&peer) {
            self.idle.push(answer.hosts.iter().map(|contact| contact.id).collect());
            self.name(answer.hosts, answer.hops + 1);
        }
    }

    fn visit_failed(&mut self, peer: NodeId) {
        if self.under_way.remove(&peer) {
            self.idle.push(Vec::new());
        }
    }
}
