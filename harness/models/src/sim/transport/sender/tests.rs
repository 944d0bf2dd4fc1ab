use super::*;

const ROUND: Duration = Duration::from_millis(100);
const WAY: Duration = Duration::from_millis(50);
/// Packets that the first window holds.
const FIRST: usize = 8;

fn at(ms: u64) -> Time {
    Time::from_micros(ms * 1_000)
}

/// A sender with a message of so many packets.
fn with_message(packets: u64) -> Sender {
    let mut sender = Sender::new(at(0), ROUND);
    let bytes = (packets * PIECE_BYTES) as usize;
    sender.push(Pieces::all(FlightKey::default(), bytes), bytes);
    sender
}

fn send_all(sender: &mut Sender, now: Time) -> Vec<u32> {
    std::iter::from_fn(|| sender.depart(now, 1)).collect()
}

#[test]
fn a_window_is_sent_at_once_and_each_acknowledgement_lets_out_twice_as_much() {
    let mut sender = with_message(40);
    assert_eq!(send_all(&mut sender, at(0)).len(), FIRST);
    assert_eq!(sender.arrived(at(50), 0).1, Some(MAX_ACK_DELAY), "one packet may be followed by another");
    assert_eq!(sender.arrived(at(50), 1).1, Some(Duration::ZERO));
    assert!(sender.acknowledged(at(100), 1, WAY));
    assert!(!sender.acknowledged(at(125), 0, WAY), "what was held back says nothing new");
    assert_eq!(send_all(&mut sender, at(100)).len(), 4, "two are acknowledged, and the window is larger by two");
    assert_eq!(send_all(&mut sender, at(140)).len(), 0, "nothing more is acknowledged");
}

#[test]
fn a_train_takes_as_many_packets_as_may_leave() {
    let mut sender = with_message(40);
    assert_eq!(sender.depart(at(0), u8::MAX), Some(0));
    assert_eq!(sender.size_of(0), Some((FIRST as u16, FIRST * DATAGRAM_BYTES as usize)));
    assert_eq!(sender.depart(at(0), u8::MAX), None);
}

#[test]
fn a_packet_that_three_have_overtaken_is_sent_again() {
    let mut sender = with_message(5);
    assert_eq!(send_all(&mut sender, at(0)), [0, 1, 2, 3, 4]);
    sender.dropped(0);
    for number in 1..=3 {
        sender.arrived(at(50), number);
        sender.acknowledged(at(100), number, WAY);
    }
    assert_eq!(send_all(&mut sender, at(100)), [5]);
    let (pieces, _) = sender.arrived(at(150), 5);
    assert_eq!(pieces.map(|pieces| (pieces.first, pieces.count)), Some((0, 1)), "the one that was lost");
}

#[test]
fn the_last_packet_is_missed_after_a_probe() {
    let mut sender = with_message(1);
    assert_eq!(send_all(&mut sender, at(0)), [0]);
    sender.dropped(0);
    // 100 ms, four deviations of 50, and the delay of acknowledgements.
    let timeout = at(325);
    assert_eq!(sender.next_timeout(), Some(timeout));
    sender.time_out(timeout);
    assert_eq!(send_all(&mut sender, timeout), [1, 2], "probes carry nothing");
    assert_eq!(sender.arrived(at(375), 1), (None, Some(Duration::ZERO)), "something is missing before it");
    sender.arrived(at(375), 2);
    sender.acknowledged(at(425), 2, WAY);
    assert_eq!(send_all(&mut sender, at(425)), [3], "it is older than 9/8 round trips");
    assert_eq!(sender.arrived(at(475), 3).0.map(|pieces| pieces.count), Some(1));
    sender.acknowledged(at(525), 3, WAY);
    assert_eq!((sender.next_timeout(), sender.in_flight), (None, 0));
}

#[test]
fn unanswered_probes_come_at_growing_pauses_and_an_abandoned_sender_is_quiet() {
    let mut sender = with_message(1);
    send_all(&mut sender, at(0));
    let mut pauses = Vec::new();
    let mut before = at(0);
    for _ in 0..3 {
        let now = sender.next_timeout().expect("something is under way");
        pauses.push(now.since(before).as_millis());
        before = now;
        sender.time_out(now);
        send_all(&mut sender, now);
    }
    assert_eq!(pauses, [325, 650, 1_300]);
    assert_eq!(sender.abandon(), [FlightKey::default()]);
    assert_eq!((sender.next_timeout(), sender.depart(before, 1)), (None, None));
}

#[test]
fn short_messages_go_ahead_of_long_ones() {
    let mut sender = with_message(40);
    sender.push(Pieces::all(FlightKey::default(), 100), 100);
    assert_eq!(sender.depart(at(0), 1), Some(0));
    assert_eq!(sender.size_of(0), Some((1, 100 + PACKET_OVERHEAD as usize)));
}

#[test]
fn pieces_are_one_bit_each() {
    let longest = Pieces::all(FlightKey::default(), butter::core::wire::FRAME_MAX);
    assert!(longest.count <= 64, "{}", longest.count);
    let mut rest = longest;
    let first = rest.split(10);
    assert_eq!(first.bits(), 0x3ff);
    assert_eq!(first.bits() | rest.bits(), longest.bits());
    assert_eq!(first.bits() & rest.bits(), 0);
    assert_eq!(first.datagram_bytes(), 10 * DATAGRAM_BYTES);
}
