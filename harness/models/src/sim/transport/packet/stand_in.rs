//! A stand-in for the cryptography of QUIC: nothing is secret, nothing is random, and everything is as long as the real thing.
//!
//! Messages of the handshake have the lengths that TLS 1.3 gives them with the driver's settings ([`handshake`]). They carry
//! the identity of either side, which the other checks as the driver does. Keys differ from connection to connection and
//! from level to level, so that a packet is read only by its connection. Header protection does nothing.

use std::any::Any;
use std::sync::Arc;

use butter::core::identity::NodeId;
use butter::quic::handshake;
use quinn_proto::crypto::{
    ClientConfig, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, ServerConfig, Session,
    UnsupportedVersion,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectError, ConnectionId, Side, TransportError, TransportErrorCode};

use keys::{StandInKey, hash, keys, mix};

pub(super) mod keys;
#[cfg(test)]
mod tests;

/// Bytes before a message's content: what it is, the length of the whole, and the length of the transport parameters.
const HEADER_BYTES: usize = 1 + 4 + 2;
/// TLS alert for another peer than the one that is expected.
const ACCESS_DENIED: u8 = 49;
/// TLS alert for a message that cannot be read.
const DECODE_ERROR: u8 = 50;

/// Who dials, and who is to answer.
#[derive(Debug)]
pub(super) struct DiallerIdentity {
    pub(super) me: NodeId,
    pub(super) expected: Option<NodeId>,
}

/// Who is dialled.
#[derive(Debug)]
pub(super) struct AcceptorIdentity {
    pub(super) me: NodeId,
}

impl ClientConfig for DiallerIdentity {
    fn start_session(
        self: Arc<Self>,
        _version: u32,
        _server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn Session>, ConnectError> {
        Ok(Box::new(StandIn::new(Side::Client, self.me, self.expected, params)))
    }
}

impl ServerConfig for AcceptorIdentity {
    fn initial_keys(&self, _version: u32, dst_cid: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        Ok(initial_keys(dst_cid, Side::Server))
    }

    fn retry_tag(&self, _version: u32, orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        retry_tag(orig_dst_cid, [packet, &[]])
    }

    fn start_session(self: Arc<Self>, _version: u32, params: &TransportParameters) -> Box<dyn Session> {
        Box::new(StandIn::new(Side::Server, self.me, None, params))
    }
}

/// What a side does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The client writes its hello.
    WriteClientHello,
    /// The server waits for it.
    ReadClientHello,
    /// The server writes its hello, in the clear.
    WriteServerHello,
    /// The client waits for it.
    ReadServerHello,
    /// The client takes the keys of the handshake, with nothing to write.
    TakeHandshakeKeys,
    /// The server writes who it is.
    WriteServerFlight,
    /// The client waits for that.
    ReadServerFlight,
    /// The client writes who it is.
    WriteClientFlight,
    /// The server waits for that.
    ReadClientFlight,
    Done,
}

impl Stage {
    /// The message that is read in this stage, by its first byte.
    fn reads(self) -> Option<u8> {
        match self {
            Stage::ReadClientHello => Some(1),
            Stage::ReadServerHello => Some(2),
            Stage::ReadServerFlight => Some(8),
            Stage::ReadClientFlight => Some(11),
            _ => None,
        }
    }
}

/// One side of a handshake.
#[derive(Debug)]
struct StandIn {
    side: Side,
    me: NodeId,
    expected: Option<NodeId>,
    stage: Stage,
    parameters: Vec<u8>,
    /// Bytes that are no whole message yet.
    read: Vec<u8>,
    /// Mixed from both hellos.
    secret: u64,
    peer: Option<NodeId>,
    peer_parameters: Option<TransportParameters>,
    updates: u64,
}

impl StandIn {
    fn new(side: Side, me: NodeId, expected: Option<NodeId>, params: &TransportParameters) -> Self {
        let mut parameters = Vec::new();
        params.write(&mut parameters);
        let stage = if side == Side::Client { Stage::WriteClientHello } else { Stage::ReadClientHello };
        let (read, secret, updates) = (Vec::new(), 0, 0);
        StandIn { side, me, expected, stage, parameters, read, secret, peer: None, peer_parameters: None, updates }
    }

    /// A message of a real one's length: `length` and that of the transport parameters in it.
    fn write(&self, buf: &mut Vec<u8>, kind: u8, length: usize, identity: bool, parameters: bool) {
        let parameters: &[u8] = if parameters { &self.parameters } else { &[] };
        let end = buf.len() + length + parameters.len();
        buf.push(kind);
        buf.extend_from_slice(&((length + parameters.len()) as u32).to_be_bytes());
        buf.extend_from_slice(&(parameters.len() as u16).to_be_bytes());
        buf.extend_from_slice(parameters);
        if identity {
            buf.extend_from_slice(&self.me.0);
        }
        buf.resize(end, 0);
    }

