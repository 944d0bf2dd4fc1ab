//! IPv4 packets as a router reads and rewrites them, in place.
//!
//! - here: from bytes to [`Packet`], and translation of addresses and ports.
//! - `checksum`: the Internet checksum, kept up incrementally (RFC 1624), complete or partial.
//! - [`fragments`]: how later fragments follow the first, and wait for it.
//! - [`ipv6`]: the same for IPv6, of which little is rewritten.
//! - [`segments`]: cutting what a host's segmentation offload has left whole.
//! - [`fragmenter`]: cutting what is longer than the next link takes.
//! - [`errors`]: the ICMP errors that a router sends.
//!
//! Everything read is hostile until [`Packet::parse`] has checked it; afterwards the rewriting functions trust its offsets, and
//! panic if they are given other bytes than were parsed.

use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::{IpNumber, Ipv4HeaderSlice};

use super::nat::{Flow, Protocol, TcpFlags};

mod checksum;
pub mod errors;
pub mod fragmenter;
pub mod fragments;
pub mod ipv6;
pub mod segments;
#[cfg(test)]
mod tests;

pub use checksum::{Checksum, complete};

/// A packet whose headers have been read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source address of the header.
    pub source: Ipv4Addr,
    /// Destination address of the header.
    pub destination: Ipv4Addr,
    /// IP's number of the protocol within.
    pub protocol: u8,
    /// TTL: routers that it may still pass.
    pub ttl: u8,
    /// Whether it may not be cut.
    pub dont_fragment: bool,
    /// Names the datagram that a fragment is of.
    pub identification: u16,
    /// Length of the IP header, in bytes.
    pub header_len: usize,
    /// Length of the packet, in bytes: what follows is padding of the link.
    pub total_len: usize,
    /// Which part of a datagram it is.
    pub fragment: Fragment,
    /// The payload, as far as it was parsed.
    pub content: Content,
}

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// The whole datagram: not a fragment.
    Whole,
    /// The first fragment, with the ports.
    First,
    /// A payload that is not parsed.
    Later,
}

/// What a packet carries, as far as a NAT can translate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Part of a flow that can be translated.
    Flow {
        /// Addresses and ports of the packet.
        flow: Flow,
        /// The flags, if it is TCP.
        tcp: TcpFlags,
        /// The kind, if it is an echo message.
        echo: Option<Echo>,
    },
    /// An ICMP error about a packet of this flow.
    Error {
        /// The flow of the quoted packet, as it was where the error arose.
        about: Flow,
    },
    /// A fragment without ports.
    Later,
    /// A payload that is not parsed.
    Other,
}

/// Which half of an ICMP echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// An echo request of ping.
    Request,
    /// An echo reply of ping.
    Reply,
}

/// Why bytes are no packet that may be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not IPv4, or lengths that do not fit.
    #[error("its IPv4 header is wrong")]
    Header,
    /// The header's checksum does not match.
    #[error("its IPv4 header is corrupt")]
    HeaderChecksum,
    /// The transport header is cut off or wrong.
    #[error("its transport header is wrong")]
    Transport,
}

/// Where the parts of an IPv4 header are.
/// The DSCP field, and two bits for congestion (RFC 3168).
const IP_TOS: usize = 1;
const ECN_MASK: u8 = 0b11;
const IP_IDENTIFICATION: usize = 4;
const IP_FRAGMENT: usize = 6;
const IP_TTL: usize = 8;
const IP_CHECKSUM: usize = 10;
const IP_SOURCE: usize = 12;
/// Length of an IPv4 header without options.
const IP_HEADER_MIN: usize = 20;
/// Where ICMP's parts are, from the beginning of its header.
const ICMP_CHECKSUM: usize = 2;
const ICMP_ID: usize = 4;
const ICMP_QUOTE: usize = 8;
/// Where the checksums of TCP and UDP are, from the beginnings of their headers.
const TCP_CHECKSUM: usize = 16;
const UDP_CHECKSUM: usize = 6;
/// As much of any transport header as RFC 792 has an error quote at least.
const QUOTED_MIN: usize = 8;

