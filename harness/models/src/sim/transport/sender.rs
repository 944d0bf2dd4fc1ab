//! One side of a modelled link as a sender: what waits, what is under way, what is lost, and when it looks again.
//!
//! As `quinn-proto` does it (RFC 9002 §6): a packet is lost once one of [`PACKET_THRESHOLD`] packets behind it is acknowledged, or
//! any behind it and it is older than 9/8 round trips. Where nothing is acknowledged, a probe time-out sends two packets without
//! content, whose acknowledgement shows what was lost. Short messages go ahead of long ones.
//!
//! Where no router counts packets, those that leave together are one train.

use std::collections::VecDeque;
use std::time::Duration;

use butter::core::path::MAX_ACK_DELAY;
use butter::core::time::Time;
use butter::quic::{FrameClass, WINDOW};

use super::FlightKey;
use super::congestion::{DATAGRAM_BYTES, PacketPacer, RoundTrip, SendWindow};

/// What a full packet carries of a message: the rest is QUIC's header, that of a stream's frame, and a tag.
pub(super) const PIECE_BYTES: u64 = DATAGRAM_BYTES - PACKET_OVERHEAD;
/// Bytes of a packet beside what it carries of messages.
const PACKET_OVERHEAD: u64 = 36;
/// Packets by which one that is acknowledged is ahead of one that is lost (RFC 9002 §6.1.1).
const PACKET_THRESHOLD: u32 = 3;
/// Packets that a probe time-out sends.
const PROBES: u8 = 2;
/// Doublings of the probe time-out, at most.
const DOUBLINGS_MAX: u32 = 16;
/// Packets after which an acknowledgement is sent at once (RFC 9000 §13.2.2).
const ACKNOWLEDGED_TOGETHER: u16 = 2;

/// Part of a message: pieces that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pieces {
    pub(super) flight: FlightKey,
    pub(super) first: u8,
    pub(super) count: u8,
    /// Length of the last of them.
    last_bytes: u16,
}

impl Pieces {
    /// All of a message.
    pub(super) fn all(flight: FlightKey, bytes: usize) -> Self {
        let count = bytes.div_ceil(PIECE_BYTES as usize).max(1);
        let last_bytes = bytes - (count - 1) * PIECE_BYTES as usize;
        Pieces { flight, first: 0, count: count as u8, last_bytes: last_bytes as u16 }
    }

    /// One bit for each, by its place in the message.
    pub(super) fn bits(&self) -> u64 {
        (u64::MAX >> (64 - u32::from(self.count))) << self.first
    }

    /// Splits so many off at the front, if there are more.
    fn split(&mut self, count: u8) -> Pieces {
        let front = self.count.min(count);
        let is_all = front == self.count;
        let last_bytes = if is_all { self.last_bytes } else { PIECE_BYTES as u16 };
        let taken = Pieces { count: front, last_bytes, ..*self };
        self.first += front;
        self.count -= front;
        taken
    }

    /// UDP payload of their packets.
    fn datagram_bytes(&self) -> u64 {
        (u64::from(self.count) - 1) * DATAGRAM_BYTES + u64::from(self.last_bytes) + PACKET_OVERHEAD
    }
}

/// Packets that left together.
#[derive(Clone, Copy, Debug)]
struct SentTrain {
    at: Time,
    /// `None` for probes.
    pieces: Option<Pieces>,
    bytes: u32,
    arrived: Option<Time>,
    fate: Fate,
    /// Whether it has arrived or been dropped.
    has_ended: bool,
}

/// What a sender knows of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    UnderWay,
    Acknowledged,
    Lost,
}

/// One side of a link as a sender, and what the other knows of what it has sent.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    again: VecDeque<Pieces>,
    waiting: [VecDeque<Pieces>; 2],
    sent: VecDeque<SentTrain>,
    /// The number of the first of `sent`.
    base: u32,
    largest_acknowledged: Option<u32>,
    in_flight: u64,
    pub(super) window: SendWindow,
    pacer: PacketPacer,
    pub(super) round_trip: RoundTrip,
    /// Whether anything was acknowledged yet.
    pub(super) is_measured: bool,
    last_sent: Time,
    timeouts: u32,
    probes: u8,
    loss_at: Option<Time>,
    pace_at: Option<Time>,
    /// Whether nothing waits that could be sent.
    is_idle: bool,
    /// When its entry in the queue is due.
    pub(super) armed: Time,
    next_arrival: u32,
    unacknowledged: u16,
}

