//! What the control API says: the paths, headers and JSON shapes that a node serves and its clients read.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /v1/status` | [`StatusBody`] |
//! | `GET /v1/peers` | [`PeersBody`] |
//! | `GET /v1/snapshot` | [`SnapshotBody`] |
//! | `POST /v1/blobs`, the value as body | 201 [`PutBody`]; 413 too large, 507 full, 504 too few copies in time, with [`ShortageBody`] |
//! | `POST /v1/blobs?keywords=a,b` | the same, with words by which the value is found |
//! | `GET /v1/search?q=rust%20AND%20nat&limit=20&timeout=5s` | a [`SearchLine`] for each hit as it comes, then one for the end; 400 names the place of an error in the query |
//! | `GET /v1/blobs/{id}` | the value, with [`HOPS_HEADER`] and [`MESSAGES_HEADER`]; 404 not found, 504 incomplete at the deadline, with [`SearchBody`] |
//! | `POST /v1/connect/{id}` | [`ConnectBody`], once the link to that peer is as direct as it will be |
//! | `POST /v1/ping/{id}` | 204 once that peer has answered a request; 502 it cannot be reached, 504 no answer within the deadline |
//! | `POST /v1/start` | 204; starts a node that is paused at start, and changes nothing on one that runs |
//! | `POST /v1/leave` | 202: the node hands over what it keeps, and ends |
//! | `GET /metrics` | Prometheus' text format |
//!
//! Whatever is not a success has an [`ErrorBody`]; 503 means that the node is paused at start, has too many requests in hand or is stopping. A node that listens elsewhere than on loopback wants
//! `Authorization: Bearer TOKEN` with each request.

use std::net::SocketAddr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::NatStatus;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::io::{ConnectReport, LinkPath};
use crate::core::nat_report::MappingBehaviour;
use crate::overlay::data::{AskedPeer, CopyShortage, PeerAnswer, SearchTally};

mod failed_repair;
mod search;

pub use failed_repair::{FailedRepairBody, RepairFailureBody};
pub use search::{HitBody, KEYWORDS_PARAMETER, SEARCH_PATH, SearchEndBody, SearchLine, keywords_path, search_path};

/// Header of a found value: hops from the node to whoever had its first block.
pub const HOPS_HEADER: &str = "butter-hops";
/// Header of a found value: query messages that it took.
pub const MESSAGES_HEADER: &str = "butter-messages";
/// Header of a get that asks for the peers that it has asked; of a found value: these, as JSON (a list of [`AskedPeerBody`]).
pub const TRACE_HEADER: &str = "butter-trace";
/// Path that serves [`StatusBody`] to GET requests.
pub const STATUS_PATH: &str = "/v1/status";
/// Path that serves [`PeersBody`] to GET requests.
pub const PEERS_PATH: &str = "/v1/peers";
/// Path that serves [`SnapshotBody`] to GET requests.
pub const SNAPSHOT_PATH: &str = "/v1/snapshot";
/// Path of values; `/v1/blobs/{id}` is one.
pub const BLOBS_PATH: &str = "/v1/blobs";
/// Path of links that are wanted: `/v1/connect/{id}` is one to that peer.
pub const CONNECT_PATH: &str = "/v1/connect";
/// Path of requests that only show that a peer answers: `/v1/ping/{id}` is one to that peer.
pub const PING_PATH: &str = "/v1/ping";
/// Path that starts a node which is paused at start.
pub const START_PATH: &str = "/v1/start";
/// Path to have the node leave.
pub const LEAVE_PATH: &str = "/v1/leave";
/// Path of the metrics.
pub const METRICS_PATH: &str = "/metrics";

