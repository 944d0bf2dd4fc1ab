//! What was done and seen in a run, in the order of its clock: the record that checks and reports are made from.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::Ipv4Addr;
use std::time::Duration;

use butter::api::{AnswerBody, ConnectBody, PathBody, RepairFailureBody, SearchBody};
use butter::core::identity::{BlockId, NodeId};
use serde::{Deserialize, Serialize};

use crate::index::{ItemIndex, NetworkIndex, NodeIndex};

mod block_spread;

pub use block_spread::BlockSpread;

/// Microseconds of the run's clock, which starts when everything is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RunTime(pub u64);

impl RunTime {
    /// This long after it.
    #[must_use]
    pub fn plus(self, time: Duration) -> RunTime {
        RunTime(self.0.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
    }

    /// In seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

/// One line of `events.jsonl`.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// When it happened, by the clock of the run.
    #[serde(rename = "at_us")]
    pub at: RunTime,
    /// The event itself.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A step began.
    StepBegan {
        /// Index into the plan's steps.
        step: usize,
        /// The name of its verb.
        verb: &'static str,
    },
    /// A step ended.
    StepEnded {
        /// Index into the plan's steps.
        step: usize,
        /// Why it ended otherwise than planned, if it did.
        problem: Option<String>,
    },
    /// A node was started and answers.
    Started {
        /// Index of the node in the plan.
        node: NodeIndex,
        /// Its identity in this life.
        #[serde(serialize_with = "as_text")]
        id: NodeId,
    },
    /// A node was killed.
    Killed {
        /// Index of the node in the plan.
        node: NodeIndex,
    },
    /// A node has left gracefully.
    Stopped {
        /// Index of the node in the plan.
        node: NodeIndex,
    },
    /// A node runs no more after another operation than a kill or a stop.
    Suspended {
        /// Index of the node in the plan.
        node: NodeIndex,
        /// The operation's name.
        op: &'static str,
    },
    /// An operation has changed networks otherwise than by a rebind or a link change.
    NetworkChanged {
        /// The operation's name.
        op: &'static str,
    },
    /// An operation has changed the disk or the store of a node.
    StoreChanged {
        /// Index of the node in the plan.
        node: NodeIndex,
        /// Name of the operation that did it.
        op: &'static str,
    },
    /// A network's NAT has forgotten every mapping.
    Rebound {
        /// Index of the network in the plan.
        network: NetworkIndex,
        /// Its addresses outside from then on.
        addresses: Vec<Ipv4Addr>,
        /// Ends of links that led through it: each asks its peer from then on, until it is answered.
        ends: usize,
    },
    /// One end of a link that led through a NAT that was rebound.
    Recovered {
        /// Which rebind: the number of its [`EventKind::Rebound`] among those of the run, from 0.
        rebind: usize,
        /// Index of the node that asked.
        node: NodeIndex,
        /// Index of the node at the other end.
        peer: NodeIndex,
        /// How it ended.
        result: Recovery,
    },
    /// A node has come to another network.
    Moved {
        /// Index of the node in the plan.
        node: NodeIndex,
        /// Index of the network that it is on from then on.
        network: NetworkIndex,
        /// Its address in that network.
        address: Ipv4Addr,
    },
    /// A network's uplink was changed.
    LinkSet {
        /// Index of the network in the plan.
        network: NetworkIndex,
    },
    /// A node ended without being asked to.
    NodeDied {
        /// Index of the node in the plan.
        node: NodeIndex,
        /// How it ended, as a message for the user.
        message: String,
    },
    /// A router ended during the run: its network is cut off.
    RouterDied {
        /// Index of the network in the plan.
        network: NetworkIndex,
        /// How it ended, as a message for the user.
        message: String,
    },
    /// Nothing passes between nodes of different sides from then on.
    Partitioned {
        /// The partition's name.
        name: String,
        /// Indices of the nodes of each side in the plan.
        sides: Vec<Vec<NodeIndex>>,
    },
    /// Partitions have ended.
    Healed {
        /// Their names.
        names: Vec<String>,
    },
    /// A look at all nodes failed: what they hold now is not known. The incident before it says why.
    LookFailed,
    /// An operation failed without a result of its own.
    Incident {
        /// Index of the node in the plan, if it is about one.
        node: Option<NodeIndex>,
        /// The cause, as a message for the user.
        message: String,
    },
    /// A put has ended.
    Stored {
        /// Index of the item in the plan.
        item: ItemIndex,
        /// Index of the node that stored it.
        node: NodeIndex,
        /// Microseconds from its submission to its result.
        took_us: u64,
        /// Every block of it, or why there is none.
        #[serde(serialize_with = "stored_as_text")]
        result: Result<Vec<BlockId>, String>,
    },
    /// A get has ended.
    Retrieved {
        /// Number of the query among all of the run, from 0 in the order of their ends.
        query: usize,
        /// Index of the item in the plan.
        item: ItemIndex,
        /// Index of the node that asked.
        node: NodeIndex,
        /// Microseconds from its submission to its result.
        took_us: u64,
        /// How it ended.
        result: Retrieved,
        /// The nodes that were asked, unless it found the item.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        asked_nodes: Vec<AskedNode>,
    },
    /// A get of a key that no item has is over.
    SoughtAbsent {
        /// Index of the node that asked.
        node: NodeIndex,
        /// Microseconds from its submission to its end.
        took_us: u64,
        /// What the node says.
        result: AbsentResult,
    },
    /// A search has ended.
    Searched {
        /// Number of the search among all of the run, from 0 in the order of their ends.
        search: usize,
        /// Index of the node that searched.
        node: NodeIndex,
        /// What the keywords had to match.
        query: String,
        /// Microseconds from its submission to its end.
        took_us: u64,
        /// What came of the search.
        result: SearchResult,
    },
    /// A node found no further holder for a block of an item. What fails in the same way again is not repeated.
    RepairFailed {
        /// Index of the item in the plan.
        item: ItemIndex,
        /// Index of the node that repairs.
        node: NodeIndex,
        /// The block.
        #[serde(serialize_with = "as_text")]
        block: BlockId,
        /// Index of the node that was to hold it; `None` without a candidate, or for an identity that no node of the run has.
        peer: Option<NodeIndex>,
        /// What came of it.
        failure: RepairFailureBody,
    },
    /// A link that was wanted is as direct as it will be, or was not made.
    Connected {
        /// Index of the node that asked for it.
        from: NodeIndex,
        /// Index of the other node.
        to: NodeIndex,
        /// How it ended.
        result: LinkResult,
    },
    /// Other nodes hold an item than in the inspection before.
    HoldersChanged {
        /// Index of the item in the plan.
        item: ItemIndex,
        /// Number of its blocks.
        blocks: usize,
        /// The live nodes that hold any of them.
        holders: Vec<ItemHolder>,
        /// Number of blocks that no live node holds.
        missing_blocks: usize,
        /// The first of those.
        missing: Vec<MissingBlock>,
    },
    /// A snapshot of every live node was taken.
    Inspected {
        /// Number of nodes that are up.
        live: usize,
        /// Components of their known-host graph.
        components: usize,
        /// Acknowledged items of which every block is held by a live node.
        persistent: usize,
        /// Items whose store was acknowledged.
        acknowledged: usize,
        /// Live copies of all blocks of acknowledged items.
        copies: usize,
        /// Blocks of acknowledged items.
        blocks: usize,
        /// Most live copies of one block.
        copies_max: usize,
        /// How blocks are spread over the live nodes.
        spread: BlockSpread,
        /// The graph of neighbours.
        views: ViewGraph,
    },
}

/// The graph in which two live nodes are joined when one has the other in its active view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ViewGraph {
    /// Number of components of the graph.
    pub components: usize,
    /// Nodes in the largest component.
    pub largest: usize,
}

