//! The operations of a run: one vocabulary for the backends that carry them out and for the run that submits them.
//!
//! An [`Op`] is submitted under an [`OpId`]. The backend answers each with exactly one [`BackendEvent`] whose [`OpResult`]
//! belongs to it: [`Op`] names that result for every operation. Any operation may end with [`OpResult::Failed`] instead.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use butter::api::{AskedPeerBody, ConnectBody, FailedRepairBody, SearchBody, SearchEndBody};
use butter::core::identity::{BlockId, NodeId};
use bytes::Bytes;
use serde::Serialize;

use crate::duration_text;
use crate::events::RunTime;
use crate::index::{ItemIndex, NetworkIndex, NodeIndex};
use crate::net::link::LinkConfig;
use crate::net::network_policy::NetworkPolicy;
use crate::net::zone::CutDirection;
use crate::series::Scrape;

/// Identifies a submitted operation. The submitter chooses it; it is unique within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// An operation of a run: scheduled by the plan, carried out by a backend.
///
/// It names nodes, networks and items by their indices in the plan. An identity that exists only in a run comes along as its
/// [`OpTarget`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
#[allow(
    missing_docs,
    reason = "`node` is the node that acts, `network` the network that changes, `item` the item meant"
)]
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
    /// Freezes a node, as SIGSTOP does. Ends with [`OpResult::NodeStopped`].
    Pause { node: NodeIndex },
    /// Lets a paused node go on, as SIGCONT does. Ends with [`OpResult::NodeStarted`].
    Resume { node: NodeIndex },
    /// Has a node store an item. Ends with [`OpResult::Stored`].
    Put { node: NodeIndex, item: ItemIndex },
    /// Has a node fetch an item, its target. Ends with [`OpResult::Found`], [`OpResult::NotFound`],
    /// [`OpResult::Incomplete`] or [`OpResult::Unanswered`].
    Get {
        node: NodeIndex,
        item: ItemIndex,
        /// Whether it asks every peer before it ends without success.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        exhaustive: bool,
    },
    /// Has a node look for a key that no item has, its target. Ends as [`Op::Get`] does.
    GetAbsent {
        node: NodeIndex,
        /// Decides the key.
        key: u64,
        /// Whether it asks every peer before it ends without success.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        exhaustive: bool,
    },
    /// Has a node search for keywords. Ends with [`OpResult::Searched`] or [`OpResult::Unanswered`].
    Search {
        node: NodeIndex,
        /// What the keywords must match.
        query: String,
        /// Most hits that are wanted.
        limit: usize,
    },
    /// Drops every mapping of the network's NAT and gives it new external addresses. Ends with [`OpResult::NetworkChanged`].
    Rebind {
        network: NetworkIndex,
        /// The NAT's external addresses from then on.
        addresses: Vec<Ipv4Addr>,
    },
    /// Takes a node to another network, running or not: it keeps its identity and its store, and its addresses become others. Ends
    /// with [`OpResult::NetworkChanged`].
    Move {
        node: NodeIndex,
        /// Where it is from then on.
        network: NetworkIndex,
        /// Its address there, which no other host of the run ever has.
        address: Ipv4Addr,
        /// Its IPv6 address there, if the network has any and the node listens at such addresses.
        #[serde(skip_serializing_if = "Option::is_none")]
        address6: Option<Ipv6Addr>,
    },
    /// Changes the model of a network's uplink; packets in flight keep their fate. Ends with [`OpResult::NetworkChanged`].
    SetLink {
        network: NetworkIndex,
        /// From the network outwards.
        up: Box<LinkConfig>,
        /// From outside into the network.
        down: Box<LinkConfig>,
    },
    /// Changes what a network's router lets through. Ends with [`OpResult::NetworkChanged`].
    SetFirewall {
        network: NetworkIndex,
        /// What it lets through from then on.
        policy: NetworkPolicy,
    },
    /// Lets nothing pass between nodes of different sides, or not in one direction. Ends with [`OpResult::NetworkChanged`].
    Partition {
        /// Identifies it among those in force.
        name: String,
        /// Nodes that reach each other, two sides at least.
        sides: Vec<Vec<NodeIndex>>,
        /// Which way it cuts.
        #[serde(skip_serializing_if = "CutDirection::is_both")]
        direction: CutDirection,
    },
    /// Ends partitions. Ends with [`OpResult::NetworkChanged`].
    Heal {
        /// The partitions meant.
        names: Vec<String>,
    },
    /// Has a node link to a peer, its target, as directly as possible. Ends with [`OpResult::Connected`].
    Connect {
        node: NodeIndex,
        /// The node to link to.
        peer: NodeIndex,
        /// A link counts that is up, and direct, by then.
        #[serde(serialize_with = "duration_text::serialize")]
        deadline: Duration,
    },
    /// Sends a request to a peer, its target: an answer proves that the link works. Ends with [`OpResult::PingAnswered`].
    Ping {
        node: NodeIndex,
        /// The node that answers.
        peer: NodeIndex,
        /// The op fails if the answer takes longer.
        #[serde(serialize_with = "duration_text::serialize")]
        deadline: Duration,
    },
    /// Has the disk of a node be full, or have room again. Ends with [`OpResult::StoreChanged`].
    FillDisk {
        node: NodeIndex,
        /// Whether it is full from then on.
        full: bool,
    },
    /// Damages blocks in the store of a node. Ends with [`OpResult::StoreChanged`].
    CorruptStore {
        node: NodeIndex,
        /// Share of the blocks, 0..1.
        share: f64,
        /// Decides which of the blocks.
        seed: u64,
    },
    /// Takes a snapshot of every live node. Ends with [`OpResult::Inspected`].
    Inspect,
    /// Takes every metric of every live node and router. Ends with [`OpResult::Sampled`].
    Sample,
}

