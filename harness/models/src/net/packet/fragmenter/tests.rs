use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv4Options};
use proptest::prelude::*;

use super::*;

/// A packet that begins so far into its datagram, with so many bytes that count up.
fn packet(options: &[u8], at: usize, length: usize, more: bool) -> Vec<u8> {
    let mut header = Ipv4Header::new(0, 64, IpNumber::UDP, [10, 0, 0, 2], [198, 51, 100, 1]).unwrap();
    header.options = Ipv4Options::try_from(options).unwrap();
    header.set_payload_len(length).unwrap();
    header.dont_fragment = false;
    header.identification = 77;
    header.more_fragments = more;
    header.fragment_offset = IpFragOffset::try_new((at / UNIT) as u16).unwrap();
    header.header_checksum = header.calc_header_checksum();
    let mut bytes = Vec::new();
    header.write(&mut bytes).unwrap();
    bytes.extend((at..at + length).map(|n| n as u8));
    bytes
}

/// The fragments of a packet.
fn fragmenter(bytes: &[u8], mtu: usize) -> Option<Vec<Vec<u8>>> {
    let mut fragmenter = cut(&Packet::parse(bytes).unwrap(), bytes, mtu)?;
    let (mut all, mut piece) = (Vec::new(), Vec::new());
    while fragmenter.next_into(&mut piece, 0) {
        all.push(piece.clone());
    }
    Some(all)
}

proptest! {
    /// Read by another implementation: each fits, they follow each other, and together they are what was cut.
    #[test]
    fn req_13_the_fragments_of_a_packet_are_the_packet(
        mtu in 68usize..1_500, at in 0usize..1_000, length in 8usize..4_000, more: bool, options in 0usize..10,
    ) {
        let (at, length) = (at * UNIT, if more { length & !(UNIT - 1) } else { length });
        let whole = packet(&vec![NOTHING; 4 * options], at, length, more);
        let all = fragmenter(&whole, mtu).unwrap();
        let mut end = at;
        for (n, piece) in all.iter().enumerate() {
            prop_assert!(piece.len() <= mtu && Packet::parse(piece).is_ok());
            let (header, data) = Ipv4Header::from_slice(piece).unwrap();
            prop_assert_eq!((header.identification, header.time_to_live, header.dont_fragment), (77, 64, false));
            prop_assert_eq!(usize::from(header.fragment_offset.value()) * UNIT, end);
            prop_assert_eq!(header.more_fragments, more || n + 1 < all.len());
            prop_assert!(data.iter().enumerate().all(|(byte, &value)| value == (end + byte) as u8));
            end += data.len();
        }
        prop_assert_eq!(end, at + length);
    }
}

#[test]
fn what_is_short_enough_stays_as_it_is() {
    let whole = packet(&[NOTHING; 4], 80, 400, true);
    assert_eq!(fragmenter(&whole, whole.len()), Some(vec![whole.clone()]));
}

#[test]
fn what_cannot_be_cut_is_not() {
    assert_eq!(fragmenter(&packet(&[], 0, 100, false), 27), None, "no room for eight bytes");
    assert_eq!(fragmenter(&packet(&[], 65_528, 100, true), 68), None, "beyond the longest datagram");
}

/// RFC 791: those whose kind says so are in every fragment, others in the first alone.
#[test]
fn options_are_copied_as_their_kinds_say() {
    let (record_route, router_alert) = ([7, 7, 4, 0, 0, 0, 0], [148, 4, 0, 0]);
    let options = [&[NOTHING][..], &record_route, &router_alert].concat();
    let all = fragmenter(&packet(&options, 0, 200, false), 100).unwrap();
    let options: Vec<&[u8]> = all.iter().map(|piece| &piece[IP_HEADER_MIN..usize::from(piece[0] & 15) * 4]).collect();
    assert_eq!(options[0].len(), 12);
    assert!(options.len() > 2 && options[1..].iter().all(|options| *options == router_alert));
    for wrong in [[148, 0, 148, 4], [148, 9, 0, 0], [NOTHING, NOTHING, NOTHING, 148]] {
        let all = fragmenter(&packet(&wrong, 0, 200, false), 100).unwrap();
        assert!(all[1..].iter().all(|piece| piece[0] == 0x45), "{wrong:?}");
    }
}
