//! Probes: single datagrams between nodes, beside QUIC on the same sockets, which tell one end how the other sees it.
//!
//! On the wire they are STUN binding requests and responses (RFC 8489), so that any STUN client can ask a node; the first two
//! bits tell them from QUIC (RFC 9443). Nothing of them is authenticated: a request's token is drawn at random, and an answer
//! with another one is none. A response is hardly longer than its request, so that forged requests gain nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of a token: STUN's transaction id.
pub const TOKEN_BYTES: usize = 12;
/// Longest probe that is read; what other STUN clients add to a request fits.
pub const PROBE_MAX: usize = 256;

const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const REQUEST: u16 = 0x0001;
const RESPONSE: u16 = 0x0101;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const OTHER_ADDRESS: u16 = 0x802C;
const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// What ties a response to its request, and both to the attempt that they belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bincode::Encode, bincode::Decode)]
pub struct Token(pub [u8; TOKEN_BYTES]);

/// A single datagram between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// "How do you see me?"
    Request {
        /// Comes back in the response.
        token: Token,
    },
    /// The answer to a request.
    Response {
        /// The token of the request.
        token: Token,
        /// Where the request came from, as the answerer saw it.
        seen: SocketAddr,
        /// Another address at which the answerer takes probes, if it has one (RFC 5780).
        other: Option<SocketAddr>,
    },
}

impl Probe {
    /// Whether a datagram with this first byte may be a probe; otherwise it is QUIC's.
    pub fn begins_with(byte: u8) -> bool {
        byte & 0b1100_0000 == 0
    }

    /// The token of either kind.
    pub fn token(&self) -> Token {
        match *self {
            Probe::Request { token } | Probe::Response { token, .. } => token,
        }
    }

    /// The probe as a STUN message.
    pub fn encode(&self) -> Vec<u8> {
        let mut attributes = Vec::new();
        let kind = match self {
            Probe::Request { .. } => REQUEST,
            Probe::Response { token, seen, other } => {
                put_address(&mut attributes, XOR_MAPPED_ADDRESS, *seen, mask(*token));
                if let Some(other) = other {
                    put_address(&mut attributes, OTHER_ADDRESS, *other, [0; 16]);
                }
                RESPONSE
            }
        };
        let mut bytes = Vec::with_capacity(HEADER + attributes.len());
        bytes.extend(kind.to_be_bytes());
        bytes.extend((attributes.len() as u16).to_be_bytes());
        bytes.extend(COOKIE);
        bytes.extend(self.token().0);
        bytes.extend(attributes);
        bytes
    }

    /// The probe in a datagram; `None` if it is none, or one that asks for what no node offers.
    pub fn decode(bytes: &[u8]) -> Option<Probe> {
        let (header, mut rest) = bytes.split_at_checked(HEADER)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if bytes.len() > PROBE_MAX || header[4..8] != COOKIE || rest.len() != length || length % 4 != 0 {
            return None;
        }
        let token = Token(header[8..].try_into().ok()?);
        let (mut seen, mut other) = (None, None);
        let kind = u16::from_be_bytes([header[0], header[1]]);
        while !rest.is_empty() {
            let (attribute, value, after) = take_attribute(rest)?;
            match (kind, attribute) {
                (RESPONSE, XOR_MAPPED_ADDRESS) => seen = Some(take_address(value, mask(token))?),
                (RESPONSE, OTHER_ADDRESS) => other = Some(take_address(value, [0; 16])?),
                // Below 0x8000, what is not understood must not be ignored (RFC 8489 §14).
                (_, ..0x8000) => return None,
                _ => {}
            }
            rest = after;
        }
        match kind {
            REQUEST => Some(Probe::Request { token }),
            RESPONSE => Some(Probe::Response { token, seen: seen?, other }),
            _ => None,
        }
    }
}

/// What addresses are hidden by from NATs that rewrite whatever looks like one (RFC 8489 §14.2).
fn mask(token: Token) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&COOKIE);
    mask[4..].copy_from_slice(&token.0);
    mask
}

