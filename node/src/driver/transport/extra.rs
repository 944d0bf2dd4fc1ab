//! Probes, and extra sockets beside the one at which the node listens.
//!
//! A probe that comes to any socket is reported to the node. What else comes to an extra one is QUIC's, but only from an address
//! to which that socket is the way: [`Extras::route`] makes it so, or a packet from an address that [`Extras::expect`] names. Addresses of IPv4 are known here as such, also beside a main
//! socket that takes both kinds: extra ones take IPv4 alone then.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::UdpSocket as AsyncSocket;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::arrivals::Arrived;
use super::counters::Counters;
use crate::core::io::SocketId;
use crate::core::probe::{PROBE_MAX, Probe};
use crate::core::transport::EXTRA_SOCKETS_MAX;
use crate::quic::routes::is_virtual;

/// Addresses to which an extra socket is the way.
const ROUTES_MAX: usize = 1_024;
/// Probes that wait for the node; beyond, they are dropped.
const PROBES_MAX: usize = 512;
/// Longest datagram that is read: no path carries more of QUIC's.
const DATAGRAM_MAX: usize = 2_048;

/// A probe that has come.
#[derive(Debug)]
pub(super) struct Probed {
    pub(super) socket: SocketId,
    pub(super) from: SocketAddr,
    pub(super) probe: Probe,
}

/// Extra sockets, and the queue of probes. Shared by the main socket and the readers of extra ones.
#[derive(Debug)]
pub(super) struct Extras {
    counters: Arc<Counters>,
    probes: mpsc::Sender<Probed>,
    arrived: mpsc::Sender<Arrived>,
    /// Whether there are routes: asked for every packet of the main socket.
    routed: AtomicBool,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    sockets: BTreeMap<SocketId, Extra>,
    routes: BTreeMap<SocketAddr, SocketId>,
    /// Where a peer's dial may come from, and to which socket.
    expected: BTreeSet<(SocketId, SocketAddr)>,
}

#[derive(Debug)]
struct Extra {
    socket: Arc<AsyncSocket>,
    port: u16,
    reader: AbortHandle,
    /// Not needed but for its routes.
    closing: bool,
}

impl Drop for Extra {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Extras {
    /// With the other end of the queue of probes. QUIC's packets go to `arrived`.
    pub(super) fn new(counters: Arc<Counters>, arrived: mpsc::Sender<Arrived>) -> (Arc<Self>, mpsc::Receiver<Probed>) {
        let (probes, queue) = mpsc::channel(PROBES_MAX);
        (Arc::new(Extras { counters, probes, arrived, routed: AtomicBool::new(false), table: Mutex::default() }), queue)
    }

    /// Whether a datagram is a probe: then it is reported to the node.
    pub(super) fn take_probe(&self, socket: SocketId, from: SocketAddr, datagram: &[u8]) -> bool {
        let begins = datagram.first().is_some_and(|&byte| Probe::begins_with(byte));
        if !begins || datagram.len() > PROBE_MAX {
            return false;
        }
        let Some(probe) = Probe::decode(datagram) else { return false };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        if is_virtual(from) || self.probes.try_send(Probed { socket, from, probe }).is_err() {
            self.counters.probes_dropped.add(1);
        }
        true
    }

    /// The port of an extra socket, opened beside `main` if it is not open. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If there are too many, or the system gives none.
    pub(super) fn open(self: &Arc<Self>, id: SocketId, main: SocketAddr) -> io::Result<u16> {
        let mut table = self.table();
        if let Some(extra) = table.sockets.get(&id) {
            return Ok(extra.port);
        }
        if table.sockets.len() >= EXTRA_SOCKETS_MAX {
            return Err(io::Error::other("too many extra sockets"));
        }
        // They cross NATs, of which IPv6 has none.
        let ip = if main.is_ipv6() && main.ip().is_unspecified() { Ipv4Addr::UNSPECIFIED.into() } else { main.ip() };
        let socket = UdpSocket::bind(SocketAddr::new(ip, 0))?;
        socket.set_nonblocking(true)?;
        let port = socket.local_addr()?.port();
        let socket = Arc::new(AsyncSocket::from_std(socket)?);
        let reader = tokio::spawn(read(self.clone(), id, socket.clone())).abort_handle();
        table.sockets.insert(id, Extra { socket, port, reader, closing: false });
        Ok(port)
    }