impl Op {
    /// The node that acts, if one does.
    pub fn node(&self) -> Option<NodeIndex> {
        match self {
            Op::Start { node, .. }
            | Op::Kill { node }
            | Op::Stop { node }
            | Op::Pause { node }
            | Op::Resume { node }
            | Op::Move { node, .. }
            | Op::FillDisk { node, .. }
            | Op::CorruptStore { node, .. } => Some(*node),
            Op::Put { node, .. }
            | Op::Get { node, .. }
            | Op::GetAbsent { node, .. }
            | Op::Search { node, .. }
            | Op::Connect { node, .. }
            | Op::Ping { node, .. } => Some(*node),
            Op::Rebind { .. }
            | Op::SetLink { .. }
            | Op::SetFirewall { .. }
            | Op::Partition { .. }
            | Op::Heal { .. } => None,
            Op::Inspect | Op::Sample => None,
        }
    }

    /// The node that it starts or ends, as [`Op::lifecycle`] does: one such operation at a time, and none else of that node
    /// meanwhile.
    pub fn lifecycle_of(&self) -> Option<NodeIndex> {
        self.lifecycle().and(self.node())
    }

    /// Whether its node runs before it and not after it, or the other way about. `None` if it changes neither.
    pub fn lifecycle(&self) -> Option<Lifecycle> {
        match self {
            Op::Start { .. } | Op::Resume { .. } => Some(Lifecycle::Begins),
            Op::Kill { .. } | Op::Stop { .. } | Op::Pause { .. } => Some(Lifecycle::Ends),
            _ => None,
        }
    }

