//! PCP (RFC 6887): its packets, as far as MAP and ANNOUNCE need them. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4};

use crate::net::nat::Protocol;

/// The version of the protocol, the first byte of every packet.
pub const VERSION: u8 = 2;
/// Longest packet, in bytes (§7).
pub const PACKET_MAX: usize = 1_100;
/// Length of a packet's head, in bytes.
const HEAD_LEN: usize = 24;
/// Length of what MAP adds, in bytes.
const MAP_LEN: usize = 36;
/// Set in the opcode of an answer.
const ANSWER: u8 = 128;
/// Options from here on may be ignored (§7.3).
const OPTIONAL: u8 = 128;
/// The option that nothing but the port and the address suggested will do (§13.2).
const PREFER_FAILURE: u8 = 2;
/// Seconds for which the same request would fail again: while somebody else has what is wanted, and for good (§7.4).
const SHORT: u32 = 30;
/// See [`SHORT`].
const LONG: u32 = 30 * 60;

/// Which client made a mapping.
pub type PcpNonce = [u8; 12];

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcpRequest {
    /// The address that the client thinks it has.
    pub client: IpAddr,
    /// The operation that it asks for.
    pub operation: PcpOperation,
}

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PcpOperation {
    /// Whether the server is still the one that it was.
    Announce,
    /// A mapping, or its end.
    Map(PcpMapping),
}

/// A mapping, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcpMapping {
    /// The nonce that owns the mapping.
    pub nonce: PcpNonce,
    /// Transport protocol of the mapping.
    pub protocol: Protocol,
    /// The client's port on the LAN.
    pub inside: u16,
    /// The port that is wanted outside; 0 for any.
    pub outside: u16,
    /// The address that is wanted outside, if any is.
    pub address: Option<IpAddr>,
    /// Whether no other will do.
    pub exact: bool,
    /// In seconds; 0 ends it.
    pub lifetime: u32,
}

/// Why a client gets nothing (§7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PcpFailure {
    /// It speaks another version.
    Version = 1,
    /// It may not have it.
    NotAuthorized = 2,
    /// The request is wrong.
    Malformed = 3,
    /// It asks for something unknown.
    Opcode = 4,
    /// It demands something unknown.
    Option = 5,
    /// An option is wrong.
    MalformedOption = 6,
    /// The router has something else to do.
    Network = 7,
    /// There is no port left.
    Resources = 8,
    /// Such a protocol is not mapped.
    Protocol = 9,
    /// It has all that it may have.
    Quota = 10,
    /// The suggested port or address is not available.
    External = 11,
    /// Another NAT is between client and server.
    AddressMismatch = 12,
}

/// Reads a request. `None` if it deserves no answer.
///
/// # Errors
/// If it is to be answered with a failure.
pub fn parse(bytes: &[u8]) -> Option<Result<PcpRequest, PcpFailure>> {
    let &[version, opcode, ..] = bytes else { return None };
    if opcode & ANSWER != 0 {
        return None;
    }
    if version != VERSION {
        return Some(Err(PcpFailure::Version));
    }
    if bytes.len() < HEAD_LEN || bytes.len() > PACKET_MAX || !bytes.len().is_multiple_of(4) {
        return Some(Err(PcpFailure::Malformed));
    }
    let client = address(bytes, 8);
    let lifetime = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    let operation = match opcode {
        0 => options(&bytes[HEAD_LEN..]).map(|_| PcpOperation::Announce),
        1 => map(&bytes[HEAD_LEN..], lifetime).map(PcpOperation::Map),
        _ => Err(PcpFailure::Opcode),
    };
    Some(operation.map(|operation| PcpRequest { client, operation }))
}

fn map(bytes: &[u8], lifetime: u32) -> Result<PcpMapping, PcpFailure> {
    let (map, rest): (&[u8; MAP_LEN], &[u8]) = bytes.split_first_chunk().ok_or(PcpFailure::Malformed)?;
    let word = |at: usize| u16::from_be_bytes([map[at], map[at + 1]]);
    let exact = options(rest)?;
    let protocol = match map[12] {
        17 => Protocol::Udp,
        6 => Protocol::Tcp,
        _ => return Err(PcpFailure::Protocol),
    };
    let inside = word(16);
    if inside == 0 {
        // All ports of a host at once.
        return Err(PcpFailure::Protocol);
    }
    let nonce = *map.first_chunk().expect("it is longer");
    let address = Some(address(map, 20)).filter(|address| !address.is_unspecified());
    Ok(PcpMapping { nonce, protocol, inside, outside: word(18), address, exact, lifetime })
}