/// A node, at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusBody {
    /// The node's identity, its public key.
    pub id: NodeId,
    /// Version of the program.
    pub version: String,
    /// Seconds since it started.
    pub uptime_s: f64,
    /// Whether it serves as an ambassador.
    pub ambassador: bool,
    /// Where it listens for peers on its own network.
    pub addresses: Vec<SocketAddr>,
    /// Its address as peers on other networks see it, once one has reported it.
    pub external_address: Option<SocketAddr>,
    /// What is known of the NAT before it; `None` before it had a reason to look.
    #[serde(default)]
    pub nat: Option<NatBody>,
    /// Where another node with the same identity was heard on the LAN: each takes the other's links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub double: Option<SocketAddr>,
    /// The ambassador through which it can be met.
    pub via: Option<ViaBody>,
    /// Peers in the active view.
    pub neighbours: u64,
    /// Hosts known, neighbours included.
    pub known_hosts: u64,
    /// What it keeps for the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageBody>,
    /// Peer Content Groups that it leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupsBody>,
}

/// What the NAT before a node does, in the order of how easily it is crossed: as [`crate::core::NatStatus`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NatBody {
    /// There is none: the node is seen at an address of its own.
    None,
    /// A socket has one outside port for all destinations: endpoint-independent mapping (RFC 4787).
    EndpointIndependent,
    /// Another outside port for each destination, one after the other.
    Sequential,
    /// Another outside port for each destination, which cannot be predicted.
    Random,
}

impl NatBody {
    /// A phrase for tables, in plain words.
    pub fn describe(self) -> &'static str {
        match self {
            NatBody::None => "none",
            NatBody::EndpointIndependent => "one external port for all destinations",
            NatBody::Sequential => "another external port for each destination, in sequence",
            NatBody::Random => "another external port for each destination, at random",
        }
    }
}

impl From<NatStatus> for NatBody {
    fn from(nat: NatStatus) -> Self {
        match nat {
            NatStatus::Absent => NatBody::None,
            NatStatus::Translated(MappingBehaviour::EndpointIndependent) => NatBody::EndpointIndependent,
            NatStatus::Translated(MappingBehaviour::Sequential { .. }) => NatBody::Sequential,
            NatStatus::Translated(MappingBehaviour::Random) => NatBody::Random,
        }
    }
}

/// An ambassador through which a node can be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViaBody {
    /// The ambassador's identity, its public key.
    pub id: NodeId,
    /// The address at which the ambassador listens.
    pub address: SocketAddr,
}

/// Storage that a node gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageBody {
    /// Number of blocks that the node keeps.
    pub blocks: u64,
    /// What these blocks cost, in bytes, overhead included.
    pub bytes: u64,
    /// Most bytes that it keeps.
    pub limit_bytes: u64,
    /// Whether the blocks outlive the node.
    #[serde(default)]
    pub place: StoragePlace,
    /// Why it takes no blocks, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Where a node keeps blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoragePlace {
    /// They end with the node.
    #[default]
    Memory,
    /// They are there after a restart.
    Disk,
}

/// Peer Content Groups by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsBody {
    /// Groups with fewer members than `replicas` ("cold").
    pub under_replicated: u64,
    /// Groups with `replicas` members ("goldilocks").
    pub healthy: u64,
    /// Groups with more members than `replicas` ("hot").
    pub over_replicated: u64,
}

/// Every host that a node knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PeersBody {
    /// Every known host, neighbours first.
    pub peers: Vec<PeerBody>,
}

/// A known host, as the node has heard of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerBody {
    /// The host's identity, its public key.
    pub id: NodeId,
    /// Whether it is in the active view.
    pub neighbour: bool,
    /// Whether it is an ambassador.
    pub ambassador: bool,
    /// Where it listens on its own network.
    pub local: Vec<SocketAddr>,
    /// Its address as other networks see it.
    pub external_address: Option<SocketAddr>,
    /// The ambassador through which it can be met.
    pub via: Option<ViaBody>,
    /// The link to it, if there is one.
    pub link: Option<LinkBody>,
}

/// A link that is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkBody {
    /// The peer's address as seen from here; `None` when relayed.
    pub remote: Option<SocketAddr>,
    /// How the link runs; `None` while it comes up.
    pub path: Option<PathBody>,
    /// Whether this side dialled.
    pub dialled: bool,
    /// Smoothed round trip, in microseconds.
    pub rtt_us: u64,
}