fn put_address(bytes: &mut Vec<u8>, attribute: u16, address: SocketAddr, mask: [u8; 16]) {
    let (family, mut ip) = match address.ip().to_canonical() {
        IpAddr::V4(ip) => (IPV4, ip.octets().to_vec()),
        IpAddr::V6(ip) => (IPV6, ip.octets().to_vec()),
    };
    ip.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    let port = address.port() ^ u16::from_be_bytes([mask[0], mask[1]]);
    bytes.extend(attribute.to_be_bytes());
    bytes.extend((4 + ip.len() as u16).to_be_bytes());
    bytes.extend([0, family]);
    bytes.extend(port.to_be_bytes());
    bytes.extend(ip);
}

fn take_attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<4>()?;
    let attribute = u16::from_be_bytes([header[0], header[1]]);
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let value = rest.get(..length)?;
    Some((attribute, value, rest.get(length.next_multiple_of(4)..)?))
}

fn take_address(value: &[u8], mask: [u8; 16]) -> Option<SocketAddr> {
    let (&[_, family, high, low], ip) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([high, low]) ^ u16::from_be_bytes([mask[0], mask[1]]);
    let unmasked = |place: usize| ip[place] ^ mask[place];
    let ip: IpAddr = match (family, ip.len()) {
        (IPV4, 4) => Ipv4Addr::from(std::array::from_fn::<u8, 4, _>(unmasked)).into(),
        (IPV6, 16) => Ipv6Addr::from(std::array::from_fn::<u8, 16, _>(unmasked)).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKEN: Token = Token([0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]);

    #[test]
    fn addresses_read_as_in_rfc_5769() {
        let v4 = [0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        assert_eq!(take_address(&v4, mask(TOKEN)), Some("192.0.2.1:32853".parse().unwrap()));
        let v6 = [
            0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9,
            0xd9,
        ];
        let expected = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap();
        assert_eq!(take_address(&v6, mask(TOKEN)), Some(expected));
    }

    #[test]
    fn a_request_with_what_other_clients_add_is_read() {
        let mut bytes = Probe::Request { token: TOKEN }.encode();
        // SOFTWARE, "test" and padding.
        bytes.extend([0x80, 0x22, 0, 5, b't', b'e', b's', b't', b's', 0, 0, 0]);
        bytes[3] = 12;
        assert_eq!(Probe::decode(&bytes), Some(Probe::Request { token: TOKEN }));
    }

    #[test]
    fn what_is_asked_beyond_an_address_is_refused() {
        let mut bytes = Probe::Request { token: TOKEN }.encode();
        // CHANGE-REQUEST: have another address answer.
        bytes.extend([0, 3, 0, 4, 0, 0, 0, 6]);
        bytes[3] = 8;
        assert_eq!(Probe::decode(&bytes), None);
    }

    #[test]
    fn a_response_is_at_most_four_times_as_long_as_its_request() {
        let v6 = "[2001:db8::1]:4001".parse().unwrap();
        let longest = Probe::Response { token: TOKEN, seen: v6, other: Some(v6) }.encode().len();
        assert!(longest <= 4 * Probe::Request { token: TOKEN }.encode().len(), "{longest}");
    }

    fn any_address() -> impl Strategy<Value = SocketAddr> {
        let v4 = any::<([u8; 4], u16)>().prop_map(SocketAddr::from);
        let v6 = any::<([u16; 8], u16)>().prop_map(SocketAddr::from);
        prop_oneof![v4, v6].prop_filter("a mapped one comes back as IPv4", |a| a.ip() == a.ip().to_canonical())
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(token: [u8; 12], seen in any_address(), other in prop::option::of(any_address())) {
            let token = Token(token);
            for probe in [Probe::Request { token }, Probe::Response { token, seen, other }] {
                let bytes = probe.encode();
                prop_assert!(Probe::begins_with(bytes[0]));
                prop_assert_eq!(Probe::decode(&bytes), Some(probe));
                prop_assert_eq!(Probe::decode(&bytes[..bytes.len() - 1]), None);
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), length: u8) {
            Probe::decode(&bytes);
            let mut framed = Probe::Request { token: TOKEN }.encode();
            framed.extend(&bytes);
            framed[3] = length;
            Probe::decode(&framed);
        }
    }
}
