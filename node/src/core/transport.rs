//! What every transport has in common: the events it reports to a node, and the constants it keeps to.
//!
//! Two transports exist: QUIC over real sockets (the `driver`), and the simulator's model of it. Both report
//! [`TransportEvent`]s, and both take their time-outs, limits and relay quotas from here.

use std::net::SocketAddr;
use std::time::Duration;

use super::identity::NodeId;
use super::io::{DialId, ForwardedPort, Input, SocketId};
use super::message::{Announcement, Message};
use super::path::{PathEstimate, PathMeasurement};
use super::patience::{self, Bounds};
use super::probe::Probe;
use super::time::Time;

/// Longest time from a dial to its [`Input::LinkUp`] or [`Input::DialFailed`].
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which a link counts as down: see [`idle_wait`].
pub const IDLE: Bounds = Bounds::new(Duration::from_secs(5), Duration::from_secs(15));
/// Probe time-outs of silence after which a link counts as down. Losses come in bursts: on a slow path, so many packets of
/// either side would have to be lost in a row.
const IDLE_PROBE_TIMEOUTS: u32 = 20;
/// Pause between keep-alives of an idle link. Two may be lost before [`IDLE`] is over, and the mapping of a NAT (30 s)
/// never expires.
pub const KEEP_ALIVE: Duration = Duration::from_millis(1_500);
/// Pause between checks of links: a client may migrate to another address (RFC 9000 §9), and a path may change.
pub const LINK_CHECK_EVERY: Duration = Duration::from_millis(500);
/// Least pause between two reports of a changed path: see [`TransportEvent::PathMeasured`].
pub const PATH_REPORT_PAUSE: Duration = Duration::from_millis(200);
/// Extra sockets that a node may have open at once. Hole punching with one peer opens 256 at most.
pub const EXTRA_SOCKETS_MAX: usize = 768;

/// Silence after which a link over this path counts as down. The transport closes it then.
pub fn idle_wait(path: &PathMeasurement) -> Duration {
    let estimate = PathEstimate::new(Time::ZERO, Time::ZERO, path);
    IDLE.clamp(IDLE_PROBE_TIMEOUTS * patience::probe_timeout(&estimate))
}

/// What an ambassador carries for others at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayQuota {
    /// Pairs of peers that it relays between at once.
    pub pairs: usize,
    /// Bytes per second for one pair in both directions together; also the largest burst.
    pub pair_rate: u64,
    /// Bytes per second for all pairs together; also the largest burst.
    pub total_rate: u64,
}

impl RelayQuota {
    /// The quota of a node that is configured as an ambassador.
    pub const AMBASSADOR: Self = RelayQuota { pairs: 4_096, pair_rate: 1 << 20, total_rate: 16 << 20 };
    /// The quota of a node that serves because it found itself publicly reachable.
    pub const VOLUNTEER: Self = RelayQuota { pairs: 128, pair_rate: 1 << 18, total_rate: 1 << 21 };

    /// The quota of a node that is configured as an ambassador, or is not.
    pub fn of(ambassador: bool) -> Self {
        if ambassador { RelayQuota::AMBASSADOR } else { RelayQuota::VOLUNTEER }
    }
}

/// What a transport reports to its node. `M` is the overlay's messages. [`Input::from`] hands it to the core.
#[derive(Debug)]
pub enum TransportEvent<M> {
    /// A link is up: see [`Input::LinkUp`].
    LinkUp {
        /// The authenticated peer at the other end.
        peer: NodeId,
        /// The peer's address as seen from here; `None` if the link is relayed.
        remote: Option<SocketAddr>,
        /// Whether this side dialled.
        dialled: bool,
    },
    /// A link is down: see [`Input::LinkDown`].
    LinkDown {
        /// The peer at the other end.
        peer: NodeId,
    },
    /// A path was measured: see [`Input::PathMeasured`].
    PathMeasured {
        /// The linked peer at its other end.
        peer: NodeId,
        /// The path of the link as it is now.
        path: PathMeasurement,
    },
    /// A dial has failed: see [`Input::DialFailed`].
    DialFailed {
        /// Names the dial that failed.
        dial: DialId,
    },
    /// A message has arrived: see [`Input::Message`].
    Message {
        /// The sender, as the link has authenticated it.
        from: NodeId,
        /// A message that is well-formed, and not to be trusted.
        message: Message<M>,
        /// Length of its frame, in bytes.
        bytes: u32,
    },
    /// A discovery datagram has arrived: see [`Input::Announcement`].
    Announcement {
        /// The address that it came from.
        from: SocketAddr,
        /// A datagram that is not authenticated.
        announcement: Announcement,
    },
    /// A probe has arrived: see [`Input::ProbeReceived`].
    ProbeReceived {
        /// The own socket that it came to.
        socket: SocketId,
        /// The address that it came from.
        from: SocketAddr,
        /// A datagram that is not authenticated.
        probe: Probe,
    },
    /// An extra socket is open: see [`Input::SocketOpened`].
    SocketOpened {
        /// The extra socket that is open now.
        socket: SocketId,
        /// The port that the system chose for it.
        port: u16,
    },
    /// The NAT has answered: see [`Input::PortMapped`].
    PortMapped(Option<ForwardedPort>),
    /// The node's deadline has come: see [`Input::Wake`].
    Wake,
}

impl<M> TransportEvent<M> {
    /// Bytes of messages that this event carries, as [`crate::core::NodeCore::count_received`] counts them.
    pub fn message_bytes(&self) -> u64 {
        match self {
            TransportEvent::Message { bytes, .. } => u64::from(*bytes),
            _ => 0,
        }
    }
}

impl<M, C> From<TransportEvent<M>> for Input<M, C> {
    fn from(event: TransportEvent<M>) -> Self {
        match event {
            TransportEvent::LinkUp { peer, remote, dialled } => Input::LinkUp { peer, remote, dialled },
            TransportEvent::LinkDown { peer } => Input::LinkDown { peer },
            TransportEvent::PathMeasured { peer, path } => Input::PathMeasured { peer, path },
            TransportEvent::DialFailed { dial } => Input::DialFailed { dial },
            TransportEvent::Message { from, message, .. } => Input::Message { from, message },
            TransportEvent::Announcement { from, announcement } => Input::Announcement { from, announcement },
            TransportEvent::ProbeReceived { socket, from, probe } => Input::ProbeReceived { socket, from, probe },
            TransportEvent::SocketOpened { socket, port } => Input::SocketOpened { socket, port },
            TransportEvent::PortMapped(port) => Input::PortMapped(port),
            TransportEvent::Wake => Input::Wake,
        }
    }
}