/// Whether [`PREFER_FAILURE`] is among the options.
fn options(mut bytes: &[u8]) -> Result<bool, PcpFailure> {
    let mut exact = false;
    while !bytes.is_empty() {
        let &[code, _, high, low, ..] = bytes else { return Err(PcpFailure::MalformedOption) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        bytes = bytes.get(4 + length.next_multiple_of(4)..).ok_or(PcpFailure::MalformedOption)?;
        match code {
            PREFER_FAILURE if length != 0 || exact => return Err(PcpFailure::MalformedOption),
            PREFER_FAILURE => exact = true,
            OPTIONAL.. => {}
            _ => return Err(PcpFailure::Option),
        }
    }
    Ok(exact)
}

/// The answer to ANNOUNCE, and what is sent unasked when everything was forgotten (§14.1).
pub fn announced(epoch: u32) -> Vec<u8> {
    head(0, 0, 0, epoch)
}

/// The answer to MAP. `granted` is the outside endpoint and the lifetime in seconds; the mapping has ended without one.
pub fn mapped(epoch: u32, asked: &PcpMapping, granted: Option<(SocketAddrV4, u32)>) -> Vec<u8> {
    let nowhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, asked.outside);
    let (outside, lifetime) = granted.unwrap_or((nowhere, 0));
    let mut bytes = head(1, 0, lifetime, epoch);
    bytes.extend(asked.nonce);
    bytes.extend([if asked.protocol == Protocol::Udp { 17 } else { 6 }, 0, 0, 0]);
    bytes.extend(asked.inside.to_be_bytes());
    bytes.extend(outside.port().to_be_bytes());
    bytes.extend(outside.ip().to_ipv6_mapped().octets());
    bytes
}

