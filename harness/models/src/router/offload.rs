//! What a host has left to the network card, as `PACKET_VNET_HDR` tells it: `struct virtio_net_hdr` of the kernel's
//! `linux/virtio_net.h`, in the machine's byte order.

/// Length of the header, in bytes.
pub const OFFLOAD_LEN: usize = 10;

const NEEDS_CSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// What is left to do before a frame is on a wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// Where a partial checksum begins and how much further it is stored, in bytes of the frame.
    pub checksum: Option<(u16, u16)>,
    /// Into what it is to be cut.
    pub segments: Option<Segmentation>,
}

/// A frame that stands for several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segmentation {
    /// Of TCP, not UDP.
    pub tcp: bool,
    /// TCP over IPv6; UDP looks alike over both.
    pub tcp_over_ipv6: bool,
    /// Whether TCP's congestion flags need care.
    ecn: bool,
    /// Bytes of data in each segment.
    pub size: u16,
    /// Bytes of headers, as the host counts them.
    header_len: u16,
}

impl Segmentation {
    /// `size` bytes of data in each segment, after `header_len` bytes of headers.
    pub fn new(tcp: bool, size: u16, header_len: u16) -> Self {
        Segmentation { tcp, tcp_over_ipv6: false, ecn: false, size, header_len }
    }
}

impl Offload {
    /// Reads the header; nothing if it asks for something unknown.
    pub fn read(bytes: [u8; OFFLOAD_LEN]) -> Option<Self> {
        let [flags, gso, rest @ ..] = bytes;
        let word = |at: usize| u16::from_ne_bytes([rest[at], rest[at + 1]]);
        let (header_len, size, start, offset) = (word(0), word(2), word(4), word(6));
        let ecn = gso & GSO_ECN != 0;
        let segments = match gso & !GSO_ECN {
            GSO_NONE => None,
            kind @ (GSO_TCPV4 | GSO_TCPV6 | GSO_UDP_L4) if size > 0 => {
                Some(Segmentation { tcp: kind != GSO_UDP_L4, tcp_over_ipv6: kind == GSO_TCPV6, ecn, size, header_len })
            }
            _ => return None,
        };
        Some(Offload { checksum: (flags & NEEDS_CSUM != 0).then_some((start, offset)), segments })
    }

    /// Writes the header of a frame.
    pub fn write(self) -> [u8; OFFLOAD_LEN] {
        let (start, offset) = self.checksum.unwrap_or_default();
        let (gso, size, header_len) = match self.segments {
            None => (GSO_NONE, 0, 0),
            Some(segments) => {
                let kind = match (segments.tcp, segments.tcp_over_ipv6) {
                    (true, false) => GSO_TCPV4,
                    (true, true) => GSO_TCPV6,
                    (false, _) => GSO_UDP_L4,
                };
                (kind | if segments.ecn { GSO_ECN } else { 0 }, segments.size, segments.header_len)
            }
        };
        let mut bytes = [0; OFFLOAD_LEN];
        bytes[0] = if self.checksum.is_some() { NEEDS_CSUM } else { 0 };
        bytes[1] = gso;
        for (at, word) in [header_len, size, start, offset].into_iter().enumerate() {
            bytes[2 + 2 * at..4 + 2 * at].copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_a_round_trip() {
        for offload in [
            Offload::default(),
            Offload { checksum: Some((34, 6)), segments: None },
            Offload { checksum: Some((34, 16)), segments: Some(Segmentation::new(true, 1_448, 66)) },
            Offload { checksum: Some((34, 6)), segments: Some(Segmentation::new(false, 1_200, 42)) },
        ] {
            assert_eq!(Offload::read(offload.write()), Some(offload));
        }
        let mut over_ipv6 =
            Offload { segments: Some(Segmentation::new(true, 1_428, 86)), ..Offload::default() }.write();
        over_ipv6[1] = GSO_TCPV6;
        assert_eq!(Offload::read(over_ipv6).map(Offload::write), Some(over_ipv6));
    }

    #[test]
    fn unknown_offloads_are_refused() {
        let mut ufo = Offload::default().write();
        ufo[1] = 3;
        assert_eq!(Offload::read(ufo), None);
        let mut empty = Offload::default().write();
        empty[1] = GSO_TCPV4;
        assert_eq!(Offload::read(empty), None, "segments of no size");
    }
}
