//! The Internet checksum (RFC 1071), kept up when part of what it covers changes (RFC 1624).

use etherparse::checksum::Sum16BitWords;

/// What a transport checksum field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The complement of the sum of pseudo-header, header and data.
    Complete,
    /// The sum of the pseudo-header alone, not complemented: the rest is left to whoever puts the packet on a wire
    /// (`VIRTIO_NET_HDR_F_NEEDS_CSUM`).
    Partial,
}

/// The checksum of `bytes`: zero where they hold a right one.
pub(super) fn of(bytes: &[u8]) -> [u8; 2] {
    Sum16BitWords::new().add_slice(bytes).ones_complement().to_ne_bytes()
}

/// Writes the checksum of `bytes` into them.
pub(super) fn write(bytes: &mut [u8], at: usize) {
    bytes[at..at + 2].fill(0);
    let sum = of(bytes);
    bytes[at..at + 2].copy_from_slice(&sum);
}

/// Completes a partial checksum: of `bytes`, which begin where it does, into `at`, as the network card would.
pub fn complete(bytes: &mut [u8], at: usize) {
    let sum = match of(bytes) {
        // To UDP, zero says that there is none (RFC 768); to everybody else the two are the same number.
        [0, 0] => [0xff, 0xff],
        sum => sum,
    };
    bytes[at..at + 2].copy_from_slice(&sum);
}

/// The sum of the pseudo-header of a transport header, as [`Checksum::Partial`] has it. `addresses` are the eight bytes of the
/// IP header.
pub(super) fn pseudo_header(addresses: [u8; 8], protocol: u8, length: u16) -> [u8; 2] {
    let sum = Sum16BitWords::new().add_8bytes(addresses).add_2bytes([0, protocol]).add_2bytes(length.to_be_bytes());
    (!sum.ones_complement()).to_ne_bytes()
}

/// Keeps up the checksum at `at` when `old`, which it covers, becomes `new`. Both are of the same, even length and begin at an
/// even distance from where the checksum begins.
pub(super) fn update(bytes: &mut [u8], at: usize, old: &[u8], new: &[u8], kind: Checksum) {
    debug_assert!(old.len() == new.len() && old.len().is_multiple_of(2));
    let field = [bytes[at], bytes[at + 1]];
    let mut sum = Sum16BitWords::new().add_slice(new);
    for pair in old.chunks_exact(2) {
        sum = sum.add_2bytes([!pair[0], !pair[1]]);
    }
    let result = match kind {
        // RFC 1624, equation 3: HC' = ~(~HC + ~m + m').
        Checksum::Complete => sum.add_2bytes([!field[0], !field[1]]).ones_complement(),
        Checksum::Partial => !sum.add_2bytes(field).ones_complement(),
    };
    bytes[at..at + 2].copy_from_slice(&result.to_ne_bytes());
}
