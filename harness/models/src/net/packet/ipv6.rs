//! IPv6 packets as a router reads them (RFC 8200), and the ICMPv6 messages that it makes (RFC 4443). Nothing is rewritten but the
//! hop limit, which no checksum covers.

use std::net::{Ipv6Addr, SocketAddrV6};

use super::{Echo, Fragment, Malformed, QUOTED_MIN, TCP_CHECKSUM, UDP_CHECKSUM, checksum, word};
use crate::net::firewall::Flow6;
use crate::net::nat::{Protocol, TcpFlags};

/// Length of the fixed header, in bytes.
pub const HEADER_LEN: usize = 40;
/// Most extension headers of a packet; one with more is not forwarded.
pub const EXTENSIONS_MAX: usize = 8;
/// Longest error, in bytes: what every link takes (RFC 4443 §2.4 c).
pub const ERROR_MAX: usize = 1_280;

/// Where the parts of the header are.
const PAYLOAD_LEN: usize = 4;
const NEXT_HEADER: usize = 6;
const HOP_LIMIT: usize = 7;
const SOURCE: usize = 8;
const DESTINATION: usize = 24;

/// Numbers of headers (IANA "Protocol Numbers").
const HOP_BY_HOP: u8 = 0;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const ICMPV6: u8 = 58;
const DESTINATION_OPTIONS: u8 = 60;

/// Types of ICMPv6 messages.
const UNREACHABLE: u8 = 1;
const TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
/// From router solicitation to redirect (RFC 4861).
const NEIGHBOUR_FIRST: u8 = 133;
const NEIGHBOUR_LAST: u8 = 137;

/// A packet whose headers have been read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet6 {
    /// Source address of the header.
    pub source: Ipv6Addr,
    /// Destination address of the header.
    pub destination: Ipv6Addr,
    /// Hop limit: routers that it may still pass.
    pub hop_limit: u8,
    /// Number of the protocol behind all extensions.
    pub protocol: u8,
    /// Length of the header with its extensions, in bytes.
    pub header_len: usize,
    /// Length of the packet, in bytes: what follows is padding of the link.
    pub total_len: usize,
    /// Which part of a datagram it is.
    pub fragment: Fragment,
    /// The payload, as far as it was parsed.
    pub content: Content6,
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content6 {
    /// Part of a flow.
    Flow {
        /// Addresses and ports of the packet.
        flow: Flow6,
        /// The flags, if it is TCP.
        tcp: TcpFlags,
        /// The kind, if it is an echo message.
        echo: Option<Echo>,
    },
    /// An ICMPv6 error about a packet of this flow.
    Error {
        /// The flow of the quoted packet.
        about: Flow6,
    },
    /// A message between neighbours, of this type; it is never forwarded.
    Neighbour(u8),
    /// A fragment without ports.
    Later,
    /// A payload that is not parsed.
    Other,
}

/// What lies behind the extension headers.
struct Upper {
    protocol: u8,
    at: usize,
    fragment: Fragment,
}

impl Packet6 {
    /// Reads a packet at the beginning of `bytes`.
    ///
    /// # Errors
    /// If it is none, or may not be forwarded.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let (source, destination) = ends(bytes)?;
        let total_len = HEADER_LEN + usize::from(word(bytes, PAYLOAD_LEN));
        let bytes = bytes.get(..total_len).ok_or(Malformed::Header)?;
        let Upper { protocol, at, fragment } = upper(bytes)?;
        let content = match fragment {
            Fragment::Later => Content6::Later,
            _ => content(protocol, &bytes[at..], (source, destination), fragment == Fragment::Whole)?,
        };
        Ok(Packet6 {
            source,
            destination,
            hop_limit: bytes[HOP_LIMIT],
            protocol,
            header_len: at,
            total_len,
            fragment,
            content,
        })
    }

    /// What is behind all headers of IPv6.
    ///
    /// # Panics
    /// If this is not what `bytes` were parsed to.
    pub fn payload<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.header_len..self.total_len]
    }

    /// Whether a partial checksum (that starts and is to be stored so many bytes into the packet) is this packet's.
    pub fn is_checksum(&self, start: usize, offset: usize) -> bool {
        let place = match self.protocol {
            TCP => Some(TCP_CHECKSUM),
            UDP => Some(UDP_CHECKSUM),
            ICMPV6 => Some(CHECKSUM),
            _ => None,
        };
        self.fragment == Fragment::Whole && start == self.header_len && place == Some(offset)
    }
}

/// Counts a hop.
///
/// # Panics
/// If no hops are left, or `bytes` are no checked packet.
pub fn decrement_hop_limit(bytes: &mut [u8]) {
    bytes[HOP_LIMIT] = bytes[HOP_LIMIT].checked_sub(1).expect("the caller looked");
}

