//! The state of a TCP connection, as far as whoever stands in between has to know it: a NAT, or the IPv6 filter.

use super::TcpFlags;

/// As much of a TCP connection's state as its time-out depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::net) struct Connection(u8);

/// The inside has spoken.
pub(in crate::net) const OUT: u8 = 1;
/// The outside has spoken.
pub(in crate::net) const IN: u8 = 2;
/// How far the FIN of a direction is from that direction's own bit.
const FIN_SHIFT: u8 = 2;
/// Both sides have closed.
const FINS: u8 = (OUT | IN) << FIN_SHIFT;
/// The last segment was a RST. What follows it revives the connection, so that a forged one ends nothing (RFC 7857 §2).
const RST: u8 = 16;

impl Connection {
    /// Whether all of these have been seen.
    pub(in crate::net) fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }

    /// Whether both sides have spoken, and not both have closed: one that is half closed may live for long.
    pub(in crate::net) fn established(self) -> bool {
        self.has(OUT | IN) && !self.has(FINS) && !self.has(RST)
    }

    /// Follows a segment; returns whether anything changed.
    pub(in crate::net) fn saw(&mut self, direction: u8, tcp: TcpFlags) -> bool {
        let before = *self;
        if tcp.syn && (self.has(FINS) || self.has(RST)) {
            // The same endpoints open a new connection.
            *self = Connection::default();
        }
        self.0 = self.0 & !RST | direction;
        if tcp.fin {
            self.0 |= direction << FIN_SHIFT;
        }
        if tcp.rst {
            self.0 |= RST;
        }
        *self != before
    }
}
