//! Addresses of both kinds: sockets that take either, and what may be sent to.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

/// What Linux says of an address family that it does not have.
const EAFNOSUPPORT: i32 = 97;
/// Binds a socket. One for any address of IPv6 takes IPv4 as well, and nothing else where the machine has no IPv6.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    if !(address.is_ipv6() && address.ip().is_unspecified()) {
        return UdpSocket::bind(address);
    }
    let both = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None)?;
        socket.set_only_v6(false)?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    match both() {
        Err(error) if is_without_ipv6(&error) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, address.port())),
        bound => bound,
    }
}

/// Whether the kernel has no IPv6, or has it switched off.
fn is_without_ipv6(error: &io::Error) -> bool {
    error.raw_os_error() == Some(EAFNOSUPPORT) || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// The plain address of a peer: IPv4 is IPv4, also on a socket for both kinds.
pub(in crate::driver) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether something may be sent there.
pub(super) fn is_somebody(address: SocketAddr) -> bool {
    !address.ip().is_unspecified() && !address.ip().is_multicast() && address.port() != 0
}