/// A node that holds blocks of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ItemHolder {
    /// Index of the node in the plan.
    pub node: NodeIndex,
    /// How many blocks of the item it holds.
    pub blocks: usize,
}

/// A block that no live node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissingBlock {
    /// Its id.
    #[serde(serialize_with = "as_text")]
    pub block: BlockId,
    /// The nodes that held it when it was last seen.
    pub last_holders: Vec<NodeIndex>,
}

/// A node that a get has asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AskedNode {
    /// Index of the node in the plan; `None` for an identity that no node of the run has.
    pub node: Option<NodeIndex>,
    /// When it was asked, in microseconds after the node received the get.
    pub after_us: u64,
    /// Microseconds until its answer or the loss of its link; `None` if neither came.
    pub took_us: Option<u64>,
    /// The path of the link when it was asked; `None` if there was none.
    pub path: Option<PathBody>,
    /// What came of it.
    pub answer: AnswerBody,
}

/// What became of one end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Recovery {
    /// Its peer has answered.
    Back {
        /// Since the rebind began.
        after_us: u64,
    },
    /// No answer in time.
    Lost,
    /// One of the two nodes ended meanwhile.
    Gone,
}

/// How a get ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Retrieved {
    /// The right bytes came.
    Found {
        /// Hops to whoever had the first block.
        hops: u32,
        /// Query messages that the search took.
        messages: u64,
    },
    /// Other bytes came: a fault of the node.
    WrongBytes,
    /// Every peer that the node should ask has answered, and none has it.
    NotFound,
    /// Not every peer had answered the node at its deadline.
    Incomplete(SearchBody),
    /// The node gave no answer in time.
    TimedOut,
    /// The asking node could not be asked (it died, say).
    Unasked {
        /// The cause, as a message for the user.
        why: String,
    },
    /// The item was never acknowledged, so it was not asked for.
    NeverStored,
}