impl Packet {
    /// Reads a packet at the beginning of `bytes`.
    ///
    /// # Errors
    /// If it is none, or may not be forwarded.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let header = Ipv4HeaderSlice::from_slice(bytes).map_err(|_| Malformed::Header)?;
        let (header_len, total_len) = (header.slice().len(), usize::from(header.total_len()));
        if total_len < header_len || total_len > bytes.len() {
            return Err(Malformed::Header);
        }
        if checksum::of(header.slice()) != [0, 0] {
            return Err(Malformed::HeaderChecksum);
        }
        let fragment = match (header.fragments_offset().value(), header.more_fragments()) {
            (0, false) => Fragment::Whole,
            (0, true) => Fragment::First,
            _ => Fragment::Later,
        };
        let content = match fragment {
            Fragment::Later => Content::Later,
            _ => content(&header, &bytes[header_len..total_len], fragment == Fragment::Whole)?,
        };
        Ok(Packet {
            source: header.source_addr(),
            destination: header.destination_addr(),
            protocol: header.protocol().0,
            ttl: header.ttl(),
            dont_fragment: header.dont_fragment(),
            identification: header.identification(),
            header_len,
            total_len,
            fragment,
            content,
        })
    }

    /// Offset of the transport checksum within the transport header, where there is one.
    fn checksum_at(&self) -> Option<usize> {
        checksum_at(IpNumber(self.protocol))
    }

    /// Whether a partial checksum (that starts and is to be stored so many bytes into the packet) is this packet's.
    pub fn is_checksum(&self, start: usize, offset: usize) -> bool {
        self.fragment == Fragment::Whole && start == self.header_len && self.checksum_at() == Some(offset)
    }

    /// Rewrites the addresses and ports of a packet of a flow, with the checksums that cover them.
    ///
    /// # Panics
    /// If this is not what `bytes` were parsed to, or its content is no flow.
    pub fn translate(&self, bytes: &mut [u8], to: Flow, kind: Checksum) {
        let Content::Flow { flow, .. } = self.content else { panic!("only packets of a flow are translated") };
        self.readdress(bytes, *to.source.ip(), *to.destination.ip());
        let transport = &mut bytes[self.header_len..self.total_len];
        translate_transport(transport, flow, to, kind);
    }

    /// Rewrites an ICMP error: the packet that it quotes now is of the flow `about`, and it goes from `source` to
    /// `destination`.
    ///
    /// # Panics
    /// If this is not what `bytes` were parsed to, or its content is no error.
    pub fn translate_error(&self, bytes: &mut [u8], about: Flow, source: Ipv4Addr, destination: Ipv4Addr) {
        let Content::Error { about: before } = self.content else { panic!("only errors are translated as such") };
        self.readdress(bytes, source, destination);
        let icmp = &mut bytes[self.header_len..self.total_len];
        let quoted = &mut icmp[ICMP_QUOTE..];
        let header_len = Ipv4HeaderSlice::from_slice(quoted).expect("it was parsed").slice().len();
        set_addresses(quoted, *about.source.ip(), *about.destination.ip());
        translate_transport(&mut quoted[header_len..], before, about, Checksum::Complete);
        checksum::write(icmp, ICMP_CHECKSUM);
    }

    /// Whether it is and stays in one piece, so that its identification means nothing (RFC 6864 §4).
    pub fn is_atomic(&self) -> bool {
        self.dont_fragment && self.fragment == Fragment::Whole
    }

    /// Rewrites the identification and its checksum.
    pub fn identify(&self, bytes: &mut [u8], identification: u16) {
        let (old, new) = (self.identification.to_be_bytes(), identification.to_be_bytes());
        bytes[IP_IDENTIFICATION..IP_IDENTIFICATION + 2].copy_from_slice(&new);
        checksum::update(bytes, IP_CHECKSUM, &old, &new, Checksum::Complete);
    }

    /// Rewrites the addresses of the IP header alone: enough for a later fragment.
    pub fn readdress(&self, bytes: &mut [u8], source: Ipv4Addr, destination: Ipv4Addr) {
        set_addresses(bytes, source, destination);
    }
}

