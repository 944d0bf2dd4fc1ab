//! A prescribed graph of known hosts: which nodes are neighbours, decided before the run and kept during it.
//!
//! Only the simulator can give nodes their neighbours, because their identities exist only in a run.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{NodeIndex, TopologyFile};

mod draw;

/// Most links of a graph.
pub const GRAPH_LINKS_MAX: usize = 4_000_000;

/// The neighbours of every node of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrescribedGraph {
    /// As the file has it: `regular(8)`.
    #[serde(serialize_with = "as_text")]
    pub form: GraphForm,
    /// Neighbours of each node, in the order of the plan and ascending. Who is a neighbour has the other as one.
    #[serde(serialize_with = "as_lines")]
    pub neighbours: Vec<Vec<NodeIndex>>,
    /// The file that the links come from, for the record of the run.
    #[serde(skip)]
    pub file: Option<TopologyFile>,
}

/// What a graph is drawn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GraphForm {
    /// Any graph in which each node has so many neighbours, all with the same chance.
    Regular(usize),
    /// Each node in turn links to so many of those before it, the more likely the more links they have (Barabási and Albert,
    /// Science 1999). Degrees follow a power law with exponent 3.
    PowerLaw(usize),
    /// Each node has neighbours on its own network, as far as there are so many, and others elsewhere.
    Lans {
        /// Neighbours on the node's network.
        within: usize,
        /// Neighbours on other networks.
        across: usize,
    },
    /// So many links between pairs drawn at random (Erdős and Rényi 1959), of which a few are moved so that the graph is one.
    Random(usize),
    /// The same with as many links for each node as a random graph of so many nodes and links has.
    RandomLike {
        /// Nodes of that graph.
        nodes: usize,
        /// Links of that graph.
        links: usize,
    },
    /// Links from a file beside the topology.
    Edges(String),
}

impl fmt::Display for GraphForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GraphForm::Regular(degree) => write!(f, "regular({degree})"),
            GraphForm::PowerLaw(links) => write!(f, "power-law({links})"),
            GraphForm::Lans { within, across } => write!(f, "lans({within}, {across})"),
            GraphForm::Random(links) => write!(f, "random({links})"),
            GraphForm::RandomLike { nodes, links } => write!(f, "random({nodes}, {links})"),
            GraphForm::Edges(file) => write!(f, "edges({file})"),
        }
    }
}

/// Why no graph of a form has these nodes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A node cannot have more neighbours than there are other nodes.
    #[error("each node has {neighbours} neighbours, and there are {nodes} nodes")]
    TooFewNodes {
        /// Neighbours that a node should have.
        neighbours: usize,
        /// Nodes in the plan.
        nodes: usize,
    },
    /// Every link has two ends.
    #[error("{nodes} nodes with {neighbours} neighbours each have an odd number of ends of links")]
    OddEnds {
        /// Neighbours that a node should have.
        neighbours: usize,
        /// Nodes in the plan.
        nodes: usize,
    },
    /// Fewer links leave nodes apart, and more than one for each pair cannot be.
    #[error("{links} links cannot join {nodes} nodes: it takes {least} to {most}")]
    LinksOutOfRange {
        /// Links that are wanted.
        links: usize,
        /// Nodes in the plan.
        nodes: usize,
        /// One less than there are nodes.
        least: usize,
        /// Number of pairs of nodes.
        most: usize,
    },
    /// No way was found to make it one component.
    #[error("the graph falls apart, however it is drawn")]
    Apart,
    /// It would take too much memory.
    #[error("the graph has more than {GRAPH_LINKS_MAX} links")]
    TooManyLinks,
}

impl PrescribedGraph {
    /// Draws a graph for nodes on these networks, given by any numbers, one for each node. The same seed gives the same graph.
    ///
    /// # Errors
    /// If there is no such graph, or none was found.
    ///
    /// # Panics
    /// For [`GraphForm::Edges`]: its links are read and not drawn.
    pub fn draw(form: GraphForm, networks: &[usize], seed: u64) -> Result<Self, GraphError> {
        let links = draw::links(&form, networks, seed)?;
        Ok(PrescribedGraph::of_links(form, networks.len(), &links))
    }

    /// The graph of these links between `nodes` nodes; each pair counts once, whichever way round and however often it is there.
    pub fn of_links(form: GraphForm, nodes: usize, links: &[(usize, usize)]) -> Self {
        let mut neighbours = vec![Vec::new(); nodes];
        for &(one, other) in links {
            neighbours[one].push(NodeIndex(other));
            neighbours[other].push(NodeIndex(one));
        }
        for list in &mut neighbours {
            list.sort_unstable();
            list.dedup();
        }
        PrescribedGraph { form, neighbours, file: None }
    }

    /// Number of links, each counted once.
    pub fn links(&self) -> usize {
        self.neighbours.iter().map(Vec::len).sum::<usize>() / 2
    }

    /// Number of components, a node without neighbours being one.
    pub fn components(&self) -> usize {
        let mut seen = vec![false; self.neighbours.len()];
        let mut count = 0;
        for start in 0..seen.len() {
            if seen[start] {
                continue;
            }
            count += 1;
            seen[start] = true;
            let mut open = vec![start];
            while let Some(node) = open.pop() {
                for &NodeIndex(next) in &self.neighbours[node] {
                    if !std::mem::replace(&mut seen[next], true) {
                        open.push(next);
                    }
                }
            }
        }
        count
    }
}

fn as_text<S: Serializer>(form: &GraphForm, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(form)
}

/// One text for each node: large plans stay readable.
fn as_lines<S: Serializer>(neighbours: &[Vec<NodeIndex>], to: S) -> Result<S::Ok, S::Error> {
    let line = |list: &Vec<NodeIndex>| list.iter().map(|node| node.0.to_string()).collect::<Vec<_>>().join(" ");
    to.collect_seq(neighbours.iter().map(line))
}
