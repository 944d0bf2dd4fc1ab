//! Bounds and graces of links, and why they are closed.

use std::time::Duration;

/// How long a connection that is not kept is still read.
pub const MERGE_GRACE: Duration = Duration::from_secs(1);
/// How long a link that is closed may take to deliver what was sent over it.
pub const CLOSE_GRACE: Duration = Duration::from_secs(1);
/// How long a frame may take from its first byte to its last.
pub const FRAME_DEADLINE: Duration = Duration::from_secs(30);
/// Bytes that wait to be sent to one peer; beyond, new messages are dropped.
pub const SEND_QUEUE_BYTES: usize = 16 << 20;
/// Frames of one class that wait to be sent to one peer; beyond, new messages are dropped.
pub const SEND_QUEUE_FRAMES: usize = 1 << 16;
/// Dials under way at once; beyond, they fail at once.
pub const DIALS_MAX: usize = 512;
/// Handshakes from outside under way at once; beyond, newcomers are refused.
pub const HANDSHAKES_MAX: usize = 256;
/// Connections in all; beyond, newcomers are refused.
pub const CONNECTIONS_MAX: usize = 4_096;
/// Packets that QUIC may hand over at once: as many as it ever does.
pub const SEGMENTS_MAX: usize = 10;
/// Name that QUIC wants in a dial. Peers are known by key; it is never sent.
pub const SERVER_NAME: &str = "butter";

/// What a queued frame of so many bytes counts for: with about what it costs to queue it.
pub fn queue_cost(bytes: usize) -> usize {
    bytes + 64
}

/// Why a connection was closed, as sent to the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// The link is not wanted any more.
    Done = 0,
    /// Another connection to the same peer is kept.
    Superseded = 1,
    /// A frame was no message.
    Malformed = 2,
    /// The dialler meant somebody else, or itself.
    Unwanted = 3,
    /// Nothing came for longer than the path explains.
    Silent = 4,
}
