//! One mapping: an inside endpoint, the remote hosts that it lets in, and the TCP connections over it.

use std::net::SocketAddrV4;
use std::time::Duration;

use butter::core::time::Time;
use smallvec::SmallVec;

use super::connection::{Connection, IN, OUT};
use super::{Dependence, NatConfig, Protocol, TcpFlags};

/// Life of a TCP connection that is being opened or has been closed (RFC 5382 REQ-5: at least 4 minutes).
pub(super) const TCP_TRANSITORY: Duration = Duration::from_secs(4 * 60);
/// Shortest life of an echo mapping (RFC 5508 REQ-2: at least 60 seconds).
pub(super) const ECHO_TIMEOUT: Duration = Duration::from_secs(60);
/// Most peers that one mapping remembers; the one that would be forgotten first makes room.
pub(super) const PEERS_MAX: usize = 1_024;

/// An endpoint outside, or as much of it as counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Remote {
    address: u32,
    port: u16,
}

impl Remote {
    pub(super) fn of(protocol: Protocol, endpoint: SocketAddrV4) -> Self {
        let port = if protocol == Protocol::Echo { 0 } else { endpoint.port() };
        Remote { address: (*endpoint.ip()).into(), port }
    }

    /// The part of it on which something depends; the rest is zero.
    pub(super) fn as_far_as(self, dependence: Dependence) -> Self {
        match dependence {
            Dependence::EndpointIndependent => Remote { address: 0, port: 0 },
            Dependence::AddressDependent => Remote { port: 0, ..self },
            Dependence::AddressAndPortDependent => self,
        }
    }
}

/// A mapping. Its outside port is where the table has it.
#[derive(Debug)]
pub(super) struct Mapping {
    protocol: Protocol,
    pub(super) inside: SocketAddrV4,
    /// When it ends unless something is sent.
    until: Time,
    /// Until when it was asked for; as long, it lets everybody in. [`Time::ZERO`] if it was not.
    lease: Time,
    /// Whether it is there for its lease alone, and what is sent does not prolong it.
    leased_only: bool,
    /// Sorted by remote. For UDP and echo: those that the filter lets in; none where it lets all in. For TCP: the
    /// connections.
    peers: SmallVec<[Peer; 1]>,
}

impl Mapping {
    pub(super) fn new(protocol: Protocol, inside: SocketAddrV4) -> Self {
        Mapping { protocol, inside, until: Time::ZERO, lease: Time::ZERO, leased_only: false, peers: SmallVec::new() }
    }

    /// One that was asked for. Where mappings depend on the other side, nothing else may use it once its lease has ended.
    pub(super) fn leased(protocol: Protocol, inside: SocketAddrV4, config: &NatConfig) -> Self {
        let leased_only = config.mapping != Dependence::EndpointIndependent;
        Mapping { leased_only, ..Self::new(protocol, inside) }
    }

    /// When it ends unless something is sent.
    pub(super) fn ends(&self) -> Time {
        if self.leased_only { self.lease } else { self.until.max(self.lease) }
    }

    /// Until when it was asked for, if it was.
    pub(super) fn lease(&self, now: Time) -> Option<Time> {
        (self.lease > now).then_some(self.lease)
    }

    /// Grants it until then, or no longer.
    pub(super) fn set_lease(&mut self, until: Time) {
        self.lease = until;
    }

    /// Something goes out to `remote`.
    pub(super) fn sent(&mut self, now: Time, remote: Remote, tcp: TcpFlags, config: &NatConfig) {
        if self.protocol == Protocol::Tcp {
            self.follow(now, remote, OUT, tcp, config);
            return;
        }
        self.until = now + idle_timeout(self.protocol, Connection::default(), config);
        if config.filtering != Dependence::EndpointIndependent {
            let peer = self.peer(now, remote.as_far_as(config.filtering), config);
            peer.last = now;
            peer.connection.saw(OUT, tcp);
        }
    }

    /// Something comes from `remote`. Returns whether it is let in.
    pub(super) fn received(&mut self, now: Time, remote: Remote, tcp: TcpFlags, config: &NatConfig) -> bool {
        if self.protocol != Protocol::Tcp {
            return self.lets_in(now, remote, config);
        }
        let known = self.find(remote).is_ok_and(|index| self.peers[index].until(self.protocol, config) > now);
        let admitted = known || tcp.syn && self.lets_in(now, remote, config);
        if admitted {
            self.follow(now, remote, IN, tcp, config);
        }
        admitted
    }

