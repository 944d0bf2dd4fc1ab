//! How long the messages of our TLS 1.3 handshake are, so that a stand-in for it costs a path the same.
//!
//! The driver's tests measure these lengths at real handshakes (`driver::transport::tls`), the simulator's at its stand-in.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use bytes::BytesMut;
use quinn_proto::{ClientConfig, Connection, ConnectionHandle, DatagramEvent, Endpoint, Side};

use super::limits::{SEGMENTS_MAX, SERVER_NAME};

/// ClientHello, without the transport parameters, in bytes.
pub const CLIENT_HELLO: usize = 176;
/// ServerHello, in bytes.
pub const SERVER_HELLO: usize = 90;
/// EncryptedExtensions without the transport parameters, CertificateRequest, Certificate, CertificateVerify and Finished,
/// in bytes.
pub const SERVER_FLIGHT: usize = 231;
/// The client's Certificate, CertificateVerify and Finished, in bytes.
pub const CLIENT_FLIGHT: usize = 181;

/// Seed of both endpoints for [`DATAGRAMS`]: it decides the lengths that are random.
pub const DATAGRAMS_SEED: [u8; 32] = [7; 32];
/// The datagrams of a handshake between endpoints of [`DATAGRAMS_SEED`], until both are quiet.
pub const DATAGRAMS: &[HandshakeDatagram] = &[
    HandshakeDatagram(Side::Client, 1_200),
    HandshakeDatagram(Side::Server, 1_200),
    HandshakeDatagram(Side::Client, 1_200),
    HandshakeDatagram(Side::Server, 34),
    HandshakeDatagram(Side::Client, 59),
];

/// A datagram of a handshake: whose, and its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeDatagram(pub Side, pub usize);

/// Has one endpoint dial the other over a perfect path at one moment, and notes every datagram until both are quiet.
///
/// # Panics
/// If an endpoint refuses to dial or to be dialled.
pub fn datagrams(now: Instant, ends: [Endpoint; 2], config: ClientConfig) -> Vec<HandshakeDatagram> {
    let address = |side: usize| SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1 + side as u8).into(), 4_001);
    let mut ends = ends;
    let (handle, connection) = ends[0].connect(now, config, address(1), SERVER_NAME).expect("it can be dialled");
    let mut connections = [Some((handle, connection)), None];
    let mut noted = Vec::new();
    loop {
        let before = noted.len();
        for side in 0..2 {
            let sent = transmitted(now, &mut ends[side], connections[side].as_mut());
            for datagram in sent {
                noted.push(HandshakeDatagram([Side::Client, Side::Server][side], datagram.len()));
                receive(now, &mut ends[1 - side], &mut connections[1 - side], address(side), datagram);
            }
        }
        if noted.len() == before {
            return noted;
        }
    }
}

fn transmitted(
    now: Instant,
    end: &mut Endpoint,
    connection: Option<&mut (ConnectionHandle, Connection)>,
) -> Vec<BytesMut> {
    let Some((handle, connection)) = connection else { return Vec::new() };
    while let Some(event) = connection.poll_endpoint_events() {
        if let Some(answer) = end.handle_event(*handle, event) {
            connection.handle_event(answer);
        }
    }
    let mut sent = Vec::new();
    let mut buffer = Vec::new();
    while let Some(transmit) = connection.poll_transmit(now, SEGMENTS_MAX, &mut buffer) {
        let size = transmit.segment_size.unwrap_or(transmit.size);
        sent.extend(buffer[..transmit.size].chunks(size).map(BytesMut::from));
        buffer.clear();
    }
    sent
}

fn receive(
    now: Instant,
    end: &mut Endpoint,
    connection: &mut Option<(ConnectionHandle, Connection)>,
    from: SocketAddr,
    datagram: BytesMut,
) {
    let mut response = Vec::new();
    match end.handle(now, from, None, None, datagram, &mut response) {
        Some(DatagramEvent::ConnectionEvent(_, event)) => {
            if let Some((_, connection)) = connection {
                connection.handle_event(event);
            }
        }
        Some(DatagramEvent::NewConnection(incoming)) => {
            let accepted = end.accept(incoming, now, &mut response, None);
            *connection = Some(accepted.map_err(|refused| refused.cause).expect("it accepts"));
        }
        Some(DatagramEvent::Response(_)) | None => {}
    }
}
