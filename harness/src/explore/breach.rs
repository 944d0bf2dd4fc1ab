//! What may not happen in a run.

use std::fmt;

use crate::events::RunTime;
use crate::sim::invariants::Violation;

/// Something that may not be, and was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// A node's views are too large, or name a host twice.
    View {
        /// When an inspection has seen it.
        at: RunTime,
        /// What the inspection has seen.
        violation: Violation,
    },
    /// A put was acknowledged with fewer copies than wanted, though no node had ended for long.
    EarlyAcknowledgement {
        /// When it was seen.
        at: RunTime,
        /// Copies of the block that has fewest.
        copies: usize,
        /// Copies that were wanted.
        wanted: usize,
    },
    /// A live node has dropped its copy of an acknowledged block, though fewer copies than wanted were left.
    DroppedEarly {
        /// When an inspection has seen it.
        at: RunTime,
        /// Copies that are left.
        copies: usize,
        /// Copies that were wanted.
        wanted: usize,
    },
    /// For long, live nodes that hold an acknowledged block have been left out of its group.
    Ousted {
        /// When it was seen.
        at: RunTime,
        /// Copies of which that is so.
        copies: usize,
    },
    /// Live nodes that hold an acknowledged block have accepted groups of it in which no member holds it.
    Usurped {
        /// When an inspection has seen it.
        at: RunTime,
        /// Copies of which that is so.
        copies: usize,
    },
    /// A step did not end as planned.
    Step {
        /// Its number, from 1.
        step: usize,
        /// What went wrong in it.
        problem: String,
    },
    /// An operation failed without a result of its own.
    Incident {
        /// When it was seen.
        at: RunTime,
        /// The cause, as a message.
        message: String,
    },
    /// A query returned other bytes than were stored.
    WrongBytes {
        /// Number of the query.
        query: usize,
    },
    /// An item is lost though nodes that held it have run ever since.
    Dropped {
        /// Number of the item.
        item: usize,
        /// When its loss was seen.
        at: RunTime,
        /// The nodes that held it last and still run.
        nodes: Vec<String>,
    },
    /// After quiet, a query did not find an item that live nodes hold.
    Unfound {
        /// Number of the query.
        query: usize,
        /// Number of the item.
        item: usize,
        /// How the query ended.
        outcome: String,
    },
    /// After quiet, a block has other than the wanted number of copies.
    Copies {
        /// Blocks of which that is so.
        blocks: usize,
        /// Fewest copies of one.
        fewest: usize,
        /// Most copies of one.
        most: usize,
        /// Copies that were wanted.
        wanted: usize,
    },
    /// After quiet, live nodes and their neighbours form several components.
    Apart {
        /// How many components.
        components: usize,
    },
    /// After quiet, a node has no neighbour.
    Isolated {
        /// How many nodes have none.
        nodes: usize,
    },
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |at: &RunTime| format!("{:.3} s", at.as_secs_f64());
        match self {
            Breach::View { at, violation } => write!(f, "at {}: {violation}", seconds(at)),
            Breach::EarlyAcknowledgement { at, copies, wanted } => {
                write!(f, "at {}: a put was acknowledged with {copies} of {wanted} copies", seconds(at))
            }
            Breach::DroppedEarly { at, copies, wanted } => {
                write!(f, "at {}: a copy was dropped, and {copies} of {wanted} were left", seconds(at))
            }
            Breach::Ousted { at, copies } => {
                write!(
                    f,
                    "at {}: the holders of {copies} copies have been left out of their groups for long",
                    seconds(at)
                )
            }
            Breach::Usurped { at, copies } => {
                write!(f, "at {}: the holders of {copies} copies follow groups that hold nothing", seconds(at))
            }
            Breach::Step { step, problem } => write!(f, "step {step}: {problem}"),
            Breach::Incident { at, message } => write!(f, "at {}: {message}", seconds(at)),
            Breach::WrongBytes { query } => write!(f, "query {query} returned other bytes than were stored"),
            Breach::Dropped { item, at, nodes } => {
                let nodes = nodes.join(", ");
                write!(f, "at {}: item {item} is lost, though nodes that held it still run ({nodes})", seconds(at))
            }
            Breach::Unfound { query, item, outcome } => {
                write!(f, "query {query} ended as {outcome}, though live nodes hold item {item}")
            }
            Breach::Copies { blocks, fewest, most, wanted } => {
                write!(f, "after quiet, {blocks} blocks have {fewest} to {most} copies; wanted were {wanted}")
            }
            Breach::Apart { components } => {
                write!(f, "after quiet, nodes and their neighbours form {components} components")
            }
            Breach::Isolated { nodes } => write!(f, "after quiet, nodes without a neighbour: {nodes}"),
        }
    }
}
