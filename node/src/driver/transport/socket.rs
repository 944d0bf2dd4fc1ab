//! The UDP socket that reaches peers directly, also through extra sockets, and takes probes out of what comes.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::arrivals::Arrivals;
use super::extra::Extras;
use crate::core::io::SocketId;
use crate::quic::routes::is_virtual;

/// The IPv6 address that stands for one of IPv4.
fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// The socket as QUIC sees it.
pub(super) struct Socket {
    real: Arc<dyn AsyncUdpSocket>,
    /// Whether the endpoint knows peers of IPv4 by the IPv6 addresses that stand for theirs (RFC 4291 section 2.5.5.2).
    maps_ipv4: bool,
    extras: Arc<Extras>,
    /// What came to extra sockets.
    arrivals: Arrivals,
    /// Whose turn it is to be read first, so that neither side starves the other.
    extras_first: AtomicBool,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("real", &self.real).finish_non_exhaustive()
    }
}

impl Socket {
    pub(super) fn new(real: Arc<dyn AsyncUdpSocket>, extras: Arc<Extras>, arrivals: Arrivals) -> Self {
        let maps_ipv4 = real.local_addr().is_ok_and(|address| address.is_ipv6());
        Socket { real, maps_ipv4, extras, arrivals, extras_first: AtomicBool::new(false) }
    }

    /// Sends a datagram that is not QUIC's. As on any network, it may be lost without a word.
    pub(super) fn send(&self, to: SocketAddr, datagram: &[u8]) {
        let destination = if self.maps_ipv4 { mapped(to) } else { to };
        let transmit = Transmit { destination, ecn: None, contents: datagram, segment_size: None, src_ip: None };
        if let Err(error) = self.real.try_send(&transmit) {
            tracing::trace!(%to, %error, "a probe is lost");
        }
    }

    /// Whether all of what came in one go is probes.
    fn takes_probes(&self, received: &RecvMeta, bytes: &[u8]) -> bool {
        let mut all = true;
        for datagram in bytes.chunks(received.stride.max(1)) {
            // One among QUIC packets is left to QUIC, which ignores it.
            all &= self.extras.take_probe(SocketId::MAIN, received.addr, datagram);
        }
        all
    }

    fn poll_extras(&self, cx: &mut Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Poll<usize> {
        let polled = self.arrivals.poll(cx, bufs, meta);
        if let Poll::Ready(count) = polled
            && self.maps_ipv4
        {
            meta[..count].iter_mut().for_each(|received| received.addr = mapped(received.addr));
        }
        polled
    }

    fn poll_real(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let polled = self.real.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = polled {
            for (received, buffer) in meta.iter_mut().zip(bufs.iter()).take(count) {
                // A link with a forged source would be taken for a relayed one. Nothing of an empty one is read.
                if is_virtual(received.addr) || self.takes_probes(received, &buffer[..received.len]) {
                    received.len = 0;
                }
            }
        }
        polled
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.real.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        let remote = SocketAddr::new(transmit.destination.ip().to_canonical(), transmit.destination.port());
        let submitted = self.extras.submit(remote, transmit.contents, size);
        if submitted { Ok(()) } else { self.real.try_send(transmit) }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if self.extras_first.fetch_xor(true, Ordering::Relaxed)
            && let Poll::Ready(count) = self.poll_extras(cx, bufs, meta)
        {
            return Poll::Ready(Ok(count));
        }
        match self.poll_real(cx, bufs, meta) {
            Poll::Pending => self.poll_extras(cx, bufs, meta).map(Ok),
            ready => ready,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.real.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.real.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.real.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.real.may_fragment()
    }
}
