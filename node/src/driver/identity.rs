//! Who this node is: an ed25519 key pair. The public key is the node's id.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ring::hkdf;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::core::identity::NodeId;

/// Name of the key's file within a node's store.
pub const KEY_FILE: &str = "identity.key";
/// Longest key file that is read: a PKCS#8 ed25519 key has 83 bytes.
const KEY_FILE_MAX: u64 = 1_024;
/// What comes before the seed and before the public key in PKCS#8, DER.
const PKCS8_SEED: [u8; 16] = *b"\x30\x51\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
const PKCS8_PUBLIC: [u8; 3] = *b"\x81\x21\x00";

/// The key pair that a node is known by.
pub struct Identity {
    id: NodeId,
    pkcs8: Vec<u8>,
}

/// Why there is no identity. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file or its folder cannot be read or written.
    #[error("cannot use {path}", path = path.display())]
    Io {
        /// The file or its folder.
        path: PathBuf,
        /// The error of the system call.
        source: io::Error,
    },
    /// Others could read the key.
    #[error("{path} is the secret key of a node, but others may read it: run `chmod 600 {path}`", path = path.display())]
    Exposed {
        /// The file that holds the key.
        path: PathBuf,
    },
    /// The file holds something else.
    #[error("{path} holds no ed25519 key in PKCS#8 (DER): move it away, and a new identity is made", path = path.display())]
    NoKey {
        /// The file that holds the key.
        path: PathBuf,
    },
    /// The operating system gives no random numbers.
    #[error("the system's random generator failed")]
    NoRandomness,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.id)
    }
}

impl Identity {
    /// A new key pair from the system's randomness.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn generate() -> Result<Self, IdentityError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| IdentityError::NoRandomness)?;
        Ok(Self::from_pkcs8(document.as_ref()).expect("ring reads what it made"))
    }

    /// The key pair that follows from a secret seed: for whoever has to know the ids of several nodes before they run.
    ///
    /// # Panics
    /// Never: every seed makes a key pair.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("every seed makes a key pair");
        // PKCS#8 with the public key (RFC 5958, RFC 8410), as ring writes it.
        let pkcs8 = [PKCS8_SEED.as_slice(), seed, PKCS8_PUBLIC.as_slice(), pair.public_key().as_ref()].concat();
        Self::from_pkcs8(&pkcs8).expect("ring reads what it writes itself")
    }

    /// The one kept in the folder `store`; made and kept there (mode 0600) if there is none. The folder is made as well.
    ///
    /// # Errors
    /// If the folder or file cannot be used, or the file is open to others.
    pub fn in_store(store: &Path) -> Result<Self, IdentityError> {
        let path = store.join(KEY_FILE);
        let failed = |source| IdentityError::Io { path: path.clone(), source };
        fs::create_dir_all(store).map_err(|source| IdentityError::Io { path: store.to_owned(), source })?;
        match fs::File::open(&path) {
            Ok(file) => {
                if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
                    return Err(IdentityError::Exposed { path });
                }
                let mut pkcs8 = Vec::new();
                file.take(KEY_FILE_MAX).read_to_end(&mut pkcs8).map_err(failed)?;
                Self::from_pkcs8(&pkcs8).ok_or(IdentityError::NoKey { path })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let identity = Self::generate()?;
                identity.keep(&path).map_err(failed)?;
                Ok(identity)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The public key, which names the node.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The key pair in PKCS#8, DER.
    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// A secret for `purpose` that outlives a restart with the same identity and tells nothing about the key.
    pub(super) fn derive(&self, purpose: &'static str) -> [u8; 32] {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"butter");
        let mut secret = [0; 32];
        salt.extract(&self.pkcs8)
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut secret))
            .expect("32 bytes are not too many to derive");
        secret
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
        let id = NodeId(pair.public_key().as_ref().try_into().expect("an ed25519 public key has 32 bytes"));
        Some(Identity { id, pkcs8: pkcs8.to_vec() })
    }

    /// Written beside and renamed, so that a crash leaves no half key.
    fn keep(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(&self.pkcs8)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    }
}

/// A seed from the system's generator.
///
/// # Errors
/// If the system gives no random numbers.
pub fn random_seed() -> Result<u64, IdentityError> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| IdentityError::NoRandomness)?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_keeps_the_identity() {
        let store = tempfile::tempdir().unwrap();
        let folder = store.path().join("deep/er");
        let first = Identity::in_store(&folder).unwrap();
        let second = Identity::in_store(&folder).unwrap();
        assert_eq!(first.id(), second.id());
        assert_eq!(first.derive("reset"), second.derive("reset"));
        assert_ne!(first.derive("reset"), first.derive("other"));
        let mode = fs::metadata(folder.join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn one_of_a_seed_is_always_the_same() {
        let [first, second, other] = [[1; 32], [1; 32], [2; 32]].map(|seed| Identity::from_seed(&seed));
        assert_eq!(first.id(), second.id());
        assert_ne!(first.id(), other.id());
        let generated = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        assert_eq!(first.pkcs8().len(), generated.as_ref().len(), "as ring writes it");
    }

    #[test]
    fn two_are_different() {
        assert_ne!(Identity::generate().unwrap().id(), Identity::generate().unwrap().id());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_with_the_remedy() {
        let store = tempfile::tempdir().unwrap();
        Identity::in_store(store.path()).unwrap();
        let path = store.path().join(KEY_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Identity::in_store(store.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_file_without_a_key_is_refused() {
        let store = tempfile::tempdir().unwrap();
        let path = store.path().join(KEY_FILE);
        fs::write(&path, b"not a key").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(Identity::in_store(store.path()), Err(IdentityError::NoKey { .. })));
    }
}