/// How a get of a key that no item has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum AbsentResult {
    /// The node says that it is not there.
    Absent {
        /// Query messages that the search took.
        messages: u64,
    },
    /// Not every peer had answered the node at its deadline.
    Incomplete(SearchBody),
    /// Some bytes came: a fault of the node.
    WrongBytes,
    /// The node gave no answer in time.
    TimedOut,
    /// The node could not be asked (it died, say).
    Unasked {
        /// The cause, as a message for the user.
        why: String,
    },
}

/// How a search ended, beside what the plan says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum SearchResult {
    /// The node has ended it.
    Ended {
        /// Acknowledged items that match, or the limit if that is less.
        expected: usize,
        /// Those of them that it has found.
        found: usize,
        /// Hits that are no item of the plan, or one that does not match.
        wrong: usize,
        /// The first items that are missing, by their indices in the plan.
        missing: Vec<ItemIndex>,
        /// Questions that the node has sent.
        messages: u64,
        /// Peers that were asked and have not answered.
        unanswered: u32,
        /// Why it ended, as the node says: `all_answered`.
        stop: String,
    },
    /// The node gave no answer in time.
    TimedOut,
    /// The node could not be asked (it died, say).
    Unasked {
        /// The cause, as a message for the user.
        why: String,
    },
}

/// How a link came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum LinkResult {
    /// The link is up.
    Up {
        /// The path that its packets take.
        path: PathBody,
        /// Until it was up first; `None` if it was up before it was wanted.
        took_us: Option<u64>,
        /// Until it needed no relay; `None` also if it needs one.
        direct_us: Option<u64>,
        /// Tries to get past the relay.
        tries: u32,
    },
    /// There is no link.
    Down {
        /// The cause, as a message for the user.
        why: String,
    },
}

impl LinkResult {
    /// What a node said of a link that had so much time. What came later does not count.
    pub fn of(said: ConnectBody, within: Duration) -> Self {
        let in_time = |us: &u64| Duration::from_micros(*us) <= within;
        match (said.path, said.took_us.filter(in_time)) {
            (Some(path), Some(took_us)) => {
                let direct_us = said.direct_us.filter(in_time);
                let path = if direct_us.is_some() { path } else { PathBody::Relayed };
                let was_made = |us: &u64| *us > 0;
                let (took_us, direct_us) = (Some(took_us).filter(was_made), direct_us.filter(was_made));
                LinkResult::Up { path, took_us, direct_us, tries: said.tries }
            }
            _ => LinkResult::Down { why: "no link in time".to_owned() },
        }
    }
}

fn as_text<T: std::fmt::Display, S: serde::Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn stored_as_text<S: serde::Serializer>(result: &Result<Vec<BlockId>, String>, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Text<'a> {
        Blocks(Vec<String>),
        Error(&'a str),
    }
    match result {
        Ok(blocks) => Text::Blocks(blocks.iter().map(ToString::to_string).collect()).serialize(to),
        Err(error) => Text::Error(error).serialize(to),
    }
}
