//! Handshakes: initial packets through NATs, their answers, and links through an ambassador.

use std::net::SocketAddrV4;

use super::*;
use crate::sim::network::{HEADER_BYTES, Hops};

use super::flight;
use super::link::Way;

/// A dial under way.
#[derive(Debug)]
pub(super) struct Dialling {
    from: NodeSlot,
    life: u32,
    id: DialId,
    peer: Option<NodeId>,
    to: To,
    /// The own port that it leaves from.
    port: u16,
    begun: Time,
    /// Initial packets sent again.
    retries: usize,
    /// The link over a relay whose handshake is under way.
    laid: Option<LinkKey>,
}

impl Dialling {
    /// Whether it goes from a port of a node to an address.
    pub(super) fn leads_to(&self, slot: NodeSlot, port: u16, address: SocketAddrV4) -> bool {
        self.is_from(slot, port) && matches!(self.to, To::Address(to) if to == address)
    }

    pub(super) fn is_from(&self, slot: NodeSlot, port: u16) -> bool {
        self.from == slot && self.port == port
    }
}

#[derive(Clone, Copy, Debug)]
enum To {
    Address(SocketAddrV4),
    Relay(NodeId),
    /// No network here has such addresses.
    Nowhere,
}

/// What a packet of a handshake is.
#[derive(Debug)]
pub(super) enum Handshake {
    Initial {
        dial: DialKey,
        from: NodeSlot,
    },
    Answer {
        dial: DialKey,
        from: NodeSlot,
        life: u32,
        /// The way that the initial packet took.
        hops: Hops,
        /// Where it came from, as its receiver saw it.
        seen: SocketAddrV4,
        /// The answerer's own port.
        port: u16,
    },
}

impl Handshake {
    pub(super) fn sender(&self) -> NodeSlot {
        match self {
            Handshake::Initial { from, .. } | Handshake::Answer { from, .. } => *from,
        }
    }
}

impl<M: Debug + Encode + Decode<()>> Transport<M> {
    pub(super) fn begin_dial(&mut self, from: NodeSlot, id: DialId, peer: Option<NodeId>, to: DialTarget) {
        let to = match to {
            DialTarget::Address(SocketAddr::V4(address)) => (To::Address(address), Some(NODE_PORT)),
            DialTarget::From { socket, to: SocketAddr::V4(to) } => (To::Address(to), self.open_port(from, socket)),
            DialTarget::Address(SocketAddr::V6(address)) => {
                (self.label_of(from, address).map_or(To::Nowhere, To::Address), Some(NODE_PORT))
            }
            // Extra sockets cross NATs, of which IPv6 has none.
            DialTarget::From { .. } => (To::Nowhere, Some(NODE_PORT)),
            DialTarget::Relay { relay } => (To::Relay(relay), Some(NODE_PORT)),
        };
        let (to, port) = if let (to, Some(port)) = to { (to, port) } else { (To::Nowhere, NODE_PORT) };
        let life = self.end(from).life;
        let dialling = Dialling { from, life, id, peer, to, port, begun: self.now, retries: 0, laid: None };
        let key = self.dials.insert(dialling);
        self.attempt(key);
        self.schedule(from, self.now + DIAL_RETRIES[0], Event::DialTick(key));
    }

    /// An initial packet is still unanswered.
    pub(super) fn dial_tick(&mut self, key: DialKey) {
        let Some(dialling) = self.dials.get_mut(key) else { return };
        let (from, begun) = (dialling.from, dialling.begun);
        if self.now.since(begun) >= DIAL_TIMEOUT || !lives(&self.ends, from, dialling.life) {
            self.end_dial(key);
            return;
        }
        dialling.retries += 1;
        let next = DIAL_RETRIES.get(dialling.retries).copied().unwrap_or(DIAL_TIMEOUT);
        self.attempt(key);
        self.schedule(from, begun + next, Event::DialTick(key));
    }

    /// A packet of a handshake has reached a live node.
    pub(super) fn handshake(&mut self, at: NodeSlot, packet: SimPacket, handshake: Handshake) {
        match handshake {
            Handshake::Initial { dial, .. } => {
                let (seen, port) = (packet.flow.source, packet.flow.destination.port());
                if self.dials.contains_key(dial) && self.lets_in(at, port, seen) {
                    let life = self.end(at).life;
                    let answer = Handshake::Answer { dial, from: at, life, hops: packet.hops, seen, port };
                    self.send_packet(at, port, seen, answer);
                }
            }
            Handshake::Answer { dial, from, life, hops, seen, port } => {
                let Some(dialling) = self.dials.get(dial) else { return };
                let To::Address(dialled) = dialling.to else { return };
                // An answer from another address than the one dialled is none; an answerer that has died since says no more.
                let fits = dialling.from == at && packet.flow.source == dialled;
                if fits && lives(&self.ends, at, dialling.life) && lives(&self.ends, from, life) {
                    let ports = [dialling.port, port];
                    let way = Way { hops, remotes: [Some(dialled), Some(seen)], ports, relay: None };
                    self.answered(dial, at, from, way);
                }
            }
        }
    }

