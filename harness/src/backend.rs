//! What a plan is played on. Nothing above this file knows which backend runs.

pub mod sim;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use butter::api::Linked;
use butter::core::identity::{BlockId, NodeId};
use bytes::Bytes;

use crate::events::RunTime;
use crate::net::link::LinkConfig;
use crate::plan::{NetworkIndex, NodeIndex};

pub mod docker;
pub(crate) mod fleet;
pub(crate) mod namespace;
pub mod netns;

/// A way to run nodes and the networks between them.
///
/// Work is asked for with [`Backend::submit`], which never waits, and reported by [`Backend::next`]: so a timeline is kept
/// however long the engine takes. Whatever is submitted is reported exactly once, within a deadline that the backend keeps.
#[expect(async_fn_in_trait, reason = "played on one task; no Send bound is wanted")]
pub trait Backend {
    /// `docker`, `netns`, `sim`.
    fn name(&self) -> &'static str;

    /// Creates every network and router, starts every node that runs from the start, and returns when all of them answer.
    /// The run's clock starts then. `progress` is told what is being done.
    async fn up(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError>;

    /// The run's clock.
    fn now(&self) -> RunTime;

    /// Begins an action.
    fn submit(&mut self, op: OpId, action: Action);

    /// The next report, or `None` when the run's clock reaches `until` before one comes.
    async fn next(&mut self, until: RunTime) -> Option<Report>;

    /// Removes everything. Called once, also after a failed [`Backend::up`].
    ///
    /// # Errors
    /// With the list of what could not be removed.
    async fn down(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError>;
}

/// Names a submitted action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// What a backend can be asked to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Start a node that does not run.
    Start {
        /// Which.
        node: NodeIndex,
        /// A new identity and an empty store.
        fresh: bool,
    },
    /// Silence a node at once.
    Kill {
        /// Which.
        node: NodeIndex,
    },
    /// Have a node leave in good order.
    Stop {
        /// Which.
        node: NodeIndex,
    },
    /// Have a node store a value.
    Put {
        /// Which.
        node: NodeIndex,
        /// The value.
        value: Bytes,
    },
    /// Have a node fetch a value.
    Get {
        /// Which.
        node: NodeIndex,
        /// Its id.
        id: BlockId,
    },
    /// Have a network's NAT forget every mapping. Ends with [`Told::Changed`].
    Rebind {
        /// Whose.
        network: NetworkIndex,
        /// Its addresses outside from then on.
        addresses: Vec<Ipv4Addr>,
    },
    /// Change a network's uplink; packets on it keep their fate. Ends with [`Told::Changed`].
    SetLink {
        /// Whose.
        network: NetworkIndex,
        /// From the network outwards.
        up: Box<LinkConfig>,
        /// From outside into the network.
        down: Box<LinkConfig>,
    },
    /// Have a node link to another as directly as possible.
    Link {
        /// Which.
        node: NodeIndex,
        /// To whom.
        peer: NodeId,
    },
    /// Have a node ask another for anything: an answer shows that the link between them carries. Ends with [`Told::Answered`].
    Ask {
        /// Which.
        node: NodeIndex,
        /// Whom.
        peer: NodeId,
        /// How long that may take.
        within: Duration,
    },
    /// Look at every live node: who it is, whom it knows, to whom it is linked, what it holds.
    Look,
    /// Take every metric of every live node and router.
    Sample,
}

/// What a backend has to tell.
#[derive(Debug)]
pub struct Report {
    /// When it happened.
    pub at: RunTime,
    /// Which action it ends; `None` for what happened by itself.
    pub op: Option<OpId>,
    /// What.
    pub what: Told,
}

/// What happened.
#[derive(Debug)]
pub enum Told {
    /// A node runs and answers.
    Started {
        /// Who it is.
        id: NodeId,
    },
    /// A node was silenced or has left.
    Ended,
    /// A router was changed.
    Changed,
    /// A value has r copies: every block of it, the one that names it first.
    Stored(Vec<BlockId>),
    /// A value was found.
    Found(FoundValue),
    /// A get ended without a value; whether the node is sure that nobody has it.
    NotFound {
        /// Sure, or out of time.
        sure: bool,
    },
    /// How the link runs, as asked by [`Action::Link`].
    Linked(Linked),
    /// The peer has answered, as asked by [`Action::Ask`].
    Answered,
    /// As asked by [`Action::Look`]: one entry per live node that answered, in order of [`NodeIndex`].
    Seen(Vec<NodeView>),
    /// As asked by [`Action::Sample`].
    Sampled(Vec<Scrape>),
    /// The action failed, or (without an op) a node ended by itself.
    Failed {
        /// Which node, if it was about one.
        node: Option<NodeIndex>,
        /// Why, for a person.
        why: String,
    },
}

/// A value that a node found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundValue {
    /// Its bytes.
    pub value: Bytes,
    /// Hops to whoever had the first block.
    pub hops: u32,
    /// Query messages that it took.
    pub messages: u64,
}

/// A live node, looked at.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// Which.
    pub node: NodeIndex,
    /// Who it is.
    pub id: NodeId,
    /// Whom it knows: neighbours first.
    pub known_hosts: Vec<NodeId>,
    /// How many of those are neighbours.
    pub neighbours: usize,
    /// Its links.
    pub links: Vec<LinkView>,
    /// Blocks that it holds.
    pub blocks: Vec<BlockId>,
}

/// A link, looked at from one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// To whom.
    pub peer: NodeId,
    /// The peer's address as seen from here; `None` when relayed.
    pub remote: Option<SocketAddr>,
}

/// The metrics of one node or router at one moment.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// Of what.
    pub source: Source,
    /// Every series that it exposes.
    pub series: Vec<Series>,
}

/// What was scraped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A node.
    Node(NodeIndex),
    /// The router of a network.
    Router(NetworkIndex),
}

/// One series of a metric, as Prometheus' text format has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name of the series: for a histogram with its `_bucket`, `_sum` or `_count`.
    pub name: Arc<str>,
    /// Its labels, in the order exposed.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// Its value.
    pub value: f64,
}

/// Who is told what is being done, for people who wait.
pub trait Progress {
    /// A new activity begins: `starting nodes`, of `total` parts, or of an unknown number when 0.
    fn begin(&mut self, what: &str, total: u64);
    /// So many parts are done.
    fn advance(&mut self, done: u64);
    /// A line to keep: a choice made, a warning.
    fn note(&mut self, line: &str);
}

/// The environment failed: exit status 3.
#[derive(Debug)]
pub struct BackendError {
    /// What failed, with its causes.
    pub what: anyhow::Error,
    /// What to do about it, if that is known.
    pub remedy: Option<String>,
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n{remedy}"),
            None => Ok(()),
        }
    }
}

impl From<anyhow::Error> for BackendError {
    fn from(what: anyhow::Error) -> Self {
        BackendError { what, remedy: None }
    }
}
