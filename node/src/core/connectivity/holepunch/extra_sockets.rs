//! Numbers of the extra sockets that hole punching opens.

use crate::core::io::SocketId;

/// The last number that was given.
#[derive(Debug)]
pub(super) struct ExtraSockets {
    last: u32,
}

impl Default for ExtraSockets {
    fn default() -> Self {
        ExtraSockets { last: SocketId::ALTERNATE.0 }
    }
}

impl ExtraSockets {
    pub(super) fn open(&mut self) -> SocketId {
        // Numbers come back only after four billion others.
        self.last = self.last.checked_add(1).unwrap_or(SocketId::ALTERNATE.0 + 1);
        SocketId(self.last)
    }
}