/// What came of a link that was wanted: as [`ConnectReport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectBody {
    /// How it runs; `None` if there is none.
    pub path: Option<PathBody>,
    /// Until the first usable link, in microseconds.
    pub took_us: Option<u64>,
    /// Until the first link without a relay, in microseconds.
    pub direct_us: Option<u64>,
    /// Tries to get past the relay.
    pub tries: u32,
}

impl From<ConnectReport> for ConnectBody {
    fn from(report: ConnectReport) -> Self {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        ConnectBody {
            path: report.path.map(Into::into),
            took_us: report.took.map(micros),
            direct_us: report.direct_after.map(micros),
            tries: report.tries,
        }
    }
}

/// How a link runs: as [`LinkPath`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathBody {
    /// Within one network; see [`LinkPath::Lan`].
    Lan,
    /// To a public address; see [`LinkPath::Direct`].
    Direct,
    /// To a forwarded port; see [`LinkPath::Mapped`].
    Mapped,
    /// By simultaneous dials; see [`LinkPath::Punched`].
    Punched,
    /// By a predicted port; see [`LinkPath::Predicted`].
    Predicted,
    /// Through an ambassador; see [`LinkPath::Relayed`].
    Relayed,
}

impl PathBody {
    /// As in JSON and in the label `path` of metrics.
    pub fn name(self) -> &'static str {
        match self {
            PathBody::Lan => "lan",
            PathBody::Direct => "direct",
            PathBody::Mapped => "mapped",
            PathBody::Punched => "punched",
            PathBody::Predicted => "predicted",
            PathBody::Relayed => "relayed",
        }
    }
}

impl From<LinkPath> for PathBody {
    fn from(path: LinkPath) -> Self {
        match path {
            LinkPath::Lan => PathBody::Lan,
            LinkPath::Direct => PathBody::Direct,
            LinkPath::Mapped => PathBody::Mapped,
            LinkPath::Punched => PathBody::Punched,
            LinkPath::Predicted => PathBody::Predicted,
            LinkPath::Relayed => PathBody::Relayed,
        }
    }
}

impl PeerBody {
    /// `contact`, as it is shown.
    pub fn new(contact: &Contact, neighbour: bool, link: Option<LinkBody>) -> Self {
        PeerBody {
            id: contact.id,
            neighbour,
            ambassador: contact.ambassador,
            local: contact.local.clone(),
            external_address: contact.external_address,
            via: contact.via.map(|via| ViaBody { id: via.id, address: via.address }),
            link,
        }
    }
}

/// A node at one moment, for testbeds: its known hosts, links and blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotBody {
    /// The node's identity, its public key.
    pub id: NodeId,
    /// Its known hosts, neighbours first.
    pub known_hosts: Vec<NodeId>,
    /// How many of those are neighbours.
    pub neighbours: usize,
    /// Every link that is up.
    pub links: Vec<SnapshotLinkBody>,
    /// Blocks that it holds.
    pub blocks: Vec<BlockId>,
    /// Its last repairs that brought no copy, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_repairs: Vec<FailedRepairBody>,
}

/// A link, at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotLinkBody {
    /// The peer at the other end.
    pub peer: NodeId,
    /// The peer's address as seen from here; `None` when relayed.
    pub remote: Option<SocketAddr>,
}

/// A value that was stored: each of its blocks has as many copies as are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBody {
    /// What to ask for.
    pub id: BlockId,
    /// Every block of it, the one named by `id` first.
    pub blocks: Vec<BlockId>,
    /// From the command to the last acknowledgement, in microseconds.
    pub took_us: u64,
}

/// The body of every response that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The cause, in plain words.
    pub error: String,
    /// What the user can do about it, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Of a get that is incomplete: how many peers were asked, and what came of it.
    #[serde(flatten)]
    pub search: Option<SearchBody>,
    /// Of a put that made too few copies: what is missing, and why.
    #[serde(flatten)]
    pub shortage: Option<ShortageBody>,
    /// Of a get that ended without its value: query messages that it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// Of a get: the peers that it has asked, at most the first 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked_peers: Vec<AskedPeerBody>,
}