/// A failure's bytes: the request with another head (§8.3).
pub fn failure(epoch: u32, request: &[u8], why: PcpFailure) -> Vec<u8> {
    let lifetime = match why {
        PcpFailure::Network | PcpFailure::Resources | PcpFailure::Quota | PcpFailure::External => SHORT,
        _ => LONG,
    };
    let opcode = request.get(1).copied().unwrap_or(0);
    let mut bytes = head(opcode, why as u8, lifetime, epoch);
    if why != PcpFailure::Version {
        let rest = request.get(HEAD_LEN..).unwrap_or_default();
        bytes.extend(&rest[..rest.len().min(PACKET_MAX - HEAD_LEN)]);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

fn head(opcode: u8, result: u8, lifetime: u32, epoch: u32) -> Vec<u8> {
    let mut bytes = vec![VERSION, ANSWER | opcode, 0, result];
    bytes.extend(lifetime.to_be_bytes());
    bytes.extend(epoch.to_be_bytes());
    bytes.resize(HEAD_LEN, 0);
    bytes
}

fn address(bytes: &[u8], at: usize) -> IpAddr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[at..at + 16]);
    Ipv6Addr::from(octets).to_canonical()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(opcode: u8, lifetime: u32, rest: &[u8]) -> Vec<u8> {
        let mut bytes = vec![VERSION, opcode, 0, 0];
        bytes.extend(lifetime.to_be_bytes());
        bytes.extend(Ipv4Addr::new(10, 1, 0, 2).to_ipv6_mapped().octets());
        bytes.extend(rest);
        bytes
    }

    fn map_body(protocol: u8, inside: u16, outside: u16) -> Vec<u8> {
        let mut bytes = vec![7; 12];
        bytes.extend([protocol, 0, 0, 0]);
        bytes.extend(inside.to_be_bytes());
        bytes.extend(outside.to_be_bytes());
        bytes.extend(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().octets());
        bytes
    }

    fn operation(bytes: &[u8]) -> Result<PcpOperation, PcpFailure> {
        let request = parse(bytes).expect("it is answered")?;
        assert_eq!(request.client, IpAddr::V4(Ipv4Addr::new(10, 1, 0, 2)));
        Ok(request.operation)
    }

    #[test]
    fn requests_are_read_as_rfc_6887_writes_them() {
        assert_eq!(operation(&request(0, 0, &[])), Ok(PcpOperation::Announce));
        let asked = PcpMapping {
            nonce: [7; 12],
            protocol: Protocol::Udp,
            inside: 4_001,
            outside: 5_000,
            address: None,
            exact: false,
            lifetime: 7_200,
        };
        let body = map_body(17, 4_001, 5_000);
        assert_eq!(operation(&request(1, 7_200, &body)), Ok(PcpOperation::Map(asked)));
        let mut elsewhere = body.clone();
        elsewhere[20..].copy_from_slice(&Ipv4Addr::new(203, 0, 113, 9).to_ipv6_mapped().octets());
        let address = Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)));
        assert_eq!(operation(&request(1, 7_200, &elsewhere)), Ok(PcpOperation::Map(PcpMapping { address, ..asked })));
        elsewhere[20..].copy_from_slice(&Ipv6Addr::UNSPECIFIED.octets());
        assert_eq!(
            operation(&request(1, 7_200, &elsewhere)),
            Ok(PcpOperation::Map(asked)),
            "any address of either kind"
        );
        let with = |option: &[u8]| operation(&request(1, 7_200, &[&body[..], option].concat()));
        assert_eq!(with(&[PREFER_FAILURE, 0, 0, 0]), Ok(PcpOperation::Map(PcpMapping { exact: true, ..asked })));
        assert_eq!(
            with(&[200, 0, 0, 3, 1, 2, 3, 0]),
            Ok(PcpOperation::Map(asked)),
            "an unknown option that may be ignored"
        );
        assert_eq!(with(&[3, 0, 0, 0]), Err(PcpFailure::Option));
        assert_eq!(with(&[PREFER_FAILURE, 0, 0, 4, 0, 0, 0, 0]), Err(PcpFailure::MalformedOption));
        assert_eq!(with(&[200, 0, 255, 255]), Err(PcpFailure::MalformedOption));
        assert_eq!(operation(&request(1, 7_200, &map_body(1, 4_001, 0))), Err(PcpFailure::Protocol));
        assert_eq!(operation(&request(1, 7_200, &map_body(17, 0, 0))), Err(PcpFailure::Protocol));
        assert_eq!(operation(&request(2, 7_200, &body)), Err(PcpFailure::Opcode));
        assert_eq!(operation(&request(1, 7_200, &body[..32])), Err(PcpFailure::Malformed));
        assert_eq!(operation(&request(0, 0, &[1])), Err(PcpFailure::Malformed));
        assert_eq!(parse(&[1, 0]), Some(Err(PcpFailure::Version)));
        assert_eq!(parse(&[2, 129]), None, "an answer");
    }

    #[test]
    fn answers_are_as_rfc_6887_writes_them() {
        let body = map_body(17, 4_001, 5_000);
        let Ok(PcpOperation::Map(asked)) = operation(&request(1, 7_200, &body)) else { panic!("it is one") };
        let outside = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 2), 5_000);
        let bytes = mapped(9, &asked, Some((outside, 7_200)));
        assert_eq!(bytes[..12], [2, 129, 0, 0, 0, 0, 0x1c, 0x20, 0, 0, 0, 9]);
        assert_eq!(bytes.len(), HEAD_LEN + MAP_LEN);
        assert_eq!((&bytes[24..44], &bytes[56..]), (&body[..20], &[203, 0, 113, 2][..]));
        let refused = failure(9, &request(1, 7_200, &body), PcpFailure::External);
        assert_eq!(refused[..12], [2, 129, 0, 11, 0, 0, 0, 30, 0, 0, 0, 9]);
        assert_eq!(refused[24..], body);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..1_300)) {
            if let Some(Err(why)) = parse(&bytes) {
                let answer = failure(0, &bytes, why);
                prop_assert!(answer.len() <= PACKET_MAX && answer.len().is_multiple_of(4));
            }
        }

        #[test]
        fn arbitrary_options_never_panic(rest in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&request(1, 1, &[map_body(6, 1, 1), rest].concat()));
        }
    }
}