    /// The initial packet of a handshake over a relay has arrived.
    pub(super) fn land_relay_initial(&mut self, link: LinkKey, dial: DialKey) {
        if self.lives_on(link, 1) && self.dials.contains_key(dial) {
            let from = self.links[link].slots()[1];
            self.launch(link, from, flight::Content::RelayAnswer(dial), PACKET_BYTES);
        } else {
            self.tear_down(link);
        }
    }

    /// Its answer has.
    pub(super) fn land_relay_answer(&mut self, link: LinkKey, dial: DialKey) {
        if self.lives_on(link, 0) && self.dials.remove(dial).is_some() {
            self.confirm(link);
        } else {
            self.tear_down(link);
        }
    }

    fn answered(&mut self, dial: DialKey, from: NodeSlot, by: NodeSlot, way: Way) {
        let expected = self.dials[dial].peer;
        if by == from || expected.is_some_and(|peer| peer != self.end(by).id) {
            self.end_dial(dial);
        } else {
            self.dials.remove(dial);
            let link = self.lay([from, by], way);
            self.confirm(link);
        }
    }

    /// The dialler's side is up; the other will hear of it.
    fn confirm(&mut self, link: LinkKey) {
        let from = self.links[link].slots()[0];
        self.open(link, 0);
        if self.links.get(link).is_some_and(|link| link.is_open(0)) {
            self.launch(link, from, flight::Content::Up, PACKET_BYTES);
        } else {
            self.notice_silence(link, 1);
        }
    }

    fn tear_down(&mut self, link: LinkKey) {
        self.notice_silence(link, 0);
        self.notice_silence(link, 1);
    }

    /// A dial leads nowhere.
    fn end_dial(&mut self, key: DialKey) {
        let Some(dialling) = self.dials.remove(key) else { return };
        if let Some(link) = dialling.laid {
            self.tear_down(link);
        }
        if lives(&self.ends, dialling.from, dialling.life) {
            self.deliver(dialling.from, TransportEvent::DialFailed { dial: dialling.id });
        }
    }

    fn attempt(&mut self, key: DialKey) {
        let Dialling { from, to, port, peer, laid, .. } = self.dials[key];
        match to {
            To::Address(address) => self.send_packet(from, port, address, Handshake::Initial { dial: key, from }),
            To::Relay(relay) => {
                if laid.is_none_or(|link| !self.links.contains_key(link))
                    && let Some((peer, way)) = self.way_over(from, relay, peer)
                {
                    let link = self.lay([from, peer], way);
                    self.dials[key].laid = Some(link);
                    self.launch(link, from, flight::Content::RelayInitial(key), PACKET_BYTES);
                }
            }
            To::Nowhere => {}
        }
    }

    /// The way over an ambassador to a peer, if it has links to both and carries for them.
    fn way_over(&self, from: NodeSlot, relay: NodeId, peer: Option<NodeId>) -> Option<(NodeSlot, Way)> {
        let first = self.link_to(from, relay.prefix())?;
        let relay = self.links[first].peer_of(from);
        let second = self.link_to(relay, peer?.prefix())?;
        let peer = self.links[second].peer_of(relay);
        let pair = (from.min(peer), from.max(peer));
        let usable = |link: LinkKey| !self.links[link].is_broken() && !self.links[link].is_relayed();
        if !usable(first) || !usable(second) || !self.end(relay).relayed.contains(&pair) {
            return None;
        }
        let [first, second] = [&self.links[first], &self.links[second]];
        let hops = first.hops_from(first.side_of(from)).chain(second.hops_from(second.side_of(relay))).collect();
        Some((peer, Way { hops, remotes: [None, None], ports: [NODE_PORT; 2], relay: Some(relay) }))
    }

    fn send_packet(&mut self, from: NodeSlot, port: u16, to: SocketAddrV4, handshake: Handshake) {
        let flow = udp(self.source_for(from, port, to), to);
        self.send_datagram(from, flow, PACKET_BYTES + HEADER_BYTES, Content::Handshake(handshake));
    }
}

fn lives(ends: &[End], slot: NodeSlot, life: u32) -> bool {
    let end = &ends[slot as usize];
    end.alive && end.life == life
}