impl Sender {
    pub(super) fn new(now: Time, round_trip: Duration) -> Self {
        let window = SendWindow::new(now);
        Sender {
            again: VecDeque::new(),
            waiting: Default::default(),
            sent: VecDeque::new(),
            base: 0,
            largest_acknowledged: None,
            in_flight: 0,
            pacer: PacketPacer::new(now, round_trip, window.bytes()),
            window,
            round_trip: RoundTrip::new(round_trip),
            is_measured: false,
            last_sent: now,
            timeouts: 0,
            probes: 0,
            loss_at: None,
            pace_at: None,
            is_idle: true,
            armed: Time::NEVER,
            next_arrival: 0,
            unacknowledged: 0,
        }
    }

    pub(super) fn push(&mut self, pieces: Pieces, bytes: usize) {
        let class = match FrameClass::of(bytes) {
            FrameClass::Control => 0,
            FrameClass::Bulk => 1,
        };
        self.waiting[class].push_back(pieces);
    }

    /// Sends what may leave now, in trains of at most so many packets; the number of the train.
    pub(super) fn depart(&mut self, now: Time, packets_max: u8) -> Option<u32> {
        let Some(class) = self.next_class() else {
            self.is_idle = true;
            return self.probe(now);
        };
        let mut room = u64::from(packets_max);
        if self.probes > 0 {
            self.probes -= 1;
            room = 1;
        } else {
            let window = self.window.bytes().min(WINDOW.into());
            if self.in_flight + DATAGRAM_BYTES >= window {
                self.is_idle = false;
                return None;
            }
            match self.pacer.allows(now, self.round_trip.smoothed, window) {
                Ok(tokens) => room = room.min((window - self.in_flight).min(tokens) / DATAGRAM_BYTES).max(1),
                Err(at) => {
                    (self.pace_at, self.is_idle) = (Some(at), false);
                    return None;
                }
            }
        }
        let queue = self.queue(class);
        let rest = queue.front_mut()?;
        let pieces = rest.split(room.min(u8::MAX.into()) as u8);
        if rest.count == 0 {
            queue.pop_front();
        }
        Some(self.send(now, Some(pieces), pieces.datagram_bytes()))
    }

    /// What goes next: what was lost, short messages, long ones.
    fn next_class(&self) -> Option<usize> {
        let queues = [&self.again, &self.waiting[0], &self.waiting[1]];
        queues.into_iter().position(|queue| !queue.is_empty())
    }

    fn queue(&mut self, class: usize) -> &mut VecDeque<Pieces> {
        match class {
            0 => &mut self.again,
            _ => &mut self.waiting[class - 1],
        }
    }

    fn probe(&mut self, now: Time) -> Option<u32> {
        if self.probes == 0 {
            return None;
        }
        self.probes -= 1;
        Some(self.send(now, None, PACKET_OVERHEAD))
    }

    fn send(&mut self, now: Time, pieces: Option<Pieces>, bytes: u64) -> u32 {
        let number = self.base + self.sent.len() as u32;
        let train =
            SentTrain { at: now, pieces, bytes: bytes as u32, arrived: None, fate: Fate::UnderWay, has_ended: false };
        self.sent.push_back(train);
        self.in_flight += bytes;
        self.pacer.sent(bytes);
        self.last_sent = now;
        number
    }

    /// Packets and UDP payload of a train.
    pub(super) fn size_of(&self, number: u32) -> Option<(u16, usize)> {
        let train = self.train(number)?;
        Some((train.pieces.map_or(1, |pieces| pieces.count.into()), train.bytes as usize))
    }

    /// A train is dropped.
    pub(super) fn dropped(&mut self, number: u32) {
        if let Some(train) = self.train_mut(number) {
            train.has_ended = true;
        }
        self.forget();
    }

    /// A train arrives: what it carries, and how long its acknowledgement is held back, unless a later one will do.
    pub(super) fn arrived(&mut self, now: Time, number: u32) -> (Option<Pieces>, Option<Duration>) {
        let expected = std::mem::replace(&mut self.next_arrival, number + 1);
        let Some(train) = self.train_mut(number) else { return (None, None) };
        (train.arrived, train.has_ended) = (Some(now), true);
        let pieces = train.pieces;
        self.unacknowledged += pieces.map_or(1, |pieces| pieces.count.into());
        if self.unacknowledged >= ACKNOWLEDGED_TOGETHER || number != expected {
            self.unacknowledged = 0;
            (pieces, Some(Duration::ZERO))
        } else {
            (pieces, Some(MAX_ACK_DELAY))
        }
    }

    /// The other side sends something: an acknowledgement that was held back goes with it, of what has the number.
    pub(super) fn acknowledges_along(&mut self) -> Option<u32> {
        (std::mem::take(&mut self.unacknowledged) > 0).then(|| self.next_arrival - 1)
    }

