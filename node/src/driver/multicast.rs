//! Announcements on the LAN by IPv4 multicast: Butter's group, 224.0.0.1:9999.
//!
//! One socket listens to the group, joined on each interface by itself (a join on "any" interface fails where there is no
//! default route). A second one, with a port of its own, sends: so that the answers to a ping come to this node alone although
//! several nodes of one machine share the group's port.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use super::interfaces;
use crate::core::message::Announcement;
use crate::core::wire::{self, DATAGRAM_MAX};

/// Where nodes announce themselves.
pub const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 1), 9_999);

/// Why announcements are neither sent nor heard.
#[derive(Debug, thiserror::Error)]
pub enum LanError {
    /// A named interface is not there.
    #[error("no interface `{name}` with an IPv4 address: expected one of {there}", there = there.join(", "))]
    NoInterface {
        /// The name of the interface, as configured.
        name: String,
        /// Those that are up.
        there: Vec<String>,
    },
    /// The group's address is none.
    #[error("invalid multicast group {0}: expected an IPv4 address in 224.0.0.0/4")]
    NoGroup(SocketAddrV4),
    /// A socket could not be set up.
    #[error("cannot join the multicast group {group}")]
    Io {
        /// The multicast group, as configured.
        group: SocketAddrV4,
        /// The error of the system call.
        source: io::Error,
    },
}

/// The LANs that this node is on.
#[derive(Debug)]
pub(super) struct Lan {
    group: SocketAddrV4,
    only: Vec<String>,
    listening: UdpSocket,
    sending: UdpSocket,
    /// Address by interface index.
    joined: BTreeMap<u32, Ipv4Addr>,
}

impl Lan {
    /// Listens to `group` on every interface, or on those named in `only`.
    pub(super) fn open(group: SocketAddrV4, only: Vec<String>) -> Result<Self, LanError> {
        if !group.ip().is_multicast() || group.port() == 0 {
            return Err(LanError::NoGroup(group));
        }
        let failed = |source| LanError::Io { group, source };
        let there = interfaces::lans(&only).map_err(failed)?;
        if let Some(name) = only.iter().find(|name| there.iter().all(|lan| lan.name != **name)) {
            return Err(LanError::NoInterface { name: name.clone(), there: interfaces::names().map_err(failed)? });
        }
        let listening = listening(group).map_err(failed)?;
        let sending = sending().map_err(failed)?;
        let mut lan = Lan { group, only, listening, sending, joined: BTreeMap::new() };
        lan.refresh().map_err(failed)?;
        Ok(lan)
    }

    /// Joins on interfaces that have come, forgets those that have gone.
    pub(super) fn refresh(&mut self) -> io::Result<()> {
        let there = interfaces::lans(&self.only)?;
        self.joined.retain(|index, address| there.iter().any(|lan| (lan.index, lan.address) == (*index, *address)));
        for lan in there {
            if self.joined.contains_key(&lan.index) {
                continue;
            }
            let socket = SockRef::from(&self.listening);
            match socket.join_multicast_v4_n(self.group.ip(), &InterfaceIndexOrAddress::Index(lan.index)) {
                Ok(()) => _ = self.joined.insert(lan.index, lan.address),
                // The interface has got another address; the membership is by index and stays.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    self.joined.insert(lan.index, lan.address);
                }
                Err(error) => tracing::debug!(interface = lan.name, %error, "no multicast on an interface"),
            }
        }
        Ok(())
    }

    /// Tells the group, on every interface.
    pub(super) fn announce(&self, announcement: &Announcement) {
        let Some(datagram) = encode(announcement) else { return };
        let socket = SockRef::from(&self.sending);
        for address in self.joined.values() {
            let sent = socket
                .set_multicast_if_v4(address)
                .and_then(|()| socket.send_to(&datagram, &SocketAddr::from(self.group).into()));
            if let Err(error) = sent {
                tracing::debug!(%address, %error, "an announcement was not sent");
            }
        }
    }

    /// Tells one peer.
    pub(super) fn answer(&self, to: SocketAddr, announcement: &Announcement) {
        let Some(datagram) = encode(announcement) else { return };
        if let Err(error) = SockRef::from(&self.sending).send_to(&datagram, &to.into()) {
            tracing::debug!(%to, %error, "an answer to an announcement was not sent");
        }
    }

    /// The next announcement, and who sent it. Whatever is none is passed over. Nothing is lost when this is given up halfway.
    pub(super) async fn next(&self) -> (SocketAddr, Announcement) {
        // One byte more than is allowed, so that what is longer is seen to be.
        let mut heard = [0; DATAGRAM_MAX + 1];
        let mut unicast = [0; DATAGRAM_MAX + 1];
        loop {
            let (received, datagram) = tokio::select! {
                received = self.listening.recv_from(&mut heard) => (received, &heard),
                received = self.sending.recv_from(&mut unicast) => (received, &unicast),
            };
            match received {
                Ok((length, from)) if length <= DATAGRAM_MAX => match wire::decode(&datagram[..length]) {
                    Ok(announcement) => return (from, announcement),
                    Err(error) => tracing::debug!(%from, %error, "a datagram that is no announcement"),
                },
                Ok((_, from)) => tracing::debug!(%from, "an announcement that is too long"),
                // Such as an ICMP error in answer to what was sent: it is taken off the socket and says nothing of the next.
                Err(error) => tracing::debug!(%error, "receiving announcements"),
            }
        }
    }
}

