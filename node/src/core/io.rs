//! What goes into a node and what comes out: the whole boundary between the pure core and the world.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::blob::Blob;
use super::contact::Contact;
use super::identity::NodeId;
use super::message::{Announcement, Message, Refusal};
use super::path::PathMeasurement;
use super::probe::Probe;
use super::storage::{StoreCompletion, StoreContents, StoreRequest};

/// Names a dial, so that its failure is not confused with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// Names a command, so that its outcome can be handed to whoever gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// Names a request that a peer made to this node's application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names one of this node's UDP sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

impl SocketId {
    /// The one at which it listens for peers. All others are extra: opened when something is first sent from them, on a port
    /// of the system's choice.
    pub const MAIN: SocketId = SocketId(0);
    /// An ambassador's second one, which answers probes: so that a peer sees whether its NAT treats another port differently.
    pub const ALTERNATE: SocketId = SocketId(1);
}

/// A port that the NAT on the way out forwards to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardedPort {
    /// The address on the NAT's outside that leads here.
    pub external_address: SocketAddr,
    /// For how long, unless it is asked for again.
    pub lifetime: Duration,
}

/// An address at which this node listens, with the size of the network that it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// The address and port at which peers on that network reach this node.
    pub address: SocketAddr,
    /// Length of the network's prefix, in bits.
    pub prefix_len: u8,
}

impl From<SocketAddr> for LocalAddress {
    /// For a network whose size is not known: a /24 or a /64.
    fn from(address: SocketAddr) -> Self {
        LocalAddress { address, prefix_len: if address.is_ipv4() { 24 } else { 64 } }
    }
}

