//! The file format pcapng (draft-ietf-opsawg-pcapng): packets with their interfaces, and the secrets that open TLS and QUIC.

use std::io::{self, Write};

use super::sniffer::Sniffed;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const SECRETS: u32 = 0x0a;
/// Byte order of what follows.
const MAGIC: u32 = 0x1a2b_3c4d;
/// A section of unknown length.
const UNKNOWN_LENGTH: u64 = u64::MAX;
const ETHERNET: u16 = 1;
/// Secrets in the format of NSS key logs.
const TLS_KEY_LOG: u32 = 0x544c_534b;
/// Names of interfaces that a section has; more are called by the last one's.
const INTERFACES_MAX: usize = 64;

/// Options: their codes.
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const INTERFACE_NAME: u16 = 2;
    pub(super) const PACKET_FLAGS: u16 = 2;
    pub(super) const APPLICATION: u16 = 4;
    pub(super) const TIME_RESOLUTION: u16 = 9;
}

/// Writes one section.
#[derive(Debug)]
pub(super) struct PcapngWriter<W> {
    to: W,
    /// Names of the interfaces so far.
    interfaces: Vec<String>,
}

impl<W: Write> PcapngWriter<W> {
    /// Writes the beginning.
    pub(super) fn new(to: W) -> io::Result<Self> {
        let mut file = PcapngWriter { to, interfaces: Vec::new() };
        let mut body = Vec::new();
        body.extend(MAGIC.to_ne_bytes());
        // Version 1.0.
        body.extend([1_u16, 0].map(u16::to_ne_bytes).concat());
        body.extend(UNKNOWN_LENGTH.to_ne_bytes());
        put_option(&mut body, option::APPLICATION, concat!("harness ", env!("CARGO_PKG_VERSION")).as_bytes());
        put_option(&mut body, option::END, &[]);
        file.block(SECTION_HEADER, &body)?;
        Ok(file)
    }

    /// Secrets for what comes after them.
    pub(super) fn secrets(&mut self, key_log: &[u8]) -> io::Result<()> {
        let mut body = Vec::with_capacity(8 + key_log.len());
        body.extend(TLS_KEY_LOG.to_ne_bytes());
        body.extend((key_log.len() as u32).to_ne_bytes());
        put_padded(&mut body, key_log);
        self.block(SECRETS, &body)
    }

    /// A packet, after its interface.
    pub(super) fn packet(&mut self, packet: &Sniffed) -> io::Result<()> {
        let interface = self.interface(&packet.interface)?;
        let length = packet.frame.len() as u32;
        let mut body = Vec::with_capacity(44 + packet.frame.len());
        body.extend(interface.to_ne_bytes());
        body.extend(((packet.time_ns >> 32) as u32).to_ne_bytes());
        body.extend((packet.time_ns as u32).to_ne_bytes());
        body.extend(length.to_ne_bytes());
        body.extend(length.to_ne_bytes());
        put_padded(&mut body, &packet.frame);
        // Bits 0 and 1: inbound or outbound.
        let flags: u32 = if packet.outgoing { 2 } else { 1 };
        put_option(&mut body, option::PACKET_FLAGS, &flags.to_ne_bytes());
        put_option(&mut body, option::END, &[]);
        self.block(PACKET, &body)
    }

    /// Hands on what is buffered.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    /// The number of an interface, which is described where it first appears.
    fn interface(&mut self, name: &str) -> io::Result<u32> {
        if let Some(known) = self.interfaces.iter().position(|known| known == name) {
            return Ok(known as u32);
        }
        if self.interfaces.len() == INTERFACES_MAX {
            return Ok(INTERFACES_MAX as u32 - 1);
        }
        let mut body = Vec::new();
        body.extend(ETHERNET.to_ne_bytes());
        body.extend(0_u16.to_ne_bytes());
        // Packets of any length.
        body.extend(0_u32.to_ne_bytes());
        put_option(&mut body, option::INTERFACE_NAME, name.as_bytes());
        // Nanoseconds.
        put_option(&mut body, option::TIME_RESOLUTION, &[9]);
        put_option(&mut body, option::END, &[]);
        self.block(INTERFACE, &body)?;
        self.interfaces.push(name.to_owned());
        Ok(self.interfaces.len() as u32 - 1)
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let length = (12 + body.len() as u32).to_ne_bytes();
        self.to.write_all(&kind.to_ne_bytes())?;
        self.to.write_all(&length)?;
        self.to.write_all(body)?;
        self.to.write_all(&length)
    }
}

fn put_option(to: &mut Vec<u8>, code: u16, value: &[u8]) {
    to.extend(code.to_ne_bytes());
    to.extend((value.len() as u16).to_ne_bytes());
    put_padded(to, value);
}

/// Everything is aligned to 32 bits.
fn put_padded(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend(bytes);
    to.resize(to.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_have_their_length_at_both_ends() {
        let mut bytes = Vec::new();
        let mut file = PcapngWriter::new(&mut bytes).unwrap();
        file.secrets(b"CLIENT_RANDOM 1 2\n").unwrap();
        let packet = |interface: &str| Sniffed {
            time_ns: 7,
            interface: interface.to_owned(),
            outgoing: true,
            frame: vec![1; 61],
        };
        for interface in ["eth0", "eth1", "eth0"] {
            file.packet(&packet(interface)).unwrap();
        }
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        let (mut kinds, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let length = word(at + 4) as usize;
            assert!(length.is_multiple_of(4) && word(at + length - 4) as usize == length, "block at {at}");
            kinds.push(word(at));
            at += length;
        }
        assert_eq!(kinds, [SECTION_HEADER, SECRETS, INTERFACE, PACKET, INTERFACE, PACKET, PACKET]);
    }
}
