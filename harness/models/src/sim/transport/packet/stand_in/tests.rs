//! The stand-in costs a path what TLS does, and tells peers apart.

use std::time::Instant;

use butter::core::identity::NodeId;
use butter::quic::handshake::{DATAGRAMS, DATAGRAMS_SEED, datagrams};
use butter::quic::transport_config;
use quinn_proto::crypto::{HandshakeTokenKey, HmacKey};
use quinn_proto::{ClientConfig, ConnectionIdGenerator, Endpoint, EndpointConfig, ServerConfig};

use super::keys::StandInIds;
use super::*;

#[test]
fn a_handshake_has_the_datagrams_of_a_real_one() {
    let [client, server] = [NodeId([1; 32]), NodeId([2; 32])];
    let transport = Arc::new(transport_config(false));
    let mut dial = ClientConfig::new(Arc::new(DiallerIdentity { me: client, expected: Some(server) }));
    dial.transport_config(transport.clone());
    let mut accept = ServerConfig::new(Arc::new(AcceptorIdentity { me: server }), Arc::new(StandInKey(3)));
    accept.transport_config(transport);
    let endpoint = |key: u64, accepts: Option<ServerConfig>| {
        let mut config = EndpointConfig::new(Arc::new(StandInKey(key)));
        config.grease_quic_bit(false).rng_seed(Some(DATAGRAMS_SEED));
        config.cid_generator(move || Box::new(StandInIds::new(key, key)));
        Endpoint::new(Arc::new(config), accepts.map(Arc::new), false, None)
    };
    assert_eq!(datagrams(now(), [endpoint(1, None), endpoint(2, Some(accept))], dial), DATAGRAMS);
}

#[expect(clippy::disallowed_methods, reason = "a moment to count from, whichever it is")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn a_packet_is_read_only_with_the_key_that_sealed_it() {
    let secret = hash(0, b"a connection");
    let (client, server) = (keys(secret, Side::Client), keys(secret, Side::Server));
    let sealed = || {
        let mut packet = vec![0; 40];
        client.packet.local.encrypt(7, &mut packet, 9);
        bytes::BytesMut::from(&packet[9..])
    };
    let read = |keys: &Keys, number| keys.packet.remote.decrypt(number, &[], &mut sealed());
    assert!(read(&server, 7).is_ok());
    assert!(read(&server, 8).is_err(), "another number");
    assert!(read(&client, 7).is_err(), "the other direction");
    assert!(read(&super::keys(mix(secret, 1), Side::Server), 7).is_err(), "another level");
}

#[test]
fn connection_ids_are_known_again_by_their_identity_alone() {
    let (mut mine, again, other) = (StandInIds::new(1, 5), StandInIds::new(1, 6), StandInIds::new(2, 5));
    let [one, two] = [mine.generate_cid(), mine.generate_cid()];
    assert_ne!(one, two);
    assert!(again.validate(&one).is_ok(), "after a restart");
    assert!(other.validate(&one).is_err());
}

#[test]
fn tokens_and_signatures_are_their_key_s() {
    let [mine, other] = [StandInKey(1), StandInKey(2)];
    let mut token = b"a token".to_vec();
    mine.aead_from_hkdf(&[9; 32]).seal(&mut token, b"context").unwrap();
    assert_eq!(token.len(), 7 + 16);
    let open = |key: StandInKey, context: &[u8]| {
        key.aead_from_hkdf(&[9; 32]).open(&mut token.clone(), context).map(|data| data.to_vec()).ok()
    };
    assert_eq!(open(mine, b"context").as_deref(), Some(&b"a token"[..]));
    assert_eq!((open(mine, b"another"), open(other, b"context")), (None, None));
    let mut signature = [0; 32];
    HmacKey::sign(&mine, b"an id", &mut signature);
    assert!(mine.verify(b"an id", &signature).is_ok() && other.verify(b"an id", &signature).is_err());
}
