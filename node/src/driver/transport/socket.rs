//! One UDP socket that also reaches peers through relays and through extra sockets, and takes probes out of what comes.
//!
//! QUIC knows peers by socket address. A peer behind a relay gets a *virtual* one from a block that no network routes
//! (240.0.0.0/8, reserved by RFC 1112): what is sent there goes to the relay in a datagram frame of the link to it, and what the
//! relay delivers appears to come from there. So a relayed link is a QUIC connection like any other, and the relay sees
//! ciphertext only.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::mpsc;

use super::extra::Extras;
use super::relay::Relay;
use crate::core::identity::NodeId;
use crate::core::io::SocketId;

/// First octet of every virtual address.
const VIRTUAL_BLOCK: u8 = 240;
/// Port of every virtual address: any but 0.
const VIRTUAL_PORT: u16 = 1;
/// Virtual addresses per relay; the one unused for longest is given up for a new one.
const ROUTES_PER_RELAY_MAX: usize = 512;
/// Virtual addresses in all; beyond, no new relay is served.
const ROUTES_MAX: usize = 4_096;

/// Where a virtual address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    /// The ambassador that carries.
    pub(super) relay: NodeId,
    /// Who is on its other side.
    pub(super) peer: NodeId,
}

/// A packet that did not come to the main socket: a relay delivered it, or an extra socket received it.
#[derive(Debug)]
pub(super) struct Arrived {
    /// Its sender's address, a virtual one if relayed.
    pub(super) from: SocketAddr,
    /// A QUIC packet.
    pub(super) packet: Bytes,
}

/// Which virtual address stands for which route.
#[derive(Debug, Default)]
pub(super) struct Routes(Mutex<RouteTable>);

#[derive(Debug, Default)]
struct RouteTable {
    addresses: BTreeMap<Route, Used>,
    routes: BTreeMap<u32, Route>,
    last: u32,
    clock: u64,
}

#[derive(Debug)]
struct Used {
    index: u32,
    at: u64,
}

/// Whether `address` is a virtual one. No real packet may come from there or go there.
pub(super) fn is_virtual(address: SocketAddr) -> bool {
    index_of(address).is_some()
}

fn index_of(address: SocketAddr) -> Option<u32> {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) if ip.octets()[0] == VIRTUAL_BLOCK => Some(u32::from(ip) & 0x00ff_ffff),
        _ => None,
    }
}

impl Routes {
    /// The virtual address of `route`, made if there is none. `None` when there are too many.
    pub(super) fn address(&self, route: Route) -> Option<SocketAddr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).address(route)
    }

    fn route(&self, address: SocketAddr) -> Option<Route> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.routes.get(&index_of(address)?).copied()
    }
}

impl RouteTable {
    fn address(&mut self, route: Route) -> Option<SocketAddr> {
        self.clock += 1;
        if let Some(used) = self.addresses.get_mut(&route) {
            used.at = self.clock;
            return Some(virtual_address(used.index));
        }
        self.make_room(route.relay)?;
        // Indices come back only after 16 million others: no live connection still has this one.
        self.last = (self.last + 1) & 0x00ff_ffff;
        self.routes.insert(self.last, route);
        self.addresses.insert(route, Used { index: self.last, at: self.clock });
        Some(virtual_address(self.last))
    }

    fn make_room(&mut self, relay: NodeId) -> Option<()> {
        let all = Route { relay, peer: NodeId([0; 32]) }..=Route { relay, peer: NodeId([0xff; 32]) };
        let of_relay = self.addresses.range(all);
        if of_relay.clone().count() >= ROUTES_PER_RELAY_MAX {
            let (&oldest, &Used { index, .. }) = of_relay.min_by_key(|(_, used)| used.at)?;
            self.addresses.remove(&oldest);
            self.routes.remove(&index);
        }
        (self.addresses.len() < ROUTES_MAX).then_some(())
    }
}

fn virtual_address(index: u32) -> SocketAddr {
    let ip = Ipv4Addr::from((u32::from(VIRTUAL_BLOCK) << 24) | index);
    SocketAddr::new(ip.into(), VIRTUAL_PORT)
}

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
    relay: Arc<Relay>,
    extras: Arc<Extras>,
    arrived: Mutex<mpsc::Receiver<Arrived>>,
    /// Whose turn it is to be read first, so that neither side starves the other.
    relayed_first: AtomicBool,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("real", &self.real).finish_non_exhaustive()
    }
}