    fn take(&mut self, kind: u8, message: &[u8]) -> Result<(), TransportError> {
        if self.stage.reads() != Some(kind) {
            return Err(alert(DECODE_ERROR, "a message out of turn"));
        }
        let length = usize::from(u16::from_be_bytes([message[5], message[6]]));
        let parameters = message.get(HEADER_BYTES..HEADER_BYTES + length);
        let mut parameters = parameters.ok_or_else(|| alert(DECODE_ERROR, "no transport parameters"))?;
        if matches!(self.stage, Stage::ReadClientHello | Stage::ReadServerHello) {
            self.secret = mix(self.secret, hash(0, message));
        }
        if length > 0 {
            self.peer_parameters = Some(TransportParameters::read(self.side, &mut parameters)?);
        }
        self.stage = match self.stage {
            Stage::ReadClientHello => Stage::WriteServerHello,
            Stage::ReadServerHello => Stage::TakeHandshakeKeys,
            Stage::ReadServerFlight => Stage::WriteClientFlight,
            _ => Stage::Done,
        };
        if matches!(self.stage, Stage::WriteClientFlight | Stage::Done) {
            let identity = message.get(HEADER_BYTES + length..).and_then(|rest| rest.first_chunk::<32>());
            let peer = NodeId(*identity.ok_or_else(|| alert(DECODE_ERROR, "no identity"))?);
            if self.expected.is_some_and(|expected| expected != peer) {
                return Err(alert(ACCESS_DENIED, "another peer than expected"));
            }
            self.peer = Some(peer);
        }
        Ok(())
    }
}

impl Session for StandIn {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> Keys {
        initial_keys(dst_cid, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.peer.map(|peer| -> Box<dyn Any> { Box::new(peer) })
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.handshake_data()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        None
    }

    fn early_data_accepted(&self) -> Option<bool> {
        (self.side == Side::Client).then_some(false)
    }

    fn is_handshaking(&self) -> bool {
        !matches!(self.stage, Stage::WriteClientFlight | Stage::Done)
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        self.read.extend_from_slice(buf);
        let knew = self.peer.is_some();
        while let Some(header) = self.read.first_chunk::<HEADER_BYTES>() {
            let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
            if self.read.len() < length.max(HEADER_BYTES) {
                break;
            }
            let rest = self.read.split_off(length.max(HEADER_BYTES));
            let message = std::mem::replace(&mut self.read, rest);
            self.take(message[0], &message)?;
        }
        Ok(!knew && self.peer.is_some())
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        Ok(self.peer_parameters)
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        let (next, level) = match self.stage {
            Stage::WriteClientHello => {
                self.write(buf, 1, handshake::CLIENT_HELLO, false, true);
                self.secret = mix(self.secret, hash(0, buf));
                (Stage::ReadServerHello, None)
            }
            Stage::WriteServerHello => {
                self.write(buf, 2, handshake::SERVER_HELLO, false, false);
                // In place of its random number: what no other connection has.
                let random = hash(1, &self.parameters).to_be_bytes();
                buf[HEADER_BYTES..HEADER_BYTES + 8].copy_from_slice(&random);
                self.secret = mix(self.secret, hash(0, buf));
                (Stage::WriteServerFlight, Some(1))
            }
            Stage::TakeHandshakeKeys => (Stage::ReadServerFlight, Some(1)),
            Stage::WriteServerFlight => {
                self.write(buf, 8, handshake::SERVER_FLIGHT, true, true);
                (Stage::ReadClientFlight, Some(2))
            }
            Stage::WriteClientFlight => {
                self.write(buf, 11, handshake::CLIENT_FLIGHT, true, false);
                (Stage::Done, Some(2))
            }
            _ => return None,
        };
        self.stage = next;
        level.map(|level| keys(mix(self.secret, level), self.side))
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.updates += 1;
        Some(keys(mix(self.secret, 2 + self.updates), self.side).packet)
    }

    fn is_valid_retry(&self, orig_dst_cid: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        let Some((payload, tag)) = payload.split_last_chunk::<16>() else { return false };
        retry_tag(orig_dst_cid, [header, payload]) == *tag
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        let secret = hash(hash(self.secret, label), context);
        for (place, chunk) in output.chunks_mut(8).enumerate() {
            chunk.copy_from_slice(&mix(secret, place as u64).to_be_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

fn initial_keys(dst_cid: &ConnectionId, side: Side) -> Keys {
    keys(hash(0, dst_cid), side)
}

/// Of a retry packet, as its parts.
fn retry_tag(orig_dst_cid: &ConnectionId, packet: [&[u8]; 2]) -> [u8; 16] {
    StandInKey(hash(hash(1, orig_dst_cid), &packet.concat())).tag(0)
}

fn alert(code: u8, reason: &str) -> TransportError {
    TransportError { code: TransportErrorCode::crypto(code), frame: None, reason: reason.to_owned() }
}
