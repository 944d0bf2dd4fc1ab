//! Messages under way. Where nothing but delays is on the way, one that fits the first window is a single event. All others go as
//! QUIC's packets do: see [`sender`].

use super::sender::Pieces;
use super::*;
use crate::sim::network::Carried;

/// Bytes of a message that is one event on a path without luck or queues: less than the window that every link begins with.
const AT_ONCE_BYTES: usize = 10_000;
/// Packets of a train: as many as are acknowledged together.
const TRAIN_MAX: u8 = 2;

/// A message under way.
#[derive(Debug)]
pub(super) struct Flight<M> {
    link: LinkKey,
    /// The side that it goes to.
    to: u8,
    content: Content<M>,
    bytes: u32,
    /// One bit for each piece that has not arrived, once it goes packet by packet.
    missing: u64,
    /// Whether it counts among what is outstanding: single events do not.
    is_counted: bool,
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
        let flight =
            Flight { link: key, to: 1 - from_side as u8, content, bytes: bytes as u32, missing: 0, is_counted: false };
        let at_once = link.is_perfect() && bytes <= AT_ONCE_BYTES;
        let at = self.now + link.one_way(from_side);
        self.took_off(key);
        let flight = self.flights.insert(flight);
        if at_once {
            let packets = bytes.div_ceil(PACKET_BYTES).max(1) as u16;
            let link = &self.links[key];
            for place in 0..link.hop_count() {
                self.networks.count(link.hop_from(from_side, place), packets, bytes);
            }
            self.schedule(from, at, Event::Arrive(flight));
        } else {
            self.hand_to_sender(flight);
        }
    }

    /// A message goes packet by packet.
    fn hand_to_sender(&mut self, key: FlightKey) {
        let Some(flight) = self.flights.get_mut(key) else { return };
        let (link, side, bytes) = (flight.link, usize::from(1 - flight.to), flight.bytes);
        let pieces = Pieces::all(key, bytes as usize);
        (flight.missing, flight.is_counted) = (pieces.bits(), true);
        self.links[link].sender_mut(side, self.now).push(pieces, bytes as usize);
        self.count_outstanding(link, side, |outstanding| outstanding + u64::from(bytes));
        self.pump(link, side);
    }

    /// Sends what a side may send now, and sees to it that it looks again in time.
    fn pump(&mut self, key: LinkKey, side: usize) {
        let now = self.now;
        let Some(link) = self.links.get_mut(key) else { return };
        let packets_max = if link.pace.counts_packets { 1 } else { TRAIN_MAX };
        let (source, at, arrives) = (link.slots()[side], link.first_hop(now), now + link.one_way(side));
        let acknowledges = link.sender_mut(1 - side, now).acknowledges_along();
        let mut sends = false;
        while let Some(number) = self.links[key].sender_mut(side, now).depart(now, packets_max) {
            self.schedule(source, at, Event::Train { link: key, number, hop: 0, side: side as u8 });
            sends = true;
        }
        if let Some(number) = acknowledges.filter(|_| sends) {
            self.schedule(source, arrives, Event::Acknowledged { link: key, number, side: 1 - side as u8 });
        }
        self.arm_sender(key, side, Time::NEVER);
    }

    /// Sees to it that a side looks again when it has to, and not after `latest`.
    fn arm_sender(&mut self, key: LinkKey, side: usize, latest: Time) {
        let now = self.now;
        let Some(link) = self.links.get_mut(key) else { return };
        let slot = link.slots()[side];
        let sender = link.sender_mut(side, now);
        let next = sender.next_timeout().map(|at| at.min(latest));
        let Some(at) = next.filter(|&at| at < sender.armed) else { return };
        let armed = self.schedule(slot, at, Event::SenderTimer { link: key, side: side as u8 });
        self.links[key].sender_mut(side, now).armed = armed;
    }

    /// The time at which a side wanted to look again.
    pub(super) fn sender_times_out(&mut self, key: LinkKey, side: usize) {
        let now = self.now;
        let Some(link) = self.links.get_mut(key) else { return };
        let is_broken = link.is_broken();
        let sender = link.sender_mut(side, now);
        if sender.armed != now {
            // Voided by a nearer one.
            return;
        }
        sender.armed = Time::NEVER;
        let oldest = sender.oldest();
        if is_broken {
            return self.abandon(key, side);
        }
        let heard = self.links[key].heard.by(side, now, Duration::ZERO);
        // A link that brings anything at all lives, however long one message has waited.
        let silent_at = oldest.map_or(Time::NEVER, |oldest| oldest.max(heard) + self.idle_wait(key, side));
        if silent_at <= now {
            self.abandon(key, side);
            self.notice_silence(key, 0);
            self.notice_silence(key, 1);
            return;
        }
        self.links[key].sender_mut(side, now).time_out(now);
        self.pump(key, side);
        // Probe time-outs grow, and the last one would come long after the link counts as down.
        self.arm_sender(key, side, silent_at);
    }

    /// A side delivers nothing more.
    fn abandon(&mut self, key: LinkKey, side: usize) {
        let flights = self.links[key].sender_mut(side, self.now).abandon();
        for flight in flights {
            if let Some(Flight { bytes, .. }) = self.flights.remove(flight) {
                self.count_outstanding(key, side, |outstanding| outstanding.saturating_sub(bytes.into()));
                self.landed(key);
            }
        }
    }

    /// A train reaches a hop of its path, or its end.
    pub(super) fn train(&mut self, key: LinkKey, number: u32, hop: u8, side: usize) {
        let now = self.now;
        let Some(link) = self.links.get_mut(key) else { return };
        // The way has become shorter where one of its ends has moved meanwhile.
        if usize::from(hop) >= link.hop_count() {
            return self.train_arrives(key, number, side);
        }
        let (source, passes) = (link.slots()[side], link.hop_from(side, usize::from(hop)));
        let is_cut = link.is_cut_at(passes);
        let sender = link.sender_mut(side, now);
        let Some((packets, bytes)) = sender.size_of(number) else { return };
        if is_cut {
            sender.dropped(number);
            return self.networks.forgotten(passes, packets);
        }
        let Carried { lost, refused, at } = self.networks.carry(passes, now, packets, bytes);
        // Only single packets meet luck and queues.
        if lost + refused > 0 {
            return self.links[key].sender_mut(side, now).dropped(number);
        }
        let at = at + super::super::network::LAN_LATENCY;
        self.schedule(source, at, Event::Train { link: key, number, hop: hop + 1, side: side as u8 });
    }

    fn train_arrives(&mut self, key: LinkKey, number: u32, side: usize) {
        let now = self.now;
        let link = &mut self.links[key];
        if link.is_parted() {
            return link.sender_mut(side, now).dropped(number);
        }
        let (receiver, back, is_broken) = (link.slots()[1 - side], link.one_way(1 - side), link.is_broken());
        let (pieces, held_back) = link.sender_mut(side, now).arrived(now, number);
        link.heard.arrived(now, 1 - side);
        if let Some(held_back) = held_back.filter(|_| !is_broken) {
            let event = Event::Acknowledged { link: key, number, side: side as u8 };
            self.schedule(receiver, now + held_back + back, event);
        }
        let Some(pieces) = pieces else { return };
        let Some(flight) = self.flights.get_mut(pieces.flight) else { return };
        flight.missing &= !pieces.bits();
        if flight.missing == 0 {
            self.land(pieces.flight);
        }
    }

    /// A side hears what of its packets has arrived.
    pub(super) fn hear_acknowledgement(&mut self, key: LinkKey, number: u32, side: usize) {
        let now = self.now;
        let Some(link) = self.links.get_mut(key).filter(|link| !link.is_broken() && !link.is_parted()) else { return };
        let back = link.one_way(1 - side);
        if link.sender_mut(side, now).acknowledged(now, number, back) {
            self.pump(key, side);
        }
    }

    /// A whole message reaches the end of a path without luck or queues.
    pub(super) fn arrive(&mut self, key: FlightKey) {
        let Some(flight) = self.flights.get(key) else { return };
        if self.links[flight.link].is_parted() {
            return self.hand_to_sender(key);
        }
        let (link, to) = (flight.link, flight.to);
        self.links[link].heard.arrived(self.now, to.into());
        self.land(key);
    }

    /// All of a message has arrived.
    pub(super) fn land(&mut self, key: FlightKey) {
        let Some(Flight { link, to, content, bytes, is_counted, .. }) = self.flights.remove(key) else { return };
        let side = usize::from(to);
        if is_counted {
            self.count_outstanding(link, 1 - side, |outstanding| outstanding.saturating_sub(bytes.into()));
        }
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
        let (to, from) = (self.links[link].slots()[side], self.links[link].ids()[1 - side]);
        // Two links that were dialled at once carry each other's messages until one is given up. A side that is open is in use.
        let takes = || self.end(to).alive && self.link_to(to, from.prefix()).is_some();
        if self.links[link].is_open(side) || takes() {
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
