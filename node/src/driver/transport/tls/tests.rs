//! Who is an identity, and how long the messages of a handshake are.

use std::any::Any;
use std::sync::Mutex;
use std::time::Instant;

use quinn_proto::crypto::{
    self, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, Session, UnsupportedVersion,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectError, ConnectionId, Endpoint, EndpointConfig, Side, TransportError};

use super::*;
use crate::quic::handshake::{
    CLIENT_FLIGHT, CLIENT_HELLO, DATAGRAMS, DATAGRAMS_SEED, SERVER_FLIGHT, SERVER_HELLO, datagrams,
};

#[test]
fn only_an_ed25519_key_is_an_identity() {
    let id = NodeId([7; 32]);
    let info = public_key_info(id);
    assert_eq!(info.len(), 44);
    assert_eq!(node_id(&info), Some(id));
    assert_eq!(node_id(&info[..43]), None);
    assert_eq!(node_id(&[0; 44]), None);
    assert_eq!(node_id(&[info, vec![0]].concat()), None);
}

/// What both sides wrote: who, its message's length, and that of its transport parameters.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<(Side, usize, usize)>>>);

/// Real TLS that notes what it writes.
struct Noting<C: ?Sized> {
    written: Written,
    crypto: Arc<C>,
}

struct NotingSession {
    side: Side,
    parameters: usize,
    written: Written,
    session: Box<dyn Session>,
}

fn length(params: &TransportParameters) -> usize {
    let mut bytes = Vec::new();
    params.write(&mut bytes);
    bytes.len()
}

impl crypto::ClientConfig for Noting<dyn crypto::ClientConfig> {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn Session>, ConnectError> {
        let session = self.crypto.clone().start_session(version, server_name, params)?;
        let written = self.written.clone();
        Ok(Box::new(NotingSession { side: Side::Client, parameters: length(params), written, session }))
    }
}

impl crypto::ServerConfig for Noting<dyn crypto::ServerConfig> {
    fn initial_keys(&self, version: u32, dst_cid: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        self.crypto.initial_keys(version, dst_cid)
    }

    fn retry_tag(&self, version: u32, orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.crypto.retry_tag(version, orig_dst_cid, packet)
    }

    fn start_session(self: Arc<Self>, version: u32, params: &TransportParameters) -> Box<dyn Session> {
        let session = self.crypto.clone().start_session(version, params);
        let written = self.written.clone();
        Box::new(NotingSession { side: Side::Server, parameters: length(params), written, session })
    }
}

impl Session for NotingSession {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> Keys {
        self.session.initial_keys(dst_cid, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.session.handshake_data()
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.session.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.session.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.session.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        self.session.read_handshake(buf)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        self.session.transport_parameters()
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        let keys = self.session.write_handshake(buf);
        if !buf.is_empty() {
            self.written.0.lock().unwrap().push((self.side, buf.len(), self.parameters));
        }
        keys
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.session.next_1rtt_keys()
    }

    fn is_valid_retry(&self, orig_dst_cid: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.session.is_valid_retry(orig_dst_cid, header, payload)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        self.session.export_keying_material(output, label, context)
    }
}

/// The simulator's stand-in for TLS has messages of these lengths.
#[test]
fn handshake_messages_are_as_long_as_the_simulator_takes_them_to_be() {
    let [client, server] = [(); 2].map(|()| Identity::generate().unwrap());
    let (tls, server_id) = ([Tls::new(&client).unwrap(), Tls::new(&server).unwrap()], server.id());
    let written = Written::default();
    let crypto: Arc<dyn crypto::ClientConfig> = tls[0].client_crypto(Some(server_id)).unwrap();
    let noting = Noting { written: written.clone(), crypto };
    let mut dial = ClientConfig::new(Arc::new(noting));
    dial.transport_config(tls[0].transport(false));
    let mut accept = tls[1].server(false).unwrap();
    accept.crypto = Arc::new(Noting { written: written.clone(), crypto: accept.crypto.clone() });
    let endpoint = |accepts: Option<ServerConfig>| {
        let mut config = EndpointConfig::default();
        config.grease_quic_bit(false).rng_seed(Some(DATAGRAMS_SEED));
        Endpoint::new(Arc::new(config), accepts.map(Arc::new), false, None)
    };
    let noted = datagrams(Instant::now(), [endpoint(None), endpoint(Some(accept))], dial);
    let written = written.0.lock().unwrap().clone();
    let [(Side::Client, hello, of_client), (Side::Server, answer, _), (Side::Server, flight, of_server), last] =
        written[..]
    else {
        panic!("four messages: {written:?}")
    };
    let lengths = [hello - of_client, answer, flight - of_server, last.1];
    assert_eq!(lengths, [CLIENT_HELLO, SERVER_HELLO, SERVER_FLIGHT, CLIENT_FLIGHT]);
    assert_eq!(noted, DATAGRAMS);
}