    /// What has arrived up to a number is acknowledged; that takes `back`. Whether it says anything new.
    pub(super) fn acknowledged(&mut self, now: Time, number: u32, back: Duration) -> bool {
        let (is_idle, round_trip) = (self.is_idle, self.round_trip);
        let known = number.checked_sub(self.base).map_or(0, |places| places as usize + 1);
        let mut newest = None;
        for (place, train) in self.sent.iter_mut().take(known).enumerate() {
            let Some(arrived) = train.arrived.filter(|_| train.fate == Fate::UnderWay) else { continue };
            train.fate = Fate::Acknowledged;
            self.in_flight -= u64::from(train.bytes);
            self.window.acknowledged(now, train.at, train.bytes.into(), &round_trip, is_idle);
            newest = Some((self.base + place as u32, arrived.since(train.at) + back));
        }
        let Some((newest, sample)) = newest else { return false };
        self.window.acknowledgement_ended(now, is_idle);
        if self.largest_acknowledged.is_none_or(|largest| newest > largest) {
            self.largest_acknowledged = Some(newest);
            self.round_trip.sample(sample);
            self.is_measured = true;
        }
        self.timeouts = 0;
        self.detect_losses(now);
        self.forget();
        true
    }

    fn detect_losses(&mut self, now: Time) {
        let Some(largest) = self.largest_acknowledged else { return };
        let loss_delay = self.round_trip.loss_delay();
        let mut lost = None::<(Time, u64)>;
        self.loss_at = None;
        let before = largest.saturating_sub(self.base) as usize;
        for (place, train) in self.sent.iter_mut().take(before).enumerate() {
            if train.fate != Fate::UnderWay {
                continue;
            }
            let number = self.base + place as u32;
            if largest >= number + PACKET_THRESHOLD || now.since(train.at) >= loss_delay {
                train.fate = Fate::Lost;
                self.in_flight -= u64::from(train.bytes);
                self.again.extend(train.pieces);
                lost = Some((train.at, lost.map_or(0, |(_, bytes)| bytes) + u64::from(train.bytes)));
            } else {
                let at = train.at + loss_delay;
                self.loss_at = Some(self.loss_at.map_or(at, |known| known.min(at)));
            }
        }
        if let Some((sent, bytes)) = lost {
            self.window.lost(now, sent, bytes);
        }
    }

    /// Its time has come: something is taken for lost, or probes go out, or there is something to send again.
    pub(super) fn time_out(&mut self, now: Time) {
        self.pace_at = self.pace_at.filter(|&at| at > now);
        if let Some(at) = self.loss_at {
            if at <= now {
                self.detect_losses(now);
                self.forget();
            }
        } else if self.probe_at().is_some_and(|at| at <= now) {
            self.timeouts += 1;
            self.probes = PROBES;
        }
    }

    /// When it looks again, if it waits for anything.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.loss_at.or_else(|| self.probe_at()).into_iter().chain(self.pace_at).min()
    }

    fn probe_at(&self) -> Option<Time> {
        let timeout = self.round_trip.probe_timeout() + MAX_ACK_DELAY;
        (self.in_flight > 0).then(|| self.last_sent + timeout.saturating_mul(1 << self.timeouts.min(DOUBLINGS_MAX)))
    }

    /// When the oldest of what is under way left.
    pub(super) fn oldest(&self) -> Option<Time> {
        self.sent.iter().find(|train| train.fate == Fate::UnderWay).map(|train| train.at)
    }

    /// Everything that it has not delivered, as far as it knows. It has nothing to send any more.
    pub(super) fn abandon(&mut self) -> Vec<FlightKey> {
        (self.loss_at, self.pace_at, self.probes, self.in_flight) = (None, None, 0, 0);
        let under_way = self.sent.iter_mut().filter(|train| train.fate == Fate::UnderWay);
        let sent: Vec<Pieces> = under_way
            .filter_map(|train| {
                train.fate = Fate::Lost;
                train.pieces
            })
            .collect();
        let queues = self.waiting.iter_mut().chain([&mut self.again]);
        let waiting: Vec<Pieces> = queues.flat_map(std::mem::take).collect();
        self.forget();
        sent.into_iter().chain(waiting).map(|pieces| pieces.flight).collect()
    }

    fn train(&self, number: u32) -> Option<&SentTrain> {
        self.sent.get(number.checked_sub(self.base)? as usize)
    }

    fn train_mut(&mut self, number: u32) -> Option<&mut SentTrain> {
        self.sent.get_mut(number.checked_sub(self.base)? as usize)
    }

    /// Forgets the first trains, of which nothing is to come.
    fn forget(&mut self) {
        while self.sent.front().is_some_and(|train| train.has_ended && train.fate != Fate::UnderWay) {
            self.sent.pop_front();
            self.base += 1;
        }
    }
}

#[cfg(test)]
mod tests;