impl Socket {
    pub(super) fn new(
        real: Arc<dyn AsyncUdpSocket>,
        relay: Arc<Relay>,
        extras: Arc<Extras>,
        arrived: mpsc::Receiver<Arrived>,
    ) -> Self {
        let maps_ipv4 = real.local_addr().is_ok_and(|address| address.is_ipv6());
        Socket { real, maps_ipv4, relay, extras, arrived: Mutex::new(arrived), relayed_first: AtomicBool::new(false) }
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

    fn poll_arrived(&self, cx: &mut Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Poll<usize> {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        while count < bufs.len().min(meta.len()) {
            // The channel cannot end: the relay that this socket holds has the other end.
            let Poll::Ready(Some(Arrived { from, packet })) = arrived.poll_recv(cx) else { break };
            if packet.len() > bufs[count].len() {
                continue;
            }
            bufs[count][..packet.len()].copy_from_slice(&packet);
            let addr = if self.maps_ipv4 { mapped(from) } else { from };
            meta[count] = RecvMeta { addr, len: packet.len(), stride: packet.len(), ecn: None, dst_ip: None };
            count += 1;
        }
        if count == 0 { Poll::Pending } else { Poll::Ready(count) }
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
                // A forged source would be taken for a relayed peer. Nothing of an empty one is read.
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
        if !is_virtual(transmit.destination) {
            let remote = SocketAddr::new(transmit.destination.ip().to_canonical(), transmit.destination.port());
            let submitted = self.extras.submit(remote, transmit.contents, size);
            return if submitted { Ok(()) } else { self.real.try_send(transmit) };
        }
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
        if self.relayed_first.fetch_xor(true, Ordering::Relaxed)
            && let Poll::Ready(count) = self.poll_arrived(cx, bufs, meta)
        {
            return Poll::Ready(Ok(count));
        }
        match self.poll_real(cx, bufs, meta) {
            Poll::Pending => self.poll_arrived(cx, bufs, meta).map(Ok),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u32) -> NodeId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        NodeId(id)
    }

    #[test]
    fn an_address_leads_back_to_its_route() {
        let routes = Routes::default();
        let first = Route { relay: node(1), peer: node(2) };
        let second = Route { relay: node(3), peer: node(2) };
        let address = routes.address(first).unwrap();
        assert!(is_virtual(address));
        assert_ne!(routes.address(second), Some(address));
        assert_eq!(routes.address(first), Some(address));
        assert_eq!(routes.route(address), Some(first));
        assert_eq!(routes.route("192.0.2.1:1".parse().unwrap()), None);
    }

    #[test]
    fn a_relay_that_floods_only_loses_its_own_oldest() {
        let routes = Routes::default();
        let honest = Route { relay: node(1), peer: node(2) };
        let address = routes.address(honest).unwrap();
        let first = Route { relay: node(9), peer: node(0) };
        let gone = routes.address(first).unwrap();
        for peer in 1..=ROUTES_PER_RELAY_MAX as u32 {
            assert!(routes.address(Route { relay: node(9), peer: node(peer) }).is_some());
        }
        assert_eq!(routes.route(address), Some(honest));
        assert_eq!(routes.route(gone), None);
        assert_ne!(routes.address(first), Some(gone), "a new one, so that packets of the old are not mistaken");
    }

    #[test]
    fn the_number_of_routes_is_bounded() {
        let routes = Routes::default();
        let made = (0..2 * ROUTES_MAX as u32)
            .filter(|&i| routes.address(Route { relay: node(i % 100), peer: node(i) }).is_some())
            .count();
        assert_eq!(made, ROUTES_MAX);
    }

    #[test]
    fn a_mapped_virtual_address_is_virtual() {
        assert!(is_virtual("[::ffff:240.0.0.1]:1".parse().unwrap()));
        assert!(!is_virtual("[fd62::1]:1".parse().unwrap()));
        assert!(!is_virtual("203.0.113.1:4001".parse().unwrap()));
    }
}
