use etherparse::{IpFragOffset, IpNumber, Ipv4Header};

use super::super::{Content, Fragment};
use super::*;

fn fragment(offset: u16, more: bool, identification: u16) -> Packet {
    let payload = [0; 16];
    let mut header = Ipv4Header::new(16, 64, IpNumber::UDP, [10, 0, 0, 2], [198, 51, 100, 1]).unwrap();
    header.fragment_offset = IpFragOffset::try_new(offset).unwrap();
    header.more_fragments = more;
    header.dont_fragment = false;
    header.identification = identification;
    let mut bytes = Vec::new();
    header.write(&mut bytes).unwrap();
    bytes.extend_from_slice(&payload);
    Packet::parse(&bytes).unwrap()
}

#[test]
fn later_fragments_follow_the_first_for_a_while() {
    let mut fragments = Fragments::new(1);
    let first = fragment(0, true, 7);
    assert_eq!(first.fragment, Fragment::First);
    let later = fragment(2, false, 7);
    assert_eq!((later.fragment, later.content), (Fragment::Later, Content::Later));
    assert_eq!(fragments.later(Time::ZERO, &later), None, "the first has not come");
    fragments.first(Time::ZERO, &first, 'a');
    assert_eq!(fragments.later(Time::ZERO, &later), Some('a'));
    assert_eq!(fragments.later(Time::ZERO, &fragment(2, false, 8)), None, "of another datagram");
    let late = Time::ZERO + FRAGMENT_TIMEOUT;
    assert_eq!(fragments.later(late - Duration::from_micros(1), &later), Some('a'));
    assert_eq!(fragments.later(late, &later), None);
}

#[test]
fn datagrams_remembered_are_bounded() {
    let mut fragments = Fragments::new(1);
    for id in 0..=DATAGRAMS_MAX as u16 {
        fragments.first(Time::ZERO, &fragment(0, true, id), id);
    }
    assert_eq!(fragments.later(Time::ZERO, &fragment(2, false, 0)), None);
    assert!((1..=DATAGRAMS_MAX as u16).all(|id| fragments.later(Time::ZERO, &fragment(2, false, id)) == Some(id)));
}

const AT_ONCE: Time = Time::ZERO;

/// A frame of so many bytes, all of them this one.
fn frame(byte: u8, length: usize) -> Vec<u8> {
    vec![byte; length]
}

#[test]
fn early_fragments_wait_for_the_first_of_their_own_datagram() {
    let mut out_of_order = OutOfOrderFragments::default();
    for (byte, identification) in [(1, 7), (2, 8), (3, 7)] {
        assert_eq!(out_of_order.hold(AT_ONCE, &fragment(2, true, identification), &frame(byte, 100)), 0);
    }
    assert!(out_of_order.release(&fragment(0, true, 9)).is_empty());
    assert_eq!(out_of_order.release(&fragment(0, true, 7)), [frame(1, 100).into(), frame(3, 100).into()]);
    assert!(out_of_order.release(&fragment(0, true, 7)).is_empty(), "they went");
    assert_eq!((out_of_order.clear(), out_of_order.next_due()), (1, Time::NEVER));
}

#[test]
fn early_fragments_wait_for_a_second() {
    let mut out_of_order = OutOfOrderFragments::default();
    let half = Duration::from_millis(500);
    out_of_order.hold(AT_ONCE, &fragment(2, false, 7), &frame(1, 100));
    out_of_order.hold(AT_ONCE + half, &fragment(2, false, 8), &frame(2, 100));
    assert_eq!(out_of_order.next_due(), AT_ONCE + HELD_FOR);
    assert_eq!(out_of_order.expire(AT_ONCE + HELD_FOR - Duration::from_micros(1)), 0);
    assert_eq!((out_of_order.expire(AT_ONCE + HELD_FOR), out_of_order.next_due()), (1, AT_ONCE + half + HELD_FOR));
    assert!(out_of_order.release(&fragment(0, true, 7)).is_empty());
    assert_eq!(out_of_order.release(&fragment(0, true, 8)).len(), 1);
    assert_eq!(out_of_order.next_due(), Time::NEVER);
}

/// That no more than `per_datagram` fragments of this length wait for one datagram, and `in_all` for any.
fn check_bound(length: usize, per_datagram: usize, in_all: usize) {
    let mut out_of_order = OutOfOrderFragments::default();
    // The second time as the first: what has gone is not counted any more.
    for _ in 0..2 {
        let mut hold =
            |identification| out_of_order.hold(AT_ONCE, &fragment(2, true, identification), &frame(1, length));
        assert_eq!((0..per_datagram + 3).map(|_| hold(0)).sum::<u64>(), 3, "{length}: the last are not taken");
        let others = 1..=(in_all - per_datagram) as u16;
        assert_eq!(others.map(&mut hold).sum::<u64>(), 0, "{length}: there is room for others");
        let more = 1_000..1_005 + per_datagram as u16;
        assert_eq!(more.map(&mut hold).sum::<u64>(), per_datagram as u64 + 5, "{length}: the oldest make room");
        assert!((0..=5).all(|id| out_of_order.release(&fragment(0, true, id)).is_empty()));
        assert_eq!(out_of_order.release(&fragment(0, true, 6)).len(), 1);
        assert_eq!(out_of_order.clear(), in_all as u64 - 1);
    }
}

#[test]
fn early_fragments_are_bounded_in_number() {
    check_bound(100, HELD_PER_DATAGRAM_MAX, HELD_MAX);
}

#[test]
fn early_fragments_are_bounded_in_bytes() {
    check_bound(8 << 10, HELD_BYTES_PER_DATAGRAM_MAX >> 13, HELD_BYTES_MAX >> 13);
    let mut out_of_order = OutOfOrderFragments::default();
    assert_eq!(out_of_order.hold(AT_ONCE, &fragment(2, true, 1), &frame(1, HELD_BYTES_PER_DATAGRAM_MAX + 1)), 1);
    assert_eq!(out_of_order.next_due(), Time::NEVER);
}
