//! What happens on links, and what the tasks behind them tell the transport.

use std::net::SocketAddr;

use quinn::Connection;

use super::links::ConnectionId;
use crate::core::identity::NodeId;
use crate::core::io::{DialId, SocketId};
use crate::core::message::Message;
use crate::core::probe::Probe;

/// What happens on links. `M` is the overlay's messages.
#[derive(Debug)]
pub enum LinkEvent<M> {
    /// As [`crate::core::io::Input::LinkUp`].
    Up {
        /// Who.
        peer: NodeId,
        /// Where; `None` when relayed.
        remote: Option<SocketAddr>,
        /// Whether this side dialled.
        dialled: bool,
    },
    /// As [`crate::core::io::Input::LinkDown`].
    Down {
        /// Who.
        peer: NodeId,
    },
    /// As [`crate::core::io::Input::DialFailed`].
    DialFailed {
        /// Which.
        dial: DialId,
    },
    /// As [`crate::core::io::Input::Message`].
    Message {
        /// From whom.
        from: NodeId,
        /// What.
        message: Message<M>,
        /// Length of its frame, in bytes.
        length: usize,
    },
    /// As [`crate::core::io::Input::ProbeReceived`].
    Probed {
        /// The socket that it came to.
        socket: SocketId,
        /// Where it came from.
        from: SocketAddr,
        /// What it says.
        probe: Probe,
    },
    /// As [`crate::core::io::Input::SocketOpened`].
    SocketOpened {
        /// Which.
        socket: SocketId,
        /// Its port.
        port: u16,
    },
}

/// What tasks tell the transport.
#[derive(Debug)]
pub(super) enum Event<M> {
    Connected { connection: Connection, dial: Option<DialId> },
    DialFailed { dial: DialId },
    Lost { peer: NodeId, id: ConnectionId },
    Frame { peer: NodeId, id: ConnectionId, message: Box<Message<M>>, length: usize },
}
