//! What takes the place of a socket for relayed links.
//!
//! What is sent to a virtual address goes to the relay in a datagram frame of the link to it, and what the relay delivers appears
//! to come from there. So a relayed link is a QUIC connection like any other, and the relay sees ciphertext only.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::arrivals::Arrivals;
use super::relay::Relay;
use crate::quic::limits::SEGMENTS_MAX;

/// Reaches peers through relays only, and is reached through them only.
#[derive(Debug)]
pub(super) struct Tunnel {
    relay: Arc<Relay>,
    arrivals: Arrivals,
}

/// Nothing is ever waited for: what finds no room is lost.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Tunnel {
    /// `arrivals` are what `relay` has been delivered.
    pub(super) fn new(relay: Arc<Relay>, arrivals: Arrivals) -> Self {
        Tunnel { relay, arrivals }
    }
}

impl AsyncUdpSocket for Tunnel {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        if let Some(route) = self.relay.routes.route(transmit.destination) {
            transmit.contents.chunks(size).for_each(|packet| self.relay.submit(route, packet));
        }
        // As on any network: what cannot be carried is lost without a word.
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.arrivals.poll(cx, bufs, meta).map(Ok)
    }

    /// Tells QUIC that all addresses here are of IPv4, and nothing else.
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok((Ipv4Addr::UNSPECIFIED, 0).into())
    }

    fn max_transmit_segments(&self) -> usize {
        SEGMENTS_MAX
    }
}