/// Counts a hop.
///
/// # Panics
/// If no hops are left, or `bytes` are no checked packet.
pub fn decrement_ttl(bytes: &mut [u8]) {
    let old = [bytes[IP_TTL], bytes[IP_TTL + 1]];
    bytes[IP_TTL] = old[0].checked_sub(1).expect("the caller looked");
    let new = [bytes[IP_TTL], bytes[IP_TTL + 1]];
    checksum::update(bytes, IP_CHECKSUM, &old, &new, Checksum::Complete);
}

/// Sets the DSCP field (RFC 2474) and leaves the congestion bits beside it.
pub fn set_dscp(bytes: &mut [u8], dscp: u8) {
    let old = [bytes[0], bytes[IP_TOS]];
    bytes[IP_TOS] = dscp << 2 | old[1] & ECN_MASK;
    let new = [bytes[0], bytes[IP_TOS]];
    checksum::update(bytes, IP_CHECKSUM, &old, &new, Checksum::Complete);
}

fn content(header: &Ipv4HeaderSlice<'_>, payload: &[u8], whole: bool) -> Result<Content, Malformed> {
    let ends = (header.source_addr(), header.destination_addr());
    if header.protocol() == IpNumber::ICMP {
        if payload.len() < QUOTED_MIN {
            return Err(Malformed::Transport);
        }
        // Only echoes and errors are of interest, and errors come whole: a router's are 576 bytes at most.
        return match payload[0] {
            3 | 11 | 12 if whole => error(payload),
            _ => Ok(echo(payload, ends).unwrap_or(Content::Other)),
        };
    }
    let Some(flow) = flow(header.protocol(), payload, ends)? else { return Ok(Content::Other) };
    let tcp = match flow.protocol {
        Protocol::Tcp => {
            // The flags are 13 bytes in, and the checksum must be there to be rewritten.
            let flags = *payload.get(13).filter(|_| payload.len() >= 20).ok_or(Malformed::Transport)?;
            TcpFlags { fin: flags & 1 != 0, syn: flags & 2 != 0, rst: flags & 4 != 0 }
        }
        _ => TcpFlags::default(),
    };
    Ok(Content::Flow { flow, tcp, echo: None })
}

/// The flow of a TCP or UDP packet, or nothing if it is of neither.
fn flow(protocol: IpNumber, payload: &[u8], ends: (Ipv4Addr, Ipv4Addr)) -> Result<Option<Flow>, Malformed> {
    let protocol = match protocol {
        IpNumber::UDP => Protocol::Udp,
        IpNumber::TCP => Protocol::Tcp,
        _ => return Ok(None),
    };
    if payload.len() < QUOTED_MIN {
        return Err(Malformed::Transport);
    }
    let source = SocketAddrV4::new(ends.0, word(payload, 0));
    let destination = SocketAddrV4::new(ends.1, word(payload, 2));
    Ok(Some(Flow { protocol, source, destination }))
}

fn echo(payload: &[u8], ends: (Ipv4Addr, Ipv4Addr)) -> Option<Content> {
    let echo = match payload[0] {
        8 => Echo::Request,
        0 => Echo::Reply,
        _ => return None,
    };
    let id = word(payload, ICMP_ID);
    let flow = Flow {
        protocol: Protocol::Echo,
        source: SocketAddrV4::new(ends.0, id),
        destination: SocketAddrV4::new(ends.1, id),
    };
    Some(Content::Flow { flow, tcp: TcpFlags::default(), echo: Some(echo) })
}

