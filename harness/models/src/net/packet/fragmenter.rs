//! Cutting a packet that is longer than the next link takes into fragments (RFC 791 §3.2).

use super::{IP_CHECKSUM, IP_FRAGMENT, IP_HEADER_MIN, Packet, checksum, word};

#[cfg(test)]
mod tests;

/// Bytes in which offsets of fragments are counted.
const UNIT: usize = 8;
/// Set in all fragments of a datagram but the last, in the field of the offset.
const MORE: u16 = 0x2000;
/// As much of that field as is offset.
const OFFSET: u16 = 0x1fff;
/// Set in the kind of an option that every fragment has.
const COPIED: u8 = 0x80;
/// The options of one byte: the end of all, and nothing.
const END: u8 = 0;
const NOTHING: u8 = 1;

/// A packet that is to be cut, and where to.
#[derive(Clone, Debug)]
pub struct Fragmenter<'a> {
    /// The next fragment's.
    header: Vec<u8>,
    options: &'a [u8],
    rest: &'a [u8],
    mtu: usize,
    /// Whether the packet itself has others after it.
    more: bool,
}

/// The fragments of a packet (parsed as `packet`), in order, each of at most `mtu` bytes; the packet itself if it is no longer.
/// What it carries has its checksum already, which covers all of them. Nothing if its header leaves no room, or if it would
/// itself end beyond the longest datagram.
pub fn cut<'a>(packet: &Packet, bytes: &'a [u8], mtu: usize) -> Option<Fragmenter<'a>> {
    let (header, rest) = bytes[..packet.total_len].split_at(packet.header_len);
    let (options, field) = (&header[IP_HEADER_MIN..], word(header, IP_FRAGMENT));
    let end = usize::from(field & OFFSET) * UNIT + rest.len();
    let fits = mtu >= packet.header_len + UNIT && end <= usize::from(u16::MAX);
    fits.then(|| Fragmenter { header: header.to_vec(), options, rest, mtu, more: field & MORE != 0 })
}

impl Fragmenter<'_> {
    /// Writes the next fragment into `to`, instead of what is there from `at`; false when there is none.
    pub fn next_into(&mut self, to: &mut Vec<u8>, at: usize) -> bool {
        if self.rest.is_empty() {
            return false;
        }
        let room = self.mtu - self.header.len();
        let length = if self.rest.len() <= room { self.rest.len() } else { room - room % UNIT };
        let (data, rest) = self.rest.split_at(length);
        to.truncate(at);
        to.extend_from_slice(&self.header);
        to.extend_from_slice(data);
        let field = word(&self.header, IP_FRAGMENT) & !MORE;
        finish(&mut to[at..], self.header.len(), field, self.more || !rest.is_empty());
        self.rest = rest;
        self.follow(field + (length / UNIT) as u16);
        true
    }

    /// Makes the header that of the fragment after one, which begins there.
    fn follow(&mut self, field: u16) {
        self.header.truncate(IP_HEADER_MIN);
        self.header.extend(copied(self.options));
        self.header[0] = 0x40 | (self.header.len() / 4) as u8;
        self.header[IP_FRAGMENT..IP_FRAGMENT + 2].copy_from_slice(&field.to_be_bytes());
    }
}

/// Makes the header of a fragment right.
fn finish(fragment: &mut [u8], header_len: usize, field: u16, more: bool) {
    let total_len = fragment.len() as u16;
    fragment[2..4].copy_from_slice(&total_len.to_be_bytes());
    let field = if more { field | MORE } else { field };
    fragment[IP_FRAGMENT..IP_FRAGMENT + 2].copy_from_slice(&field.to_be_bytes());
    checksum::write(&mut fragment[..header_len], IP_CHECKSUM);
}

/// The options that every fragment has, filled up to a multiple of four bytes.
fn copied(mut options: &[u8]) -> Vec<u8> {
    let mut copied = Vec::new();
    while let &[kind, ..] = options
        && kind != END
    {
        let length = if kind == NOTHING { 1 } else { options.get(1).map_or(0, |&length| usize::from(length)) };
        // A length that cannot be says nothing of what follows.
        let Some((option, rest)) = options.split_at_checked(length).filter(|(option, _)| !option.is_empty()) else {
            break;
        };
        if kind & COPIED != 0 {
            copied.extend_from_slice(option);
        }
        options = rest;
    }
    copied.resize(copied.len().next_multiple_of(4), END);
    copied
}