/// Sets the DSCP field (RFC 2474), which lies across the first two bytes.
pub fn set_dscp(bytes: &mut [u8], dscp: u8) {
    bytes[0] = bytes[0] & 0xf0 | dscp >> 2;
    bytes[1] = bytes[1] & 0x3f | dscp << 6;
}

/// Whether one host has the address, which is neither a link's own nor a group's.
pub fn is_plain_host(ip: Ipv6Addr) -> bool {
    !ip.is_multicast() && !ip.is_unspecified() && !ip.is_loopback() && !ip.is_unicast_link_local()
}

fn ends(bytes: &[u8]) -> Result<(Ipv6Addr, Ipv6Addr), Malformed> {
    if bytes.len() < HEADER_LEN || bytes[0] >> 4 != 6 {
        return Err(Malformed::Header);
    }
    let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[at..at + 16]).expect("sixteen bytes"));
    Ok((address(SOURCE), address(DESTINATION)))
}

/// Walks over the extension headers.
fn upper(bytes: &[u8]) -> Result<Upper, Malformed> {
    let (mut protocol, mut at, mut fragment) = (bytes[NEXT_HEADER], HEADER_LEN, Fragment::Whole);
    for _ in 0..=EXTENSIONS_MAX {
        let length = |unit: usize, more: usize| bytes.get(at + 1).map(|&length| (usize::from(length) + more) * unit);
        let length = match protocol {
            // A source route lets a packet bounce between two routers (RFC 5095; RFC 6092 REC-3).
            ROUTING if bytes.get(at + 2) == Some(&0) => return Err(Malformed::Header),
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => length(8, 1),
            AUTHENTICATION => length(4, 2),
            FRAGMENT => {
                let field = bytes.get(at + 2..at + 4).ok_or(Malformed::Header)?;
                let field = word(field, 0);
                fragment = match (field >> 3, field & 1) {
                    (0, 0) => fragment,
                    (0, _) => Fragment::First,
                    _ => Fragment::Later,
                };
                Some(8)
            }
            _ => return Ok(Upper { protocol, at, fragment }),
        };
        protocol = *bytes.get(at).ok_or(Malformed::Header)?;
        at += length.ok_or(Malformed::Header)?;
        if at > bytes.len() {
            return Err(Malformed::Header);
        }
        if fragment == Fragment::Later {
            return Ok(Upper { protocol, at, fragment });
        }
    }
    Err(Malformed::Header)
}

fn content(protocol: u8, payload: &[u8], ends: (Ipv6Addr, Ipv6Addr), whole: bool) -> Result<Content6, Malformed> {
    if protocol == ICMPV6 && payload.len() < QUOTED_MIN {
        return Err(Malformed::Transport);
    }
    match (protocol, payload.first().copied()) {
        (ICMPV6, Some(UNREACHABLE | TOO_BIG | TIME_EXCEEDED | PARAMETER_PROBLEM)) if whole => error(payload),
        (ICMPV6, Some(kind)) if (NEIGHBOUR_FIRST..=NEIGHBOUR_LAST).contains(&kind) => Ok(Content6::Neighbour(kind)),
        _ => {
            let Some((flow, echo)) = flow(protocol, payload, ends)? else { return Ok(Content6::Other) };
            let tcp = match flow.protocol {
                Protocol::Tcp => {
                    // The flags are 13 bytes in.
                    let flags = *payload.get(13).filter(|_| payload.len() >= 20).ok_or(Malformed::Transport)?;
                    TcpFlags { fin: flags & 1 != 0, syn: flags & 2 != 0, rst: flags & 4 != 0 }
                }
                _ => TcpFlags::default(),
            };
            Ok(Content6::Flow { flow, tcp, echo })
        }
    }
}

/// The flow of a packet; nothing if it is neither TCP nor UDP nor echo.
fn flow(protocol: u8, payload: &[u8], ends: (Ipv6Addr, Ipv6Addr)) -> Result<Option<(Flow6, Option<Echo>)>, Malformed> {
    let (protocol, echo) = match (protocol, payload.first()) {
        (UDP, _) => (Protocol::Udp, None),
        (TCP, _) => (Protocol::Tcp, None),
        (ICMPV6, Some(&ECHO_REQUEST)) => (Protocol::Echo, Some(Echo::Request)),
        (ICMPV6, Some(&ECHO_REPLY)) => (Protocol::Echo, Some(Echo::Reply)),
        _ => return Ok(None),
    };
    if payload.len() < QUOTED_MIN {
        return Err(Malformed::Transport);
    }
    let ports = match echo {
        None => (word(payload, 0), word(payload, 2)),
        Some(_) => (word(payload, 4), word(payload, 4)),
    };
    let (source, destination) = (SocketAddrV6::new(ends.0, ports.0, 0, 0), SocketAddrV6::new(ends.1, ports.1, 0, 0));
    Ok(Some((Flow6 { protocol, source, destination }, echo)))
}

