//! Who a node is, and what a block is called: 32 bytes each, printed as 64 hexadecimal digits.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
        pub struct $name(pub [u8; 32]);

        // The order of the bytes. Ids are random, so the first 8 nearly always decide, and without a call.
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.prefix().cmp(&other.prefix()).then_with(|| self.0.cmp(&other.0))
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// The first 8 bytes as a number: a cheap, evenly spread key.
            pub fn prefix(&self) -> u64 {
                u64::from_be_bytes(self.0[..8].try_into().expect("32 bytes hold 8"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hex(text).map(Self).ok_or_else(|| IdError { what: $what, length: text.chars().count() })
            }
        }
    };
}

id! {
    /// A node: its ed25519 public key.
    NodeId, "node id"
}
id! {
    /// A block: the SHA-256 of what it holds. See [`crate::overlay::data::block`].
    BlockId, "block id"
}

/// A text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {what} is 64 hexadecimal digits, this has {length} characters or others than 0-9 and a-f")]
pub struct IdError {
    what: &'static str,
    length: usize,
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = BlockId(std::array::from_fn(|i| i as u8 * 7));
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_bad_id_says_why() {
        let error = "xyz".parse::<NodeId>().unwrap_err();
        assert!(error.to_string().contains("64 hexadecimal digits"), "{error}");
        assert!("é".repeat(32).parse::<NodeId>().is_err());
    }
}