    /// Sends a datagram from an extra socket. As on any network, it may be lost without a word.
    pub(super) fn send(&self, id: SocketId, to: SocketAddr, datagram: &[u8]) {
        if let Some(extra) = self.table().sockets.get(&id)
            && let Err(error) = send_to(&extra.socket, datagram, to)
        {
            tracing::trace!(?id, %to, %error, "a datagram from an extra socket is lost");
        }
    }

    /// From now on what goes to `remote` goes through that socket, and what comes from there is QUIC's. Whether it could be.
    pub(super) fn route(&self, remote: SocketAddr, id: SocketId) -> bool {
        let mut table = self.table();
        let room = table.routes.len() < ROUTES_MAX && table.sockets.contains_key(&id);
        if room {
            table.routes.insert(remote, id);
            self.routed.store(true, Ordering::Relaxed);
        }
        room
    }

    /// From now on a packet from `remote` to that socket makes it the way there. Forgotten when the socket is closed.
    pub(super) fn expect(&self, remote: SocketAddr, id: SocketId) {
        let mut table = self.table();
        if table.expected.len() < ROUTES_MAX && table.sockets.contains_key(&id) {
            table.expected.insert((id, remote));
        }
    }

    /// Keeps the routes to these; sockets that were only kept for others are closed.
    pub(super) fn keep_routes(&self, kept: impl Fn(SocketAddr) -> bool) {
        let mut table = self.table();
        let Table { sockets, routes, expected } = &mut *table;
        routes.retain(|&remote, id| kept(remote) || expected.contains(&(*id, remote)));
        self.routed.store(!routes.is_empty(), Ordering::Relaxed);
        sockets.retain(|id, extra| !extra.closing || routes.values().any(|routed| routed == id));
    }

    /// Whether there is any route.
    pub(super) fn has_routes(&self) -> bool {
        self.routed.load(Ordering::Relaxed)
    }

    /// The socket is not needed any more, unless it is the way to somebody.
    pub(super) fn close(&self, id: SocketId) {
        let mut table = self.table();
        table.expected.retain(|&(socket, _)| socket != id);
        let routed = table.routes.values().any(|&routed| routed == id);
        match table.sockets.get_mut(&id) {
            Some(extra) if routed => extra.closing = true,
            Some(_) => drop(table.sockets.remove(&id)),
            None => {}
        }
    }

    /// All are closed.
    pub(super) fn close_all(&self) {
        *self.table() = Table::default();
        self.routed.store(false, Ordering::Relaxed);
    }

    /// Sends what QUIC has for `remote` if an extra socket is the way there. Whether it is.
    pub(super) fn submit(&self, remote: SocketAddr, packets: &[u8], segment: usize) -> bool {
        if !self.has_routes() {
            return false;
        }
        let table = self.table();
        let Some(extra) = table.routes.get(&remote).and_then(|id| table.sockets.get(id)) else { return false };
        for packet in packets.chunks(segment) {
            if send_to(&extra.socket, packet, remote).is_err() {
                self.counters.extra_lost.add(1);
            }
        }
        true
    }

    /// Whether what came from `remote` to that socket is QUIC's. What was expected there becomes the way: both sides' NATs let
    /// packets pass between these two endpoints.
    fn accepts(&self, remote: SocketAddr, id: SocketId) -> bool {
        let mut table = self.table();
        if table.routes.get(&remote) == Some(&id) {
            return true;
        }
        let known = table.routes.contains_key(&remote);
        let expected = table.expected.contains(&(id, remote)) && (known || table.routes.len() < ROUTES_MAX);
        if expected {
            table.routes.insert(remote, id);
            self.routed.store(true, Ordering::Relaxed);
        }
        expected
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At once: tokio would refuse what is sent from a socket before its reactor has looked at it.
fn send_to(socket: &AsyncSocket, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
    SockRef::from(socket).send_to(datagram, &to.into())
}

/// Reads an extra socket until it is closed.
async fn read(extras: Arc<Extras>, id: SocketId, socket: Arc<AsyncSocket>) {
    let mut buffer = [0; DATAGRAM_MAX];
    loop {
        // An error is about something sent earlier, to a closed port.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let datagram = &buffer[..length];
        if extras.take_probe(id, from, datagram) || !extras.accepts(from, id) {
            continue;
        }
        let packet = Bytes::copy_from_slice(datagram);
        if extras.arrived.try_send(Arrived { from, packet }).is_err() {
            extras.counters.extra_lost.add(1);
        }
    }
}