/// What an ICMPv6 error is about.
fn error(icmp: &[u8]) -> Result<Content6, Malformed> {
    let quoted = &icmp[8..];
    let ends = ends(quoted)?;
    let upper = upper(quoted)?;
    if upper.fragment == Fragment::Later {
        return Ok(Content6::Other);
    }
    let about = flow(upper.protocol, &quoted[upper.at..], ends)?;
    Ok(about.map_or(Content6::Other, |(about, _)| Content6::Error { about }))
}

/// Where an ICMPv6 message has its checksum.
const CHECKSUM: usize = 2;

/// A packet with an ICMPv6 message, whose checksum is filled in.
pub fn icmp(source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8, message: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(HEADER_LEN + message.len());
    packet.extend_from_slice(&[6 << 4, 0, 0, 0]);
    packet.extend_from_slice(&(message.len() as u16).to_be_bytes());
    packet.extend_from_slice(&[ICMPV6, hop_limit]);
    packet.extend_from_slice(&source.octets());
    packet.extend_from_slice(&destination.octets());
    packet.extend_from_slice(message);
    let pseudo = pseudo_header(&packet, ICMPV6, message.len());
    let message = &mut packet[HEADER_LEN..];
    message[CHECKSUM..CHECKSUM + 2].copy_from_slice(&pseudo);
    let sum = checksum::of(message);
    message[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum);
    packet
}

/// Whether the checksum of a packet's ICMPv6 message is right.
pub fn is_icmp_intact(packet: &Packet6, bytes: &[u8]) -> bool {
    let message = packet.payload(bytes);
    let mut whole = message.to_vec();
    // The pseudo-header's sum takes part like two more bytes.
    whole.extend_from_slice(&[0; 1][..message.len() % 2]);
    whole.extend_from_slice(&pseudo_header(bytes, ICMPV6, message.len()));
    packet.protocol == ICMPV6 && checksum::of(&whole) == [0, 0]
}

/// Writes the length of a packet into its header.
pub(super) fn set_payload_len(packet: &mut [u8]) {
    let length = (packet.len() - HEADER_LEN) as u16;
    packet[PAYLOAD_LEN..PAYLOAD_LEN + 2].copy_from_slice(&length.to_be_bytes());
}

/// The sum of the pseudo-header (RFC 8200 §8.1) of an upper header of `length` bytes, as a partial checksum has it. `packet`
/// begins with the IPv6 header.
pub(super) fn pseudo_header(packet: &[u8], protocol: u8, length: usize) -> [u8; 2] {
    let mut pseudo = [0; 40];
    pseudo[..32].copy_from_slice(&packet[SOURCE..HEADER_LEN]);
    pseudo[32..36].copy_from_slice(&(length as u32).to_be_bytes());
    pseudo[39] = protocol;
    let [a, b] = checksum::of(&pseudo);
    [!a, !b]
}

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError6 {
    /// It has made too many hops.
    TimeExceeded,
    /// It is longer than the next link takes.
    TooBig {
        /// What the next link takes, in bytes.
        mtu: u32,
    },
    /// No route leads there.
    NoRoute,
}

/// The ICMPv6 error about `bytes` (parsed as `packet`) from the router's address `from`, or nothing where none may be sent
/// (RFC 4443 §2.4 e): about an error, or a packet from or to no single host.
pub fn error_about(packet: &Packet6, bytes: &[u8], from: Ipv6Addr, problem: PacketError6) -> Option<Vec<u8>> {
    let is_question = match packet.content {
        Content6::Flow { .. } | Content6::Later => true,
        Content6::Error { .. } | Content6::Neighbour(_) => false,
        Content6::Other => packet.protocol != ICMPV6,
    };
    if !is_question || !is_plain_host(packet.source) || !is_plain_host(packet.destination) {
        return None;
    }
    let (kind, detail) = match problem {
        PacketError6::NoRoute => (UNREACHABLE, 0),
        PacketError6::TooBig { mtu } => (TOO_BIG, mtu),
        PacketError6::TimeExceeded => (TIME_EXCEEDED, 0),
    };
    let mut message = vec![kind, 0, 0, 0];
    message.extend_from_slice(&detail.to_be_bytes());
    let quoted = packet.total_len.min(ERROR_MAX - HEADER_LEN - message.len());
    message.extend_from_slice(&bytes[..quoted]);
    Some(icmp(from, packet.source, 64, &message))
}

/// The answer of `from` to an echo request.
pub fn echo_reply(packet: &Packet6, bytes: &[u8], from: Ipv6Addr) -> Vec<u8> {
    let mut message = packet.payload(bytes).to_vec();
    message[0] = ECHO_REPLY;
    icmp(from, packet.source, 64, &message)
}

#[cfg(test)]
mod tests;
