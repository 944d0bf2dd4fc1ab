//! The two QUIC endpoints: one for direct links and one for relayed ones.
//!
//! They share nothing, not even the key of their connection ids. So a packet of a direct link that a relay delivers belongs to no connection,
//! and no connection can ever pass from one kind to the other, whatever peers send.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{AsyncUdpSocket, ClientConfig, ConnectError, Connecting, Endpoint, EndpointConfig, Incoming, TokioRuntime};
use quinn_proto::HashedConnectionIdGenerator;

use super::socket::Socket;
use super::tls::Tls;
use super::tunnel::Tunnel;
use crate::driver::identity::Identity;
use crate::quic::limits::{CloseCode, SERVER_NAME};
use crate::quic::routes::is_virtual;

/// Both of a node.
#[derive(Clone, Debug)]
pub(super) struct Endpoints {
    direct: Endpoint,
    relayed: Endpoint,
}

impl Endpoints {
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the socket does not tell where it is.
    pub(super) fn new(identity: &Identity, tls: &Tls, socket: Arc<Socket>, tunnel: Arc<Tunnel>) -> io::Result<Self> {
        let endpoint = |purposes, relayed, socket: Arc<dyn AsyncUdpSocket>| {
            let server = tls.server(relayed).map_err(io::Error::other)?;
            let config = config(identity, purposes);
            Endpoint::new_with_abstract_socket(config, Some(server), socket, Arc::new(TokioRuntime))
        };
        Ok(Endpoints {
            direct: endpoint(["stateless reset", "connection ids"], false, socket)?,
            relayed: endpoint(["relayed stateless reset", "relayed connection ids"], true, tunnel)?,
        })
    }

    /// Connections in all, also those that are not reported yet.
    pub(super) fn open_connections(&self) -> usize {
        self.direct.open_connections() + self.relayed.open_connections()
    }

    /// Where direct links come to.
    ///
    /// # Errors
    /// If the system does not tell.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.direct.local_addr()
    }

    /// Dials a real or a virtual address.
    ///
    /// # Errors
    /// If it cannot be dialled from here.
    pub(super) fn connect(&self, config: ClientConfig, to: SocketAddr) -> Result<Connecting, ConnectError> {
        let endpoint = if is_virtual(to) { &self.relayed } else { &self.direct };
        endpoint.connect_with(config, to, SERVER_NAME)
    }

    /// The next connection from outside; `None` once closed. Nothing is lost when this is given up halfway.
    pub(super) async fn accept(&self) -> Option<Incoming> {
        tokio::select! {
            incoming = self.direct.accept() => incoming,
            incoming = self.relayed.accept() => incoming,
        }
    }

    /// Closes every connection at once.
    pub(super) fn close(&self) {
        for endpoint in [&self.relayed, &self.direct] {
            endpoint.close(quinn::VarInt::from_u32(CloseCode::Done as u32), b"");
        }
    }

    /// Waits until all connections that were closed are forgotten.
    pub(super) async fn wait_idle(&self) {
        tokio::join!(self.relayed.wait_idle(), self.direct.wait_idle());
    }
}

/// A node that comes back with its identity tells peers at once that it has forgotten their connections: its stateless resets
/// (RFC 9000, 10.3) are derived from the identity, each endpoint's for itself, so that none gives away a token of the other's.
fn config(identity: &Identity, [reset, ids]: [&'static str; 2]) -> EndpointConfig {
    let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &identity.derive(reset));
    let ids = identity.derive(ids);
    let ids = u64::from_le_bytes(ids[..8].try_into().expect("8 of 32 bytes"));
    let mut config = EndpointConfig::new(Arc::new(reset));
    // The fixed bit tells QUIC from probes (RFC 9443 §2).
    config.grease_quic_bit(false);
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids)));
    config
}