fn encode(announcement: &Announcement) -> Option<Vec<u8>> {
    match wire::encode(announcement) {
        Ok(datagram) if datagram.len() <= DATAGRAM_MAX => Some(datagram),
        Ok(datagram) => {
            tracing::warn!(length = datagram.len(), "an announcement is too long and was not sent");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "an announcement was not sent");
            None
        }
    }
}

fn listening(group: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Only what is sent to the group on an interface that was joined, not what others on this machine have joined.
    socket.set_multicast_all_v4(false)?;
    socket.bind(&SocketAddr::from(group).into())?;
    UdpSocket::from_std(socket.into())
}

fn sending() -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    socket.set_multicast_loop_v4(true)?;
    socket.set_multicast_ttl_v4(1)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::core::identity::NodeId;

    const DEADLINE: Duration = Duration::from_secs(10);

    /// On loopback only, each test with a port of its own.
    fn lan(port: u16) -> Lan {
        Lan::open(SocketAddrV4::new(*GROUP.ip(), port), vec!["lo".to_owned()]).unwrap()
    }

    async fn next(lan: &Lan) -> (SocketAddr, Announcement) {
        timeout(DEADLINE, lan.next()).await.expect("an announcement within the deadline")
    }

    #[tokio::test]
    async fn everybody_of_one_machine_hears_and_only_the_asker_gets_the_answer() {
        let (a, b) = (lan(19_981), lan(19_981));
        let ping = Announcement::Ping { id: NodeId([1; 32]), port: 4_001 };
        a.announce(&ping);
        let (from, heard) = next(&a).await;
        assert_eq!(heard, ping);
        assert_eq!(next(&b).await, (from, ping));
        assert!(from.ip().is_loopback());
        let pong = Announcement::Pong { id: NodeId([2; 32]), port: 4_002, quality: Default::default(), hosts: vec![] };
        b.answer(from, &pong);
        assert_eq!(next(&a).await.1, pong);
        // The next that b hears is this, and not the answer to a.
        let again = Announcement::Ping { id: NodeId([3; 32]), port: 4_001 };
        a.announce(&again);
        assert_eq!(next(&b).await.1, again);
    }

    #[tokio::test]
    async fn what_is_no_announcement_is_passed_over() {
        let lan = lan(19_982);
        let group = SocketAddr::from(lan.group).into();
        let socket = SockRef::from(&lan.sending);
        socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        for junk in [&b""[..], b"\xff", &[1; DATAGRAM_MAX + 1], &[7; 20]] {
            socket.send_to(junk, &group).unwrap();
        }
        let ping = Announcement::Ping { id: NodeId([1; 32]), port: 1 };
        lan.announce(&ping);
        assert_eq!(next(&lan).await.1, ping);
    }

    #[tokio::test]
    async fn an_interface_that_is_not_there_is_an_error_that_names_those_that_are() {
        let error = Lan::open(GROUP, vec!["wlan9".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("wlan9") && error.contains("lo"), "{error}");
        assert!(Lan::open("10.0.0.1:9999".parse().unwrap(), vec!["lo".to_owned()]).is_err());
    }
}