    /// Whether the filter lets `remote` in (RFC 4787 §5).
    pub(super) fn lets_in(&self, now: Time, remote: Remote, config: &NatConfig) -> bool {
        let spoken_to = |peer: &Peer| peer.connection.has(OUT) && peer.until(self.protocol, config) > now;
        match config.filtering {
            _ if self.lease > now => true,
            Dependence::EndpointIndependent => true,
            Dependence::AddressAndPortDependent => self.find(remote).is_ok_and(|index| spoken_to(&self.peers[index])),
            Dependence::AddressDependent => {
                let first = self.peers.partition_point(|peer| peer.remote.address < remote.address);
                let mut there = self.peers[first..].iter().take_while(|peer| peer.remote.address == remote.address);
                there.any(spoken_to)
            }
        }
    }

    /// Follows a TCP connection by one segment.
    fn follow(&mut self, now: Time, remote: Remote, direction: u8, tcp: TcpFlags, config: &NatConfig) {
        let protocol = self.protocol;
        let peer = self.peer(now, remote, config);
        if direction == OUT && tcp.rst && !peer.connection.has(OUT) {
            // It refuses what it never asked for, which is no sign of use (RFC 7857 §7.1).
            return;
        }
        let changed = peer.connection.saw(direction, tcp);
        if direction == OUT || changed {
            peer.last = now;
        }
        let until = peer.until(protocol, config);
        if changed {
            // The longest of the connections in which the inside has spoken decides; this one's time may have become shorter.
            let spoken = self.peers.iter().filter(|peer| peer.connection.has(OUT));
            self.until = spoken.map(|peer| peer.until(protocol, config)).max().unwrap_or(self.until);
        } else if direction == OUT {
            self.until = self.until.max(until);
        }
    }

    fn find(&self, remote: Remote) -> Result<usize, usize> {
        self.peers.binary_search_by_key(&remote, |peer| peer.remote)
    }

    /// The entry of `remote`, made if there is none (or only one whose time is over).
    fn peer(&mut self, now: Time, remote: Remote, config: &NatConfig) -> &mut Peer {
        let fresh = Peer { remote, connection: Connection::default(), last: now };
        let index = match self.find(remote) {
            Ok(index) => {
                if self.peers[index].until(self.protocol, config) <= now {
                    self.peers[index] = fresh;
                }
                index
            }
            Err(_) => {
                self.make_room(now, config);
                let index = self.peers.partition_point(|peer| peer.remote < remote);
                self.peers.insert(index, fresh);
                index
            }
        };
        &mut self.peers[index]
    }

    /// Before the list grows, forgets the peers whose time is over; if it may not grow, also the one that ends first.
    fn make_room(&mut self, now: Time, config: &NatConfig) {
        if self.peers.len() < self.peers.capacity().min(PEERS_MAX) {
            return;
        }
        let protocol = self.protocol;
        self.peers.retain(|peer| peer.until(protocol, config) > now);
        if self.peers.len() >= PEERS_MAX {
            let first = (0..self.peers.len()).min_by_key(|&index| self.peers[index].until(protocol, config));
            self.peers.remove(first.expect("there are peers"));
        }
    }
}

/// Somebody outside that a mapping knows.
#[derive(Debug)]
struct Peer {
    remote: Remote,
    connection: Connection,
    /// When something was last sent to it from inside, or its connection last entered another state.
    last: Time,
}

impl Peer {
    fn until(&self, protocol: Protocol, config: &NatConfig) -> Time {
        self.last + idle_timeout(protocol, self.connection, config)
    }
}

fn idle_timeout(protocol: Protocol, connection: Connection, config: &NatConfig) -> Duration {
    match protocol {
        Protocol::Udp => config.udp_timeout,
        Protocol::Echo => config.udp_timeout.max(ECHO_TIMEOUT),
        Protocol::Tcp if connection.established() => config.tcp_timeout,
        Protocol::Tcp => config.tcp_timeout.min(TCP_TRANSITORY),
    }
}