    /// Its name for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Start { .. } => "start",
            Op::Kill { .. } => "kill",
            Op::Stop { .. } => "stop",
            Op::Pause { .. } => "pause",
            Op::Resume { .. } => "resume",
            Op::Put { .. } => "put",
            Op::Get { .. } => "get",
            Op::GetAbsent { .. } => "get of an absent key",
            Op::Search { .. } => "search",
            Op::Rebind { .. } => "rebind",
            Op::Move { .. } => "move",
            Op::SetLink { .. } => "link change",
            Op::SetFirewall { .. } => "firewall change",
            Op::Partition { .. } => "partition",
            Op::Heal { .. } => "heal",
            Op::Connect { .. } => "connect",
            Op::Ping { .. } => "ping",
            Op::FillDisk { .. } => "change of a disk's room",
            Op::CorruptStore { .. } => "damage to a store",
            Op::Inspect => "inspection",
            Op::Sample => "sample",
        }
    }

    /// Its name for messages and counts, in the plural: `puts`.
    pub fn plural(&self) -> &'static str {
        match self {
            Op::Start { fresh: true, .. } => "fresh starts",
            Op::Start { fresh: false, .. } => "starts",
            Op::Kill { .. } => "kills",
            Op::Stop { .. } => "stops",
            Op::Pause { .. } => "pauses",
            Op::Resume { .. } => "resumes",
            Op::Put { .. } => "puts",
            Op::Get { .. } => "gets",
            Op::GetAbsent { .. } => "gets of absent keys",
            Op::Search { .. } => "searches",
            Op::Rebind { .. } => "rebinds",
            Op::Move { .. } => "moves",
            Op::SetLink { .. } => "link changes",
            Op::SetFirewall { .. } => "firewall changes",
            Op::Partition { .. } => "partitions",
            Op::Heal { .. } => "heals",
            Op::Connect { .. } => "connects",
            Op::Ping { .. } => "pings",
            Op::FillDisk { .. } => "changes of disks' room",
            Op::CorruptStore { .. } => "damages to stores",
            Op::Inspect => "inspections",
            Op::Sample => "samples",
        }
    }
}

/// What an operation does to its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// A node that is down runs: ends with [`OpResult::NodeStarted`].
    Begins,
    /// A node that runs does so no more: ends with [`OpResult::NodeStopped`].
    Ends,
}

/// What the peer or the item of an operation is called in this run: known only while it is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpTarget {
    /// The plan says all that the operation needs.
    #[default]
    InPlan,
    /// Identity of the peer.
    Peer(NodeId),
    /// The block that names the item.
    Item(BlockId),
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
    /// The router has taken the change, or the host.
    NetworkChanged,
    /// The disk or the store is changed.
    StoreChanged,
    /// The value has enough copies. Lists each of its blocks, the one that names the value first.
    Stored(Vec<BlockId>),
    /// The value was found.
    Found(FoundValue),
    /// The get ended without a value: every peer has answered.
    NotFound {
        /// The peers that were asked.
        asked: Vec<AskedPeerBody>,
        /// Query messages that it took.
        messages: u64,
    },
    /// The get ended without a value, and not every peer had answered.
    Incomplete {
        /// How many peers were asked, and what came of it.
        search: SearchBody,
        /// The peers that were asked.
        asked: Vec<AskedPeerBody>,
    },
    /// The search has ended.
    Searched(FoundHits),
    /// The node gave no answer to the get or the search in time.
    Unanswered,
    /// How the link runs.
    Connected(ConnectBody),
    /// The peer has answered.
    PingAnswered,
    /// One snapshot per live node that answered, in order of [`NodeIndex`].
    Inspected(Vec<NodeSnapshot>),
    /// The metrics of every live node and router that answered.
    Sampled(Vec<Scrape>),
    /// A node ended without being asked to. Completes no operation.
    NodeDied {
        /// The node that ended.
        node: NodeIndex,
        /// How it ended, with its last words.
        reason: String,
    },
    /// A router ended during the run. Completes no operation.
    RouterDied {
        /// The network that has no router any more.
        network: NetworkIndex,
        /// How it ended, with its last words.
        reason: String,
    },
    /// The operation failed or, in an event without one, something did not happen as planned.
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

/// What a search has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundHits {
    /// Ids of the hits, as they came.
    pub hits: Vec<BlockId>,
    /// How the search ended.
    pub end: SearchEndBody,
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
    /// Its last repairs that brought no copy, oldest first.
    pub failed_repairs: Vec<FailedRepairBody>,
}

/// A link at one moment, as one of its ends sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSnapshot {
    /// The node at the other end.
    pub peer: NodeId,
    /// The peer's address as seen from here; `None` when relayed.
    pub remote: Option<SocketAddr>,
}
