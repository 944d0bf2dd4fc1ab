//! Which pairs of nodes are to be linked: in every cell of the grid of node groups, all or some of its pairs.

use std::collections::BTreeMap;
use std::time::Duration;

use butter::core::random::sample;
use rand::RngExt;

use super::{Dice, For, TimelineError, World, shuffle, timed};
use crate::plan::{Act, NodeIndex, Timed};

/// Most pairs from which a step chooses.
pub const PAIRS_MAX: u64 = 20_000_000;

/// Pairs of nodes are linked, one node of each pair asking.
#[derive(Clone, Debug)]
pub struct Cross {
    /// Who takes part.
    pub among: Vec<NodeIndex>,
    /// How they are named in the file.
    pub whom: String,
    /// How many pairs of each two groups, at random; `None` for all.
    pub pairs: Option<u64>,
    /// How long each pair has.
    pub within: Duration,
}

impl World<'_> {
    pub(super) fn cross(&mut self, dice: &Dice, cross: &Cross) -> Result<Vec<Timed>, TimelineError> {
        let groups = self.by_group(&self.live_of(&cross.among));
        let possible: u64 = cells(&groups).map(|(a, b)| a.len() as u64 * b.len() as u64).sum();
        if possible > PAIRS_MAX {
            return Err(TimelineError::TooManyPairs);
        }
        let mut random = dice.of(For::Pairs);
        let mut chosen = Vec::new();
        for (a, b) in cells(&groups) {
            let pairs = self.pairs(a, b);
            chosen.extend(match cross.pairs {
                Some(count) if count < pairs.len() as u64 => sample(&mut random, pairs, count as usize),
                _ => pairs,
            });
        }
        if chosen.is_empty() {
            return Err(TimelineError::NoPair { whom: cross.whom.clone() });
        }
        if chosen.len() > self.actions_left() {
            return Err(TimelineError::TooManyActions);
        }
        shuffle(&mut random, &mut chosen);
        let link = |(a, b)| {
            let (node, peer) = if random.random() { (a, b) } else { (b, a) };
            timed(Duration::ZERO, Act::Link { node, peer, within: cross.within })
        };
        Ok(chosen.into_iter().map(link).collect())
    }

    /// Nodes by their groups, in order.
    fn by_group(&self, nodes: &[NodeIndex]) -> Vec<Vec<NodeIndex>> {
        let mut groups: BTreeMap<&str, Vec<NodeIndex>> = BTreeMap::new();
        for &node in nodes {
            groups.entry(&self.nodes[node.0].group).or_default().push(node);
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort();
        groups
    }

    /// Pairs of two groups, or of one with itself: those on different networks, or all if there are no such.
    fn pairs(&self, a: &[NodeIndex], b: &[NodeIndex]) -> Vec<(NodeIndex, NodeIndex)> {
        let all = || a.iter().flat_map(|&one| b.iter().map(move |&other| (one, other)));
        let distinct = || all().filter(|(one, other)| one != other && (a[0] != b[0] || one < other));
        let network = |node: NodeIndex| self.nodes[node.0].network;
        let apart: Vec<_> = distinct().filter(|(one, other)| network(*one) != network(*other)).collect();
        if apart.is_empty() { distinct().collect() } else { apart }
    }
}

/// Every two groups, and each with itself.
fn cells<'g>(groups: &'g [Vec<NodeIndex>]) -> impl Iterator<Item = (&'g [NodeIndex], &'g [NodeIndex])> {
    let from = move |(i, one): (usize, &'g Vec<NodeIndex>)| {
        groups[i..].iter().map(move |other| (one.as_slice(), other.as_slice()))
    };
    groups.iter().enumerate().flat_map(from)
}
