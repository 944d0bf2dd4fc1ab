//! What the machine of a node sends and receives, for captures.

use std::net::SocketAddrV4;

use butter::core::time::Time;

use crate::net::nat::Flow;
use crate::sim::network::NodeSlot;

/// Bytes of datagrams that are kept: those of the beginning.
const KEPT_MAX: usize = 256 << 20;

/// A datagram of QUIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TappedDatagram {
    /// When it was sent or received.
    pub at: Time,
    /// Whether the tapped node sends it.
    pub outgoing: bool,
    /// Address that it comes from, as the node sees it.
    pub source: SocketAddrV4,
    /// Address that it goes to, as the node sees it.
    pub destination: SocketAddrV4,
    /// What is in it.
    pub data: Vec<u8>,
}

/// The datagrams of one node.
#[derive(Debug)]
pub struct PacketTap {
    slot: NodeSlot,
    bytes: usize,
    /// In order of time.
    pub datagrams: Vec<TappedDatagram>,
    /// Datagrams that were too many to be kept.
    pub left_out: u64,
}

impl PacketTap {
    /// Of a node, nothing yet.
    pub(super) fn new(slot: NodeSlot) -> Self {
        PacketTap { slot, bytes: 0, datagrams: Vec::new(), left_out: 0 }
    }

    /// Takes note of a datagram, if it is of the tapped node.
    pub(super) fn note(&mut self, slot: NodeSlot, at: Time, outgoing: bool, flow: Flow, data: &[u8]) {
        if slot != self.slot {
            return;
        }
        self.bytes += data.len();
        if self.bytes > KEPT_MAX {
            self.left_out += 1;
            return;
        }
        let Flow { source, destination, .. } = flow;
        self.datagrams.push(TappedDatagram { at, outgoing, source, destination, data: data.to_vec() });
    }
}
