//! The ICMP errors that a router sends (RFC 792, RFC 1191, RFC 1812 §4.3).

use std::net::Ipv4Addr;

use etherparse::icmpv4::{DestUnreachableHeader, TimeExceededCode};
use etherparse::{Icmpv4Type, IpNumber, PacketBuilder};

use super::{Content, Fragment, Packet};

/// Most bytes of a packet that an error about it quotes: with the headers, 576 bytes (RFC 1812 §4.3.2.3).
pub const QUOTE_MAX: usize = 548;

/// Hops that an own packet may make.
const TTL: u8 = 64;

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It has made too many hops.
    TimeExceeded,
    /// It is longer than the next link takes and may not be cut.
    TooBig {
        /// What the next link takes, in bytes.
        mtu: u16,
    },
    /// No route leads there.
    NetworkUnreachable,
}

/// The ICMP error about `bytes` (parsed as `packet`) from the router's address `from`, or nothing where none may be sent
/// (RFC 1122 §3.2.2): about an ICMP error, a later fragment, or a packet from or to no single host.
pub fn about(packet: &Packet, bytes: &[u8], from: Ipv4Addr, problem: Problem) -> Option<Vec<u8>> {
    let plain_host =
        |ip: Ipv4Addr| !ip.is_multicast() && !ip.is_broadcast() && !ip.is_unspecified() && !ip.is_loopback();
    let is_question = match packet.content {
        Content::Flow { .. } => true,
        Content::Error { .. } | Content::Later => false,
        // Of ICMP's other types some are errors: none is worth an answer.
        Content::Other => packet.protocol != IpNumber::ICMP.0,
    };
    if !is_question
        || packet.fragment == Fragment::Later
        || !plain_host(packet.source)
        || !plain_host(packet.destination)
    {
        return None;
    }
    let kind = match problem {
        Problem::TimeExceeded => Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit),
        Problem::TooBig { mtu } => {
            Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: mtu })
        }
        Problem::NetworkUnreachable => Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Network),
    };
    let quote = &bytes[..packet.total_len.min(QUOTE_MAX)];
    let builder = PacketBuilder::ipv4(from.octets(), packet.source.octets(), TTL).icmpv4(kind);
    let mut error = Vec::with_capacity(builder.size(quote.len()));
    builder.write(&mut error, quote).expect("a vector takes everything");
    Some(error)
}
