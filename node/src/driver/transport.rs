//! Links to peers over QUIC: mutually authenticated, encrypted, direct or through a relay.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `tls` | TLS 1.3 with raw public keys: who a peer is |
//! | `endpoints` | the two QUIC endpoints, for direct and for relayed links |
//! | `socket` | the UDP socket of direct links |
//! | `tunnel` | what takes its place for relayed links |
//! | `arrivals` | packets that came by another way than the UDP socket |
//! | `relay` | carrying packets for others, and being carried |
//! | `extra` | probes, and extra sockets |
//! | `connection` | reading and closing one connection |
//! | `send_queue` | what waits to be written to one connection |
//! | `path_monitor` | what QUIC measures of a link's path |
//! | `accept` | connections from outside |
//! | `address` | sockets for either kind of address |
//! | `event` | what the tasks of connections report |
//! | [`counters`] | what all this counts |
//!
//! What it shares with the simulator is in [`crate::quic`]: settings and limits, and the rules of links and relays.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bincode::{Decode, Encode};
use quinn::{Connection, Runtime, TokioRuntime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::task::TaskTracker;

use super::identity::Identity;
use crate::core::identity::NodeId;
use crate::core::io::{DialId, DialTarget, SocketId};
use crate::core::message::Message;
use crate::core::probe::Probe;
use crate::core::transport::{DIAL_TIMEOUT, LINK_CHECK_EVERY, PATH_REPORT_PAUSE, RelayQuota, TransportEvent};
use crate::core::wire::{self, WireError};
use crate::quic::FrameClass;
use crate::quic::limits::{CLOSE_GRACE, CloseCode, DIALS_MAX, MERGE_GRACE};
use crate::quic::link_table::{ConnectionId, LinkEntry, LinkTable, RemovedLink};
use crate::quic::routes::{RelayRoute, is_virtual};
use accept::accept;
use address::{bind, is_somebody};
use arrivals::Arrivals;
use connection::Reader;
use counters::Counters;
use endpoints::Endpoints;
use event::Event;
use extra::{Extras, Probed};
use path_monitor::PathMonitor;
use relay::Relay;
use send_queue::SendQueue;
use socket::Socket;
use tls::Tls;
use tunnel::Tunnel;

pub(super) use address::canonical;
pub use tls::{KEY_LOG_VARIABLE, key_log_file};

mod accept;
mod address;
mod arrivals;
mod connection;
pub mod counters;
mod endpoints;
mod event;
mod extra;
mod path_monitor;
mod relay;
mod send_queue;
mod socket;
#[cfg(test)]
mod tests;
mod tls;
mod tunnel;

/// Messages from all peers that wait for the node; beyond, peers are held up.
const EVENTS_MAX: usize = 256;

/// How a link runs at the moment.
#[derive(Clone, Copy, Debug)]
pub struct LinkState {
    /// The peer's address; `None` when relayed.
    pub remote: Option<SocketAddr>,
    /// Whether this side dialled.
    pub dialled: bool,
    /// Round trip as QUIC has measured and smoothed it.
    pub rtt: Duration,
}

/// Why there is no transport.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The address cannot be listened on.
    #[error("cannot listen on UDP {address}")]
    Bind {
        /// The address to listen on.
        address: SocketAddr,
        /// The error of the system call.
        source: io::Error,
    },
    /// The key does not fit.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

#[derive(Debug)]
struct Connected {
    connection: Connection,
    queue: SendQueue,
    monitor: PathMonitor,
}

/// All links of a node.
#[derive(Debug)]
pub struct Transport<M> {
    me: NodeId,
    endpoints: Endpoints,
    tls: Arc<Tls>,
    links: LinkTable<Connected>,
    relay: Arc<Relay>,
    socket: Arc<Socket>,
    extras: Arc<Extras>,
    probes: mpsc::Receiver<Probed>,
    /// Dials from extra sockets under way, and where they go.
    from_extra: BTreeMap<DialId, SocketAddr>,
    link_check: Interval,
    /// Whether bulk is on its way, so that paths change quickly.
    is_busy: bool,
    counters: Arc<Counters>,
    events: mpsc::Receiver<Event<M>>,
    sender: mpsc::Sender<Event<M>>,
    ready: VecDeque<TransportEvent<M>>,
    dialling: usize,
    connections: u64,
    writers: TaskTracker,
    accepting: JoinHandle<()>,
}

impl<M> Drop for Transport<M> {
    fn drop(&mut self) {
        self.accepting.abort();
        self.endpoints.close();
        self.extras.close_all();
    }
}

impl<M: Encode + Decode<()> + Send + 'static> Transport<M> {
    /// Listens on `address` (UDP); port 0 lets the system choose. Carries for others up to `quota`. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub fn listen(identity: &Identity, address: SocketAddr, quota: RelayQuota) -> Result<Self, TransportError> {
        let tls = Arc::new(Tls::new(identity)?);
        let counters = Arc::<Counters>::default();
        let (arriving, relayed) = Arrivals::new();
        let relay = Relay::new(counters.clone(), arriving, quota);
        let (arriving, arrivals) = Arrivals::new();
        let (extras, probes) = Extras::new(counters.clone(), arriving);
        let bound = bind(address).and_then(|socket| TokioRuntime.wrap_udp_socket(socket));
        let real = bound.map_err(|source| TransportError::Bind { address, source })?;
        let socket = Arc::new(Socket::new(real, extras.clone(), arrivals));
        let tunnel = Arc::new(Tunnel::new(relay.clone(), relayed));
        let endpoints = Endpoints::new(identity, &tls, socket.clone(), tunnel)
            .map_err(|source| TransportError::Bind { address, source })?;
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let mut link_check = interval(LINK_CHECK_EVERY);
        link_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let accepting = tokio::spawn(accept(endpoints.clone(), tls.clone(), counters.clone(), sender.clone()));
        Ok(Transport {
            me: identity.id(),
            endpoints,
            tls,
            links: LinkTable::new(identity.id()),
            relay,
            socket,
            extras,
            probes,
            from_extra: BTreeMap::new(),
            link_check,
            is_busy: false,
            counters,
            events,
            sender,
            ready: VecDeque::new(),
            dialling: 0,
            connections: 0,
            writers: TaskTracker::new(),
            accepting,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoints.local_addr()
    }

    /// What it has counted.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The link to `peer`, if one is up.
    pub fn link(&self, peer: NodeId) -> Option<LinkState> {
        let entry = self.links.link(peer)?;
        let connection = &entry.connection.connection;
        Some(LinkState { remote: remote_of(connection), dialled: entry.dialled, rtt: connection.rtt() })
    }

    /// The next thing that happens. Nothing is lost when this is given up halfway.
    pub async fn next(&mut self) -> TransportEvent<M> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            tokio::select! {
                Some(event) = self.events.recv() => self.take(event),
                Some(Probed { socket, from, probe }) = self.probes.recv() => {
                    return TransportEvent::ProbeReceived { socket, from, probe };
                }
                _ = self.link_check.tick() => self.check_links(),
            }
        }
    }

    /// Dials a peer, as [`crate::core::io::Output::Dial`] asks.
    pub fn dial(&mut self, dial: DialId, peer: Option<NodeId>, to: DialTarget) {
        let begun = self.begin_dial(peer, to).filter(|_| self.dialling < DIALS_MAX);
        let Some(connecting) = begun else {
            self.tidy_routes();
            return self.ready.push_back(TransportEvent::DialFailed { dial });
        };
        if let DialTarget::From { to, .. } = to {
            self.from_extra.insert(dial, to);
        }
        self.dialling += 1;
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let event = match timeout(DIAL_TIMEOUT, connecting).await {
                Ok(Ok(connection)) => Event::Connected { connection, dial: Some(dial) },
                Ok(Err(error)) => {
                    tracing::debug!(?dial, %error, "a dial failed");
                    Event::DialFailed { dial }
                }
                Err(_) => Event::DialFailed { dial },
            };
            // The transport may be gone.
            _ = sender.send(event).await;
        });
    }

    /// As [`crate::core::io::Output::Send`]. Returns the length of the frame that is on its way; 0 if there was no link or no
    /// room in the send queue.
    ///
    /// # Errors
    /// If the message has no frame, because it is too long.
    pub fn send(&mut self, to: NodeId, message: &Message<M>) -> Result<usize, WireError> {
        let Some(link) = self.links.link(to) else { return Ok(0) };
        let frame = wire::encode(message)?;
        let length = frame.len();
        if link.connection.queue.push(frame.into()) {
            if FrameClass::of(length) == FrameClass::Bulk && !self.is_busy {
                self.is_busy = true;
                self.link_check.reset_after(PATH_REPORT_PAUSE);
            }
            return Ok(length);
        }
        self.counters.frames_overflowed.add(1);
        Ok(0)
    }

    /// Sends a probe, as [`crate::core::io::Output::Probe`] asks.
    pub fn probe(&mut self, socket: SocketId, to: SocketAddr, probe: &Probe) {
        if is_virtual(to) || !is_somebody(to) {
            return;
        }
        let (to, datagram) = (canonical(to), probe.encode());
        if socket == SocketId::MAIN {
            // A link from an extra socket is probed the way that it runs.
            if !self.extras.submit(to, &datagram, datagram.len()) {
                self.socket.send(to, &datagram);
            }
            return;
        }
        match self.local_addr().and_then(|main| self.extras.open(socket, main)) {
            Ok(_) => self.extras.send(socket, to, &datagram),
            Err(error) => tracing::debug!(?socket, %error, "no extra socket"),
        }
    }

    /// Opens an extra socket, as [`crate::core::io::Output::OpenSocket`] asks.
    pub fn open_socket(&mut self, socket: SocketId) {
        match self.local_addr().and_then(|main| self.extras.open(socket, main)) {
            Ok(port) => self.ready.push_back(TransportEvent::SocketOpened { socket, port }),
            Err(error) => tracing::warn!(?socket, %error, "no extra socket"),
        }
    }

    /// Lets a peer dial an extra socket, as [`crate::core::io::Output::ExpectDial`] asks.
    pub fn expect_dial(&mut self, socket: SocketId, from: SocketAddr) {
        self.extras.expect(canonical(from), socket);
    }

    /// Closes an extra socket, as [`crate::core::io::Output::CloseSocket`] asks.
    pub fn close_socket(&mut self, socket: SocketId) {
        self.extras.close(socket);
    }

    /// As [`crate::core::io::Output::Close`]. What was sent before is still delivered, within a second.
    pub fn close(&mut self, peer: NodeId) {
        // Dropping the send queues has the writers finish and close.
        drop(self.links.remove_peer(peer));
        self.unlinked(peer);
    }

    /// Begins to relay, as [`crate::core::io::Output::AllowRelay`] asks.
    pub fn allow_relay(&mut self, a: NodeId, b: NodeId) {
        if self.links.link(a).is_some() && self.links.link(b).is_some() {
            self.relay.allow(a, b);
        }
    }

    /// Closes every link, after what was sent is delivered, within about two seconds.
    pub async fn shutdown(mut self) {
        self.accepting.abort();
        for peer in self.links.peers().collect::<Vec<_>>() {
            drop(self.links.remove_peer(peer));
        }
        self.writers.close();
        _ = timeout(CLOSE_GRACE, self.writers.wait()).await;
        self.endpoints.close();
        _ = timeout(CLOSE_GRACE, self.endpoints.wait_idle()).await;
    }

    fn begin_dial(&mut self, peer: Option<NodeId>, to: DialTarget) -> Option<quinn::Connecting> {
        let (address, relayed) = match (to, peer) {
            (DialTarget::Address(address), _) => (address, false),
            (DialTarget::From { socket, to }, _) => (self.extras.route(canonical(to), socket).then_some(to)?, false),
            (DialTarget::Relay { relay }, Some(peer)) => {
                // A relay of a relay would carry nothing: datagrams run over direct links only.
                self.links.link(relay)?.remote?;
                (self.relay.routes.address(RelayRoute { relay, peer }), true)
            }
            (DialTarget::Relay { .. }, None) => return None,
        };
        if is_virtual(address) != relayed || !is_somebody(address) || peer == Some(self.me) {
            return None;
        }
        let config = self.tls.client(peer, relayed).ok()?;
        self.endpoints.connect(config, address).ok()
    }

    fn take(&mut self, event: Event<M>) {
        match event {
            Event::Connected { connection, dial } => {
                self.dialling -= usize::from(dial.is_some());
                self.connected(connection, dial);
                self.from_extra.retain(|&other, _| Some(other) != dial);
            }
            Event::DialFailed { dial } => {
                self.dialling -= 1;
                self.from_extra.remove(&dial);
                self.tidy_routes();
                self.ready.push_back(TransportEvent::DialFailed { dial });
            }
            Event::Lost { peer, id } => match self.links.remove(peer, id) {
                RemovedLink::Nothing => self.tidy_routes(),
                RemovedLink::Link => {
                    self.linked(peer);
                    self.tidy_routes();
                }
                RemovedLink::Peer => {
                    self.unlinked(peer);
                    self.ready.push_back(TransportEvent::LinkDown { peer });
                }
            },
            Event::Frame { peer, id, message, bytes } => {
                if self.links.get(peer, id).is_some() {
                    self.ready.push_back(TransportEvent::Message { from: peer, message: *message, bytes });
                }
            }
        }
    }

    fn connected(&mut self, connection: Connection, dial: Option<DialId>) {
        let Some(peer) = tls::peer_of(&connection).filter(|&peer| peer != self.me) else {
            connection::close(&connection, CloseCode::Unwanted);
            self.ready.extend(dial.map(|dial| TransportEvent::DialFailed { dial }));
            return;
        };
        self.counters.connections.add(1);
        self.connections += 1;
        let id = ConnectionId(self.connections);
        let remote = remote_of(&connection);
        let queue = self.start(peer, id, &connection);
        let connected = Connected { connection, queue, monitor: PathMonitor::new(Instant::now()) };
        let entry = LinkEntry { id, remote, dialled: dial.is_some(), since: Instant::now(), connection: connected };
        let (added, excess) = self.links.add(peer, entry);
        for entry in excess {
            connection::close(&entry.connection.connection, CloseCode::Superseded);
        }
        for entry in added.retire.iter().filter_map(|&id| self.links.get(peer, id)) {
            retire(entry.connection.connection.clone());
        }
        if added.is_link || dial.is_some() {
            // Every dial is answered, also one that found a link in place.
            self.linked(peer);
        }
    }

    /// Starts the two tasks of a connection.
    fn start(&self, peer: NodeId, id: ConnectionId, connection: &Connection) -> SendQueue {
        let (queue, end) = SendQueue::new();
        let reader = Reader {
            peer,
            id,
            connection: connection.clone(),
            relay: remote_of(connection).map(|_| self.relay.clone()),
            counters: self.counters.clone(),
            events: self.sender.clone(),
        };
        tokio::spawn(reader.run());
        self.writers.spawn(send_queue::write(connection.clone(), end));
        queue
    }

    fn linked(&mut self, peer: NodeId) {
        let Some(link) = self.links.link(peer) else { return };
        let connection = &link.connection.connection;
        self.relay.set_carrier(peer, link.remote.map(|_| connection.clone()));
        self.ready.push_back(TransportEvent::LinkUp { peer, remote: remote_of(connection), dialled: link.dialled });
        self.measure_path(peer);
    }

    fn unlinked(&mut self, peer: NodeId) {
        self.relay.set_carrier(peer, None);
        self.relay.forget(peer);
        self.tidy_routes();
    }

    /// Closes extra sockets that lead to no peer any more.
    fn tidy_routes(&mut self) {
        if !self.extras.has_routes() {
            return;
        }
        let connected = self.links.entries().map(|entry| entry.connection.connection.remote_address());
        let kept: BTreeSet<SocketAddr> = connected.chain(self.from_extra.values().copied()).map(canonical).collect();
        self.extras.keep_routes(|remote| kept.contains(&remote));
    }
}

/// Where the other end is; `None` when relayed.
fn remote_of(connection: &Connection) -> Option<SocketAddr> {
    let address = connection.remote_address();
    (!is_virtual(address)).then(|| canonical(address))
}

fn retire(connection: Connection) {
    tokio::spawn(async move {
        tokio::time::sleep(MERGE_GRACE).await;
        connection::close(&connection, CloseCode::Superseded);
    });
}
