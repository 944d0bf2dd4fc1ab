//! What goes into a node and what comes out: the whole boundary between the pure core and the world.

use std::net::SocketAddr;

use super::blob::Blob;
use super::identity::NodeId;
use super::message::{Announcement, Message, Refusal};

/// Names a dial, so that its failure can be told from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// Names a command, so that its outcome can be handed to whoever gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// Names a request that a peer made to this node's application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// How a link runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// Between addresses of one network: a LAN, or the internet without a NAT between.
    Lan,
    /// To or from a public address.
    Direct,
    /// Between two NATs, after an introduction.
    Punched,
    /// Through an ambassador, which carries what it cannot read.
    Relayed,
}

/// Where a dial goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Straight to an address.
    Address(SocketAddr),
    /// Through the ambassador `relay`, to which a link is up.
    Relay {
        /// The ambassador.
        relay: NodeId,
    },
}

/// What happens to a node. `M` is the overlay's messages, `C` its commands.
#[derive(Debug)]
pub enum Input<M, C> {
    /// An authenticated link to `peer` is up, or an existing one now runs over a better path.
    LinkUp {
        /// Who is at the other end: proven.
        peer: NodeId,
        /// Its address as seen from here; `None` when relayed.
        remote: Option<SocketAddr>,
        /// Whether this side dialled.
        dialled: bool,
    },
    /// The last link to `peer` is gone: closed, or silent for the idle time.
    LinkDown {
        /// Who was at the other end.
        peer: NodeId,
    },
    /// A dial did not lead to a link.
    DialFailed {
        /// Which.
        dial: DialId,
    },
    /// A message over a link. It has the right shape and size; what it says is not to be trusted.
    Message {
        /// The authenticated sender.
        from: NodeId,
        /// What it says.
        message: Message<M>,
    },
    /// A discovery datagram. Nothing of it is authenticated.
    Heard {
        /// Where it came from.
        from: SocketAddr,
        /// What it says.
        announcement: Announcement,
    },
    /// A command from the application or the control API.
    Command {
        /// Comes back with the outcome.
        id: CommandId,
        /// What is wanted.
        command: Command<C>,
    },
    /// The application's answer to an [`Output::Request`].
    Reply {
        /// Which request.
        request: RequestId,
        /// The answer.
        result: Result<Blob, Refusal>,
    },
    /// The addresses at which this node listens have changed (or are known for the first time).
    Addresses(Vec<SocketAddr>),
    /// The deadline has come. Harmless when early.
    Wake,
}

/// What an application wants of its node.
#[derive(Debug)]
pub enum Command<C> {
    /// Ask `peer`'s server behaviour on `route`; ends with [`Outcome::Answered`].
    Ask {
        /// Whom: a known host or any linked peer.
        peer: NodeId,
        /// Which behaviour.
        route: String,
        /// What it is given.
        body: Blob,
    },
    /// Leave in good order: hand over what this node keeps, say goodbye; ends with [`Outcome::Left`].
    Leave,
    /// The overlay's.
    Overlay(C),
}

/// How a command ended. Every command ends exactly once. `O` is the overlay's outcomes.
#[derive(Debug)]
pub enum Outcome<O> {
    /// The peer's answer.
    Answered(Result<Blob, AskError>),
    /// This node has left and may be stopped.
    Left,
    /// The overlay's.
    Overlay(O),
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The peer said no.
    #[error("the peer refused: {0:?}")]
    Refused(Refusal),
    /// No link to the peer could be made.
    #[error("the peer cannot be reached")]
    Unreachable,
    /// No answer came in time. The peer may have acted on the request.
    #[error("no answer within the deadline")]
    TimedOut,
    /// Route or body are longer than a frame holds; nothing was sent.
    #[error("the route or the body is too long")]
    TooLarge,
    /// Too many requests are waiting; nothing was sent.
    #[error("too many requests are waiting")]
    Busy,
}

/// What a node wants done. `M` is the overlay's messages, `O` its outcomes.
#[derive(Debug)]
pub enum Output<M, O> {
    /// Over the existing link to `to`; dropped without a word if it has just gone (a [`Input::LinkDown`] follows).
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: Message<M>,
    },
    /// Make a link. Answered by [`Input::LinkUp`] or [`Input::DialFailed`], within the transport's dial time-out.
    Dial {
        /// Names it.
        dial: DialId,
        /// Who must be there; `None` if anybody may.
        peer: Option<NodeId>,
        /// Where.
        to: Target,
    },
    /// Close the link to `peer`. No [`Input::LinkDown`] follows.
    Close {
        /// Whom.
        peer: NodeId,
    },
    /// To the LAN's discovery group, on every interface.
    Announce(Announcement),
    /// In answer to an announcement.
    Unicast {
        /// Where it came from.
        to: SocketAddr,
        /// What.
        announcement: Announcement,
    },
    /// From now on, carry datagrams between these two linked peers, until either link is down (within the transport's quotas).
    AllowRelay {
        /// One side.
        a: NodeId,
        /// The other.
        b: NodeId,
    },
    /// A peer's request for the application. Answered by [`Input::Reply`].
    Request {
        /// Names it.
        request: RequestId,
        /// Who asks.
        from: NodeId,
        /// Which behaviour.
        route: String,
        /// What it is given.
        body: Blob,
    },
    /// A command has ended.
    Done {
        /// Which.
        id: CommandId,
        /// How.
        outcome: Outcome<O>,
    },
}

/// Where a node puts its outputs: an out-parameter, so that nothing queues inside and the core cannot be re-entered.
#[derive(Debug)]
pub struct Sink<M, O>(pub Vec<Output<M, O>>);

impl<M, O> Default for Sink<M, O> {
    fn default() -> Self {
        Sink(Vec::new())
    }
}

impl<M, O> Sink<M, O> {
    /// Adds an output.
    pub fn push(&mut self, output: Output<M, O>) {
        self.0.push(output);
    }

    /// Adds an [`Output::Send`].
    pub fn send(&mut self, to: NodeId, message: Message<M>) {
        self.push(Output::Send { to, message });
    }

    /// Adds an [`Output::Done`].
    pub fn done(&mut self, id: CommandId, outcome: Outcome<O>) {
        self.push(Output::Done { id, outcome });
    }
}
