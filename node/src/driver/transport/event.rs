//! What the tasks behind links report to the transport.

use quinn::Connection;

use crate::core::identity::NodeId;
use crate::core::io::DialId;
use crate::core::message::Message;
use crate::quic::link_table::ConnectionId;

/// Reports of those tasks.
#[derive(Debug)]
pub(super) enum Event<M> {
    Connected { connection: Connection, dial: Option<DialId> },
    DialFailed { dial: DialId },
    Lost { peer: NodeId, id: ConnectionId },
    Frame { peer: NodeId, id: ConnectionId, message: Box<Message<M>>, bytes: u32 },
}
