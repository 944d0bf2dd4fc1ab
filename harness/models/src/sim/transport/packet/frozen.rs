//! A node that is frozen: its process does not run, and its machine goes on receiving for it.
//!
//! Packets wait in the socket's receive buffer, and what finds it full is lost. Nothing is answered and no timer comes up. When
//! the node runs again it reads what has waited first, and then notices how late it is.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::net::SocketAddrV4;

use bincode::{Decode, Encode};
use butter::core::identity::NodeId;
use butter::core::transport::{LINK_CHECK_EVERY, TransportEvent};

use super::{NodeSlot, QuicPacket, Transport};

/// Size of a socket's receive buffer (`net.core.rmem_default` of Linux), in bytes.
const RECEIVE_BUFFER_BYTES: usize = 212_992;
/// What Linux counts for a small datagram, in bytes.
const SMALL_COST: usize = 768;
/// What it counts for a large one, in bytes.
const LARGE_COST: usize = 2_304;
/// Longest datagram that counts as small, in bytes.
const SMALL_MAX: usize = 256;
/// Events beside QUIC that wait for a frozen node, at most.
const EVENTS_MAX: usize = 256;

/// What waits for a frozen node.
#[derive(Debug)]
pub(super) struct Backlog<M> {
    packets: VecDeque<(SocketAddrV4, u16, QuicPacket)>,
    cost: usize,
    events: VecDeque<TransportEvent<M>>,
}

impl<M> Backlog<M> {
    fn new() -> Self {
        Backlog { packets: VecDeque::new(), cost: 0, events: VecDeque::new() }
    }

    /// A packet from an address has come to a port.
    pub(super) fn push_packet(&mut self, source: SocketAddrV4, port: u16, packet: QuicPacket) {
        let cost = if packet.data.len() <= SMALL_MAX { SMALL_COST } else { LARGE_COST };
        if self.cost + cost <= RECEIVE_BUFFER_BYTES {
            self.cost += cost;
            self.packets.push_back((source, port, packet));
        }
    }

    fn push_event(&mut self, event: TransportEvent<M>) {
        // It is woken anyway.
        if !matches!(event, TransportEvent::Wake) && self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        }
    }
}

impl<M: Debug + Encode + Decode<()>> Transport<M> {
    /// The process of a node stops running. With fidelity `message` it is as if it were dead.
    pub fn freeze(&mut self, slot: NodeSlot) {
        if !self.is_packet() {
            return self.kill(slot);
        }
        // What it is to do at this moment it still does.
        self.settle_hosts();
        let Some(model) = &mut self.packet else { return };
        let mut backlog = Backlog::new();
        for (to, event) in std::mem::take(&mut self.ready) {
            if to == slot {
                backlog.push_event(event);
            } else {
                self.ready.push_back((to, event));
            }
        }
        model.seat(slot).backlog = Some(backlog);
    }

    /// A frozen node runs again. Whether it still has its links, as far as it knows.
    pub fn thaw(&mut self, slot: NodeSlot, id: NodeId) -> bool {
        if !self.is_packet() {
            self.start(slot, id);
            return false;
        }
        let backlog = self.packet.as_mut().and_then(|model| model.seat(slot).backlog.take());
        let Some(Backlog { packets, events, .. }) = backlog else { return true };
        self.ready.extend(events.into_iter().map(|event| (slot, event)));
        for (source, port, quic) in packets {
            self.read_quic(slot, source, port, quic);
        }
        self.with_host(slot, |host, now, out| host.wake_all(now, out));
        self.check_links_at(slot, self.now + LINK_CHECK_EVERY);
        true
    }

    /// An event for a node, unless that is frozen: then it waits.
    pub(in crate::sim::transport) fn hold(
        &mut self,
        to: NodeSlot,
        event: TransportEvent<M>,
    ) -> Option<TransportEvent<M>> {
        let backlog = self.packet.as_mut().and_then(|model| model.seat(to).backlog.as_mut());
        match backlog {
            Some(backlog) => {
                backlog.push_event(event);
                None
            }
            None => Some(event),
        }
    }
}
