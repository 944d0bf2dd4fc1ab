//! What reaches a node.

use std::net::SocketAddr;

use butter::core::identity::NodeId;
use butter::core::io::{DialId, ForwardedPort, SocketId};
use butter::core::message::{Announcement, Message};
use butter::core::probe::Probe;

/// What reaches a node.
#[derive(Debug)]
pub enum Arrival<M> {
    /// As [`butter::core::io::Input::LinkUp`].
    LinkUp {
        /// Who.
        peer: NodeId,
        /// Its address as seen from here; `None` when relayed.
        remote: Option<SocketAddr>,
        /// Whether this side dialled.
        dialled: bool,
    },
    /// As [`butter::core::io::Input::LinkDown`].
    LinkDown {
        /// Who.
        peer: NodeId,
    },
    /// As [`butter::core::io::Input::DialFailed`].
    DialFailed {
        /// Which.
        dial: DialId,
    },
    /// As [`butter::core::io::Input::Message`].
    Message {
        /// Who says it.
        from: NodeId,
        /// What.
        message: Message<M>,
        /// Length of its frame, in bytes.
        bytes: u32,
    },
    /// As [`butter::core::io::Input::Announcement`].
    Heard {
        /// Where it came from.
        from: SocketAddr,
        /// What.
        announcement: Announcement,
    },
    /// As [`butter::core::io::Input::ProbeReceived`].
    Probed {
        /// The socket that it came to.
        socket: SocketId,
        /// Where it came from.
        from: SocketAddr,
        /// What it says.
        probe: Probe,
    },
    /// As [`butter::core::io::Input::SocketOpened`].
    SocketOpened {
        /// Which.
        socket: SocketId,
        /// Its port.
        port: u16,
    },
    /// As [`butter::core::io::Input::PortMapped`].
    Mapped {
        /// What the NAT forwards to the node.
        mapping: Option<ForwardedPort>,
    },
    /// The moment given to [`Transport::wake_at`](super::Transport::wake_at).
    Wake,
}
