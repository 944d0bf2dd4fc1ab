//! Keys that hide nothing: a tag says which key a packet was sealed with.

use bytes::BytesMut;
use quinn_proto::crypto::{AeadKey, CryptoError, HandshakeTokenKey, HeaderKey, HmacKey, KeyPair, Keys, PacketKey};
use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid, Side};
use std::time::Duration;

/// Length of a tag, as AES-GCM has it.
const TAG_BYTES: usize = 16;
/// Bytes of a packet from which its header's protection is derived (RFC 9001 §5.4.2).
const SAMPLE_BYTES: usize = 16;
/// Packets under one key, as for AES-GCM (RFC 9001 §6.6).
const CONFIDENTIALITY_LIMIT: u64 = 1 << 23;
/// Packets that may fail, as for AES-GCM (RFC 9001 §6.6).
const INTEGRITY_LIMIT: u64 = 1 << 52;
/// Length of a signature, as SHA-256 has it.
const SIGNATURE_BYTES: usize = 32;
/// Random bytes of a connection id, as the driver's have.
const NONCE_BYTES: usize = 3;
/// Length of a connection id, as the driver's have.
const ID_BYTES: usize = 8;

/// Two numbers in one that depends on all their bits. SplitMix64 (Steele, Lea, Flood: OOPSLA 2014).
pub(in crate::sim::transport::packet) fn mix(seed: u64, number: u64) -> u64 {
    let mut mixed = seed.wrapping_add(number.wrapping_mul(0xD6E8_FEB8_6659_FD93)).wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Bytes in one number. The same on every machine, and no defence against anybody.
pub(in crate::sim::transport::packet) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let number = |chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    };
    bytes.chunks(8).fold(mix(seed, bytes.len() as u64), |state, chunk| mix(state, number(chunk)))
}

/// The keys of one level of a connection, as one side has them.
pub(super) fn keys(secret: u64, side: Side) -> Keys {
    let of = |side: Side| StandInKey(mix(secret, side as u64));
    Keys {
        header: KeyPair { local: Box::new(Unprotected), remote: Box::new(Unprotected) },
        packet: KeyPair { local: Box::new(of(side)), remote: Box::new(of(!side)) },
    }
}

/// Seals with a tag.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim::transport::packet) struct StandInKey(pub(in crate::sim::transport::packet) u64);

impl StandInKey {
    pub(super) fn tag(self, packet: u64) -> [u8; TAG_BYTES] {
        let mut tag = [0; TAG_BYTES];
        tag[..8].copy_from_slice(&self.0.to_le_bytes());
        tag[8..].copy_from_slice(&packet.to_le_bytes());
        tag
    }
}

impl PacketKey for StandInKey {
    fn encrypt(&self, packet: u64, buf: &mut [u8], _header_len: usize) {
        if let Some(tag) = buf.last_chunk_mut::<TAG_BYTES>() {
            *tag = self.tag(packet);
        }
    }

    fn decrypt(&self, packet: u64, _header: &[u8], payload: &mut BytesMut) -> Result<(), CryptoError> {
        match payload.last_chunk::<TAG_BYTES>() {
            Some(tag) if *tag == self.tag(packet) => {
                payload.truncate(payload.len() - TAG_BYTES);
                Ok(())
            }
            _ => Err(CryptoError),
        }
    }

    fn tag_len(&self) -> usize {
        TAG_BYTES
    }

    fn confidentiality_limit(&self) -> u64 {
        CONFIDENTIALITY_LIMIT
    }

    fn integrity_limit(&self) -> u64 {
        INTEGRITY_LIMIT
    }
}

/// Leaves headers as they are.
#[derive(Debug)]
struct Unprotected;

impl HeaderKey for Unprotected {
    fn decrypt(&self, _pn_offset: usize, _packet: &mut [u8]) {}

    fn encrypt(&self, _pn_offset: usize, _packet: &mut [u8]) {}

    fn sample_size(&self) -> usize {
        SAMPLE_BYTES
    }
}

/// Signs stateless resets.
impl HmacKey for StandInKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        let signature = hash(self.0, data);
        for (place, chunk) in signature_out.chunks_mut(8).enumerate() {
            chunk.copy_from_slice(&mix(signature, place as u64).to_le_bytes()[..chunk.len()]);
        }
    }

    fn signature_len(&self) -> usize {
        SIGNATURE_BYTES
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let mut expected = [0; SIGNATURE_BYTES];
        self.sign(data, &mut expected);
        if expected == signature { Ok(()) } else { Err(CryptoError) }
    }
}

/// Seals the tokens of retries.
impl HandshakeTokenKey for StandInKey {
    fn aead_from_hkdf(&self, random_bytes: &[u8]) -> Box<dyn AeadKey> {
        Box::new(StandInKey(hash(self.0, random_bytes)))
    }
}

impl AeadKey for StandInKey {
    fn seal(&self, data: &mut Vec<u8>, additional_data: &[u8]) -> Result<(), CryptoError> {
        let tag = self.tag(hash(hash(0, additional_data), data));
        data.extend_from_slice(&tag);
        Ok(())
    }

    fn open<'a>(&self, data: &'a mut [u8], additional_data: &[u8]) -> Result<&'a mut [u8], CryptoError> {
        let (data, tag) = data.split_last_chunk_mut::<TAG_BYTES>().ok_or(CryptoError)?;
        if *tag == self.tag(hash(hash(0, additional_data), data)) { Ok(data) } else { Err(CryptoError) }
    }
}

/// Connection ids that an endpoint knows again after a restart, as the driver's.
#[derive(Debug)]
pub(in crate::sim::transport::packet) struct StandInIds {
    /// Of the node's identity.
    key: u64,
    /// Of this life.
    seed: u64,
    given: u64,
}

impl StandInIds {
    pub(in crate::sim::transport::packet) fn new(key: u64, seed: u64) -> Self {
        StandInIds { key, seed, given: 0 }
    }

    fn signature(&self, nonce: &[u8]) -> [u8; ID_BYTES - NONCE_BYTES] {
        let signature = hash(self.key, nonce).to_le_bytes();
        *signature.first_chunk().expect("eight bytes")
    }
}

impl ConnectionIdGenerator for StandInIds {
    fn generate_cid(&mut self) -> ConnectionId {
        self.given += 1;
        let mut id = [0; ID_BYTES];
        id[..NONCE_BYTES].copy_from_slice(&mix(self.seed, self.given).to_le_bytes()[..NONCE_BYTES]);
        let signature = self.signature(&id[..NONCE_BYTES]);
        id[NONCE_BYTES..].copy_from_slice(&signature);
        ConnectionId::new(&id)
    }

    fn validate(&self, cid: &ConnectionId) -> Result<(), InvalidCid> {
        let (nonce, signature) = cid.split_at_checked(NONCE_BYTES).ok_or(InvalidCid)?;
        if self.signature(nonce) == *signature { Ok(()) } else { Err(InvalidCid) }
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