impl ErrorBody {
    /// A cause without further facts.
    pub fn new(error: impl ToString) -> Self {
        let error = error.to_string();
        ErrorBody { error, remedy: None, search: None, shortage: None, messages: None, asked_peers: Vec::new() }
    }
}

/// A question of a get to a peer: as [`AskedPeer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedPeerBody {
    /// The peer that was asked.
    pub peer: NodeId,
    /// Time from the command to the question, in microseconds.
    pub after_us: u64,
    /// How the link ran then; `None` if it had to be made first.
    pub path: Option<PathBody>,
    /// Time from the question to its end, in microseconds; `None` without an end.
    pub took_us: Option<u64>,
    /// What came of it.
    pub answer: AnswerBody,
}

/// What came of a question to a peer: as [`PeerAnswer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerBody {
    /// See [`PeerAnswer::Silent`].
    Silent,
    /// See [`PeerAnswer::Had`].
    Had,
    /// See [`PeerAnswer::Lacked`].
    Lacked,
    /// See [`PeerAnswer::Unreachable`].
    Unreachable,
}

impl From<&AskedPeer> for AskedPeerBody {
    fn from(asked: &AskedPeer) -> Self {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        AskedPeerBody {
            peer: asked.peer,
            after_us: micros(asked.after),
            path: asked.path.map(Into::into),
            took_us: asked.took.map(micros),
            answer: match asked.answer {
                PeerAnswer::Silent => AnswerBody::Silent,
                PeerAnswer::Had => AnswerBody::Had,
                PeerAnswer::Lacked => AnswerBody::Lacked,
                PeerAnswer::Unreachable => AnswerBody::Unreachable,
            },
        }
    }
}

/// The peers that an incomplete search has asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchBody {
    /// Peers that were asked; a flooded query counts each of its messages.
    pub asked: u32,
    /// Peers that have answered.
    pub answered: u32,
    /// Peers that were linked and had not answered at the deadline.
    pub timed_out: u32,
    /// Peers whose link was lost or could not be made.
    pub unreachable: u32,
}

impl From<SearchTally> for SearchBody {
    fn from(tally: SearchTally) -> Self {
        let SearchTally { asked, answered, timed_out, unreachable, .. } = tally;
        SearchBody { asked, answered, timed_out, unreachable }
    }
}

/// What a put lacked at its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortageBody {
    /// The id under which the copies that were made can be found.
    pub id: BlockId,
    /// Copies of the block with the fewest.
    pub copies: usize,
    /// Copies wanted: the setting `replicas`.
    pub wanted: usize,
    /// Number of blocks with too few copies.
    pub lacking: usize,
    /// Number of blocks of the value.
    pub blocks: usize,
    /// Peers that refused for lack of room.
    pub no_room: usize,
    /// Peers that could not write a block.
    pub store_failed: usize,
    /// Peers that are leaving the network.
    pub leaving: usize,
    /// Peers that had not answered at the deadline.
    pub unanswered: usize,
}

impl ShortageBody {
    /// What the put of the value with this id lacked.
    pub fn new(id: BlockId, shortage: CopyShortage) -> Self {
        let CopyShortage { copies, wanted, lacking, blocks, no_room, store_failed, leaving, unanswered } = shortage;
        ShortageBody { id, copies, wanted, lacking, blocks, no_room, store_failed, leaving, unanswered }
    }

    /// The same as the overlay says it.
    pub fn shortage(self) -> CopyShortage {
        let ShortageBody { copies, wanted, lacking, blocks, no_room, store_failed, leaving, unanswered, .. } = self;
        CopyShortage { copies, wanted, lacking, blocks, no_room, store_failed, leaving, unanswered }
    }
}

macro_rules! as_text {
    ($($id:ty),*) => {$(
        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

// Here and not beside the ids: the core has no JSON.
as_text!(NodeId, BlockId);
