//! Messages under way: trains of packets along a link's path, and what is sent again.

use super::*;
use crate::sim::network::Carried;

/// Sooner or later a sender that finds every queue full gives up: when a message has waited so long.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Doublings of the probe time-out, at most.
const DOUBLINGS_MAX: u32 = 10;

/// A message under way.
#[derive(Debug)]
pub(super) struct Flight<M> {
    link: LinkKey,
    /// The side that it goes to.
    to: u8,
    content: Content<M>,
    bytes: u32,
    /// Packets that have not arrived.
    missing: u16,
    since: Time,
}

/// What is carried over a link.
#[derive(Debug)]
pub(super) enum Content<M> {
    Message(Message<M>),
    /// The handshake is confirmed.
    Up,
    /// The link is closed by the sender.
    Close,
    /// A handshake over a relay.
    RelayInitial(DialKey),
    /// The answer to it.
    RelayAnswer(DialKey),
}

impl<M: Debug + Encode + Decode<()>> Transport<M> {
    /// Sends something from one end of a link to the other.
    pub(super) fn launch(&mut self, key: LinkKey, from: NodeSlot, content: Content<M>, bytes: usize) {
        let link = &self.links[key];
        if link.is_broken() {
            return;
        }
        if link.mends(link.side_of(from)) {
            self.revive(key);
        }
        let link = &self.links[key];
        if link.is_broken() {
            return;
        }
        let from_side = link.side_of(from);
        let packets = bytes.div_ceil(PACKET_BYTES).max(1) as u16;
        let perfect = link.is_perfect();
        let at = if perfect { self.now + link.one_way(from_side) } else { link.first_hop(self.now) };
        if perfect {
            for place in 0..link.hop_count() {
                self.networks.count(link.hop_from(from_side, place), packets, bytes);
            }
        }
        self.took_off(key);
        if !perfect {
            self.count_outstanding(key, from_side, |outstanding| outstanding + bytes as u64);
        }
        let to = 1 - from_side as u8;
        let flight = self.flights.insert(Flight {
            link: key,
            to,
            content,
            bytes: bytes as u32,
            missing: packets,
            since: self.now,
        });
        let event = if perfect { Event::Arrive(flight) } else { Event::Train { flight, hop: 0, packets, attempt: 0 } };
        self.schedule(from, at, event);
    }

    /// So many packets of a message reach a hop of their path, or its end.
    pub(super) fn train(&mut self, key: FlightKey, hop: u8, packets: u16, attempt: u8) {
        let Some(flight) = self.flights.get_mut(key) else { return };
        let link = &self.links[flight.link];
        if usize::from(hop) == link.hop_count() {
            if link.is_parted() {
                let (link, from_side) = (flight.link, usize::from(1 - flight.to));
                let patience = self.idle_wait(link, from_side);
                return self.send_again(key, packets, attempt + 1, patience);
            }
            flight.missing -= packets;
            let (link, from_side, since) = (flight.link, usize::from(1 - flight.to), flight.since);
            let is_whole = flight.missing == 0;
            if attempt == 0 {
                self.sample_path(link, from_side, since);
            }
            if is_whole {
                self.land(key);
            }
            return;
        }
        let (link_key, from_side) = (flight.link, usize::from(1 - flight.to));
        let source = link.slots()[from_side];
        let passes = link.hop_from(from_side, usize::from(hop));
        if link.is_cut_at(passes) {
            self.networks.forgotten(passes, packets);
            let patience = self.idle_wait(link_key, from_side);
            return self.send_again(key, packets, attempt + 1, patience);
        }
        // All packets but a message's last are full; which of them these are does not matter.
        let bytes = (flight.bytes as usize).min(usize::from(packets) * PACKET_BYTES);
        let Carried { lost, refused, at } = self.networks.carry(passes, self.now, packets, bytes);
        let passed = packets - lost - refused;
        if passed > 0 {
            let at = at + super::super::network::LAN_LATENCY;
            self.schedule(source, at, Event::Train { flight: key, hop: hop + 1, packets: passed, attempt });
        }
        if refused > 0 {
            self.send_again(key, refused, attempt, STALL_MAX);
        }
        if lost > 0 {
            let patience = self.idle_wait(link_key, from_side);
            self.send_again(key, lost, attempt + 1, patience);
        }
    }

    /// Sends packets again after the probe time-out, or gives the link up when that has gone on for too long.
    fn send_again(&mut self, key: FlightKey, packets: u16, attempt: u8, patience: Duration) {
        let Some(flight) = self.flights.get(key) else { return };
        let link = &self.links[flight.link];
        // A link that brings anything at all lives, however long one message has waited.
        let quiet_since = flight.since.max(link.heard.by(usize::from(1 - flight.to), self.now, Duration::ZERO));
        if link.is_broken() || self.now.since(quiet_since) > patience {
            let link = flight.link;
            if !self.links[link].is_broken() {
                self.notice_silence(link, 0);
                self.notice_silence(link, 1);
            }
            self.give_up(key);
            return;
        }
        let pause =
            (link.round_trip() * 2).max(PROBE_MIN) * (1 << u32::from(attempt.saturating_sub(1)).min(DOUBLINGS_MAX));
        let source = link.slots()[usize::from(1 - flight.to)];
        let at = link.first_hop(self.now + pause);
        self.schedule(source, at, Event::Train { flight: key, hop: 0, packets, attempt });
    }

    fn give_up(&mut self, key: FlightKey) {
        let Some(Flight { link, to, bytes, .. }) = self.flights.remove(key) else { return };
        self.count_outstanding(link, usize::from(1 - to), |outstanding| outstanding.saturating_sub(bytes.into()));
        self.landed(link);
    }

    /// A whole message reaches the end of a path without luck or queues.
    pub(super) fn arrive(&mut self, key: FlightKey) {
        let Some(flight) = self.flights.get(key) else { return };
        if self.links[flight.link].is_parted() {
            let patience = self.idle_wait(flight.link, usize::from(1 - flight.to));
            return self.send_again(key, flight.missing, 1, patience);
        }
        self.land(key);
    }

    /// All of a message has arrived.
    pub(super) fn land(&mut self, key: FlightKey) {
        let Some(Flight { link, to, content, bytes, .. }) = self.flights.remove(key) else { return };
        let side = usize::from(to);
        self.links[link].heard.arrived(self.now, side);
        self.count_outstanding(link, 1 - side, |outstanding| outstanding.saturating_sub(bytes.into()));
        match content {
            Content::Message(message) => self.land_message(link, side, message, bytes),
            Content::Up => self.land_up(link, side),
            Content::Close => self.hear_close(link, side),
            Content::RelayInitial(dial) => self.land_relay_initial(link, dial),
            Content::RelayAnswer(dial) => self.land_relay_answer(link, dial),
        }
        self.landed(link);
    }

    fn land_message(&mut self, link: LinkKey, side: usize, message: Message<M>, bytes: u32) {
        if self.links[link].is_pending(side) {
            // It has overtaken the handshake's last packet, which it confirms as well.
            self.land_up(link, side);
        }
        let to = self.links[link].slots()[side];
        let from = self.links[link].ids()[1 - side];
        // Two links that were dialled at once carry each other's messages until one is given up.
        if self.end(to).alive && self.link_to(to, from.prefix()).is_some() {
            self.deliver(to, TransportEvent::Message { from, message, bytes });
        }
    }

    fn land_up(&mut self, link: LinkKey, side: usize) {
        if self.lives_on(link, side) {
            self.open(link, side);
        } else {
            self.expect_silence(link, 1 - side);
            self.notice_silence(link, side);
        }
    }
}