/// What an ICMP error is about.
fn error(icmp: &[u8]) -> Result<Content, Malformed> {
    // The checksum is made anew when the quote is rewritten, so that damage must be found now.
    if checksum::of(icmp) != [0, 0] {
        return Err(Malformed::Transport);
    }
    let quoted = &icmp[ICMP_QUOTE..];
    let header = Ipv4HeaderSlice::from_slice(quoted).map_err(|_| Malformed::Transport)?;
    let payload = &quoted[header.slice().len()..];
    if header.fragments_offset().value() != 0 {
        return Ok(Content::Other);
    }
    let ends = (header.source_addr(), header.destination_addr());
    let about = match header.protocol() {
        IpNumber::ICMP if payload.len() < QUOTED_MIN => return Err(Malformed::Transport),
        IpNumber::ICMP => match echo(payload, ends) {
            Some(Content::Flow { flow, .. }) => Some(flow),
            _ => None,
        },
        protocol => flow(protocol, payload, ends)?,
    };
    Ok(about.map_or(Content::Other, |about| Content::Error { about }))
}

fn checksum_at(protocol: IpNumber) -> Option<usize> {
    match protocol {
        IpNumber::TCP => Some(TCP_CHECKSUM),
        IpNumber::UDP => Some(UDP_CHECKSUM),
        _ => None,
    }
}

/// Rewrites the ports (or identifier) of a transport header, which may be cut off after eight bytes, and its checksum.
fn translate_transport(transport: &mut [u8], from: Flow, to: Flow, kind: Checksum) {
    if from.protocol == Protocol::Echo {
        // The identifier is that of the side that is translated.
        let id = if to.source.port() != from.source.port() { to.source.port() } else { to.destination.port() };
        let old = [transport[ICMP_ID], transport[ICMP_ID + 1]];
        transport[ICMP_ID..ICMP_ID + 2].copy_from_slice(&id.to_be_bytes());
        checksum::update(transport, ICMP_CHECKSUM, &old, &id.to_be_bytes(), Checksum::Complete);
        return;
    }
    let at = if from.protocol == Protocol::Tcp { TCP_CHECKSUM } else { UDP_CHECKSUM };
    let ports = |flow: Flow| (u32::from(flow.source.port()) << 16 | u32::from(flow.destination.port())).to_be_bytes();
    transport[..4].copy_from_slice(&ports(to));
    if transport.len() < at + 2 {
        return;
    }
    // A UDP checksum of zero says that there is none (RFC 768); a partial one may be zero by chance.
    let none = from.protocol == Protocol::Udp && kind == Checksum::Complete && transport[at..at + 2] == [0, 0];
    if none {
        return;
    }
    let addresses = |flow: Flow| {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&flow.source.ip().octets());
        bytes[4..].copy_from_slice(&flow.destination.ip().octets());
        bytes
    };
    checksum::update(transport, at, &addresses(from), &addresses(to), kind);
    if kind == Checksum::Complete {
        checksum::update(transport, at, &ports(from), &ports(to), kind);
        if from.protocol == Protocol::Udp && transport[at..at + 2] == [0, 0] {
            transport[at..at + 2].copy_from_slice(&[0xff, 0xff]);
        }
    }
}

fn set_addresses(packet: &mut [u8], source: Ipv4Addr, destination: Ipv4Addr) {
    let mut new = [0; 8];
    new[..4].copy_from_slice(&source.octets());
    new[4..].copy_from_slice(&destination.octets());
    let mut old = [0; 8];
    old.copy_from_slice(&packet[IP_SOURCE..IP_SOURCE + 8]);
    packet[IP_SOURCE..IP_SOURCE + 8].copy_from_slice(&new);
    checksum::update(packet, IP_CHECKSUM, &old, &new, Checksum::Complete);
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
