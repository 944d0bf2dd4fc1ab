//! Cutting what a host's segmentation offload has left whole, as its network card would.

use super::ipv6::{self, Content6, Packet6};
use super::{
    Content, Fragment, IP_CHECKSUM, IP_SOURCE, IP_TTL, Packet, Protocol, TCP_CHECKSUM, UDP_CHECKSUM, checksum, word,
};

/// Headers of a packet that is to be cut, and where to.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    headers: &'a [u8],
    rest: &'a [u8],
    transport_at: usize,
    tcp: bool,
    ipv6: bool,
    /// Bytes of data in each segment; the last may have fewer.
    size: usize,
    index: u16,
}

/// Bits of TCP's flags, in its 14th byte.
const FLAGS: usize = 13;
const FIN: u8 = 1;
const PSH: u8 = 8;
const CWR: u8 = 128;
const UDP_HEADER: usize = 8;
const TCP_HEADER_MIN: usize = 20;

/// The segments of a TCP or UDP packet (parsed as `packet`), each with at most `size` bytes of data; nothing if it cannot be
/// cut. Each has a [`super::Checksum::Partial`], whatever the packet had.
pub fn cut<'a>(packet: &Packet, bytes: &'a [u8], size: usize) -> Option<Segments<'a>> {
    let header_len = header_len(packet, bytes)?;
    (size > 0).then(|| Segments {
        headers: &bytes[..header_len],
        rest: &bytes[header_len..packet.total_len],
        transport_at: packet.header_len,
        tcp: is_tcp(packet),
        ipv6: false,
        size,
        index: 0,
    })
}

/// The same of an IPv6 packet.
pub fn cut6<'a>(packet: &Packet6, bytes: &'a [u8], size: usize) -> Option<Segments<'a>> {
    let header_len = header_len6(packet, bytes)?;
    let Content6::Flow { flow, .. } = packet.content else { return None };
    (size > 0).then(|| Segments {
        headers: &bytes[..header_len],
        rest: &bytes[header_len..packet.total_len],
        transport_at: packet.header_len,
        tcp: flow.protocol == Protocol::Tcp,
        ipv6: true,
        size,
        index: 0,
    })
}

/// As [`header_len`], of an IPv6 packet.
pub fn header_len6(packet: &Packet6, bytes: &[u8]) -> Option<usize> {
    let Content6::Flow { flow, .. } = packet.content else { return None };
    let header_len = packet.header_len + transport_len(flow.protocol, &bytes[packet.header_len..])?;
    (packet.fragment == Fragment::Whole && header_len <= packet.total_len).then_some(header_len)
}

/// Length of a TCP or UDP header, in bytes; nothing if it is neither, or too short.
fn transport_len(protocol: Protocol, transport: &[u8]) -> Option<usize> {
    match protocol {
        Protocol::Tcp => Some(usize::from(transport[12] >> 4) * 4).filter(|&length| length >= TCP_HEADER_MIN),
        Protocol::Udp => Some(UDP_HEADER),
        Protocol::Echo => None,
    }
}

/// Length of the IP and transport headers of a TCP or UDP packet, in bytes; nothing for any other, or one whose lengths do not
/// fit.
pub fn header_len(packet: &Packet, bytes: &[u8]) -> Option<usize> {
    if packet.fragment != Fragment::Whole {
        return None;
    }
    let Content::Flow { flow, .. } = packet.content else { return None };
    let header_len = packet.header_len + transport_len(flow.protocol, &bytes[packet.header_len..])?;
    (header_len <= packet.total_len).then_some(header_len)
}

fn is_tcp(packet: &Packet) -> bool {
    matches!(packet.content, Content::Flow { flow, .. } if flow.protocol == Protocol::Tcp)
}

impl Segments<'_> {
    /// How many segments are left, and how many bytes they have together.
    pub fn count(&self) -> (u64, usize) {
        let count = self.rest.len().div_ceil(self.size);
        (count as u64, count * self.headers.len() + self.rest.len())
    }

    /// Writes the next segment into `to`, instead of what is there from `at`; false when there is none.
    pub fn next_into(&mut self, to: &mut Vec<u8>, at: usize) -> bool {
        if self.rest.is_empty() {
            return false;
        }
        let (data, rest) = self.rest.split_at(self.size.min(self.rest.len()));
        to.truncate(at);
        to.extend_from_slice(self.headers);
        to.extend_from_slice(data);
        self.finish(&mut to[at..], data.len(), rest.is_empty());
        self.rest = rest;
        self.index = self.index.wrapping_add(1);
        true
    }

    fn finish(&self, segment: &mut [u8], data_len: usize, last: bool) {
        let pseudo_header = if self.ipv6 { self.finish_ipv6(segment) } else { self.finish_ipv4(segment) };
        let transport = &mut segment[self.transport_at..];
        let checksum_at = if self.tcp { TCP_CHECKSUM } else { UDP_CHECKSUM };
        if self.tcp {
            let sequence = u32::from_be_bytes([transport[4], transport[5], transport[6], transport[7]]);
            let sequence = sequence.wrapping_add(u32::from(self.index).wrapping_mul(self.size as u32));
            transport[4..8].copy_from_slice(&sequence.to_be_bytes());
            if !last {
                transport[FLAGS] &= !(FIN | PSH);
            }
            if self.index > 0 {
                transport[FLAGS] &= !CWR;
            }
        } else {
            transport[4..6].copy_from_slice(&((UDP_HEADER + data_len) as u16).to_be_bytes());
        }
        transport[checksum_at..checksum_at + 2].copy_from_slice(&pseudo_header);
    }

    /// Makes the IP header right; returns the sum of the pseudo-header.
    fn finish_ipv4(&self, segment: &mut [u8]) -> [u8; 2] {
        let total_len = segment.len() as u16;
        segment[2..4].copy_from_slice(&total_len.to_be_bytes());
        let identification = word(segment, 4).wrapping_add(self.index);
        segment[4..6].copy_from_slice(&identification.to_be_bytes());
        checksum::write(&mut segment[..self.transport_at], IP_CHECKSUM);

        let mut addresses = [0; 8];
        addresses.copy_from_slice(&segment[IP_SOURCE..IP_SOURCE + 8]);
        checksum::pseudo_header(addresses, segment[IP_TTL + 1], total_len - self.transport_at as u16)
    }

    /// The same for IPv6.
    fn finish_ipv6(&self, segment: &mut [u8]) -> [u8; 2] {
        ipv6::set_payload_len(segment);
        let protocol = if self.tcp { ipv6::TCP } else { ipv6::UDP };
        ipv6::pseudo_header(segment, protocol, segment.len() - self.transport_at)
    }
}
