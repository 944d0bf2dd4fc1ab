//! TLS 1.3 with raw public keys (RFC 7250), both sides: a peer proves its ed25519 key, and that is all a peer is.

use std::path::PathBuf;
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, ServerConfig, TransportConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, KeyLog, KeyLogFile, PeerIncompatible,
    SignatureScheme,
};

use crate::core::identity::NodeId;
use crate::driver::identity::Identity;
use crate::quic::{INCOMING_UNPROVEN_MAX, transport_config};

/// What a connection speaks; peers of another version are refused in the handshake.
const ALPN: &[u8] = b"butter/1";
/// Everything of an ed25519 SubjectPublicKeyInfo (RFC 8410) before the 32 bytes of the key.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Holds the name of a file to which the secrets of all connections are added, in the format of NSS: whoever has that file can
/// read what connections carry.
pub const KEY_LOG_VARIABLE: &str = "SSLKEYLOGFILE";

/// The file of [`KEY_LOG_VARIABLE`], if the variable is set.
pub fn key_log_file() -> Option<PathBuf> {
    std::env::var_os(KEY_LOG_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from)
}

/// The configurations of all connections.
#[derive(Debug)]
pub(super) struct Tls {
    /// Writes secrets down, if that is asked for.
    key_log: Option<Arc<dyn KeyLog>>,
    provider: Arc<CryptoProvider>,
    key: Arc<CertifiedKey>,
    direct: Arc<TransportConfig>,
    relayed: Arc<TransportConfig>,
}

impl Tls {
    pub(super) fn new(identity: &Identity) -> Result<Self, Error> {
        let private = PrivatePkcs8KeyDer::from(identity.pkcs8());
        let signer = ring::sign::any_eddsa_type(&private)?;
        let public = CertificateDer::from(public_key_info(identity.id()));
        Ok(Tls {
            key_log: key_log_file().map(|_| Arc::new(KeyLogFile::new()) as Arc<dyn KeyLog>),
            provider: Arc::new(ring::default_provider()),
            key: Arc::new(CertifiedKey::new(vec![public], signer)),
            direct: Arc::new(transport_config(false)),
            relayed: Arc::new(transport_config(true)),
        })
    }

    /// For a connection that is dialled. The handshake fails unless `expected`, if given, is at the other end.
    pub(super) fn client(&self, expected: Option<NodeId>, relayed: bool) -> Result<ClientConfig, Error> {
        let mut config = ClientConfig::new(self.client_crypto(expected)?);
        config.transport_config(self.transport(relayed));
        Ok(config)
    }

    fn client_crypto(&self, expected: Option<NodeId>) -> Result<Arc<QuicClientConfig>, Error> {
        let mut config = rustls::ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PeerVerifier::new(&self.provider, expected)))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(self.key.clone())));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed session would carry an identity that is not proven anew.
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        if let Some(key_log) = &self.key_log {
            config.key_log = Arc::clone(key_log);
        }
        QuicClientConfig::try_from(config).map(Arc::new).map_err(|error| Error::General(error.to_string()))
    }

    /// For a connection that is accepted.
    pub(super) fn server(&self, relayed: bool) -> Result<ServerConfig, Error> {
        let mut config = rustls::ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(PeerVerifier::new(&self.provider, None)))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(self.key.clone())));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        if let Some(key_log) = &self.key_log {
            config.key_log = Arc::clone(key_log);
        }
        let crypto = QuicServerConfig::try_from(config).map_err(|error| Error::General(error.to_string()))?;
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(self.transport(relayed));
        config.max_incoming(2 * INCOMING_UNPROVEN_MAX);
        Ok(config)
    }

    fn transport(&self, relayed: bool) -> Arc<TransportConfig> {
        if relayed { self.relayed.clone() } else { self.direct.clone() }
    }
}

/// Who is at the other end of an established connection.
pub(super) fn peer_of(connection: &Connection) -> Option<NodeId> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    node_id(identity.first()?)
}

fn public_key_info(id: NodeId) -> Vec<u8> {
    [&SPKI_PREFIX[..], &id.0].concat()
}

fn node_id(public_key_info: &[u8]) -> Option<NodeId> {
    Some(NodeId(public_key_info.strip_prefix(&SPKI_PREFIX)?.try_into().ok()?))
}

/// Takes any peer that proves an ed25519 key, or only the one that is expected.
#[derive(Debug)]
struct PeerVerifier {
    algorithms: WebPkiSupportedAlgorithms,
    expected: Option<NodeId>,
}

impl PeerVerifier {
    fn new(provider: &CryptoProvider, expected: Option<NodeId>) -> Self {
        PeerVerifier { algorithms: provider.signature_verification_algorithms, expected }
    }

    fn check_key(&self, public_key_info: &CertificateDer<'_>) -> Result<(), Error> {
        let id = node_id(public_key_info).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        match self.expected {
            Some(expected) if expected != id => {
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(()),
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        public_key_info: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(public_key_info.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }
}

/// TLS 1.2 is never offered.
fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check_key(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check_key(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
