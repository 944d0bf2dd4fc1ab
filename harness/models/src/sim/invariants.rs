//! What must hold of every node at any moment, and of all together after a while.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use butter::core::config::Config;
use butter::core::identity::{BlockId, NodeId};
use butter::overlay::Overlay;
use butter::overlay::data::DataOverlay;

use super::engine::SimEngine;
use super::network::NodeSlot;

/// Something that may not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// More neighbours than allowed.
    TooManyNeighbours {
        /// Slot of the node that violates it.
        slot: NodeSlot,
        /// The number that was found.
        neighbours: usize,
    },
    /// More known hosts than both views may hold.
    TooManyHosts {
        /// Slot of the node that violates it.
        slot: NodeSlot,
        /// The number that was found.
        hosts: usize,
    },
    /// A host is known twice, or is the node itself.
    BadHost {
        /// Slot of the node that violates it.
        slot: NodeSlot,
        /// The peer that it knows twice.
        host: NodeId,
    },
    /// The graph of known hosts falls apart.
    Apart {
        /// Into how many components.
        components: usize,
    },
    /// A block has more live copies than it should ever have.
    TooManyCopies {
        /// The block in question.
        block: BlockId,
        /// The number that was found.
        copies: usize,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::TooManyNeighbours { slot, neighbours } => write!(f, "node {slot} has {neighbours} neighbours"),
            Violation::TooManyHosts { slot, hosts } => write!(f, "node {slot} knows {hosts} hosts"),
            Violation::BadHost { slot, host } => write!(f, "node {slot} knows {host:?} twice, or itself"),
            Violation::Apart { components } => write!(f, "the known hosts form {components} components"),
            Violation::TooManyCopies { block, copies } => write!(f, "block {block:?} has {copies} copies"),
        }
    }
}

/// What holds of each node at any moment: views are bounded and name no peer twice.
pub fn views<V: Overlay>(engine: &SimEngine<V>, config: &Config) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (slot, node) in engine.nodes() {
        let neighbours = node.neighbours().count();
        if neighbours > config.active {
            violations.push(Violation::TooManyNeighbours { slot, neighbours });
        }
        let hosts = node.known_hosts().count();
        if hosts > config.active + config.passive {
            violations.push(Violation::TooManyHosts { slot, hosts });
        }
        let mut seen = BTreeSet::from([node.me().id]);
        let repeated = node.known_hosts().map(|contact| contact.id).filter(|&id| !seen.insert(id));
        violations.extend(repeated.map(|host| Violation::BadHost { slot, host }));
    }
    violations
}

/// Components of the graph in which two live nodes are joined when one knows the other.
pub fn components<V: Overlay>(engine: &SimEngine<V>) -> usize {
    components_by(engine, usize::MAX)
}

/// Components of the graph in which two live nodes are joined when one is a neighbour of the other.
pub fn neighbour_components<V: Overlay>(engine: &SimEngine<V>) -> usize {
    components_by(engine, 0)
}

/// Components of the graph of neighbours and of so many other hosts that each node knows.
fn components_by<V: Overlay>(engine: &SimEngine<V>, others: usize) -> usize {
    let places: BTreeMap<NodeId, usize> =
        engine.nodes().enumerate().map(|(place, (_, node))| (node.me().id, place)).collect();
    let mut leaders: Vec<usize> = (0..places.len()).collect();
    for (place, (_, node)) in engine.nodes().enumerate() {
        let known = node.known_hosts().take(node.neighbours().count().saturating_add(others));
        for other in known.filter_map(|contact| places.get(&contact.id)) {
            let (one, two) = (leader(&mut leaders, place), leader(&mut leaders, *other));
            leaders[one] = two;
        }
    }
    (0..leaders.len()).filter(|&place| leaders[place] == place).count()
}

fn leader(leaders: &mut [usize], mut place: usize) -> usize {
    while leaders[place] != place {
        leaders[place] = leaders[leaders[place]];
        place = leaders[place];
    }
    place
}

/// What holds of all nodes once they have joined: everybody knows everybody, by hearsay at least.
pub fn joined<V: Overlay>(engine: &SimEngine<V>) -> Vec<Violation> {
    match components(engine) {
        0 | 1 => Vec::new(),
        components => vec![Violation::Apart { components }],
    }
}

/// Live copies of every block that anybody holds.
pub fn copies(engine: &SimEngine<DataOverlay>) -> BTreeMap<BlockId, usize> {
    copies_at(engine, |_| true)
}

/// Live copies of every block at the nodes that count.
pub fn copies_at(engine: &SimEngine<DataOverlay>, counts: impl Fn(NodeSlot) -> bool) -> BTreeMap<BlockId, usize> {
    let mut copies = BTreeMap::new();
    for (_, node) in engine.nodes().filter(|(slot, _)| counts(*slot)) {
        for block in node.overlay().blocks() {
            *copies.entry(block).or_default() += 1;
        }
    }
    copies
}

/// No block has more copies than `most`.
pub fn bounded_copies(engine: &SimEngine<DataOverlay>, most: usize) -> Vec<Violation> {
    let excess = copies(engine).into_iter().filter(|&(_, copies)| copies > most);
    excess.map(|(block, copies)| Violation::TooManyCopies { block, copies }).collect()
}