impl LocalAddress {
    /// Whether `ip` is on the same network.
    pub fn is_near(&self, ip: IpAddr) -> bool {
        match (self.address.ip(), ip) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let host_bits = 32_u32.saturating_sub(self.prefix_len.into());
                let differ = u32::from(own) ^ u32::from(other);
                (own.is_loopback() && other.is_loopback()) || differ.checked_shr(host_bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let host_bits = 128_u32.saturating_sub(self.prefix_len.into());
                let differ = u128::from(own) ^ u128::from(other);
                differ.checked_shr(host_bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// How a link runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkPath {
    /// Between addresses of one network: a LAN, or the internet without a NAT between.
    Lan,
    /// To or from a public address.
    Direct,
    /// To or from a port that a NAT was asked to forward.
    Mapped,
    /// Between two NATs, after both sides have dialled each other at the same time.
    Punched,
    /// Between two NATs of which one gives every destination another port: the port was predicted, or found among many.
    Predicted,
    /// Through an ambassador, which carries what it cannot read.
    Relayed,
}

/// Where a dial goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialTarget {
    /// Straight to an address.
    Address(SocketAddr),
    /// Straight to an address, from that extra socket; packets from there have come through it.
    From {
        /// The socket, which stays open as long as the link.
        socket: SocketId,
        /// The address that is dialled.
        to: SocketAddr,
    },
    /// Through the ambassador `relay`, to which a link is up.
    Relay {
        /// The ambassador that carries the link.
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
    /// The path to a linked peer: when its link is up, when it has changed so that waits do, and in answer to
    /// [`Output::MeasurePath`].
    PathMeasured {
        /// The linked peer at its other end.
        peer: NodeId,
        /// The path of the link as it is now.
        path: PathMeasurement,
    },
    /// A dial did not lead to a link.
    DialFailed {
        /// The dial, as [`Output::Dial`] named it.
        dial: DialId,
    },
    /// A message over a link. It has the right shape and size; what it says is not to be trusted.
    Message {
        /// The sender, as the link has authenticated it.
        from: NodeId,
        /// The message, with valid shape and size.
        message: Message<M>,
    },
    /// A discovery datagram. Nothing of it is authenticated.
    Announcement {
        /// Where it came from.
        from: SocketAddr,
        /// The decoded datagram, not authenticated.
        announcement: Announcement,
    },
    /// A command from the application or the control API.
    Command {
        /// Comes back with the outcome.
        id: CommandId,
        /// The operation that the application requests.
        command: Command<C>,
    },
    /// The application's answer to an [`Output::Request`].
    Reply {
        /// The request, as [`Output::Request`] named it.
        request: RequestId,
        /// The response body, or why there is none.
        result: Result<Blob, Refusal>,
    },
    /// A probe. Nothing of it is authenticated.
    ProbeReceived {
        /// The own socket that it came to.
        socket: SocketId,
        /// Where it came from.
        from: SocketAddr,
        /// The decoded probe, not authenticated.
        probe: Probe,
    },
    /// An extra socket is open, in answer to [`Output::OpenSocket`].
    SocketOpened {
        /// The socket, as [`Output::OpenSocket`] named it.
        socket: SocketId,
        /// The local port that the system chose.
        port: u16,
    },
    /// What the NAT now forwards to this node, in answer to [`Output::MapPort`]; `None` if nothing.
    PortMapped(Option<ForwardedPort>),
    /// The addresses at which this node listens have changed (or are known for the first time).
    Addresses(Vec<LocalAddress>),
    /// What a name of [`super::config::Config::join_names`] stands for now, in answer to [`Output::Resolve`].
    Resolved {
        /// The name that was looked up.
        name: String,
        /// Its addresses of both families; none if it does not resolve.
        addresses: Vec<SocketAddr>,
    },
    /// The deadline has come. Harmless when early.
    Wake,
    /// There is a block store that outlives the node, with these contents: comes before any other input, or never.
    StoreOpened(StoreContents),
    /// An operation on the block store is complete, in answer to [`Output::Store`].
    Stored(StoreCompletion),
}

/// What an application wants of its node.
#[derive(Debug)]
pub enum Command<C> {
    /// Ask `peer`'s server behaviour on `route`; ends with [`Outcome::Answered`].
    Ask {
        /// The peer to ask: a known host or any linked peer.
        peer: NodeId,
        /// Route of the server behaviour, such as `reverse-message/`.
        route: String,
        /// The request body that the behaviour receives.
        body: Blob,
    },
    /// Link to `peer` as directly as possible; ends with [`Outcome::Connected`].
    Connect {
        /// The peer to link to.
        peer: NodeId,
        /// How it may be reached, if the application knows more than the node.
        contact: Option<Box<Contact>>,
    },
    /// Leave gracefully: hand over what this node stores and notify its peers; ends with [`Outcome::Left`].
    Leave,
    /// A command of the overlay's own.
    Overlay(C),
}

/// How a command ended. Every command ends exactly once. `O` is the overlay's outcomes.
#[derive(Debug)]
pub enum Outcome<O> {
    /// The peer's answer, or why there is none.
    Answered(Result<Blob, AskError>),
    /// How the link to the peer runs now that nothing better is to be expected, or the time is up.
    Connected(ConnectReport),
    /// This node has left and may be stopped.
    Left,
    /// An outcome of the overlay's own.
    Overlay(O),
}

/// What came of [`Command::Connect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectReport {
    /// How the link runs; `None` if there is none.
    pub path: Option<LinkPath>,
    /// Time from the command to the first usable link; zero if there was one.
    pub took: Option<Duration>,
    /// Time from the command to the first link that needs no relay.
    pub direct_after: Option<Duration>,
    /// Tries to get past the relay, by simultaneous dials and by probing.
    pub tries: u32,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The peer answered with a refusal.
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
        /// The linked peer that receives it.
        to: NodeId,
        /// The message to send over the link.
        message: Message<M>,
    },
    /// Make a link. Answered by [`Input::LinkUp`] or [`Input::DialFailed`], within the transport's dial time-out.
    Dial {
        /// Identifies the dial in its answer.
        dial: DialId,
        /// The peer that must answer; `None` if any may.
        peer: Option<NodeId>,
        /// The address or the relay to dial.
        to: DialTarget,
    },
    /// Close the link to `peer`. No [`Input::LinkDown`] follows.
    Close {
        /// The peer whose link is closed.
        peer: NodeId,
    },
    /// Measure the path to a linked peer. Answered at once by [`Input::PathMeasured`]; not at all without a link.
    MeasurePath {
        /// The peer at its other end.
        peer: NodeId,
    },
    /// To the LAN's discovery group, on every interface.
    Announce(Announcement),
    /// In answer to an announcement.
    Unicast {
        /// Where it came from.
        to: SocketAddr,
        /// The datagram that is sent back.
        announcement: Announcement,
    },
    /// From now on, carry datagrams between these two linked peers, until either link is down (within the transport's quotas).
    AllowRelay {
        /// One peer of the pair.
        a: NodeId,
        /// The other peer of the pair.
        b: NodeId,
    },
    /// Send a probe; the socket is opened if it is extra and new.
    Probe {
        /// The socket that sends the probe.
        socket: SocketId,
        /// The address that is probed.
        to: SocketAddr,
        /// The probe to encode and send.
        probe: Probe,
    },
    /// Open an extra socket and listen. Answered by [`Input::SocketOpened`], unless the system refuses one.
    OpenSocket {
        /// The socket to open.
        socket: SocketId,
    },
    /// The node's peer may dial an extra socket from this address: what comes from there is its handshake. Holds until the socket
    /// is closed.
    ExpectDial {
        /// The socket, which is open.
        socket: SocketId,
        /// The address that the peer's probes have come from.
        from: SocketAddr,
    },
    /// An extra socket is not needed any more. One that carries a link stays open until the link is down.
    CloseSocket {
        /// The socket to close.
        socket: SocketId,
    },
    /// Ask the NAT to forward a port to this node (PCP, NAT-PMP, UPnP). Answered by [`Input::PortMapped`]. Asked again to renew.
    MapPort {
        /// The own port, at which the node listens.
        port: u16,
        /// How long it is to last.
        lifetime: Duration,
    },
    /// Look up the addresses of a name, HOST:PORT. Answered by [`Input::Resolved`].
    Resolve {
        /// The name, as configured.
        name: String,
    },
    /// A peer's request for the application. Answered by [`Input::Reply`].
    Request {
        /// Identifies the request in its reply.
        request: RequestId,
        /// The authenticated peer that asks.
        from: NodeId,
        /// Route of the server behaviour that is asked for.
        route: String,
        /// The request body that the behaviour receives.
        body: Blob,
    },
    /// Execute an operation on the block store. Answered by [`Input::Stored`].
    Store(StoreRequest),
    /// A command has brought a part of its result; its end follows.
    Partial {
        /// The command, as [`Input::Command`] named it.
        id: CommandId,
        /// The part of the result.
        outcome: Outcome<O>,
    },
    /// A command has ended.
    Done {
        /// The command, as [`Input::Command`] named it.
        id: CommandId,
        /// How the command ended.
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
    /// Appends an output to those of this call.
    pub fn push(&mut self, output: Output<M, O>) {
        self.0.push(output);
    }

    /// Appends an [`Output::Send`] to those of this call.
    pub fn send(&mut self, to: NodeId, message: Message<M>) {
        self.push(Output::Send { to, message });
    }

    /// Appends an [`Output::Done`] to those of this call.
    pub fn done(&mut self, id: CommandId, outcome: Outcome<O>) {
        self.push(Output::Done { id, outcome });
    }
}
