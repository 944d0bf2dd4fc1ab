//! The operations of a run: one vocabulary for the backends that carry them out and for the run that submits them.
//!
//! An [`Op`] is submitted under an [`OpId`]. The backend answers each with exactly one [`BackendEvent`] whose [`OpResult`]
//! belongs to it: [`Op`] names that result for every operation. Any operation may end with [`OpResult::Failed`] instead.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use butter::api::ConnectBody;
use butter::core::identity::{BlockId, NodeId};
use bytes::Bytes;

use crate::events::RunTime;
use crate::metrics::series::Scrape;
use crate::net::link::LinkConfig;
use crate::plan::{NetworkIndex, NodeIndex};

/// Identifies a submitted operation. The submitter chooses it; it is unique within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// An operation that a backend carries out.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "`node` is the node that acts, `network` the network that changes")]
pub enum Op {
    /// Starts a node that is down. Ends with [`OpResult::NodeStarted`].
    Start {
        node: NodeIndex,
        /// Whether it gets a new identity and an empty store.
        fresh: bool,
    },
    /// Kills a node without notice, as SIGKILL does. Ends with [`OpResult::NodeStopped`].
    Kill { node: NodeIndex },
    /// Has a node leave gracefully. Ends with [`OpResult::NodeStopped`].
    Stop { node: NodeIndex },
    /// Has a node store a value. Ends with [`OpResult::Stored`].
    Put { node: NodeIndex, value: Bytes },
    /// Has a node fetch a value. Ends with [`OpResult::Found`] or [`OpResult::NotFound`].
    Get {
        node: NodeIndex,
        /// The block that names the value.
        id: BlockId,
    },
    /// Drops every mapping of the network's NAT and gives it new external addresses. Ends with [`OpResult::NetworkChanged`].
    Rebind {
        network: NetworkIndex,
        /// The NAT's external addresses from then on.
        addresses: Vec<Ipv4Addr>,
    },
    /// Changes the model of a network's uplink; packets in flight keep their fate. Ends with [`OpResult::NetworkChanged`].
    SetLink {
        network: NetworkIndex,
        /// From the network outwards.
        up: Box<LinkConfig>,
        /// From outside into the network.
        down: Box<LinkConfig>,
    },
    /// Has a node link to a peer as directly as possible. Ends with [`OpResult::Connected`].
    Connect {
        node: NodeIndex,
        /// The node to link to.
        peer: NodeId,
    },
    /// Sends a request over the link to a peer: an answer proves that the link works. Ends with [`OpResult::PingAnswered`].
    Ping {
        node: NodeIndex,
        /// The node that answers.
        peer: NodeId,
        /// The op fails if the answer takes longer.
        deadline: Duration,
    },
    /// Takes a snapshot of every live node. Ends with [`OpResult::Inspected`].
    Inspect,
    /// Takes every metric of every live node and router. Ends with [`OpResult::Sampled`].
    Sample,
}

/// Something that a backend reports: the result of an operation, or a node that ended by itself.
#[derive(Debug)]
pub struct BackendEvent {
    /// When it happened, by the run's clock.
    pub at: RunTime,
    /// The operation that it completes; `None` for a failure that no operation caused.
    pub op: Option<OpId>,
    /// What the operation came to.
    pub result: OpResult,
}

/// How an operation ended.
#[derive(Debug)]
pub enum OpResult {
    /// The node runs and answers.
    NodeStarted {
        /// Its identity in this life.
        id: NodeId,
    },
    /// The node was killed or has left.
    NodeStopped,
    /// The router has taken the change.
    NetworkChanged,
    /// The value has enough copies. Lists each of its blocks, the one that names the value first.
    Stored(Vec<BlockId>),
    /// The value was found.
    Found(FoundValue),
    /// The get ended without a value.
    NotFound {
        /// Whether the node is sure that no live node has the value; otherwise the time ran out.
        certain: bool,
    },
    /// How the link runs.
    Connected(ConnectBody),
    /// The peer has answered.
    PingAnswered,
    /// One snapshot per live node that answered, in order of [`NodeIndex`].
    Inspected(Vec<NodeSnapshot>),
    /// The metrics of every live node and router that answered.
    Sampled(Vec<Scrape>),
    /// The operation failed or, in an event without one, a node or a part of the backend ended by itself.
    Failed {
        /// The node in question, if it was about one.
        node: Option<NodeIndex>,
        /// The cause, as a message for the user.
        reason: String,
    },
}

/// A value that a node found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundValue {
    /// The value's bytes.
    pub value: Bytes,
    /// Hops to the node that had the first block.
    pub hops: u32,
    /// Query messages that the search took.
    pub messages: u64,
}

/// The state of a live node at one moment.
#[derive(Clone, Debug)]
pub struct NodeSnapshot {
    /// Index of the node in the plan.
    pub node: NodeIndex,
    /// Its identity in this life.
    pub id: NodeId,
    /// The nodes that it knows: neighbours first.
    pub known_hosts: Vec<NodeId>,
    /// How many of those are neighbours.
    pub neighbours: usize,
    /// The links that are up at its end.
    pub links: Vec<LinkSnapshot>,
    /// The blocks that it holds.
    pub blocks: Vec<BlockId>,
}

/// A link at one moment, as one of its ends sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSnapshot {
    /// The node at the other end.
    pub peer: NodeId,
    /// The peer's address as seen from here; `None` when relayed.
    pub remote: Option<SocketAddr>,
}
