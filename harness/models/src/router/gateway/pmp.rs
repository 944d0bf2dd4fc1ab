//! NAT-PMP (RFC 6886): its packets. Pure.

use std::net::Ipv4Addr;

use crate::net::nat::Protocol;

/// The version of the protocol, the first byte of every packet.
pub const VERSION: u8 = 0;
/// Set in the opcode of an answer.
const ANSWER: u8 = 128;
/// Length of the shortest request, in bytes.
const REQUEST_MIN: usize = 2;
/// Length of a request for a mapping, in bytes.
const MAP_LEN: usize = 12;

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PmpRequest {
    /// Asks for, or tells, the external address.
    Address,
    /// A mapping, or its end.
    Map {
        /// Transport protocol of the mapping.
        protocol: Protocol,
        /// The client's port; 0, with a lifetime of 0, means all of them.
        inside: u16,
        /// The port that is wanted outside; 0 for any.
        outside: u16,
        /// In seconds; 0 ends it.
        lifetime: u32,
    },
}

/// Why a client gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PmpFailure {
    /// It speaks another version.
    Version = 1,
    /// It may not have it.
    NotAuthorized = 2,
    /// The router has no address.
    Network = 3,
    /// There is no port left.
    Resources = 4,
    /// It asks for something unknown.
    Opcode = 5,
}

/// The answer to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PmpAnswer {
    /// Asks for, or tells, the external address.
    Address(Ipv4Addr),
    /// A mapping; without a port outside and a lifetime if it has ended.
    Mapped {
        /// Transport protocol of the mapping.
        protocol: Protocol,
        /// The client's port on the LAN.
        inside: u16,
        /// The external port of the mapping.
        outside: u16,
        /// Lifetime of the mapping, in seconds.
        lifetime: u32,
    },
}

/// Reads a request. `None` if it deserves no answer.
///
/// # Errors
/// If it is to be answered with a failure.
pub fn parse(bytes: &[u8]) -> Option<Result<PmpRequest, PmpFailure>> {
    let &[version, opcode, ..] = bytes else { return None };
    if bytes.len() < REQUEST_MIN || opcode & ANSWER != 0 {
        return None;
    }
    if version != VERSION {
        return Some(Err(PmpFailure::Version));
    }
    let protocol = match opcode {
        0 => return Some(Ok(PmpRequest::Address)),
        1 => Protocol::Udp,
        2 => Protocol::Tcp,
        _ => return Some(Err(PmpFailure::Opcode)),
    };
    let map: &[u8; MAP_LEN] = bytes.first_chunk()?;
    let word = |at: usize| u16::from_be_bytes([map[at], map[at + 1]]);
    let lifetime = u32::from_be_bytes([map[8], map[9], map[10], map[11]]);
    Some(Ok(PmpRequest::Map { protocol, inside: word(4), outside: word(6), lifetime }))
}

/// An answer's bytes. `epoch` is the seconds since the router forgot everything.
pub fn answer(epoch: u32, answer: PmpAnswer) -> Vec<u8> {
    match answer {
        PmpAnswer::Address(address) => {
            let mut bytes = head(0, 0, epoch);
            bytes.extend(address.octets());
            bytes
        }
        PmpAnswer::Mapped { protocol, inside, outside, lifetime } => {
            let mut bytes = head(if protocol == Protocol::Udp { 1 } else { 2 }, 0, epoch);
            bytes.extend(inside.to_be_bytes());
            bytes.extend(outside.to_be_bytes());
            bytes.extend(lifetime.to_be_bytes());
            bytes
        }
    }
}

/// A failure's bytes: as long as the answer to the request would have been.
pub fn failure(epoch: u32, request: &[u8], why: PmpFailure) -> Vec<u8> {
    let opcode = request.get(1).copied().unwrap_or(0);
    let mut bytes = head(opcode, why as u16, epoch);
    match opcode {
        0 => bytes.extend([0; 4]),
        1 | 2 => {
            // The ports are quoted, so that the client knows which request has failed.
            bytes.extend(request.get(4..8).unwrap_or(&[0; 4]));
            bytes.extend([0; 4]);
        }
        _ => {}
    }
    bytes
}

fn head(opcode: u8, result: u16, epoch: u32) -> Vec<u8> {
    let mut bytes = vec![VERSION, ANSWER | opcode];
    bytes.extend(result.to_be_bytes());
    bytes.extend(epoch.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_read_as_rfc_6886_writes_them() {
        assert_eq!(parse(&[0, 0]), Some(Ok(PmpRequest::Address)));
        let map = [0, 1, 0, 0, 0x0f, 0xa1, 0x13, 0x88, 0, 0, 0x1c, 0x20];
        let expected = PmpRequest::Map { protocol: Protocol::Udp, inside: 4_001, outside: 5_000, lifetime: 7_200 };
        assert_eq!(parse(&map), Some(Ok(expected)));
        assert_eq!(parse(&[2, 0, 0, 0]), Some(Err(PmpFailure::Version)));
        assert_eq!(parse(&[0, 9]), Some(Err(PmpFailure::Opcode)));
        assert_eq!(parse(&map[..11]), None, "cut short");
        assert_eq!(parse(&[0, 129]), None, "an answer");
        assert_eq!(parse(&[0]), None);
    }

    #[test]
    fn answers_are_as_rfc_6886_writes_them() {
        let address = answer(258, PmpAnswer::Address(Ipv4Addr::new(203, 0, 113, 2)));
        assert_eq!(address, [0, 128, 0, 0, 0, 0, 1, 2, 203, 0, 113, 2]);
        let mapped = PmpAnswer::Mapped { protocol: Protocol::Tcp, inside: 80, outside: 8_080, lifetime: 7_200 };
        assert_eq!(answer(1, mapped), [0, 130, 0, 0, 0, 0, 0, 1, 0, 80, 0x1f, 0x90, 0, 0, 0x1c, 0x20]);
        let request = [0, 1, 0, 0, 0x0f, 0xa1, 0x13, 0x88, 0, 0, 0x1c, 0x20];
        let refused = failure(1, &request, PmpFailure::Resources);
        assert_eq!(refused, [0, 129, 0, 4, 0, 0, 0, 1, 0x0f, 0xa1, 0x13, 0x88, 0, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(Err(why)) = parse(&bytes) {
                prop_assert!(failure(0, &bytes, why).len() <= 16);
            }
        }
    }
}
