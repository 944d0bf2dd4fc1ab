//! Ports that a node asks its router to forward.

use std::fmt::Debug;
use std::time::Duration;

use bincode::{Decode, Encode};
use butter::core::io::ForwardedPort;

use super::{NodeSlot, Transport, TransportEvent};
use crate::net::nat::Protocol;
use crate::plan::NODE_PORT;

impl<M: Debug + Encode + Decode<()>> Transport<M> {
    /// As [`butter::core::io::Output::MapPort`]. The answer is there at once: the router is on the node's own network.
    pub fn map_port(&mut self, slot: NodeSlot, port: u16, lifetime: Duration) {
        debug_assert_eq!(port, NODE_PORT, "a node asks for the port at which it listens");
        let (network, inside) = (self.end(slot).network as usize, self.address(slot));
        let granted = self.networks.map_port(self.now, network, Protocol::Udp, inside, lifetime);
        let mapping = granted
            .map(|granted| ForwardedPort { external_address: granted.outside.into(), lifetime: granted.lifetime });
        self.deliver(slot, TransportEvent::PortMapped(mapping));
    }
}
